"""Waiting for something to become true, without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(check: Callable[[], T], timeout: float = 20.0, every: float = 0.02) -> T:
    """Call `check` until what it returns is true, and return that; AssertionError with the last answer after `timeout` s.

    An AssertionError raised by `check` itself counts as "not yet" and is the one reported at the end.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            answer = check()
            problem = AssertionError(f"still {answer!r} after {timeout} s")
            if answer:
                return answer
        except AssertionError as error:
            problem = error
        if time.monotonic() > end:
            raise problem
        time.sleep(every)
