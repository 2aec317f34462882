"""Amounts of credits as text, with their worth in US dollars beside them, as in `8 credits ($0.04)`."""

LIST_USD_PER_CREDIT = 0.005
"""US dollars for which KIE sells one credit."""


class _Worth:
    """The worth of one credit to this process's user, in US dollars; 0 leaves dollars out."""

    usd = LIST_USD_PER_CREDIT


def set_worth(usd_per_credit: float) -> None:
    """Set what one credit is worth in this process.

    Args:
        usd_per_credit: US dollars; 0 leaves dollars out of all answers.
    """
    _Worth.usd = usd_per_credit


def to_usd(credits_: float) -> float | None:
    """Return what credits are worth in US dollars; None when dollars are left out."""
    return _round(credits_ * _Worth.usd) if _Worth.usd else None


def usd_field(name: str, *credits_: float) -> dict[str, float | list[float]]:
    """Return a field with the worth of credits in US dollars, such as `{name: 0.04}`; empty for 0, or without dollars.

    Args:
        name: The field's name.
        credits_: One amount, or the lowest and the highest one.
    """
    worth = [usd for amount in credits_ if any(credits_) and (usd := to_usd(amount)) is not None]
    return {name: worth[0] if len(credits_) == 1 else worth} if worth else {}


def format_number(credits_: float) -> str:
    """Format an amount of credits without a unit, such as `1,200` or `0.4`."""
    return f"{credits_:,.10g}"


def format_credits(low: float, high: float | None = None, *, note: str = "") -> str:
    """Format credits with their worth, such as `8 credits ($0.04)` or `30 to 60 credits ($0.15 to $0.30, price list)`.

    Args:
        low: The amount, or the lowest one.
        high: The highest amount; None when there is one amount.
        note: A remark that follows the dollars in the parentheses, such as `price list`.
    """
    amounts = [low] if high in (None, low) else [low, high]
    words = f"{' to '.join(map(format_number, amounts))} credit{'' if amounts == [1] else 's'}"
    remarks = ", ".join(filter(None, (format_worth(low, high), note)))
    return f"{words} ({remarks})" if remarks else words


def format_worth(low: float, high: float | None = None) -> str:
    """Format the worth of credits, such as `$0.15 to $0.30`; empty for 0 credits, and when dollars are left out."""
    amounts = [low] if high in (None, low) else [low, high]
    return " to ".join(_format_usd(usd) for amount in amounts if (usd := to_usd(amount)) is not None and any(amounts))


def _format_usd(usd: float) -> str:
    digits = f"{abs(usd):,.2f}" if usd == round(usd, 2) else f"{abs(usd):.10f}".rstrip("0")
    return f"{'-' if usd < 0 else ''}${digits}"


def _round(usd: float) -> float:
    """Round dollars to cents, or an amount below 0.1 to two significant digits."""
    return round(usd, 2) if abs(usd) >= 0.1 else float(f"{usd:.2g}")
