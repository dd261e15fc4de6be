"""Waiting for something to become true, with a deadline: the one place of the suite that sleeps."""

import time


def wait_until(condition, within=5.0, what=None, every=0.01):
    """Polls condition() until it gives something true, and returns that. Fails after `within` seconds.

    An exception of the kind that a server in transition causes counts as "not yet".
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
        except Exception as error:  # redis-py's and http.client's own, without importing either here
            if type(error).__module__.split(".")[0] not in ("redis", "http"):
                raise
            trouble = error
        if time.monotonic() >= deadline:
            name = what or getattr(condition, "__name__", "the condition")
            raise AssertionError(f"not within {within} s: {name}" + (f" (last trouble: {trouble!r})" if trouble else ""))
        time.sleep(every)


def let_pass(seconds):
    """Lets real time pass where the passing itself is the test (load that runs, a process that must stay calm)."""
    time.sleep(seconds)
