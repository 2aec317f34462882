"""Price lists and cost estimates in KIE's credits (1 credit is about 0.005 USD)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kie_mcp.catalog.amount import Amount

AS_OF = "2026-10-02"
"""Date on which the prices in the model classes were taken from KIE's price texts."""

Unit = Literal["task", "video", "image", "second", "megapixel", "1000 characters", "million tokens"]
"""The price unit: the thing, such as one second of video, for which KIE states a price."""


@dataclass(frozen=True, slots=True)
class Rate:
    """The price of one unit, such as one second of video, for calls that meet certain conditions."""

    credits: float
    """Credits for one unit."""
    when: tuple[tuple[str, Any], ...] = ()
    """The conditions: pairs of a field's name and the value that this field must have in a call.

    True stands for a field that is not empty, and False for an empty field. Any other value is compared as a text with
    the field's value, and case is ignored.
    """

    def matches(self, call: object) -> bool:
        """Return whether the call meets all conditions."""
        return all(_is_equal(getattr(call, field, None), value) for field, value in self.when)

    def may_match(self, call: object) -> bool:
        """Return whether the call may meet all conditions; if a field is empty or `auto`, KIE may choose any value."""
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
    """Return a rate, such as `rate(8, resolution="720p")`.

    Args:
        amount: Credits for one unit.
        when: The conditions: each keyword is a field's name, with the value that the field must have, as in
            `Rate.when`.
    """
    return Rate(amount, tuple(when.items()))


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated cost of a call, from `low` to `high` credits; both are None when the cost is unknown."""

    low: float | None
    """Fewest credits that the call can cost."""
    high: float | None
    """Most credits that the call can cost at KIE's published prices."""
    assumed: str = ""
    """The assumption that `high` is based on, in words; empty if the number of price units is known."""

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return "unknown"
        return f"{self.low:g}" if self.low == self.high else f"{self.low:g} to {self.high:g}"


def add_estimates(estimates: Iterable[Estimate]) -> Estimate:
    """Return the estimated total cost of several calls; the total is unknown if the cost of any call is unknown."""
    each = tuple(estimates)
    low = [estimate.low for estimate in each if estimate.low is not None]
    high = [estimate.high for estimate in each if estimate.high is not None]
    if len(low) < len(each) or len(high) < len(each):
        return Estimate(None, None)
    assumed = "; ".join(dict.fromkeys(estimate.assumed for estimate in each if estimate.assumed))
    return Estimate(round(sum(low), 2), round(sum(high), 2), assumed)


@dataclass(frozen=True, slots=True)
class Price:
    """A model's price list. The first rate whose conditions a call meets is the price of one unit."""

    unit: Unit
    rates: tuple[Rate, ...] = ()
    """The rates, in the order in which they are tried; if there are none, the price is unknown."""
    of: tuple[str, ...] = ("duration",)
    """If `unit` is "second": names of the fields and properties whose seconds are added up.

    The seconds of a field with files are the lengths of these files. If a name is listed twice, its seconds are added
    twice.
    """
    unstated_length: tuple[float, float] | str | None = None
    """If `unit` is "second": the seconds that are paid if a call states no length, for example with a `duration` of -1.

    Two numbers: the lengths, in seconds, of the shortest and the longest result of the model. A text: the name of a
    field whose file is as long as the result. None: KIE does not state how long results are.
    """
    most: float | None = None
    """If `unit` is "second": the largest number of seconds that one call pays for; None for no limit."""
    note: str = ""
    """A sentence for the user, such as the reason why no price is stated."""

    def find_rates(self, call: object) -> tuple[Rate, ...]:
        """Return the rates that may apply to a call: one, none, or several if only KIE knows which one applies."""
        return tuple(self._iterate_rates(call))

    def _iterate_rates(self, call: object) -> Iterator[Rate]:
        for rate in self.rates:
            if rate.may_match(call):
                yield rate
            if rate.matches(call):
                return

    def estimate(self, call: object, amount: Amount, extra: float = 0) -> Estimate:
        """Estimate the cost of a call, in credits; `low` uses the lowest rate that may apply, `high` the highest.

        Args:
            call: An instance of a model class; its fields decide which rate applies.
            amount: Number of units that the call pays for.
            extra: Credits that are added once, for any number of units.
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
            yield f"{rate.credits:g} per {self.unit}" + (f" ({when})" if when else "")


def _round_up(credits_: float) -> float:
    """Round credits up to two decimals, so that an estimate is never below the exact cost."""
    rounded = round(credits_, 2)
    # Rounding errors of floats are removed first: 3 * 0.1 is a little more than 0.3, and must not be rounded up to
    # 0.31.
    return rounded if rounded > credits_ - 1e-6 else round(rounded + 0.01, 2)


def _format_condition(field: str, value: Any) -> str:
    if isinstance(value, bool):
        return f"with {field}" if value else f"without {field}"
    return f"{field} {value}"


def per(
    unit: Unit,
    *rates: Rate | float,
    of: tuple[str, ...] = ("duration",),
    unstated_length: tuple[float, float] | str | None = None,
    most: float | None = None,
    note: str = "",
) -> Price:
    """Return a price list, such as `per("image", 4)`.

    Args:
        unit: The price unit.
        rates: Rates in the order in which they are tried; a number stands for a rate without conditions.
        of: If `unit` is "second": names of the fields whose seconds are added up, as in `Price.of`.
        unstated_length: If `unit` is "second": the seconds to pay for when a call states no length; see `Price`.
        most: If `unit` is "second": the largest number of seconds that one call pays for; None for no limit.
        note: A sentence for the user.
    """
    listed = tuple(each if isinstance(each, Rate) else Rate(each) for each in rates)
    return Price(unit, listed, of, unstated_length, most, note)


FREE = per("task", 0)
"""The price of a model that KIE runs free of charge."""
UNKNOWN = per("task")
"""The price of a model whose class states no price."""
UNPUBLISHED = per("task", note="KIE publishes no figure.")
"""The price of a model for which KIE publishes no price."""
