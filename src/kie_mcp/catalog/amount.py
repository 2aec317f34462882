"""How much a call buys: the number of price units, as a span where the call does not tell it exactly."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

LONGEST_UNKNOWN = 300.0
"""Seconds that a file of unknown length counts as where KIE states no longest length for it.

This is an assumption: no other file whose seconds KIE bills may be longer.
"""
SHORTEST_UNKNOWN = 1.0
"""Seconds that a file of unknown length counts as at least, where KIE states no shortest length."""

Lengths = Mapping[str, float]
"""The length in seconds of each file that was measured, by the reference to the file."""
NOT_MEASURED: Lengths = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of price units, such as seconds or pictures: from `low` to `high`."""

    low: float
    high: float
    assumed: str = ""
    """What `high` assumes, in words; empty where the number is known."""

    @property
    def known(self) -> bool:
        """Whether the number is known exactly."""
        return self.low == self.high


def exactly(number: float) -> Amount:
    """Return an amount that is known."""
    return Amount(number, number)


def add(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of some amounts."""
    each = tuple(amounts)
    return Amount(sum(a.low for a in each), sum(a.high for a in each), _join_assumptions(each))


def shorter_or_longer(amounts: Iterable[Amount]) -> Amount:
    """Return the span from the least to the largest of some amounts, where nobody knows which of them counts."""
    each = tuple(amounts)
    return Amount(min(a.low for a in each), max(a.high for a in each), _join_assumptions(each))


def limit(amount: Amount, most: float | None) -> Amount:
    """Return an amount that is not higher than `most`; None limits nothing."""
    if most is None:
        return amount
    return Amount(min(amount.low, most), min(amount.high, most), amount.assumed)


def _join_assumptions(amounts: Iterable[Amount]) -> str:
    return "; ".join(dict.fromkeys(amount.assumed for amount in amounts if amount.assumed))
