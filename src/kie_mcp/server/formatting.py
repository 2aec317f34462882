"""Format times for answers."""

from kie_mcp.clock import to_utc


def format_time(seconds: float) -> str:
    """Format seconds since 1970 as a time such as `2026-09-30 12:00 UTC`."""
    return to_utc(seconds).strftime("%Y-%m-%d %H:%M UTC")
