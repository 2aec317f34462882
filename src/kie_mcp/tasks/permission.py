"""Whether the caller of the running request may make and change something, which may cost credits."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from kie_mcp.errors import NotAllowed


@dataclass
class Permission:
    """What the caller of one request may do; a caller of whom nothing is known may do everything."""

    may_spend: bool
    lacks: str
    """What the caller lacks who may not spend, for the error."""
    was_refused: bool = False
    """Whether something was refused during the request."""

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Make this the permission of what runs inside the block, also in the background."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Permission | None] = ContextVar("permission", default=None)


def check_permission() -> None:
    """Raise an error if the caller of the running request may start and change nothing.

    Raises:
        NotAllowed: When the caller may only look.
    """
    permission = _current.get()
    if permission and not permission.may_spend:
        permission.was_refused = True
        raise NotAllowed(
            f"The caller may look, but make and change nothing: it lacks {permission.lacks}.",
            f"Nothing was sent. Have the user log in again and allow {permission.lacks}.",
        )
