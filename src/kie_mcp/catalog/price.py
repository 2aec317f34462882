"""Price lists and cost estimates in KIE's credits (1 credit is about 0.005 USD)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

AS_OF = "2026-10-02"
"""Date of the price texts by KIE from which all prices in the catalogue come."""

Unit = Literal["task", "video", "image", "second", "megapixel", "1000 characters"]
"""The unit that a price is for."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of one unit for calls that meet some conditions."""

    credits: float
    """Credits for one unit."""
    when: tuple[tuple[str, Any], ...] = ()
    """Conditions: field names and the values that a call must have in them; a call must meet all.

    True means that the field is filled, False that it is empty. Other values are compared as text, ignoring case.
    """

    def matches(self, call: object) -> bool:
        """Return whether the call meets every condition."""
        return all(_is_equal(getattr(call, field, None), value) for field, value in self.when)


def _is_equal(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, bool):
        return bool(actual) is wanted
    return str(actual).casefold() == str(wanted).casefold()


def rate(amount: float, **when: Any) -> Rate:
    """Build a rate.

    Args:
        amount: Credits for one unit.
        when: The value that each named field must have, as in `Rate.when`.
    """
    return Rate(amount, tuple(when.items()))


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cost of a call, from `low` to `high` credits; both are None when the cost is unknown."""

    low: float | None
    high: float | None
    note: str = ""
    """The remark of the price list, for the user."""

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return "unknown"
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price list. The first rate whose conditions a call meets is the price of one unit."""

    unit: Unit
    rates: tuple[Rate, ...] = ()
    """The rates, in the order in which they are tried; if there are none, the price is unknown."""
    note: str = ""
    """A remark for the user, such as why there is no figure."""

    def estimate(self, call: object, units: float | None, extra: float = 0) -> Estimate:
        """Estimate the cost of a call; if no rate matches, the estimate spans the lowest to the highest rate.

        Args:
            call: The call; its fields decide which rate matches.
            units: Number of units that the call buys; None when only KIE knows.
            extra: Credits that are added once, whatever the number of units.
        """
        matching = next(((rate,) for rate in self.rates if rate.matches(call)), self.rates)
        if not matching or units is None:
            return Estimate(None, None, self.note)
        costs = [round(rate.credits * units + extra, 2) for rate in matching]
        return Estimate(min(costs), max(costs), self.note)

    def __str__(self) -> str:
        return "; ".join(self._format_rates()) or "unknown"

    def _format_rates(self) -> Iterable[str]:
        for rate in self.rates:
            when = ", ".join(_format_condition(field, value) for field, value in rate.when)
            yield f"{rate.credits:g} a {self.unit}" + (f" ({when})" if when else "")


def _format_condition(field: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"with {field}" if value else f"without {field}"
    return f"{field} {value}"


def per(unit: Unit, *rates: Rate | float, note: str = "") -> Price:
    """Build a price list.

    Args:
        unit: What the rates count.
        rates: Rates in the order in which they are tried; a number stands for a rate without conditions.
        note: A remark for the user.
    """
    return Price(unit, tuple(each if isinstance(each, Rate) else Rate(each) for each in rates), note)


FREE = per("task", 0)
"""The price of a model that KIE runs free of charge."""
UNKNOWN = per("task")
"""The price of a model whose class states no price."""
UNPUBLISHED = per("task", note="KIE publishes no figure.")
"""The price of a model for which KIE publishes no price."""
