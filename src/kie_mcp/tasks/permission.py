"""Permission: whether the caller of the current request may create and change tasks, which may cost credits."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from kie_mcp.errors import NotAllowed


@dataclass
class Permission:
    """What the caller of one request may do; without a `Permission`, the caller may do everything."""

    may_spend: bool
    missing_right: str
    """The name of the missing right for the error message, such as `the scope …`; only used if `may_spend` is False."""
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
