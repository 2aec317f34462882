"""What happens at the end of the client's messages to the requests that are not answered yet."""

import math
from typing import Any, cast

import anyio
import pytest
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from kie_mcp.server.client_stream import ClientStream
from kie_mcp.server.unanswered import AnswerStream, Unanswered

pytestmark = pytest.mark.anyio


def ask(id_: int | str, method: str = "tools/call") -> SessionMessage:
    return SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=id_, method=method))


def cancel(id_: int | str) -> SessionMessage:
    params = {"requestId": id_}
    return SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params))


def answer(id_: int | str) -> SessionMessage:
    return SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=id_, result={}))


class Connection:
    """A connection whose client has sent some messages and closed its end."""

    def __init__(self, *messages: SessionMessage, seconds: float = math.inf) -> None:
        client, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](len(messages))
        outgoing, self.sent = anyio.create_memory_object_stream[SessionMessage](9)
        for message in messages:
            client.send_nowait(message)
        client.close()
        unanswered, nothing = Unanswered(), cast("Any", None)
        self.stream = ClientStream(incoming, outgoing, nothing, nothing, unanswered, answer_seconds=seconds)
        self.answers = AnswerStream(outgoing, unanswered)

    async def read(self) -> None:
        """Read to the end."""
        async with self.stream, self.answers, self.sent:
            with anyio.fail_after(60):
                async for _ in self.stream:
                    pass


async def test_the_end_comes_when_all_requests_are_answered() -> None:
    connection, ended = Connection(ask(1), ask("one"), ask(2)), list[str]()

    async def read() -> None:
        await connection.read()
        ended.append("the end")

    async with anyio.create_task_group() as group:
        group.start_soon(read)
        for id_ in (2, 1, "one"):
            await anyio.wait_all_tasks_blocked()
            assert not ended
            await connection.answers.send(answer(id_))
    assert ended


async def test_the_end_comes_at_once_when_all_is_answered_or_needs_no_answer() -> None:
    connection = Connection(ask(1), ask(2), cancel(2), ask(4), cancel("4"), ask(3, "subscriptions/listen"))
    async with anyio.create_task_group() as group:
        group.start_soon(connection.read)
        await anyio.wait_all_tasks_blocked()
        await connection.answers.send(answer(1))


async def test_the_end_does_not_wait_for_ever() -> None:
    await Connection(ask(1), seconds=0.01).read()


@pytest.mark.parametrize(
    "message",
    [
        JSONRPCResponse(jsonrpc="2.0", id=1, result={"structuredContent": {"path": "/home/Jos\udce9/fox.png"}}),
        JSONRPCNotification(
            jsonrpc="2.0", method="notifications/progress", params={"message": "/home/Jos\udce9/fox.png"}
        ),
    ],
    ids=["answer", "notification"],
)
async def test_half_a_character_is_sent_as_a_question_mark(message: JSONRPCResponse | JSONRPCNotification) -> None:
    connection = Connection(seconds=0)
    async with connection.stream, connection.answers, connection.sent:
        await connection.answers.send(SessionMessage(message))
        sent = (await connection.sent.receive()).message
    assert "/home/Jos?/fox.png" in sent.model_dump_json()
    assert type(sent) is type(message)
