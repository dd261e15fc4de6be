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

# Sanitizers make the coordinator about three times slower, so limits on its speed and size are larger with them.
SANITIZED = MODE != "release"
