"""Pages of tasks, and the cursor that leads to the next one."""

from collections.abc import Sequence
from typing import Any

from mcp_types import CallToolResult

from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Task
from kie_mcp.server import answers


def page_result(answer: dict[str, Any], lines: Sequence[str], last: Task | None, nothing: str) -> CallToolResult:
    """A page, with how to ask for the next one when it is not the last."""
    text = "\n".join(lines) or nothing
    if last:
        answer["next_cursor"] = f"{last.created!r}:{last.id}"
        text += f"\nMore with cursor {answer['next_cursor']}"
    return answers.result(answer, text)


def read_cursor(cursor: str) -> tuple[float, str] | None:
    """The time and id of the last task of the page before; None for the first page.

    Raises:
        InvalidCall: When this is no cursor.
    """
    if not cursor:
        return None
    created, _, id_ = cursor.partition(":")
    try:
        return float(created), id_
    except ValueError:
        raise InvalidCall(f"{cursor!r} is no cursor.", "Pass next_cursor of the page before, or none.") from None
