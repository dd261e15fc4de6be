"""What the worker agents in the field send, word for word."""

import json
from pathlib import Path

REQUESTS = json.loads((Path(__file__).parent / "fixtures/agent-requests.json").read_text())
REGISTRATIONS = {agent: requests["register"] for agent, requests in REQUESTS.items()}
HEARTBEATS = {agent: {name: value for name, value in requests["heartbeat"].items() if name != "worker_id"}
              for agent, requests in REQUESTS.items() if "heartbeat" in requests}

TIERS = {
    "docker worker agent": (2, "cpu"),
    "docker worker agent with a GPU": (1, "gpu"),
    "docker worker agent with an AMD GPU": (1, "gpu"),
    "container agent": (2, "cpu"),
    "container agent without a tunnel": (2, "cpu"),
    "universal agent": (2, "cpu"),
}
