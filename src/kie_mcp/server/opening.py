"""Opening: let one call at a time try to open something, and share the error of an attempt that fails."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio

from kie_mcp.deadline import DeadlineReached
from kie_mcp.errors import KieMcpError


class Opening:
    """A lock for attempts to open something, such as a database.

    A call that waits while the attempt of another call fails gets the error of that attempt. If it tried once more,
    the calls would wait one after the other, and the last one for the sum of all attempts.
    """

    def __init__(self) -> None:
        self._lock = anyio.Lock()
        self._failures = 0
        self._error = Exception()

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Hold the lock until the `async with` block ends; if the block fails, raise its error for all who wait.

        Raises:
            Exception: When an attempt of another call has failed meanwhile; the error is that of the attempt.
        """
        failures = self._failures
        async with self._lock:
            if self._failures > failures:
                raise _copy(self._error)
            try:
                yield
            except DeadlineReached:
                # This call had too little time; those that wait may have more.
                raise
            except Exception as error:
                self._failures, self._error = self._failures + 1, _copy(error)
                raise


def _copy(error: Exception) -> Exception:
    """Return a copy of an error that callers see, because a call may add its own words to it."""
    return replace(error) if isinstance(error, KieMcpError) else error
