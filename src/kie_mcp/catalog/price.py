"""Price lists and cost estimates in KIE's credits (1 credit is about 0.005 USD)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kie_mcp.catalog.amount import Amount

AS_OF = "2026-10-02"
"""Date of the price texts by KIE from which all prices in the catalogue come."""

Unit = Literal["task", "video", "image", "second", "megapixel", "1000 characters", "million tokens"]
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

    def may_match(self, call: object) -> bool:
        """Return whether the call may meet every condition; KIE chooses the value of an empty field or of `auto`."""
        return all(
            _is_equal(actual := getattr(call, field, None), value)
            or (not isinstance(value, bool) and actual in (None, "auto"))
            for field, value in self.when
        )


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
    """The least that the call can cost."""
    high: float | None
    """The most that the call can cost by KIE's published rate."""
    assumed: str = ""
    """The assumption behind `high` in words, if the number of price units is not known; else empty."""

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
    of: tuple[str, ...] = ("duration",)
    """For the unit second: the fields and properties whose seconds are added up: numbers, or files with a length.

    A field that is listed twice counts twice.
    """
    otherwise: tuple[float, float] | str | None = None
    """For the unit second: the seconds that count if the call leaves them open, as with a `duration` of -1.

    Two numbers are the shortest and the longest result of the model, in seconds. A text is the name of the field whose
    file is as long as the result. None means that KIE states neither.
    """
    most: float | None = None
    """For the unit second: the most seconds that one call pays for; None if there is no such limit."""
    note: str = ""
    """A remark for the user, such as why there is no figure."""

    def find_rates(self, call: object) -> tuple[Rate, ...]:
        """Return the rates that may apply to a call: one, several if only KIE knows which of them applies, or none."""
        return tuple(self._iterate_rates(call))

    def _iterate_rates(self, call: object) -> Iterator[Rate]:
        for rate in self.rates:
            if rate.may_match(call):
                yield rate
            if rate.matches(call):
                return

    def estimate(self, call: object, amount: Amount, extra: float = 0) -> Estimate:
        """Estimate the cost of a call; if several rates may match, the estimate spans the lowest to the highest rate.

        Args:
            call: The call; its fields decide which rate matches.
            amount: Number of units that the call buys.
            extra: Credits that are added once, whatever the number of units.
        """
        credits_ = [rate.credits for rate in self.find_rates(call)]
        if not credits_:
            return Estimate(None, None)
        low, high = min(credits_) * amount.low + extra, max(credits_) * amount.high + extra
        return Estimate(_round_up(low), _round_up(high), amount.assumed)

    def __str__(self) -> str:
        return "; ".join(self._format_rates()) or "unknown"

    def _format_rates(self) -> Iterable[str]:
        for rate in self.rates:
            when = ", ".join(_format_condition(field, value) for field, value in rate.when)
            yield f"{rate.credits:g} a {self.unit}" + (f" ({when})" if when else "")


def _round_up(credits_: float) -> float:
    """Round up to hundredths, so that no estimate is below the exact product."""
    rounded = round(credits_, 2)
    # The margin is for rounding errors of floats: 3 * 0.1 is a little more than 0.3, and must not become 0.31.
    return rounded if rounded > credits_ - 1e-6 else round(rounded + 0.01, 2)


def _format_condition(field: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"with {field}" if value else f"without {field}"
    return f"{field} {value}"


def per(
    unit: Unit,
    *rates: Rate | float,
    of: tuple[str, ...] = ("duration",),
    otherwise: tuple[float, float] | str | None = None,
    most: float | None = None,
    note: str = "",
) -> Price:
    """Build a price list.

    Args:
        unit: What the rates count.
        rates: Rates in the order in which they are tried; a number stands for a rate without conditions.
        of: For the unit second: the fields whose seconds count, as in `Price.of`.
        otherwise: For the unit second: the seconds that count if the call leaves them open, as in `Price.otherwise`.
        most: For the unit second: the most seconds that one call pays for.
        note: A remark for the user.
    """
    listed = tuple(each if isinstance(each, Rate) else Rate(each) for each in rates)
    return Price(unit, listed, of, otherwise, most, note)


FREE = per("task", 0)
"""The price of a model that KIE runs free of charge."""
UNKNOWN = per("task")
"""The price of a model whose class states no price."""
UNPUBLISHED = per("task", note="KIE publishes no figure.")
"""The price of a model for which KIE publishes no price."""
