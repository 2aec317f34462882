"""Pass the sandbox's callbacks to a runner in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import httpx2
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from kie_mcp.clock import Clock
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.callbacks import PATH, Callbacks
from kie_mcp.tasks.runner import Runner


class Receiver:
    """An ASGI application that receives callbacks, and passes them to a runner."""

    def __init__(self) -> None:
        self.runner: Runner | None = None
        self.bodies: list[bytes] = []
        """The bodies of all callbacks."""
        self.status = 200
        """The HTTP status of all answers; the runner gets a callback only if this is 200."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        self.bodies.append(await request.body())
        id_, token = request.url.path.removeprefix(f"{PATH}/").split("/")
        if self.status == 200 and self.runner and self.runner.callbacks.is_address(id_, token):
            self.runner.handle_callback(id_)
        await Response(status_code=self.status)(scope, receive, send)


def receiving() -> Callbacks:
    """Return the settings of callbacks (URL and secret) for a server that receives them itself."""
    return Callbacks("https://me.example/", b"a secret of many characters")


@asynccontextmanager
async def receive_callbacks(sandbox: Sandbox, clock: Clock) -> AsyncIterator[Receiver]:
    """Let the sandbox send its callbacks to a receiver until the block ends, and yield the receiver."""
    receiver = Receiver()
    async with anyio.create_task_group() as group:
        group.start_soon(sandbox.callbacks.run, clock.sleep, httpx2.ASGITransport(receiver))
        await anyio.lowlevel.checkpoint()
        yield receiver
        group.cancel_scope.cancel()
