"""Fixtures of the script tests: the generated scripts on a private Redis whose clock stands where the test puts it."""

import pytest

import project
from routes import Routes
from scripts import Scripts
from tasks import Tasks


@pytest.fixture
def scripts(clock, start_redis):
    """Every script of the coordinator, callable by name."""
    assert project.SCRIPTS.exists(), f"{project.SCRIPTS} is missing: build the coordinator first"
    return Scripts(start_redis(clock=clock), clock)


@pytest.fixture
def tasks(scripts):
    """The scripts of tasks."""
    return Tasks(scripts)


@pytest.fixture
def routes(scripts):
    """The script that chooses workers for requests."""
    return Routes(scripts.redis, scripts.at)
