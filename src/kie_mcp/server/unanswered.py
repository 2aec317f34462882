"""Track the client's requests that have no answer yet, so that they are still answered after stdin has ended.

At the end of the client's messages, the SDK cancels all requests that it still works on. A program that writes its
requests and closes the pipe, as `printf ... | kie-mcp` does, would get no answer.
"""

from types import TracebackType
from typing import Any, Self

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

ENDLESS = "subscriptions/listen"
"""The method of requests that are answered only when the client ends them."""


class Unanswered:
    """The ids of the requests that the SDK got and has not answered."""

    def __init__(self) -> None:
        self._ids: set[int | str] = set()
        self._none_left = anyio.Event()

    def take(self, received: SessionMessage | Exception) -> None:
        """Note a message of the client: a request, or the cancellation of a request, which then gets no answer."""
        message = received.message if isinstance(received, SessionMessage) else None
        if isinstance(message, JSONRPCRequest) and message.method != ENDLESS:
            self._ids.add(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._remove((message.params or {}).get("requestId"))

    def note_answer(self, sent: SessionMessage) -> None:
        """Note a message to the client, which may be an answer."""
        if isinstance(sent.message, JSONRPCResponse | JSONRPCError):
            self._remove(sent.message.id)

    async def wait(self, seconds: float) -> None:
        """Wait until all requests are answered, but at most for some seconds."""
        if self._ids:
            self._none_left = anyio.Event()
            with anyio.move_on_after(seconds):
                await self._none_left.wait()

    def _remove(self, id_: Any) -> None:
        if isinstance(id_, int | str):
            self._ids.discard(id_)
        if not self._ids:
            self._none_left.set()


class AnswerStream:
    """A stream of messages to the client that notes which requests they answer."""

    def __init__(self, outgoing: Any, unanswered: Unanswered) -> None:
        self._outgoing = outgoing
        self._unanswered = unanswered

    async def send(self, message: SessionMessage, /) -> None:
        """Send a message."""
        await self._outgoing.send(message)
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
