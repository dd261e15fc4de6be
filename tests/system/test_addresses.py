"""Where workers are reached: what they tell is brought into one form, what can be none is left out and named."""

import datetime
import functools
import json
import subprocess

import pytest

import invariants
import project
from coordinator import environment

REGISTER = "/api/worker/register"
CALLER = "198.51.100.7"


@pytest.fixture
def behind_proxy(redis, start_coordinator):
    """A coordinator that believes X-Forwarded-For: requests come from where the test says."""
    return start_coordinator(redis, TRUST_PROXY=1)


def register(coordinator, body, path=REGISTER, address=CALLER):
    answer = coordinator.post(path, {"capabilities": {}, **body}, {"X-Forwarded-For": address})
    assert answer.status == 200, answer
    return answer.json


def ignored(answer):
    for fault in answer.get("ignored", []):
        assert set(fault) == {"field", "message"} and fault["message"]
    return [fault["field"] for fault in answer.get("ignored", [])]


ADDRESSES = [
    ("192.168.1.5:8000", "192.168.1.5", 8000, []),
    ("192.168.1.5 172.17.0.1 ", "192.168.1.5", None, ["ip_address"]),
    ("192.168.1.5 172.17.0.1 \n", "192.168.1.5", None, ["ip_address"]),
    ("127.0.0.1,10.0.0.4", "10.0.0.4", None, ["ip_address"]),
    ("0.0.0.0", CALLER, None, ["ip_address"]),
    ("0.0.0.0:8000", CALLER, 8000, ["ip_address"]),
    ("::", CALLER, None, ["ip_address"]),
    ("127.0.0.1", CALLER, None, ["ip_address"]),
    ("localhost", CALLER, None, ["ip_address"]),
    ("1.2.3", CALLER, None, ["ip_address"]),
    ("no route to host", CALLER, None, ["ip_address"]),
    ("N/A", CALLER, None, []),
    ("None", CALLER, None, []),
    ("null", CALLER, None, []),
    ("", CALLER, None, []),
    ("  ", CALLER, None, []),
    (None, CALLER, None, []),
    ("[2001:DB8::1]:8000", "2001:db8::1", 8000, []),
    ("192.168.1.5/24", "192.168.1.5", None, []),
    ("HTTPS://X.trycloudflare.com/", "https://x.trycloudflare.com", None, []),
]


@pytest.mark.parametrize("path", [REGISTER, "/api/edge/register"])
@pytest.mark.parametrize("told, address, port, left_out", ADDRESSES)
def test_an_address_is_brought_into_its_form(behind_proxy, path, told, address, port, left_out):
    answer = register(behind_proxy, {"worker_id": "w", "ip_address": told}, path)
    assert ignored(answer) == left_out
    row = behind_proxy.worker("w")
    assert (row["ip_address"], row["port"]) == (address, port)


def test_the_port_that_was_told_with_the_address_is_used(behind_proxy):
    register(behind_proxy, {"worker_id": "w", "ip_address": "192.168.1.5:8000", "services": ["ocr", {"name": "own", "port": 9}]})
    assert behind_proxy.get("/api/worker/find/ocr").json["worker_url"] == "http://192.168.1.5:8000"
    assert behind_proxy.get("/api/worker/find/own").json["worker_url"] == "http://192.168.1.5:9"


@pytest.mark.parametrize("told, url, left_out", [
    ("None", None, []), ("null", None, []), (" ", None, []), ("N/A", None, []),
    ("abc.trycloudflare.com", "https://abc.trycloudflare.com", []),
    ("HTTPS://ABC.trycloudflare.com/", "https://abc.trycloudflare.com", []),
    ("https://x.example:443/", "https://x.example", []), ("https://u:p@x.example", "https://x.example", ["tunnel_url"]),
    ("javascript:alert(1)", None, ["tunnel_url"]), ("ftp://x.example", None, ["tunnel_url"]), ("not a url", None, ["tunnel_url"]),
    ("http://0.0.0.0:8000", None, ["tunnel_url"]), ("http://localhost:8000", None, ["tunnel_url"]),
    ("http://None:8000", None, ["tunnel_url"]), ("pending", None, ["tunnel_url"]), ("Failed", None, ["tunnel_url"]),
    ("https:/x.example", None, ["tunnel_url"]), ("gpu-box", "http://gpu-box", [])])
def test_a_tunnel_is_a_url_that_others_can_open(behind_proxy, told, url, left_out):
    answer = register(behind_proxy, {"worker_id": "w", "tunnel_url": told})
    assert answer["tunnel_url"] == url and ignored(answer) == left_out
    assert answer["endpoint"] == (url or CALLER)
    assert behind_proxy.worker("w")["tunnel_url"] == url


@pytest.mark.parametrize("port, url, left_out", [
    ("8000", "http://198.51.100.7:8000", []), (70000, "http://198.51.100.7", ["services[1].port"]),
    ("http", "http://198.51.100.7", ["services[1].port"]),
    (None, "http://198.51.100.7", []), ("None", "http://198.51.100.7", [])])
def test_ports_of_services(behind_proxy, port, url, left_out):
    answer = register(behind_proxy, {"worker_id": "w", "services": ["other", {"name": "ocr", "port": port}]})
    assert ignored(answer) == left_out
    assert behind_proxy.get("/api/worker/find/ocr").json["worker_url"] == url


def test_a_service_url_that_is_none(behind_proxy):
    services = [{"name": "ocr", "port": 9, "service_url": "javascript:alert(1)"}, {"name": "own", "service_url": "None", "port": 8}]
    answer = register(behind_proxy, {"worker_id": "w", "services": services, "containers": [{"name": "c", "service_url": "x y"}]})
    assert ignored(answer) == ["services[0].service_url", "containers[0].service_url"]
    assert behind_proxy.get("/api/worker/find/ocr").json["worker_url"] == f"http://{CALLER}:9"
    assert behind_proxy.get("/api/worker/find/own").json["worker_url"] == f"http://{CALLER}:8"


def test_all_that_is_told_can_be_used(behind_proxy):
    assert "ignored" not in register(behind_proxy, {"tunnel_url": "https://x.example", "services": [{"name": "ocr", "port": 9}]})


# -- who a worker is ---------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("again", ["https://abc.trycloudflare.com/", "HTTPS://ABC.TryCloudflare.com", "abc.trycloudflare.com",
                                   "https://abc.trycloudflare.com:443"])
def test_a_tunnel_is_the_same_however_it_is_written(redis, behind_proxy, again):
    first = register(behind_proxy, {"tunnel_url": "https://abc.trycloudflare.com"})
    assert register(behind_proxy, {"tunnel_url": again})["worker_id"] == first["worker_id"]
    assert len(behind_proxy.workers()) == 1
    invariants.assert_hold(redis.dump())


@pytest.mark.parametrize("member", ["worker_id", "instance_id", "tunnel_url", "vpn_ip", "boot_id"])
@pytest.mark.parametrize("nothing", ["None", "null", "N/A", "", " ", "none"])
def test_words_for_nothing_are_nobodys_identity(redis, behind_proxy, member, nothing):
    first = register(behind_proxy, {member: nothing})
    second = register(behind_proxy, {member: nothing})
    assert first["worker_id"] != second["worker_id"] and not second["reregistered"]
    assert all(row[member] is None for row in behind_proxy.workers().values() if member in ("instance_id", "tunnel_url", "vpn_ip"))
    invariants.assert_hold(redis.dump())


def test_a_worker_whose_tunnel_an_older_coordinator_stored_as_it_came_is_still_known(redis, behind_proxy):
    first = register(behind_proxy, {"tunnel_url": "https://abc.trycloudflare.com"})
    told = "https://ABC.trycloudflare.com/"
    key, = redis.client.keys("{rma}:identity:tunnel:*")
    older = redis.client.eval("return string.sub(redis.sha1hex(ARGV[1]), 1, 20)", 0, told)
    redis.client.rename(key, "{rma}:identity:tunnel:" + older)
    redis.client.hset("{rma}:registration:" + first["worker_id"], "tunnel_url", told)
    assert register(behind_proxy, {"tunnel_url": told})["worker_id"] == first["worker_id"]
    assert behind_proxy.worker(first["worker_id"])["tunnel_url"] == "https://abc.trycloudflare.com"
    assert not redis.client.exists("{rma}:identity:tunnel:" + older)
    assert register(behind_proxy, {"tunnel_url": "https://abc.trycloudflare.com"})["worker_id"] == first["worker_id"]
    invariants.assert_hold(redis.dump())


def test_an_imported_worker_is_read_alike(redis, behind_proxy, tmp_path):
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None).isoformat()
    record = {"tier": 2, "last_heartbeat": now, "ip_address": "192.168.1.5:8000", "tunnel_url": "ABC.trycloudflare.com/",
              "vpn_ip": "None",
              "instance_id": "None"}
    (tmp_path / "registry.json").write_text(
        json.dumps({"w": record, "v": {**record, "ip_address": "10.0.0.1", "port": 9000, "tunnel_url": "N/A"}}))
    run = functools.partial(subprocess.run, env=environment({"REDIS_URL": redis.url}), check=True, capture_output=True)
    run([project.BINARY, "import", tmp_path / "registry.json"])
    rows = behind_proxy.workers()
    assert [(row["ip_address"], row["port"], row["tunnel_url"], row["vpn_ip"], row["instance_id"])
            for row in (rows["w"], rows["v"])] == [
        ("192.168.1.5", 8000, "https://abc.trycloudflare.com", None, None), ("10.0.0.1", 9000, None, None, None)]
    exported = json.loads(run([project.BINARY, "export"]).stdout)
    assert (exported["w"]["ip_address"], exported["w"]["port"], exported["v"]["port"]) == ("192.168.1.5", 8000, 9000)
    assert register(behind_proxy, {"tunnel_url": "https://abc.trycloudflare.com"})["worker_id"] == "w"
    invariants.assert_hold(redis.dump())


# -- a worker that moves -----------------------------------------------------------------------------------------------------------

MOVED = "203.0.113.50"
BEATS = {"single": lambda beat: ("/api/worker/heartbeat", beat),
         "bulk": lambda beat: ("/api/worker/heartbeats", {"heartbeats": [beat]}),
         "edge": lambda beat: ("/api/edge/heartbeat", beat)}


def beat(coordinator, worker_id, address=CALLER, how="single", **said):
    path, body = BEATS[how]({"worker_id": worker_id, **said})
    answer = coordinator.post(path, body, {"X-Forwarded-For": address})
    assert answer.status == 200 and answer.json.get("ok", 1) == 1, answer
    return answer.json


def moved_events(redis):
    return [entry["worker_id"] for _, entry in redis.client.xrange("{rma}:events")
            if (entry["event"], entry["reason"]) == ("updated", "moved")]


@pytest.mark.parametrize("how", BEATS)
def test_an_address_that_was_taken_follows_the_worker(redis, behind_proxy, how):
    worker_id = register(behind_proxy, {"services": [{"name": "ocr", "port": 9}]})["worker_id"]
    beat(behind_proxy, worker_id, CALLER, how)
    assert moved_events(redis) == []
    beat(behind_proxy, worker_id, MOVED, how)
    assert behind_proxy.worker(worker_id)["ip_address"] == MOVED
    assert behind_proxy.get("/api/worker/find/ocr").json["worker_url"] == f"http://{MOVED}:9"
    beat(behind_proxy, worker_id, MOVED, how)
    assert moved_events(redis) == [worker_id], "told once"
    beat(behind_proxy, worker_id, "2001:db8::5", how)
    assert behind_proxy.get("/api/worker/find/ocr").json["worker_url"] == "http://[2001:db8::5]:9"
    invariants.assert_hold(redis.dump())


@pytest.mark.parametrize("how", BEATS)
def test_an_address_that_was_told_stays(redis, behind_proxy, how):
    register(behind_proxy, {"worker_id": "w", "ip_address": "192.168.1.5"})
    for address in (MOVED, CALLER, MOVED):
        beat(behind_proxy, "w", address, how)
    assert behind_proxy.worker("w")["ip_address"] == "192.168.1.5" and moved_events(redis) == []
    invariants.assert_hold(redis.dump())


@pytest.mark.parametrize("how", BEATS)
def test_a_heartbeat_may_tell_a_new_tunnel_and_address(redis, behind_proxy, how):
    worker_id = register(behind_proxy, {"tunnel_url": "https://one.trycloudflare.com"})["worker_id"]
    beat(behind_proxy, worker_id, how=how, tunnel_url="HTTPS://Two.trycloudflare.com/", ip_address="192.168.1.5:8000")
    row = behind_proxy.worker(worker_id)
    assert (row["tunnel_url"], row["ip_address"], row["port"]) == ("https://two.trycloudflare.com", "192.168.1.5", 8000)
    beat(behind_proxy, worker_id, MOVED, how=how, tunnel_url="None")
    row = behind_proxy.worker(worker_id)
    assert (row["tunnel_url"], row["ip_address"], row["port"]) == ("https://two.trycloudflare.com", "192.168.1.5",
                                                                   8000), "it was told"
    beat(behind_proxy, worker_id, MOVED, how=how, ip_address="10.0.0.9")
    row = behind_proxy.worker(worker_id)
    assert (row["ip_address"], row["port"]) == ("10.0.0.9", None)
    assert register(behind_proxy,
                    {"tunnel_url": "https://two.trycloudflare.com"})["worker_id"] == worker_id, "its identity has moved"
    assert register(behind_proxy, {"tunnel_url": "https://one.trycloudflare.com"})["worker_id"] != worker_id, "and left the old one"
    invariants.assert_hold(redis.dump())


@pytest.mark.parametrize("how", ["single", "edge"])
def test_what_a_heartbeat_tells_in_vain_is_named(redis, behind_proxy, how):
    register(behind_proxy, {"worker_id": "w", "tunnel_url": "https://one.example", "ip_address": "192.168.1.5"})
    answer = beat(behind_proxy, "w", how=how, tunnel_url="javascript:alert(1)", ip_address="0.0.0.0")
    assert sorted(ignored(answer)) == ["ip_address", "tunnel_url"]
    assert ignored(beat(behind_proxy, "w", how=how, tunnel_url=7, ip_address="localhost")) == ["tunnel_url", "ip_address"]
    row = behind_proxy.worker("w")
    assert (row["tunnel_url"], row["ip_address"]) == ("https://one.example", "192.168.1.5")
    invariants.assert_hold(redis.dump())


def test_a_worker_that_is_brought_back_is_where_it_now_beats_from(clock, start_redis, start_coordinator):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock, TRUST_PROXY=1)
    register(coordinator, {"worker_id": "w"})
    clock.advance(3600)
    assert coordinator.workers() == {}
    assert beat(coordinator, "w", MOVED)["revived"] is True
    assert coordinator.worker("w")["ip_address"] == MOVED
    invariants.assert_hold(redis.dump())


@pytest.mark.parametrize("address", [MOVED, CALLER])
def test_one_that_moved_and_then_crashed_is_known_by_its_looks(clock, start_redis, start_coordinator, address):
    redis = start_redis(clock=clock)
    coordinator = start_coordinator(redis, clock=clock, TRUST_PROXY=1)
    worker_id = register(coordinator, {"capabilities": {"cpu_cores": 8}})["worker_id"]
    beat(coordinator, worker_id, MOVED)
    clock.advance(60)
    assert register(coordinator, {"capabilities": {"cpu_cores": 8}},
                    address="203.0.113.99")["worker_id"] != worker_id, "somebody else"
    assert register(coordinator, {"capabilities": {"cpu_cores": 8}}, address=address)["worker_id"] == worker_id
    invariants.assert_hold(redis.dump())


def test_through_several_instances_the_last_heartbeat_counts(redis, start_coordinator):
    one, two = (start_coordinator(redis, TRUST_PROXY=1) for _ in range(2))
    register(one, {"worker_id": "w"})
    for coordinator, address in [(two, MOVED), (one, CALLER), (two, MOVED), (one, CALLER)]:
        beat(coordinator, "w", address)
        assert one.worker("w")["ip_address"] == address
    invariants.assert_hold(redis.dump())


def test_a_registration_of_an_older_coordinator_is_left_where_it_is(redis, behind_proxy):
    register(behind_proxy, {"worker_id": "w"})
    redis.client.hset("{rma}:ledger", "w", redis.client.hget("{rma}:ledger", "w").split(" @")[0])
    beat(behind_proxy, "w", MOVED)
    assert behind_proxy.worker("w")["ip_address"] == CALLER
    invariants.assert_hold(redis.dump())
