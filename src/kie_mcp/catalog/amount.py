"""Amounts: how many price units, such as seconds or pictures, a tool call pays for, exactly or as a range."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

LONGEST_UNKNOWN = 300.0
"""Maximum length, in seconds, that estimates assume for a file of unknown length if KIE states no maximum for it.

KIE states no higher maximum for any file that is billed by the second.
"""
SHORTEST_UNKNOWN = 1.0
"""Minimum length, in seconds, that estimates assume for a file of unknown length if KIE states no minimum for it."""

Lengths = Mapping[str, float]
"""The length of each measured file, in seconds; the key is the path or URL that the caller wrote."""
NOT_MEASURED: Lengths = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Amount:
    """A number of price units, such as seconds or pictures; it is between `low` and `high`."""

    low: float
    high: float
    assumed: str = ""
    """The assumption behind `high`, such as "video of unknown length counts as 15 s"; empty if there is none."""

    @property
    def known(self) -> bool:
        """Whether the number of price units is known exactly; then `low` and `high` are equal."""
        return self.low == self.high


def exactly(number: float) -> Amount:
    """Return an amount whose `low` and `high` are both this number."""
    return Amount(number, number)


def add(amounts: Iterable[Amount]) -> Amount:
    """Return the sum of amounts: 3 to 5 and 4 to 8 give 7 to 13."""
    each = tuple(amounts)
    return Amount(sum(a.low for a in each), sum(a.high for a in each), _join_assumptions(each))


def cover(amounts: Iterable[Amount]) -> Amount:
    """Return the range that covers all of several amounts: 3 to 5 and 4 to 8 give 3 to 8."""
    each = tuple(amounts)
    return Amount(min(a.low for a in each), max(a.high for a in each), _join_assumptions(each))


def limit(amount: Amount, most: float | None) -> Amount:
    """Limit `low` and `high` of an amount to `most`: 3 to 8, limited to 5, gives 3 to 5. None sets no limit."""
    if most is None:
        return amount
    return Amount(min(amount.low, most), min(amount.high, most), amount.assumed)


def _join_assumptions(amounts: Iterable[Amount]) -> str:
    return "; ".join(dict.fromkeys(amount.assumed for amount in amounts if amount.assumed))
