"""What a client reads of an answer."""

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
