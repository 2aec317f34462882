"""Track the client's requests that have no answer yet, so that they are still answered after stdin has ended.

When stdin ends, the SDK cancels all requests that are still running. Without this module, a program that writes its
requests and then closes the pipe, as `printf ... | kie-mcp` does, would get no answer.
"""

import json
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, jsonrpc_message_adapter
from pydantic_core import PydanticSerializationError

from kie_mcp.text import replace_half_characters

ENDLESS = "subscriptions/listen"
"""The method whose requests are not tracked, because such a request is answered only when the client ends it."""


class Unanswered:
    """The ids of the requests that the SDK got and has not answered; as in the SDK, `"7"` is the same id as 7."""

    def __init__(self) -> None:
        self._ids: set[int | str] = set()
        self._none_left = anyio.Event()

    def take(self, received: SessionMessage | Exception) -> None:
        """Record a message from the client: a request, or the cancellation of a request, which then gets no answer."""
        message = received.message if isinstance(received, SessionMessage) else None
        if isinstance(message, JSONRPCRequest) and message.method != ENDLESS:
            self._ids.add(coerce_request_id(message.id))
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._remove((message.params or {}).get("requestId"))

    def note_answer(self, sent: SessionMessage) -> None:
        """Record a message to the client, which may be the answer to a request."""
        if isinstance(sent.message, JSONRPCResponse | JSONRPCError):
            self._remove(sent.message.id)

    async def wait(self, seconds: float) -> None:
        """Wait until all requests are answered, but at most `seconds`."""
        if self._ids:
            self._none_left = anyio.Event()
            with anyio.move_on_after(seconds):
                await self._none_left.wait()

    def _remove(self, id_: Any) -> None:
        if isinstance(id_, int | str):
            self._ids.discard(coerce_request_id(id_))
        if not self._ids:
            self._none_left.set()


class AnswerStream:
    """A stream of messages to the client, which records the requests that these messages answer."""

    def __init__(self, outgoing: Any, unanswered: Unanswered) -> None:
        self._outgoing = outgoing
        self._unanswered = unanswered

    async def send(self, message: SessionMessage, /) -> None:
        """Send a message; if the message is the answer to a request, record that the request is answered."""
        await self._outgoing.send(make_sendable(message))
        self._unanswered.note_answer(message)

    async def aclose(self) -> None:
        """Close the stream."""
        await self._outgoing.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()


def make_sendable(message: SessionMessage) -> SessionMessage:
    """Replace the half characters in a message to the client; otherwise, the SDK would fail and send nothing more."""
    try:
        message.message.model_dump_json()
    except PydanticSerializationError:
        whole = json.dumps(message.message.model_dump(by_alias=True, exclude_unset=True), ensure_ascii=False)
        text = replace_half_characters(whole)
        return replace(message, message=jsonrpc_message_adapter.validate_json(text, by_name=False))
    return message
