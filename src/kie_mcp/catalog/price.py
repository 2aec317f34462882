"""What a call is likely to cost, in KIE's credits (1 credit is about 0.005 USD)."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

AS_OF = "2026-10-02"
"""The day of KIE's price texts that every figure in the catalogue comes from."""

Unit = Literal["task", "video", "image", "second", "megapixel", "1000 characters"]


@dataclass(frozen=True, slots=True)
class Rate:
    """Credits for one unit when the call's fields have these values.

    True and False stand for filled and empty; other values are compared as text, without case.
    """

    credits: float
    when: tuple[tuple[str, Any], ...] = ()

    def matches(self, call: object) -> bool:
        """Whether every condition holds for the call."""
        return all(_equal(getattr(call, field, None), value) for field, value in self.when)


def _equal(actual: Any, wanted: Any) -> bool:
    if isinstance(wanted, bool):
        return bool(actual) is wanted
    return str(actual).casefold() == str(wanted).casefold()


def rate(amount: float, **when: Any) -> Rate:
    """Credits that hold when the named fields have the given values."""
    return Rate(amount, tuple(when.items()))


@dataclass(frozen=True, slots=True)
class Estimate:
    """From `low` to `high` credits; None where KIE publishes no figure."""

    low: float | None
    high: float | None
    note: str = ""

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return "unknown"
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"


@dataclass(frozen=True, slots=True)
class Price:
    """Rates per unit; the first that matches holds, and without any the price is unknown."""

    unit: Unit
    rates: tuple[Rate, ...] = ()
    note: str = ""

    def estimate(self, call: object, units: float | None, extra: float = 0) -> Estimate:
        """The cost of a call.

        Args:
            call: The call whose fields the rates look at.
            units: How many units it buys; None when only KIE can tell.
            extra: Credits on top, whatever the units.
        """
        matching = next(((rate,) for rate in self.rates if rate.matches(call)), self.rates)
        if not matching or units is None:
            return Estimate(None, None, self.note)
        costs = [round(rate.credits * units + extra, 2) for rate in matching]
        return Estimate(min(costs), max(costs), self.note)

    def __str__(self) -> str:
        return "; ".join(self._lines()) or "unknown"

    def _lines(self) -> Iterable[str]:
        for each in self.rates:
            when = ", ".join(_spell(field, value) for field, value in each.when)
            yield f"{each.credits:g} a {self.unit}" + (f" ({when})" if when else "")


def _spell(field: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"with {field}" if value else f"without {field}"
    return f"{field} {value}"


def per(unit: Unit, *rates: Rate | float, note: str = "") -> Price:
    """A price per unit, from rates or plain credits."""
    return Price(unit, tuple(each if isinstance(each, Rate) else Rate(each) for each in rates), note)


FREE = per("task", 0)
UNKNOWN = per("task")
UNPUBLISHED = per("task", note="KIE publishes no figure.")
