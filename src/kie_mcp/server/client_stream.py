"""Handle what the SDK's stdio transport handles wrongly: lines that it refuses, first requests, the end of stdin.

The SDK sends no answer to a line that its parser refuses; the module `refused_lines` answers these lines.

The SDK distinguishes two eras: protocol versions before 2026-07-28, and protocol versions from 2026-07-28 on. In the
SDK, a client's first request decides the era of the connection, even if this request only asks what the server
supports. If the client then sends `initialize`, as the client @ai-sdk/mcp does when the answer takes a second, the SDK
refuses every `initialize` until the process ends. Therefore, this module answers the requests in `ERA_NEUTRAL` without
deciding the era. The first answers, which come from answers.json, do not decide the era either.
"""

from collections import deque
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeAlias

import anyio
from mcp.server.lowlevel import Server
from mcp.server.runner import serve_dual_era_loop
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCRequest
from pydantic import ValidationError

from kie_mcp.server.app import App
from kie_mcp.server.refused_lines import read_refused
from kie_mcp.server.unanswered import Unanswered

ANSWER_SECONDS = 1.5
"""Maximum seconds that the process runs after the client has closed stdin; many hosts kill it after 2 seconds."""

Message: TypeAlias = SessionMessage | Exception

ERA_NEUTRAL = ("server/discover", "tools/list", "prompts/list", "resources/list", "resources/templates/list")
"""Methods of requests that do not decide the era (see above): their answers do not depend on earlier requests."""


class ClientStream:
    """The stream of the client's messages; it answers the requests in `ERA_NEUTRAL`, and lines that the SDK refuses."""

    def __init__(
        self,
        incoming: Any,
        outgoing: Any,
        server: Server[App],
        app: App,
        unanswered: Unanswered,
        *,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        """Store the parts of the connection.

        Args:
            incoming: The stream of the client's messages from the SDK's transport.
            outgoing: The stream of messages to the client.
            server: The server of the connection.
            app: The parts that the server's handlers use.
            unanswered: Keeps the ids of the requests that the SDK has received but not answered.
            answer_seconds: Maximum seconds to wait for the SDK's last answers after the client has closed stdin.
        """
        self._incoming = incoming
        self._outgoing = outgoing
        self._server = server
        self._app = app
        self._unanswered = unanswered
        self._answer_seconds = answer_seconds
        self._era_is_open = True
        self._read_ahead: deque[SessionMessage] = deque()
        """Messages that were read together with an earlier one, in a batch, and are not returned yet."""

    async def receive(self) -> Message:
        """Return the client's next message.

        Raises:
            anyio.EndOfStream: When the client has closed stdin, and all requests are answered or
                `answer_seconds` have passed.
        """
        try:
            received = await self._receive()
        except anyio.EndOfStream:
            await self._unanswered.wait(self._answer_seconds)
            raise
        self._unanswered.take(received)
        return received

    async def _receive(self) -> Message:
        while True:
            received = self._read_ahead.popleft() if self._read_ahead else await self._incoming.receive()
            if isinstance(received, ValidationError):
                await self._read_refused(received)
                continue
            if not (self._era_is_open and isinstance(received, SessionMessage)):
                return received
            if not isinstance(received.message, JSONRPCRequest):
                return received
            if received.message.method not in ERA_NEUTRAL:
                self._era_is_open = False
                return received
            await self._answer_apart(received)

    async def _read_refused(self, refusal: ValidationError) -> None:
        """Keep the messages of a line that the SDK refused, and send an error for each request that cannot be read."""
        for message in read_refused(refusal):
            if isinstance(message, JSONRPCError):
                await self._outgoing.send(SessionMessage(message))
            else:
                self._read_ahead.append(SessionMessage(message))

    async def _answer_apart(self, request: SessionMessage) -> None:
        """Let the SDK answer a request on a separate connection, so that it does not decide this connection's era."""
        client, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](1)
        outgoing, answers = anyio.create_memory_object_stream[SessionMessage](1)
        async with anyio.create_task_group() as group, client, answers:
            group.start_soon(partial(serve_dual_era_loop, self._server, incoming, outgoing, lifespan_state=self._app))
            await client.send(request)
            await self._outgoing.send(await answers.receive())

    async def aclose(self) -> None:
        """Close the stream."""
        await self._incoming.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()
