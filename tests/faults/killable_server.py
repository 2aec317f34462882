"""A server that can be killed between any two steps: each line of standard input is a run in a process of its own.

What a run has to tell comes as one line of JSON, and after it, once the process is gone, its exit code. What takes
long at the start of a server is done once and inherited.
"""

import gc
import json
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Any

import aiosqlite
import anyio
import httpcore2
import httpx2
import mutagen
import sqlalchemy as sa
from anyio._backends import _asyncio
from PIL import PngImagePlugin
from sqlalchemy.dialects.postgresql import psycopg
from sqlalchemy.dialects.sqlite import aiosqlite as dialect
from sqlalchemy.engine import Engine

from kie_mcp.catalog.registry import FAMILIES
from kie_mcp.clock import Clock
from kie_mcp.config import load
from kie_mcp.kie import discovery
from kie_mcp.kie.routes import DOCUMENTED
from kie_mcp.ledger import postgresql
from kie_mcp.ledger.task import Task
from kie_mcp.media import joining, limits
from kie_mcp.server import tools
from kie_mcp.server.app import App
from kie_mcp.tasks import runner as runners
from kie_mcp.tasks.order import Order

OF_OTHERS = (_asyncio, aiosqlite, dialect, httpcore2, mutagen, PngImagePlugin, psycopg)
INHERITED = (discovery, joining, limits, postgresql, runners, tools, *OF_OTHERS)
"""What a server would import at its first call."""
PIECE = 4096
"""Bytes of a download between two moments."""
SCHEMA = re.compile(r"\bkie_mcp\w*\.")
NO_STEP = re.compile(r"\s*(SELECT|PRAGMA|BEGIN|(INSERT INTO|DELETE FROM) (servers|reads))")
"""What says nothing of a task; signs of life come whenever it is time for one."""
ID = re.compile(r"[0-9a-f]{32}")


class HurriedClock(Clock):
    """Time that passes faster, alike in all processes that count it from the same moment."""

    def __init__(self, since: float, speed: float, ahead: float = 0) -> None:
        self._since = since
        self._speed = speed
        self._ahead = ahead

    def time(self) -> float:
        return self._since + (time.time() - self._since) * self._speed + self._ahead

    def monotonic(self) -> float:
        return time.monotonic() * self._speed

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds / self._speed)

    async def idle(self, seconds: float) -> None:
        # Faster, signs of life would be most of what is done.
        await anyio.sleep(max(seconds / self._speed, 0.25))


class Moments:
    """What lies between two steps; at one of them the process is killed."""

    def __init__(self, last: int) -> None:
        """Remember when to end; 0 is never."""
        self.passed: list[str] = []
        self._last = last

    def reach(self, moment: str) -> None:
        self.passed.append(moment)
        if len(self.passed) == self._last:
            tell({"moment": moment})
            os.kill(os.getpid(), signal.SIGKILL)

    def watch_ledger(self, clock: Clock) -> None:
        @sa.event.listens_for(Engine, "before_cursor_execute", retval=True)
        def tell_time(*event: Any) -> tuple[str, Any]:
            _, _, statement, parameters, _, _ = event
            # PostgreSQL's clock is as fast as that of the processes.
            return statement.replace("clock_timestamp()", f"to_timestamp({clock.time()!r})"), parameters

        @sa.event.listens_for(Engine, "after_cursor_execute")
        def note(connection: sa.Connection, _: object, statement: str, *__: object) -> None:
            statement = SCHEMA.sub("", statement)
            if not NO_STEP.match(statement):
                connection.info["written"] = " ".join(statement.split()[:3])

        @sa.event.listens_for(Engine, "commit")
        def before(connection: sa.Connection) -> None:
            if written := connection.info.get("written"):
                self.reach(f"before commit of {written}")

        @sa.event.listens_for(sa.Pool, "checkin")
        def after(_: object, record: Any) -> None:
            if written := record.info.pop("written", ""):
                self.reach(f"after commit of {written}")

    def watch_folder(self, folder: str) -> None:
        def before(event: str, arguments: tuple[Any, ...]) -> None:
            if event in ("open", "os.link", "os.rename", "os.remove") and str(arguments[0]).startswith(folder):
                self.reach(f"before {event} of {str(arguments[0]).rpartition('.')[2]}")

        sys.addaudithook(before)


class Pieces(httpx2.AsyncByteStream):
    """A download in small pieces."""

    def __init__(self, whole: httpx2.AsyncByteStream, moments: Moments) -> None:
        self._whole = whole
        self._moments = moments

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # The network cuts now here, now there.
        content = b"".join([chunk async for chunk in self._whole])
        for begin in range(0, len(content), PIECE):
            yield content[begin : begin + PIECE]
            self._moments.reach("after a piece of a download")

    async def aclose(self) -> None:
        await self._whole.aclose()


class Through(httpx2.AsyncHTTPTransport):
    """The network, and a moment at either end of each request."""

    def __init__(self, moments: Moments) -> None:
        # There is no TLS on this machine's own address, and certificates take long to read.
        super().__init__(verify=False)
        self._moments = moments

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == DOCUMENTED.credits:
            # It is read beside other steps, so there is no order between them.
            return await super().handle_async_request(request)
        called = f"{request.method} {ID.sub('…', request.url.path)}"
        self._moments.reach(f"before {called}")
        response = await super().handle_async_request(request)
        self._moments.reach(f"after {called}")
        if "/media/" in called:
            assert isinstance(response.stream, httpx2.AsyncByteStream)
            response.stream = Pieces(response.stream, self._moments)
        return response


def tell(what: object) -> None:
    sys.stdout.write(f"{json.dumps(what)}\n")
    sys.stdout.flush()


def read_order(tool: str, arguments: Mapping[str, Any]) -> Order:
    (family,) = (family for family in FAMILIES if family.tool == tool)
    return Order(tool, family.parse(arguments))


async def run(
    orders: Sequence[Order],
    *,
    environment: Mapping[str, str],
    since: float,
    speed: float,
    ahead: float = 0,
    kill_at: int = 0,
    wait: float = 3600,
) -> None:
    """Submit all orders at once and wait for their ends, as far as this gets."""
    os.environ.update(environment)
    moments = Moments(kill_at)
    clock = HurriedClock(since, speed, ahead)
    moments.watch_ledger(clock)
    moments.watch_folder(environment["KIE_MCP_OUTPUT_DIR"])
    app = App(transport=Through(moments), clock=clock)
    asked: dict[int, Task] = {}

    async def ask(number: int, order: Order) -> None:
        asked[number] = await runner.submit(order)

    async with app.run():
        runner = await app.runner()
        # As a server that is up for a moment has done; else it would be asked for beside the create.
        await runner.balance.read()
        async with anyio.create_task_group() as group:
            for number, order in enumerate(orders):
                group.start_soon(ask, number, order)
        ended = await runner.wait([asked[number] for number in range(len(orders))], wait)
    tell({"tasks": [(task.id, task.state) for task in ended], "passed": moments.passed})


def main() -> None:
    # The first time takes a quarter of a second.
    load()
    for line in sys.stdin:
        wanted = json.loads(line)
        # This builds what the model needs, which each of the runs would build again.
        orders = [read_order(tool, arguments) for tool, arguments in wanted.pop("calls")]
        # What a run inherits does not have to be searched for garbage again and again.
        gc.freeze()
        child = os.fork()
        if not child:
            anyio.run(partial(run, orders, **wanted))
            os._exit(0)
        tell(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main()
