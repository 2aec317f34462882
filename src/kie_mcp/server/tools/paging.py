"""Split lists of tasks into pages: build the answer of one page, and read the cursor of the next page."""

from collections.abc import Sequence
from typing import Any

from mcp_types import CallToolResult

from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Task
from kie_mcp.server import answers


def build_page_result(answer: dict[str, Any], lines: Sequence[str], last: Task | None, nothing: str) -> CallToolResult:
    """Build the answer for one page of tasks.

    Args:
        answer: The page as an object; `next_cursor` is added to it when there is a next page.
        lines: The page as lines of text.
        last: The last task of this page; None when there is no next page.
        nothing: The text of a page without tasks.
    """
    text = "\n".join(lines) or nothing
    if last:
        answer["next_cursor"] = f"{last.created!r}:{last.id}"
        text += f"\nMore with cursor {answer['next_cursor']}"
    return answers.build_result(answer, text)


def parse_cursor(cursor: str) -> tuple[float, str] | None:
    """Return what a cursor contains: creation time and id of the previous page's last task.

    An empty cursor asks for the first page, and returns None.

    Raises:
        InvalidCall: When the text is not a cursor.
    """
    if not cursor:
        return None
    created, _, id_ = cursor.partition(":")
    try:
        return float(created), id_
    except ValueError:
        raise InvalidCall(f"{cursor!r} is no cursor.", "Pass next_cursor of the page before, or none.") from None
