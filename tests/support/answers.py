"""What a client reads of an answer."""

import re
from collections.abc import Iterator
from typing import Any

from mcp import Client
from mcp_types import CallToolResult

from kie_mcp.sandbox.app import Sandbox


def answer(result: CallToolResult) -> dict[str, Any]:
    """The answer as an object."""
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def text(result: CallToolResult) -> str:
    """The answer in words."""
    content, *links = result.content
    assert content.type == "text"
    assert {link.type for link in links} <= {"resource_link"}
    return content.text


def same(result: CallToolResult) -> None:
    """Hold both forms of an answer against each other: hosts show one or the other."""
    (words,) = [block.text for block in result.content if block.type == "text"]
    told = " ".join(re.sub(r"(?m)^ *> ?", "", words).split())
    for name, value in told_of(answer(result)):
        assert any(each in told for each in spelled(value)), f"{name}: {value!r} is not in {words}"


def told_of(value: object, name: str = "") -> Iterator[tuple[str, Any]]:
    """What has to be in the text: all but what a path or the call itself tells."""
    match value:
        case dict() if name == "input_schema":
            yield from ((name, each) for each in value["properties"])
        case dict():
            for key, each in value.items():
                yield from told_of(each, key)
        case list():
            for each in value:
                yield from told_of(each, name)
        case _ if name not in BY_THE_WAY:
            yield name, value


BY_THE_WAY = {"mime_type", "by", "days", "page", "pages", "more", "minutes", "max_seconds"}


def spelled(value: Any) -> set[str]:
    """How the text may spell a value."""
    match value:
        case bool() | None:
            # Of these there is only whether it can be tried again and whether it was charged.
            return {"retryable", "charged"}
        case int() | float():
            return {f"{value:g}", f"{value:,.10g}", str(value)}
        case "quoted":
            return {"Nothing was sent"}
        case str():
            line = " ".join(value.split())
            return {line, re.sub(r"-\d+(\.\w+)$", r"-<n>\1", line)}
    raise TypeError(type(value))


async def ended(client: Client, result: CallToolResult) -> CallToolResult:
    """The same task once it is over."""
    return await client.call_tool("get_task", {"task_ids": [answer(result)["task_id"]], "wait_seconds": 600})


def refused(result: CallToolResult, sandbox: Sandbox) -> None:
    """Hold a call that is wrong against what the caller has to be told: all of it, before anything is sent."""
    assert result.is_error
    error = answer(result)["error"]
    assert error["category"] == "invalid_call"
    assert error["retryable"] is False
    assert error["billed"] is False
    assert error["message"] in text(result)
    assert error["next_step"] in text(result)
    assert "Nothing was charged." in text(result)
    assert sandbox.accepted == []
