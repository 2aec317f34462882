"""A model that KIE lists but that is not in kie-mcp's catalogue, and calls of `run_model`."""

from typing import Any

from mcp import Client
from mcp_types import CallToolResult

from support.answers import answer, text

NEW = "vendor/new-image"
SCHEMA = {
    "required": ["prompt"],
    "properties": {
        "prompt": {"type": "string", "maxLength": 50},
        "image_urls": {"type": "array", "items": {"type": "string", "format": "uri"}, "maxItems": 2},
        "duration": {"type": "string", "enum": ["5", "10"], "default": "5"},
    },
}


async def run_model(client: Client, model: str, fields: dict[str, Any], **more: Any) -> CallToolResult:
    return await client.call_tool("run_model", {"model": model, "input": fields, **more})


async def read_refusal(client: Client, model: str, fields: dict[str, Any], **more: Any) -> str:
    result = await run_model(client, model, fields, **more)
    assert result.is_error
    assert answer(result)["error"]["billed"] is False
    return text(result)
