"""What a client is told when the ledger cannot be read, by requests that are no calls of tools."""

from typing import Any

import pytest
from mcp import Client, MCPError
from mcp_types import (
    INTERNAL_ERROR,
    EmptyResult,
    ResourceTemplateReference,
    SubscribeRequest,
    SubscribeRequestParams,
)
from support.clock import JumpingClock
from support.ledgers import change_rows
from support.task_requests import request_task

from kie_mcp.demo.task_follower import TaskFollower
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio

URI = "kie://tasks/t_aaaaaaaaaa"


def ignore(_: str) -> None:
    pass


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_a_ledger_that_cannot_be_read_is_told_with_what_to_do(app: App, clock: JumpingClock, era: Any) -> None:
    async with Client(build_server(app), mode=era, extensions=[TaskFollower(ignore, clock)]) as client:

        async def subscribe() -> None:
            request = SubscribeRequest(params=SubscribeRequestParams(uri=URI))
            await client.session.send_request(request, EmptyResult)

        await app.runner()
        change_rows(app.settings.state_dir, "ALTER TABLE tasks RENAME TO others")
        requests = [
            lambda: client.read_resource("kie://tasks"),
            lambda: client.read_resource(URI),
            *([subscribe] if era == "legacy" else [lambda: request_task(client, "get", "t_aaaaaaaaaa")]),
        ]
        for request in requests:
            with pytest.raises(MCPError) as told:
                await request()
            assert told.value.code == INTERNAL_ERROR
            assert told.value.message.startswith("The ledger cannot be used (no such table: tasks). ")
            assert "call again" in told.value.message
        reference = ResourceTemplateReference(uri="kie://tasks/{id}")
        assert (await client.complete(reference, {"name": "id", "value": ""})).completion.values == []
        if era == "auto":
            async with client.listen(resource_subscriptions=[URI]) as stream:
                assert stream.honored.resource_subscriptions == [URI]
