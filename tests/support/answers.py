"""Read the answer of a tool as a client does, and check what holds for every answer."""

import json
import re
from collections.abc import Iterator
from typing import Any

from mcp import Client
from mcp_types import CallToolResult

from kie_mcp.sandbox.app import Sandbox


def answer(result: CallToolResult) -> dict[str, Any]:
    """Return structuredContent."""
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def text(result: CallToolResult) -> str:
    """Return the text block; apart from links there is no other."""
    content, *links = result.content
    assert content.type == "text"
    assert {link.type for link in links} <= {"resource_link"}
    return content.text


def count_tokens(result: CallToolResult) -> float:
    """Estimate the tokens of the answer's larger form: bytes divided by 4."""
    structured = json.dumps(result.structured_content, separators=(",", ":"), ensure_ascii=False)
    return max(len(structured.encode()), len(text(result).encode())) / 4


def assert_both_forms_agree(result: CallToolResult) -> None:
    """Check that the text states every value of structuredContent, because a host shows only one of the two."""
    (words,) = [block.text for block in result.content if block.type == "text"]
    line = " ".join(re.sub(r"(?m)^ *> ?", "", words).split())
    for name, value in stated_values(answer(result)):
        assert any(each in line for each in spellings(value)), f"{name}: {value!r} is not in {words}"


def stated_values(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each value that the text has to state, with its field's name."""
    match value:
        case dict() if name == "input_schema":
            yield from ((name, each) for each in value["properties"])
        case dict():
            for key, each in value.items():
                yield from stated_values(each, key)
        case list():
            for each in value:
                yield from stated_values(each, name)
        case _ if name not in NOT_IN_TEXT:
            yield name, value


NOT_IN_TEXT = {"mime_type", "by", "days", "page", "pages", "more", "minutes", "max_seconds"}
"""Fields that the text need not state: the caller knows them from its own arguments or from a file's path."""


def spellings(value: Any) -> set[str]:
    """Return the forms in which the text may state a value."""
    match value:
        case bool() | None:
            # The only fields with these values are `retryable` and `charged`, and the text has sentences for them.
            return {"retryable", "charged"}
        case int() | float():
            return {f"{value:g}", f"{value:,.10g}", str(value)}
        case "quoted":
            return {"Nothing was sent"}
        case str():
            line = " ".join(value.split())
            return {line, re.sub(r"-\d+(\.\w+)$", r"-<n>\1", line)}
    raise TypeError(type(value))


async def wait_for_end(client: Client, result: CallToolResult) -> CallToolResult:
    """Wait for the end of the task that an answer is about; return the answer of get_task then."""
    return await client.call_tool("get_task", {"task_ids": [answer(result)["task_id"]], "wait_seconds": 600})


def assert_refused(result: CallToolResult, sandbox: Sandbox) -> None:
    """Check the answer to a call with wrong arguments: it says what to do, and KIE accepted nothing."""
    assert result.is_error
    error = answer(result)["error"]
    assert error["category"] == "invalid_call"
    assert error["retryable"] is False
    assert error["billed"] is False
    assert error["message"] in text(result)
    assert error["next_step"] in text(result)
    assert "Nothing was charged." in text(result)
    assert sandbox.accepted == []
