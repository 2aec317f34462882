"""The caller on whose behalf the current code runs; the log names the tenant and hides the KIE key of this caller."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kie_mcp.kie.key_filter import make_key_filter
from kie_mcp.server.accounts.caller import Caller

_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


@contextmanager
def run_as(caller: Caller) -> Iterator[None]:
    """Run the `with` block, and the background tasks that it starts, on behalf of a caller."""
    token = _current.set(caller)
    try:
        yield
    finally:
        _current.reset(token)


def find_tenant() -> str:
    """Return the name of the current caller's tenant; empty if there is no current caller or no tenant."""
    caller = _current.get()
    return caller.tenant if caller else ""


def find_person() -> str:
    """Return the subject of the current caller's account; empty if it is unknown, such as after a takeover."""
    caller = _current.get()
    return caller.person if caller else ""


def hide_key(text: str) -> str:
    """Return a text in which the KIE key of the current caller, if any, is hidden."""
    caller = _current.get()
    return make_key_filter(caller.key.get_secret_value())(text) if caller and caller.key else text
