"""The caller on whose behalf this process does what it does at the moment, for the log."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kie_mcp.kie.key_filter import make_key_filter
from kie_mcp.server.accounts.caller import Caller

_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


@contextmanager
def act_for(caller: Caller) -> Iterator[None]:
    """Do what is in the `with` block on behalf of a caller; what it starts in the background is so, too."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)


def find_tenant() -> str:
    """Return the name of the caller's tenant; empty if there is only one."""
    caller = _current.get()
    return caller.tenant if caller else ""


def hide_key(text: str) -> str:
    """Return a text without the caller's own KIE key."""
    caller = _current.get()
    return make_key_filter(caller.key.get_secret_value())(text) if caller and caller.key else text
