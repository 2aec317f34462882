"""Read messages that contain half a character, such as half an emoji, which the SDK's stdio transport cannot read.

Half a character is a lone surrogate: one half of a UTF-16 pair, such as U+D83D. JSON can contain one, and some clients
send it. The SDK's parser refuses the whole line, so the SDK does not know the request's id and sends no answer; without
this module, the client would wait forever.
"""

import json
from types import TracebackType
from typing import Any, Self

from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError

Message = SessionMessage | Exception


class TolerantStream:
    """The stream of a client's messages, which also accepts messages that contain half a character."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def receive(self) -> Message:
        """Return the next message, or the error of a line that is no valid message."""
        return read_again(await self._inner.receive())

    async def aclose(self) -> None:
        """Close the stream."""
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        return read_again(await self._inner.__anext__())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def read_again(received: Message) -> Message:
    """Return the message of a line that the SDK refused because of half a character; return anything else unchanged.

    Half characters stay in the arguments of a tool, so that the answer can name the wrong argument. Everywhere else,
    each of them is replaced by a question mark, because an answer that contains half a character cannot be sent.
    """
    if not isinstance(received, ValidationError):
        return received
    line = received.errors(include_url=False)[0]["input"]
    try:
        parsed = json.loads(line)
        whole = json.dumps(parsed, ensure_ascii=False).encode("utf-8", "replace")
        message = jsonrpc_message_adapter.validate_json(whole, by_name=False)
        if parsed.get("method") == "tools/call" and "arguments" in parsed["params"]:
            message.params["arguments"] = parsed["params"]["arguments"]  # type: ignore[union-attr, index]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return received
    return SessionMessage(message)
