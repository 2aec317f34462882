"""The deadline of a call: the time at which the call stops waiting for KIE, because its client stops waiting soon."""

import math
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TypeVar

from kie_mcp.clock import Clock
from kie_mcp.errors import ApiError

T = TypeVar("T")

_current: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""The deadline of the current call, as a monotonic time in seconds; infinite outside of calls."""


class DeadlineReached(ApiError):
    """The deadline of the current call came before KIE's answer; another call may have more time."""


@contextmanager
def use_deadline(deadline: float) -> Iterator[None]:
    """Use a deadline (a monotonic time in seconds) inside the `with` block, and in what the block starts."""
    token = _current.set(deadline)
    try:
        yield
    finally:
        _current.reset(token)


def is_over(clock: Clock) -> bool:
    """Return whether the deadline of the current call has come."""
    return clock.monotonic() >= _current.get()


async def read_in_time(clock: Clock, read: Callable[[], Awaitable[T]]) -> T:
    """Return what a function reads from KIE; cancel the function at the deadline of the current call.

    Raises:
        DeadlineReached: When the deadline comes before the answer.
    """
    deadline = _current.get()
    if deadline == math.inf:
        return await read()
    answers: list[T] = []
    errors: list[Exception] = []

    async def run() -> None:
        # The error is raised below, because a task group would wrap it in an ExceptionGroup.
        try:
            answers.append(await read())
        except Exception as error:  # noqa: BLE001
            errors.append(error)

    if not is_over(clock):
        await clock.wait_for_first(run, partial(clock.sleep, deadline - clock.monotonic()))
    if errors:
        raise errors[0]
    if not answers:
        raise DeadlineReached("KIE has not answered in time.", "Try again in a moment.", retryable=True)
    return answers[0]
