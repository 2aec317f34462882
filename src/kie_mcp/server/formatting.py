"""Format short parts of an answer: join lines, shorten texts, write times."""

from kie_mcp.clock import to_utc


def to_one_line(text: str) -> str:
    """Join all lines of a text into one line.

    Texts from KIE and from users are joined, because a line of their own could look like a line that kie-mcp wrote.
    """
    return " ".join(text.split())


def format_time(seconds: float) -> str:
    """Format seconds since 1970 as a time such as `2026-09-30 12:00 UTC`."""
    return to_utc(seconds).strftime("%Y-%m-%d %H:%M UTC")
