"""Amounts: how many price units, such as seconds or pictures, a call pays for; a range if this is not known exactly."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

LONGEST_UNKNOWN = 300.0
"""Assumed length in seconds of a file whose length is unknown, if KIE states no longest length for the file.

This is the longest length that KIE states for any file that it bills by the second.
"""
SHORTEST_UNKNOWN = 1.0
"""Assumed shortest length in seconds of a file whose length is unknown, if KIE states no shortest length."""

Lengths = Mapping[str, float]
"""Lengths of the measured files in seconds; the key is the reference to the file, such as `/home/me/a.mp4`."""
NOT_MEASURED: Lengths = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of price units, such as seconds or pictures: from `low` to `high`."""

    low: float
    high: float
    assumed: str = ""
    """The assumption behind `high` in words, such as "video of unknown length counts as 15 s"; else empty."""

    @property
    def known(self) -> bool:
        """Whether the number is known exactly."""
        return self.low == self.high


def exactly(number: float) -> Amount:
    """Return the amount of a number that is known exactly."""
    return Amount(number, number)


def add(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of some amounts."""
    each = tuple(amounts)
    return Amount(sum(a.low for a in each), sum(a.high for a in each), _join_assumptions(each))


def shorter_or_longer(amounts: Iterable[Amount]) -> Amount:
    """Return the range of several amounts if nobody knows which one counts: 3 to 5 and 4 to 8 give 3 to 8."""
    each = tuple(amounts)
    return Amount(min(a.low for a in each), max(a.high for a in each), _join_assumptions(each))


def limit(amount: Amount, most: float | None) -> Amount:
    """Return an amount cut to at most `most`: 3 to 8, cut to 5, gives 3 to 5. None stands for no limit."""
    if most is None:
        return amount
    return Amount(min(amount.low, most), min(amount.high, most), amount.assumed)


def _join_assumptions(amounts: Iterable[Amount]) -> str:
    return "; ".join(dict.fromkeys(amount.assumed for amount in amounts if amount.assumed))
