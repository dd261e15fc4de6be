"""Where things are in the source tree."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODE = os.environ.get("MODE", "release")
BUILD = ROOT / "build" / MODE
BINARY = BUILD / "rma-coordinator"
SCRIPTS = BUILD / "gen" / "scripts"
TEST_BUILD = ROOT / "build" / "tests"
LSAN_SUPPRESSIONS = ROOT / "tests" / "lib" / "lsan.supp"

# Sanitizers make the coordinator some three times slower: limits on its own speed and size stretch with them.
SANITIZED = MODE != "release"
