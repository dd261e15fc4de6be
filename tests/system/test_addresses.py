"""Where workers are reached: what they tell is brought into one form, what can be none is left out and named."""

import pytest

import invariants

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
    ("abc.trycloudflare.com", "https://abc.trycloudflare.com", []), ("HTTPS://ABC.trycloudflare.com/", "https://abc.trycloudflare.com", []),
    ("https://x.example:443/", "https://x.example", []), ("https://u:p@x.example", "https://x.example", ["tunnel_url"]),
    ("javascript:alert(1)", None, ["tunnel_url"]), ("ftp://x.example", None, ["tunnel_url"]), ("not a url", None, ["tunnel_url"]),
    ("http://0.0.0.0:8000", None, ["tunnel_url"]), ("http://localhost:8000", None, ["tunnel_url"]), ("http://None:8000", None, ["tunnel_url"])])
def test_a_tunnel_is_a_url_that_others_can_open(behind_proxy, told, url, left_out):
    answer = register(behind_proxy, {"worker_id": "w", "tunnel_url": told})
    assert answer["tunnel_url"] == url and ignored(answer) == left_out
    assert answer["endpoint"] == (url or CALLER)
    assert behind_proxy.worker("w")["tunnel_url"] == url


@pytest.mark.parametrize("port, url, left_out", [
    ("8000", "http://198.51.100.7:8000", []), (70000, "http://198.51.100.7", ["services[1].port"]), ("http", "http://198.51.100.7", ["services[1].port"]),
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


# -- who a worker is --------------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("again", ["https://abc.trycloudflare.com/", "HTTPS://ABC.TryCloudflare.com", "abc.trycloudflare.com", "https://abc.trycloudflare.com:443"])
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
