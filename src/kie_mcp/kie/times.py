"""Parse times in KIE's answers, where times have several formats."""

from contextlib import suppress
from datetime import UTC, datetime

from kie_mcp.kie.result_readers import parse_number

FIRST_MILLISECOND = 1e11
"""Larger numbers are times in milliseconds or smaller units; as seconds, they would be after the year 5138."""


def parse_time(value: object) -> float | None:
    """Convert a time in one of KIE's answers to seconds since 1970; return None if it is no time.

    Most answers have a number of milliseconds, or a text such as `2025-01-15 10:35:27`. Some have a number of seconds,
    microseconds or nanoseconds.
    """
    seconds = parse_number(value)
    if seconds is None and isinstance(value, str):
        with suppress(ValueError, OverflowError):
            found = datetime.fromisoformat(value.strip())
            seconds = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    while seconds is not None and seconds > FIRST_MILLISECOND:
        seconds /= 1000
    return seconds
