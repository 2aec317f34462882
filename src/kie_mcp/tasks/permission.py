"""Permission: whether the caller of the current request may create and change tasks, and the caller's own budget."""

import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass

from kie_mcp.errors import ConfigurationError, NotAllowed


@dataclass(frozen=True)
class Budget:
    """The caller's own cap for a day, from a claim of the access token; it replaces the cap in the settings."""

    claim: str
    """Name of the claim."""
    value: object
    """Value of the claim, as the provider has issued it."""

    @property
    def credits(self) -> float:
        """The most credits that the caller's tasks may cost in any 24 hours.

        Raises:
            ConfigurationError: When the claim's value is not a number of credits. The caller may then spend nothing.
        """
        number = math.nan
        # In Python, True and False are numbers, too.
        if isinstance(self.value, int | float | str) and not isinstance(self.value, bool):
            with suppress(ValueError, OverflowError):
                number = float(self.value)
        if not 0 <= number < math.inf:
            raise ConfigurationError(
                f"The claim {self.claim} in the caller's access token is no number of credits, so nothing can be made.",
                "Nothing was sent. Tell the user: the administrator of their accounts has to correct the claim.",
            )
        return number


@dataclass
class Permission:
    """What the caller of one request may do; without a `Permission`, the caller may do everything."""

    may_spend: bool
    missing_right: str
    """The name of the missing right for the error message, such as `the scope …`; only used if `may_spend` is False."""
    budget: Budget | None = None
    """The caller's own daily cap; None if the cap in the settings applies."""
    was_refused: bool = False
    """Whether `check_permission()` raised an error during the request."""

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Use this permission inside the `with` block, also in the background tasks that the block starts."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Permission | None] = ContextVar("permission", default=None)


def check_permission() -> None:
    """Raise an error if the caller of the current request may only read.

    Raises:
        NotAllowed: When the caller may only read.
    """
    permission = _current.get()
    if permission and not permission.may_spend:
        permission.was_refused = True
        raise NotAllowed(
            f"The caller may read, but not make or change anything: it lacks {permission.missing_right}.",
            f"Nothing was sent. Have the user log in again and allow {permission.missing_right}.",
        )


def find_budget() -> Budget | None:
    """Return the budget of the current request's caller; None if the daily cap in the settings applies."""
    permission = _current.get()
    return permission.budget if permission else None
