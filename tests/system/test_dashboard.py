"""The dashboard as it is served; tests/browser has what it does."""

import gzip
import re

import pytest

import project
from waiting import wait_until

SOURCES = project.ROOT / "src" / "dashboard"
SCRIPTS = sorted(SOURCES.glob("*.js"))
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
ADDRESSES = ("/", "/dashboard", "/docs")


def ask(coordinator, address="/dashboard", method="GET", **headers):
    """Asks as a browser does; headers with _ for -."""
    sent = {name.replace("_", "-"): value for name, value in {"Accept": BROWSER, **headers}.items() if value is not None}
    return coordinator.request(method, address, headers=sent)


@pytest.mark.parametrize("accept, is_page", [
    (BROWSER, True), ("text/html", True), ("TEXT/HTML;q=0.1", True), ("application/json;q=0.5, text/html;q=0.5", True),
    (None, False), ("*/*", False), ("application/json", False), ("text/html;q=0", False), ("text/*", False),
    ("text/html;q=0.4, application/json;q=0.5", False),
])
def test_the_front_door_is_the_dashboard_for_browsers_alone(coordinator, accept, is_page):
    response = ask(coordinator, "/", Accept=accept)
    assert response.status == 200
    assert response.headers["Content-Type"] == ("text/html; charset=utf-8" if is_page else "application/json")
    assert "Accept" in response.headers["Vary"].split(", ")
    assert (response.body == ask(coordinator).body) == is_page
    assert ask(coordinator, "/dashboard", Accept=accept).headers["Content-Type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_is_sent_compressed_to_those_who_take_that(coordinator, address):
    plain = ask(coordinator, address)
    assert plain.headers["Content-Encoding"] is None and plain.headers["Vary"] == "Accept, Accept-Encoding"
    for encoding in ("gzip", "br, gzip;q=0.5"):
        packed = ask(coordinator, address, Accept_Encoding=encoding)
        assert packed.headers["Content-Encoding"] == "gzip" and packed.headers["Content-Type"] == "text/html; charset=utf-8"
        assert packed.headers["Content-Security-Policy"] == plain.headers["Content-Security-Policy"]
        assert packed.headers["Vary"] == "Accept, Accept-Encoding"
        assert gzip.decompress(packed.body) == plain.body
        assert packed.headers["ETag"] != plain.headers["ETag"], "two forms, two tags"
    for encoding in ("identity", "br", "gzip;q=0"):
        assert ask(coordinator, address, Accept_Encoding=encoding).body == plain.body


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_is_sent_once(coordinator, address):
    page = ask(coordinator, address, Accept_Encoding="gzip")
    tag = page.headers["ETag"]
    assert re.fullmatch('"[^"]+"', tag) and page.headers["Cache-Control"] == "no-cache"
    for named in (tag, f'"other", {tag}', "W/" + tag, "*"):
        response = ask(coordinator, address, Accept_Encoding="gzip", If_None_Match=named)
        assert response.status == 304 and response.body == b"", named
        assert response.headers["ETag"] == tag and response.headers["Vary"] == page.headers["Vary"]
        assert response.headers["Content-Length"] is None and response.headers["Content-Type"] is None
    for named in ('"other"', tag.strip('"'), "W/", ""):
        assert ask(coordinator, address, Accept_Encoding="gzip", If_None_Match=named).status == 200, named
    assert ask(coordinator, address, If_None_Match=tag).status == 200, "that is the tag of the other form"


def test_a_connection_goes_on_after_304(coordinator):
    tag = ask(coordinator).headers["ETag"]
    with coordinator.raw() as raw:
        for _ in range(2):
            raw.send(f"GET /dashboard HTTP/1.1\r\nHost: x\r\nIf-None-Match: {tag}\r\n\r\n")
            assert raw.read_response().status == 304
        raw.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        assert raw.read_response().status == 200


def test_head_has_the_headers_alone(coordinator):
    page, head = ask(coordinator), ask(coordinator, method="HEAD")
    assert head.status == 200 and head.body == b""
    assert head.headers["Content-Length"] == str(len(page.body)) and head.headers["ETag"] == page.headers["ETag"]


def test_it_is_there_while_redis_is_away(redis, coordinator):
    redis.kill()
    wait_until(lambda: not any(coordinator.is_ready() for _ in range(25)), what="all threads know that Redis is away")
    assert ask(coordinator, "/").status == 200, "to say so"


def test_it_is_made_of_its_sources(coordinator):
    html = ask(coordinator).body.decode()
    markup = (SOURCES / "index.html").read_text()
    assert re.findall(r'src="(.*?)"', markup) and set(re.findall(r'<script src="(.*?)">', markup)) == {
        path.name for path in SCRIPTS}
    for path in (*SCRIPTS, SOURCES / "style.css"):
        assert path.read_text() in html, path.name
    assert html.count("<script") == html.count("<style") == 1


def test_it_asks_nobody_else(coordinator):
    html = ask(coordinator).body.decode()
    for address in re.findall(r"""(?:\ssrc|href|action|srcset|poster|data)\s*=\s*["']([^"']*)""", html.split("<script>")[0]):
        assert address in ("data:,", "docs") or address.startswith("#"), f"{address} is not of this page"
    script = html.split("<script>")[1]
    requested = re.findall(r"""(?:\bget|\brequest|EventSource)\((?:'[A-Z]+', )?([^)]*)\)""", script)
    assert len(requested) > 10
    for path in requested:
        assert not re.match(r"""['"`](?!api[/'"])""", path), f"{path} is not relative"
    assert not re.search(r"\bwss?:", html), "a name that ends in ws is none"
    for bad in ("https:", "url(", "@import", "import(", "XMLHttpRequest", "sendBeacon", "WebSocket", "localStorage",
                "document.cookie"):
        assert bad not in html, bad
    assert re.findall("http:[^']*", html) == ["http://www.w3.org/2000/svg"], "a name, not an address"


def test_it_takes_text_as_text(coordinator):
    html = ask(coordinator).body.decode()
    for bad in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "DOMParser", "createContextualFragment", "eval(",
                "Function(", "srcdoc"):
        assert bad not in html, bad


def test_its_policy_is_strict(coordinator):
    response = ask(coordinator)
    policy = dict(each.strip().split(" ", 1) for each in response.headers["Content-Security-Policy"].split(";"))
    for directive in ("script-src", "style-src"):
        assert re.fullmatch(r"'sha256-[A-Za-z0-9+/]{43}='",
                            policy.pop(directive)), "a browser (tests/browser) sees that it is the right one"
    assert policy == {"default-src": "'none'", "connect-src": "'self'", "img-src": "data:", "base-uri": "'none'",
                      "form-action": "'none'",
                      "frame-ancestors": "'none'"}
    assert response.headers["X-Content-Type-Options"] == "nosniff" and response.headers["Referrer-Policy"] == "no-referrer"


def test_its_scripts_are_small_files():
    for path in (*SCRIPTS, SOURCES / "style.css"):
        assert len(path.read_text().splitlines()) < 400, path.name
