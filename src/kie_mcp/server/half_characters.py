"""Messages with half a character, such as half an emoji: read what the SDK's stdio transport drops without an answer.

JSON can write half of a UTF-16 pair, a lone surrogate, and some clients do. The parser of the SDK refuses the whole
line, the id of the request is lost with it, and the client waits for ever.
"""

import json
from types import TracebackType
from typing import Any, Self

from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from pydantic import ValidationError

Message = SessionMessage | Exception


class TolerantStream:
    """The stream of a client's messages, in which a line with half a character is a message too."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def receive(self) -> Message:
        """Return the next message, or the error of a line that is no message."""
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
    """Return the message of a line that was refused for half a character; anything else is returned unchanged.

    In the arguments of a tool the half characters stay, so that the answer can name the argument. Everywhere else they
    are replaced by a question mark, because an answer that repeats one could not be sent.
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
