"""Whether the caller of the running request may start what costs credits."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from kie_mcp.errors import NotAllowed
from kie_mcp.ledger.task import EDIT, Task


@dataclass
class Permission:
    """What the caller of one request may do; a caller of whom nothing is known may do everything."""

    may_spend: bool
    lacks: str
    """What the caller lacks who may not spend, for the error."""
    was_refused: bool = False
    """Whether a task was refused during the request."""

    @contextmanager
    def apply(self) -> Iterator[None]:
        """Make this the permission of what runs inside the block, also in the background."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)


_current: ContextVar[Permission | None] = ContextVar("permission", default=None)


def check_permission(task: Task) -> None:
    """Raise an error if the caller may not start a task; an edit is made on this machine, which everybody may do.

    Raises:
        NotAllowed: When the caller may not spend credits.
    """
    permission = _current.get()
    if not permission or permission.may_spend or task.route == EDIT:
        return
    permission.was_refused = True
    raise NotAllowed(
        f"This call makes something at KIE, for which the caller lacks {permission.lacks}.",
        f"Nothing was sent. Have the user log in again and allow {permission.lacks}.",
    )
