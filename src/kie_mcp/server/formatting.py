"""Format short parts of an answer: one line of text, shortened text, times."""

from kie_mcp.clock import to_utc


def to_one_line(text: str) -> str:
    """Join all lines of a text into one.

    Text from KIE or from a user goes through this, so that none of its lines look like lines that the server wrote.
    """
    return " ".join(text.split())


def shorten(text: str, most: int) -> str:
    """Return the text; cut a text longer than `most` characters to that length, ellipsis included."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def format_time(seconds: float) -> str:
    """Format seconds since 1970 as a time such as `2026-09-30 12:00 UTC`."""
    return to_utc(seconds).strftime("%Y-%m-%d %H:%M UTC")
