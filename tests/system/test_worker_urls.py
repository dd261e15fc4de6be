"""A worker's URL is a stranger's word: whatever it says, no connection is made to where requests must not go. Names resolve as the
tests say, and each connection that a coordinator tries is noted; none leaves this machine."""

import pytest

from peers import reply, saying
from redis_server import free_port

PUBLIC = "8.8.8.8"
ALSO_PUBLIC = "9.9.9.9"

NAMES = {
    "good.example": PUBLIC, "loop.example": "127.0.0.1", "loop6.example": "::1", "mapped.example": "::ffff:127.0.0.1",
    "zero.example": "0.0.0.0",
    "two.example": f"{PUBLIC},127.0.0.1", "owt.example": f"127.0.0.1,{PUBLIC}", "two6.example": f"{PUBLIC},::1",
    "private.example": "10.0.0.1",
    "private2.example": "192.168.1.1", "private3.example": "172.16.0.1", "shared.example": "100.64.0.1",
    "local6.example": "fd00::1",
    "metadata.example": "169.254.169.254", "metadata6.example": "fd00:ec2::254", "link6.example": "fe80::1",
    "nat64.example": "64:ff9b::7f00:1",
    "six2four.example": "2002:7f00:1::1", "many.example": ",".join([PUBLIC] * 15 + ["10.1.2.3"]), "multicast.example": "224.0.0.1",
    "localhost": "127.0.0.1", "localhost.": "127.0.0.1", "127.0.0.1.good.example": "127.0.0.1",
    "broadcast.example": "255.255.255.255", "compatible.example": "::127.0.0.1", "unspecified6.example": "::",
}

# {p} is the port of a server that listens on every address of this machine, which must not hear of it.
URLS = [
    # this machine, in plain words and in others
    "http://127.0.0.1:{p}", "http://127.0.0.2:{p}", "http://127.255.255.254:{p}", "http://0.0.0.0:{p}", "http://0:{p}",
    "http://127.1:{p}",
    "http://127.0.1:{p}", "http://2130706433:{p}", "http://4294967295:{p}", "http://017700000001:{p}", "http://0177.0.0.1:{p}",
    "http://0177.1:{p}", "http://127.0.0.01:{p}", "http://127.0.0.001:{p}", "http://0x7f000001:{p}", "http://0x7f.1:{p}",
    "http://0x7f.0.0.1:{p}",
    "http://0X7F.0x0.0x0.0x1:{p}", "http://127.0.0.1.:{p}", "http://127.0.0.1%20:{p}", "http://%31%32%37.0.0.1:{p}",
    "http://127.0.0.0x1:{p}",
    "http://00000000177.0.0.1:{p}", "http://127.0.0.257:{p}", "http://383.0.0.1:{p}", "http://6425673729:{p}",
    "HTTP://127.0.0.1:{p}",
    "http://\uff11\uff12\uff17.0.0.1:{p}", "http://127\u30020\u30020\u30021:{p}", "http://\u2460\u2461\u2466.0.0.1:{p}",
    # and in IPv6
    "http://[::1]:{p}", "http://[0:0:0:0:0:0:0:1]:{p}", "http://[0000::0001]:{p}", "http://[::]:{p}",
    "http://[::ffff:127.0.0.1]:{p}",
    "http://[::ffff:7f00:1]:{p}", "http://[0:0:0:0:0:ffff:127.0.0.1]:{p}", "http://[::127.0.0.1]:{p}",
    "http://[::ffff:0:127.0.0.1]:{p}",
    "http://[64:ff9b::127.0.0.1]:{p}", "http://[64:ff9b::7f00:1]:{p}", "http://[64:ff9b:1::7f00:1]:{p}",
    "http://[2002:7f00:1::]:{p}",
    "http://[2002:a9fe:a9fe::1]:{p}", "http://[2001:0:0:0:0:0:80ff:fffe]:{p}", "http://[::1%25lo]:{p}", "http://[::1%lo]:{p}",
    "http://[fe80::1%25lo]:{p}", "http://[v1.127]:{p}", "http://::1:{p}", "http://[::1:{p}", "http://::1]:{p}",
    "http://[127.0.0.1]:{p}",
    # its network, and the metadata services of clouds
    "http://10.0.0.1", "http://10.255.255.255", "http://172.16.0.1", "http://172.31.255.254", "http://192.168.0.1",
    "http://100.64.0.1",
    "http://100.100.100.200", "http://169.254.169.254", "http://169.254.0.1", "http://2852039166", "http://0xa9fea9fe",
    "http://0251.0376.0251.0376",
    "http://192.0.0.192", "http://192.0.2.1", "http://198.18.0.1", "http://198.51.100.1", "http://203.0.113.1",
    "http://168.63.129.16",
    "http://224.0.0.1", "http://239.255.255.250", "http://240.0.0.1", "http://255.255.255.255", "http://[::ffff:169.254.169.254]",
    "http://[::ffff:10.0.0.1]", "http://[64:ff9b::a00:1]", "http://[fc00::1]", "http://[fd00::1]", "http://[fd00:ec2::254]",
    "http://[fd20:ce::254]", "http://[fe80::1]", "http://[fec0::1]", "http://[ff02::1]", "http://[2001:db8::1]", "http://[100::1]",
    # names that lead there, or partly
    *(f"http://{name}:{{p}}" for name in NAMES if name != "good.example"), "http://LOCALHOST:{p}", "http://LocalHost:{p}",
    "http://good.example.:{p}/\r\nHost: x",
    # what another reader might take for another host
    "http://user@127.0.0.1:{p}", "http://user:password@127.0.0.1:{p}", "http://good.example@127.0.0.1:{p}",
    "http://good.example:80@127.0.0.1:{p}", "http://@127.0.0.1:{p}", "http://:@127.0.0.1:{p}",
    "http://good.example?@127.0.0.1:{p}", "http://good.example\\@127.0.0.1:{p}", "http://127.0.0.1\\@good.example", 
    "http://127.0.0.1%00.good.example:{p}", "http://127.0.0.1\t:{p}", " http://127.0.0.1:{p}", "http://127.0.0.1 :{p}",
    "http:// 127.0.0.1:{p}",
    "http:/127.0.0.1:{p}", "http:127.0.0.1:{p}", "http:///127.0.0.1:{p}", "http:\\\\127.0.0.1:{p}", "http:/\\127.0.0.1:{p}",
    "//127.0.0.1:{p}",
    "127.0.0.1:{p}", "http://good.example:{p}:80", "http://good.example:99999", "http://good.example:0", "http://good.example:-1",
    "http://good.example:8o", "http://good.example:+80", "http://good.example: 80", "http://", "http://:{p}", "http://.:{p}",
    "http://-:{p}", "http://good..example:{p}", "http://" + "a" * 64 + ".example:{p}", "http://" + "a." * 200 + "example:{p}",
    "http://good.example/" + "a" * 5000,
    "http://good.example/\x01", "http://good.example/a b", "http://good.example/a\r\nX: b", "http://good.example/../..",
    "http://good.example/?q", "http://g\u00f6\u00f6d.example:{p}",
    # schemes of others
    "https://127.0.0.1:{p}", "https://[::1]:{p}", "https://loop.example:{p}", "ftp://127.0.0.1:{p}", "file:///etc/passwd",
    "gopher://127.0.0.1:{p}/_INFO", "dict://127.0.0.1:{p}/INFO", "redis://127.0.0.1:{p}", "unix:///run/redis.sock",
    "ws://127.0.0.1:{p}",
    "javascript:alert(1)", "postgres://127.0.0.1:{p}/db", "http+unix://%2frun%2fdocker.sock/", "data:text/plain,x",
    "ldap://127.0.0.1:{p}",
]

# Another reader's host may be a forbidden one; ours is the good one, and nobody else.
GOOD = ["http://127.0.0.1:{p}@good.example", "http://127.0.0.1%2f@good.example", "http://good.example#@127.0.0.1:{p}",
        "http://good.example/%",
        "http://good.example/#f", "http://127.0.0.1:{p}#@good.example", "http://GOOD.example", "http://good.example:80"]


def connections(stage):
    """Those that were tried, but for Redis's."""
    return [(address, port) for address, port in stage.names.connections if port != stage.redis.port]


@pytest.fixture(scope="module")
def strict(make_stage):
    """A coordinator whose operator has allowed nothing, in a world in which the good name leads to a server of ours."""
    stage = make_stage()
    stage.listener = stage.peers.start(saying(reply(b"reached")), host="")
    for name, answer in NAMES.items():
        stage.names.resolve(name, answer)
    for address in (PUBLIC, ALSO_PUBLIC):
        stage.names.lead(address, stage.listener.port)
    stage.start(UPSTREAM_ALLOW=None, **stage.names.settings())
    return stage


def test_the_good_name_is_reached(strict):
    """Else the other tests would show nothing."""
    got = strict.ask("GET", f"/service/{strict.service('http://good.example:8000')}/x")
    assert (got.status, got.body) == (200, b"reached"), got
    assert connections(strict) == [(PUBLIC, 8000)] and strict.listener.requests[-1].header("host") == "good.example:8000"
    got = strict.ask("GET", f"/service/{strict.service(f'http://{PUBLIC}')}/x")
    assert got.body == b"reached" and connections(strict)[1:] == [(PUBLIC, 80)]


def test_forbidden_places_are_never_connected_to(strict):
    assert len(URLS) >= 60
    before, heard = len(connections(strict)), strict.listener.connections
    wrong = []
    for url in (url.replace("{p}", str(strict.listener.port)) for url in URLS):
        service = strict.service()
        answer = strict.coordinators[0].post("/api/worker/register", {
            "worker_id": service, "capabilities": {}, "services": [{"name": service, "service_url": url}]})
        got = strict.ask("POST", f"/service/{service}/x", b"x")
        if got.status not in (502, 503) or not got.json["detail"] or answer.status not in (200, 422):
            wrong.append((url, answer, got))
    assert not wrong, "\n".join(map(str, wrong))
    assert connections(strict)[before:] == [] and strict.listener.connections == heard


def test_what_others_read_differently_leads_to_one_host_or_nowhere(strict):
    before = len(connections(strict))
    for url in GOOD:
        strict.ask("GET", f"/service/{strict.service(url.replace('{p}', str(strict.listener.port)))}/x")
    assert {address for address, _ in connections(strict)[before:]} == {PUBLIC}


@pytest.mark.parametrize("place", ["tunnel_url", "ip_address", "containers", "heartbeat"])
def test_wherever_a_worker_says_it(strict, place):
    coordinator, before, wrong = strict.coordinators[0], len(connections(strict)), []
    port = strict.listener.port
    for number, url in enumerate(("http://127.0.0.1:{p}", "http://[::1]:{p}", "http://0x7f.1:{p}", "http://loop.example:{p}",
                                  "http://two.example:{p}",
                                  "http://10.0.0.1", "http://169.254.169.254", "http://user@127.0.0.1:{p}", "127.0.0.1:{p}",
                                  "file:///etc/passwd")):
        url = url.replace("{p}", str(port))
        service, worker = strict.service(), f"{place}-{number}"
        members = {"worker_id": worker, "capabilities": {}, "services": [{"name": service, "port": port}]}
        if place == "containers":
            members["containers"] = [{"name": f"rma-{service}-worker", "service_url": url}]
        elif place != "heartbeat":
            members[place] = url
        coordinator.post("/api/worker/register", members)
        if place == "heartbeat":
            coordinator.post("/api/worker/heartbeat", {"worker_id": worker, "tunnel_url": url, "ip_address": url})
        got = strict.ask("GET", f"/service/{service}/x")
        if got.status not in (502, 503):
            wrong.append((url, got))
    assert not wrong and connections(strict)[before:] == [], wrong


def test_a_name_that_changes_its_mind_is_held_to_what_was_checked(strict):
    """It resolves to a public address when it is checked, and to this machine a moment later."""
    strict.names.resolve("rebind.example", PUBLIC, "127.0.0.1")
    before = len(connections(strict))
    service = strict.service("http://rebind.example:8000")
    for _ in range(12):
        assert strict.ask("GET", f"/service/{service}/x", headers={"Connection": "close"}).status == 200
    assert {address for address, _ in connections(strict)[before:]} == {PUBLIC}
    strict.names.resolve("turned.example", "127.0.0.1", PUBLIC)
    turned = strict.service("http://turned.example:8000")
    for _ in range(3):
        assert strict.ask("GET", f"/service/{turned}/x").status == 502
    assert {address for address, _ in connections(strict)[before:]} == {PUBLIC}


def test_no_redirect_is_followed(strict):
    places = ("http://127.0.0.1:1/", "http://169.254.169.254/", "//10.0.0.1/", "/elsewhere")
    peer = strict.peers.start(saying(lambda request: reply(b"", int(request.path[1:4]),
                                                           [f"Location: {places[int(request.path[5:])]}"])))
    strict.names.lead(ALSO_PUBLIC, peer.port)
    strict.names.resolve("redirects.example", ALSO_PUBLIC)
    service = strict.service("http://redirects.example")
    before = len(connections(strict))
    for status in (301, 302, 303, 307, 308):
        for number, place in enumerate(places):
            got = strict.ask("GET", f"/service/{service}/{status}/{number}")
            assert got.status == status and got.headers["Location"] == place
    assert {address for address, _ in connections(strict)[before:]} == {ALSO_PUBLIC}


@pytest.fixture(scope="module")
def lenient(make_stage):
    """All of loopback is allowed."""
    stage = make_stage()
    stage.names.resolve("loop.example", "127.0.0.1")
    stage.names.resolve("localhost", "127.0.0.1")
    stage.names.resolve("us.example", PUBLIC)
    stage.names.lead(PUBLIC, 9)
    stage.metrics_port = free_port()
    stage.start(UPSTREAM_ALLOW="127.0.0.0/8,::1,10.0.0.0/8", METRICS_PORT=stage.metrics_port, PUBLIC_URL="https://us.example",
                **stage.names.settings())
    return stage


def test_this_coordinators_own_places_are_forbidden_whatever_is_allowed(lenient):
    own, redis, metrics = lenient.coordinators[0].port, lenient.redis.port, lenient.metrics_port
    clients = len(lenient.redis.client.client_list())
    before, wrong = len(lenient.names.connections), []
    urls = [f"http://{host}:{port}" for port in (own, redis, metrics)
            for host in ("127.0.0.1", "127.0.0.2", "[::1]", "[::ffff:127.0.0.1]", "loop.example", "localhost", "LOOP.example.")]
    urls += [f"http://10.0.0.1:{redis}", "https://us.example", "https://US.Example/x"]
    for url in urls:
        got = lenient.ask("GET", f"/service/{lenient.service(url)}/health")
        if got.status not in (502, 503):
            wrong.append((url, got))
    assert not wrong, wrong
    assert lenient.names.connections[before:] == []
    assert len(lenient.redis.client.client_list()) <= clients


def test_what_is_allowed_is_reached_and_nothing_beside_it(lenient):
    peer = lenient.peers.start(saying(reply(b"reached")))
    assert lenient.ask("GET", f"/service/{lenient.service(peer)}/x").body == b"reached"
    before = len(lenient.names.connections)
    for url in ("http://192.168.0.1", "http://169.254.169.254", "http://172.16.0.1", "http://[fe80::1]", "http://0.0.0.0"):
        assert lenient.ask("GET", f"/service/{lenient.service(url)}/x").status in (502, 503), url
    assert lenient.names.connections[before:] == []
