"""Format credits as text, followed by their worth in US dollars, such as `8 credits ($0.04)`."""

LIST_USD_PER_CREDIT = 0.005
"""KIE's price of one credit, in US dollars."""


class _Worth:
    """The worth of one credit to the user of this process, in US dollars; 0 means that answers show no dollars."""

    usd = LIST_USD_PER_CREDIT


def set_worth(usd_per_credit: float) -> None:
    """Set the worth of one credit for this process.

    Args:
        usd_per_credit: The worth in US dollars; 0 means that answers show no dollars.
    """
    _Worth.usd = usd_per_credit


def to_usd(credits_: float) -> float | None:
    """Return the worth of credits in US dollars; None if answers show no dollars (after `set_worth(0)`)."""
    return _round(credits_ * _Worth.usd) if _Worth.usd else None


def usd_field(name: str, *credits_: float) -> dict[str, float | list[float]]:
    """Return a dict with one key, whose value is the worth of credits in US dollars, such as `{name: 0.04}`.

    Args:
        name: The key of the dict.
        credits_: One number of credits, or the lowest and the highest number.

    Returns:
        The dict; it is empty when all numbers are 0, or when answers show no dollars.
    """
    worth = [usd for amount in credits_ if any(credits_) and (usd := to_usd(amount)) is not None]
    return {name: worth[0] if len(credits_) == 1 else worth} if worth else {}


def to_integer(credits_: float) -> float:
    """Convert a whole number to an integer, so that JSON writes it without `.0`; return other numbers unchanged."""
    return int(credits_) if credits_ == int(credits_) else credits_


def format_number(credits_: float) -> str:
    """Format a number of credits without the word "credits", such as `1,200` or `0.4`."""
    return f"{credits_:,.10g}"


def format_credits(low: float, high: float | None = None, *, note: str = "") -> str:
    """Format credits with their worth, such as `8 credits ($0.04)` or `30 to 60 credits ($0.15 to $0.30, price list)`.

    Args:
        low: The number of credits, or the lowest number of a range.
        high: The highest number of the range; None when there is only one number.
        note: A text that follows the dollars inside the parentheses, such as `price list`.
    """
    amounts = [low] if high in (None, low) else [low, high]
    words = f"{' to '.join(map(format_number, amounts))} credit{'' if amounts == [1] else 's'}"
    remarks = ", ".join(filter(None, (format_worth(low, high), note)))
    return f"{words} ({remarks})" if remarks else words


def format_worth(low: float, high: float | None = None) -> str:
    """Format the worth of credits, such as `$0.15 to $0.30`; empty for 0 credits, or when answers show no dollars."""
    amounts = [low] if high in (None, low) else [low, high]
    return " to ".join(_format_usd(usd) for amount in amounts if (usd := to_usd(amount)) is not None and any(amounts))


def _format_usd(usd: float) -> str:
    digits = f"{abs(usd):,.2f}" if usd == round(usd, 2) else f"{abs(usd):.10f}".rstrip("0")
    return f"{'-' if usd < 0 else ''}${digits}"


def _round(usd: float) -> float:
    """Round dollars to cents; an amount below 0.1 dollars is rounded to two significant digits instead."""
    return round(usd, 2) if abs(usd) >= 0.1 else float(f"{usd:.2g}")
