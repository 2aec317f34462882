"""Price lists and cost estimates in KIE's credits (1 credit is about 0.005 USD)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

AS_OF = "2026-10-02"
"""Date of KIE's price texts that all figures in the catalogue come from."""

Unit = Literal["task", "video", "image", "second", "megapixel", "1000 characters"]
"""What a price counts."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of one unit for calls that meet some conditions."""

    credits: float
    """Credits for one unit."""
    when: tuple[tuple[str, Any], ...] = ()
    """Field names and values, which all must match.

    True means that the field is filled, False that it is empty; other values are compared as text, without case.
    """

    def matches(self, call: object) -> bool:
        """Return whether the call meets every condition."""
        return all(_is_equal(getattr(call, field, None), value) for field, value in self.when)


def _is_equal(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, bool):
        return bool(actual) is wanted
    return str(actual).casefold() == str(wanted).casefold()


def rate(amount: float, **when: Any) -> Rate:
    """Build a rate: so many credits when the named fields have the given values (see `Rate.when`)."""
    return Rate(amount, tuple(when.items()))


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cost of a call, from `low` to `high` credits; None where KIE publishes no figure."""

    low: float | None
    high: float | None
    note: str = ""
    """The price list's remark."""

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return "unknown"
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price list: rates per unit, of which the first that matches a call holds."""

    unit: Unit
    rates: tuple[Rate, ...] = ()
    """The rates, in the order they are tried; without any, the price is unknown."""
    note: str = ""
    """A remark for the user, such as why there is no figure."""

    def estimate(self, call: object, units: float | None, extra: float = 0) -> Estimate:
        """Estimate the cost of a call; where no rate matches, from the lowest to the highest rate.

        Args:
            call: The call whose fields the rates are matched with.
            units: Number of units that the call buys; None when only KIE can tell.
            extra: Credits that are added, however many units there are.
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
        rates: Rates in the order they are tried; a number is a rate without conditions.
        note: A remark for the user.
    """
    return Price(unit, tuple(each if isinstance(each, Rate) else Rate(each) for each in rates), note)


FREE = per("task", 0)
"""The price of a model that KIE runs for nothing."""
UNKNOWN = per("task")
"""The price of a model whose class states none."""
UNPUBLISHED = per("task", note="KIE publishes no figure.")
"""The price of a model of which KIE publishes none."""
