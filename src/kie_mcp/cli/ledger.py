"""Read the ledger for commands that only show what earlier calls made, and that therefore need no API key."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from kie_mcp.cli.calls import call_tool, fail, read_answer

if TYPE_CHECKING:
    from mcp_types import CallToolResult

    from kie_mcp.config import Settings
    from kie_mcp.ledger.ledger import Ledger
    from kie_mcp.ledger.task import Task

T = TypeVar("T")
LOOK_SECONDS = 1
"""Seconds between two reads of a task in the ledger, while another process watches this task."""


def read_ledger(read: "Callable[[Settings, Ledger], Awaitable[T]]") -> T:
    """Open the ledger, call `read` with the settings and the ledger, and return the result of `read`.

    No request is sent to KIE. After an error, exit with status 1.

    Raises:
        ConfigurationError: When the settings are wrong, or the ledger's folder cannot be used.
    """
    import anyio

    from kie_mcp.errors import ConfigurationError, KieMcpError
    from kie_mcp.ledger.ledger import LedgerError
    from kie_mcp.tasks.failures import unexpected_error

    try:
        return anyio.run(read_or_raise, read)
    except ConfigurationError:
        raise
    except KieMcpError as error:
        raise fail(error.as_dict()) from None
    except LedgerError as error:
        raise fail(unexpected_error(error, billed=False).as_dict()) from None


async def read_or_raise(read: "Callable[[Settings, Ledger], Awaitable[T]]") -> T:
    """Do the same as `read_ledger()`, but raise every error instead of exiting with status 1."""
    from kie_mcp import config
    from kie_mcp.catalog.credits import set_worth
    from kie_mcp.ledger.ledger import Ledger

    settings = config.load()
    set_worth(settings.usd_per_credit)
    ledger = await Ledger.open(settings.state_dir, url=settings.ledger_url, schema=settings.ledger_schema)
    try:
        return await read(settings, ledger)
    finally:
        await ledger.close()


def read_task(id_: str, wait_seconds: float = 0) -> dict[str, Any]:
    """Return the answer of `get_task` for one task; ask KIE only if the ledger may not have the final answer.

    Without an API key, no request is sent to KIE. In this case, if the task is unfinished, this function waits at most
    `wait_seconds` until another process has finished the task.
    """
    result = read_ledger(partial(_find_task, id_, wait_seconds))
    return read_answer(result) if result else call_tool("get_task", task_ids=[id_], wait_seconds=wait_seconds)


async def _find_task(id_: str, seconds: float, settings: "Settings", ledger: "Ledger") -> "CallToolResult | None":
    """Return the result of `get_task` from the ledger alone; None if KIE may know more and there is an API key."""
    import time

    from kie_mcp.catalog.fields import parse_task_id
    from kie_mcp.errors import InvalidCall
    from kie_mcp.server.answers import build_task_result
    from kie_mcp.server.app import App
    from kie_mcp.tasks.durations import estimate_task

    name = parse_task_id(id_)
    task = await ledger.find(name)
    # A batch that has ended may get more results when somebody settles the unknown outcome of one of its items.
    is_settled = task and task.done and not task.is_batch
    if not is_settled and _has_key(settings):
        return None
    if not task:
        raise InvalidCall(f"There is no task {name[:100]} here.", "kie-mcp tasks shows the tasks there are.")
    task = await _wait(ledger, task, seconds)
    usual = await estimate_task(ledger, task, settings.sandbox_seconds if settings.sandbox else None)
    find_link = await App(settings).storage.sign_links(task.results)
    return build_task_result(task, now=time.time(), usual=usual.seconds, find_link=find_link)


def _has_key(settings: "Settings") -> bool:
    from kie_mcp.errors import ConfigurationError

    try:
        return bool(settings.key)
    except ConfigurationError:
        return False


async def _wait(ledger: "Ledger", task: "Task", seconds: float) -> "Task":
    """Wait at most some seconds until another process has finished a task; return the task, finished or not."""
    import anyio

    with anyio.move_on_after(seconds):
        while not task.done:
            await anyio.sleep(LOOK_SECONDS)
            task = await ledger.find(task.id) or task
    return task
