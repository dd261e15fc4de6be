"""Every key that a busy fleet leaves in Redis is documented in lua/KEYS.md, with its type."""

import re

import project
from coordinator import GPU_CAPABILITIES
from load import Load
from routes import Routes
from waiting import wait_until

KEYS = project.ROOT / "lua" / "KEYS.md"


def documented():
    """[(pattern, the row's text)] of the rows of tables in KEYS.md whose first cell is a key."""
    rows = []
    for line in KEYS.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.lstrip().startswith("|"):
            for name in re.findall(r"`(\{rma\}:[^`]+)`", cells[0]):
                pattern = re.sub(r"<[^>]+>", "[A-Za-z0-9._:-]{1,128}", re.escape(name).replace(r"\<", "<").replace(r"\>", ">"))
                rows.append((re.compile(pattern), line))
    return rows


WORDS = {"zset": ("zset", "sorted set"), "hash": ("hash",), "set": ("set",), "string": ("string",), "list": ("list",),
         "stream": ("stream",)}


def is_documented(key, kind, rows):
    return any(pattern.fullmatch(key) and any(word in row.lower() for word in WORDS[kind]) for pattern, row in rows)


def test_the_document_has_rows():
    assert len(documented()) >= 8


def test_every_key_after_a_busy_scenario_has_a_row(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock, REGION="fra")
    rows = documented()
    coordinator.register("full", GPU_CAPABILITIES, instance_id="i", boot_id="b", tunnel_url="https://t.example", vpn_ip="10.42.0.7",
                         services=[{"name": "ocr"}], containers=[{"name": "c"}])
    coordinator.beat("full", status="draining", current_load=0.5, loaded_models=["m"], services_status={"ocr": "up"},
                     expect_silence=600)
    coordinator.post("/api/worker/full/drain")
    coordinator.register("silent")
    coordinator.register(tunnel_url="https://nameless.example")
    coordinator.register("gone")
    coordinator.unregister("gone")
    coordinator.register("says-offline")
    coordinator.beat("says-offline", status="offline")
    with Load([coordinator], threads=2).running():
        wait_until(lambda: redis.client.zcard("{rma}:workers") > 20)
    routes = Routes(redis.client)
    worker = routes.choose("rag", session=1).worker
    routes.call(*[["report", worker, "rag", "f", ""]] * 5)
    seen = redis.dump(everything=True)
    clock.advance(400)
    coordinator.stats()
    coordinator.beat("silent")
    coordinator.workers()
    seen.update(redis.dump(everything=True))
    clock.advance(2000)
    wait_until(lambda: redis.client.zcard("{rma}:workers") == 0)
    seen.update(redis.dump(everything=True))
    kinds = {key.split(":")[1] for key in seen} - {"stale"}  # any sweep may end it
    assert kinds == {"worker", "registration", "workers", "online", "offline", "service", "model", "region", "services", "stats",
                     "ledger",
                     "identity", "fingerprint", "events", "history", "format", "instances", "alive", "life", "requests",
                     "requesters", "outcomes", "open",
                     "sessions", "flights", "served"}, "the scenario leaves out a kind of key"
    unknown = [f"{key} ({kind})" for key, (kind, _, _) in seen.items() if not is_documented(key, kind, rows)]
    assert unknown == []
    assert all(key.startswith("{rma}:") for key in seen)


def test_every_field_of_a_worker_has_a_mention(redis, coordinator):
    text = KEYS.read_text()
    coordinator.register("full", GPU_CAPABILITIES, instance_id="i", boot_id="b", tunnel_url="https://t.example", vpn_ip="10.42.0.7",
                         services=[{"name": "ocr"}], containers=[{"name": "c"}], ip_address="203.0.113.9")
    coordinator.beat("full", status="healthy", current_load=0.5, available_memory="9.8GB", active_requests=2, gpu_utilization=65.3,
                     loaded_models=["m"], services_status={"ocr": "up"}, specialization="rag")
    coordinator.post("/api/worker/full/drain")
    coordinator.register(tunnel_url="https://nameless.example")
    fields = {name for key in redis.client.keys("{rma}:worker:*") + redis.client.keys("{rma}:registration:*")
              if not key.endswith(":online") for name in redis.client.hgetall(key)}
    assert {"last_heartbeat", "drained", "fingerprint", "registered_at"} <= fields
    assert [name for name in fields if f"`{name}`" not in text] == []


def test_a_worker_costs_at_most_two_kilobytes(redis, coordinator):
    """Everything that Redis holds of a worker like those in the field. The events are the fleet's."""
    def used():
        return int(redis.client.info("memory")["used_memory_dataset"]) - redis.client.memory_usage("{rma}:events", samples=0)

    coordinator.register("first")
    before = used()
    with coordinator.connection() as connection:
        for number in range(1000):
            body = {"worker_id": f"worker-{number:08x}", "tunnel_url": f"https://{number:08x}.trycloudflare.com",
                    "capabilities": {"cpu_cores": 8, "ram": "15.6GB", "storage": "466.0GB", "worker_type": "cpu",
                                     "containerized": True}}
            assert connection.request("POST", "/api/worker/register", body).status == 200
            beat = {"worker_id": body["worker_id"], "status": "healthy", "current_load": 0.07, "available_memory": "12.1GB"}
            assert connection.request("POST", "/api/worker/heartbeat", beat).status == 200
    assert (used() - before) / 1000 <= 2048
