"""Format short pieces of an answer: one line of text, shortened text, ranges of credits, times."""

from collections.abc import Sequence
from datetime import UTC, datetime


def to_one_line(text: str) -> str:
    """Join the lines of a text from elsewhere, so that it cannot look like lines of the answer itself."""
    return " ".join(text.split())


def shorten(text: str, most: int) -> str:
    """Return the text, cut to `most` characters with an ellipsis at the end."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def format_range(credits_: Sequence[float]) -> str:
    """Format a lowest and a highest number as `30 to 60`, or as `60` when they are equal."""
    low, high = credits_
    return f"{low:,.10g}" if low == high else f"{low:,.10g} to {high:,.10g}"


def format_time(seconds: float) -> str:
    """Format seconds since 1970 as `2026-09-30 12:00 UTC`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
