"""How much the tests try: as much as scripts/test has time for, or more with `--thorough`."""

from typing import ClassVar


class Effort:
    """Of this run of tests."""

    is_thorough: ClassVar[bool] = False
    """Whether every case is tried, and each week there is time for this, or a choice of them."""


def examples(usual: int) -> int:
    """Return the number of random examples or seeds to try: the usual one, or ten times as many."""
    return 10 * usual if Effort.is_thorough else usual
