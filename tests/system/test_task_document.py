"""The worker of docs/tasks.md works."""

import re
import subprocess
import sys

import project
from waiting import wait_until

DOCUMENT = (project.ROOT / "docs" / "tasks.md").read_text()


def test_the_worker_of_the_document(coordinator, directory):
    code = re.search(r"```python\n(.*?)```", DOCUMENT, re.S)[1]
    lines = [line for line in code.splitlines() if line.strip()]
    assert len(lines) <= 30 and "http://localhost:8080" in code
    path = directory / "worker.py"
    path.write_text(code.replace("http://localhost:8080", coordinator.url))
    worker = subprocess.Popen([sys.executable, str(path)])
    try:
        def submit(payload, **more):
            return coordinator.post("/api/tasks", {"type": "embed", "payload": payload, **more}).json["task_id"]

        def state(task):
            return coordinator.get("/api/tasks/" + task).json["state"]

        good, bad = submit({"text": "hello"}), submit({"no": "text"}, max_attempts=1)
        wait_until(lambda: state(good) == "completed" and state(bad) == "dead")
        assert coordinator.get("/api/tasks/" + good).json["result"] == {"length": 5}
        assert "text" in coordinator.get("/api/tasks/" + bad).json["error"]
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.wait()
