"""Split lists of tasks into pages. A cursor is a text that the client sends to get the next page."""

from collections.abc import Sequence
from typing import Any

from mcp_types import CallToolResult

from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Task
from kie_mcp.server import answers
from kie_mcp.text import quote_given


def build_page_result(answer: dict[str, Any], lines: Sequence[str], last: Task | None, nothing: str) -> CallToolResult:
    """Build the tool result for one page of tasks.

    Args:
        answer: The page as a JSON object; if there is a next page, this function adds the key `next_cursor`.
        lines: The page as lines of text.
        last: The last task of this page; None if there is no next page.
        nothing: The text to show if the page has no tasks.
    """
    text = "\n".join(lines) or nothing
    if last:
        answer["next_cursor"] = format_cursor(last)
        text += f"\nMore with cursor {answer['next_cursor']}"
    return answers.build_result(answer, text)


def format_cursor(last: Task) -> str:
    """Return the cursor of the next page; `last` is the last task of the current page."""
    return f"{last.created!r}:{last.id}"


def parse_cursor(cursor: str) -> tuple[float, str] | None:
    """Return the two values in a cursor: the creation time and the id of the last task on the previous page.

    Return None for an empty cursor, with which a client asks for the first page.

    Raises:
        InvalidCall: When the text is not a cursor from this server.
    """
    if not cursor:
        return None
    created, _, id_ = cursor.partition(":")
    try:
        return float(created), id_
    except ValueError:
        raise InvalidCall(
            f"{quote_given(cursor)} is no cursor.", "Pass next_cursor of the page before, or none."
        ) from None
