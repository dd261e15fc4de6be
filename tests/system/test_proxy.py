"""A request on its way to a worker and back: paths, headers, bodies, errors, tokens."""

import json
import time

import jwt
import pytest

import http_client
from credentials import bearer, make_token
from peers import reply, saying, serving
from waiting import wait_until


@pytest.fixture(scope="module")
def stage(make_stage):
    stage = make_stage()
    stage.start(REQUEST_TIMEOUT_MS=1000)
    return stage


def echo(stage, **members):
    """A service whose one worker says "ok" to everything, and its worker's server."""
    peer = stage.peers.start(saying(reply(b"ok")))
    return stage.service(peer), peer


def test_a_request_reaches_a_worker(stage):
    service, peer = echo(stage)
    answer = stage.ask("GET", f"/service/{service}/a/b?x=1")
    assert (answer.status, answer.body) == (200, b"ok"), answer
    assert peer.requests[0].target == "/a/b?x=1"
