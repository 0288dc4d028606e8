"""What tests need that start processes."""

import subprocess
from collections.abc import Callable
from contextlib import suppress

STEP = 0.01


def wait_until(condition: Callable[[], bool], process: subprocess.Popen, seconds: float) -> None:
    """Return once a condition holds, which a running process brings about.

    Raises:
        AssertionError: if the process ends or the time is up before.
    """
    for _ in range(round(seconds / STEP)):
        if condition():
            return
        with suppress(subprocess.TimeoutExpired):
            process.wait(STEP)
            raise AssertionError(f"the process ended with {process.returncode}")
    raise AssertionError(f"nothing happened in {seconds} s")
