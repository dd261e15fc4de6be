"""Waits for a condition, with a deadline."""

import time

import project

PATIENCE = 20.0  # of waits whose length is not the point: a busy machine takes its time


def wait_until(condition, within=PATIENCE, what=None, every=0.01):
    """Calls condition() until it returns something true, and returns that. Fails after `within` seconds.

    An exception that a starting or stopping server can cause counts as "not yet".
    """
    deadline = time.monotonic() + within
    trouble = None
    while True:
        try:
            result = condition()
            if result:
                return result
            trouble = None
        except (OSError, AssertionError, LookupError) as error:
            trouble = error
        except Exception as error:  # exceptions of redis-py and http.client, which are not imported here
            if type(error).__module__.split(".")[0] not in ("redis", "http"):
                raise
            trouble = error
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"not within {within} s: {name}" + (f" (last trouble: {trouble!r})" if trouble else ""))
        time.sleep(every)


def promised(seconds):
    """Returns the deadline for what users are promised within `seconds`: more with the sanitizers, which slow it down."""
    return seconds if project.MODE == "release" else 2.5 * seconds


def let_pass(seconds):
    """Lets real time pass, for tests in which something must last for that time (a load that runs, a process that stays idle)."""
    time.sleep(seconds)
