"""A runner with all its parts, to be started and ended as a process is."""

import resource
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import FAMILIES
from kie_mcp.kie.client import CREATE_SECONDS, READ_SECONDS, KieClient
from kie_mcp.kie.routes import DOCUMENTED
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.tables import BUSY_SECONDS
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.money import Rules
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.uploads import Uploader
from support.clock import JumpingClock

EACH_IS_ANOTHER = Rules(repeat_window=0)
Meet = Callable[[str], Awaitable[Response | None]]


class Gate:
    """A KIE behind somebody who sees each request first, and may answer in its place."""

    def __init__(self, app: ASGIApp, **meet: Meet) -> None:
        """Remember who is met by a request, by its method in small letters."""
        self.asked: list[str] = []
        """The requests, but for those after the balance."""
        self.balances = 0
        """How often the balance was asked for."""
        self._app = app
        self._meet = meet

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == DOCUMENTED.credits:
            self.balances += 1
        else:
            self.asked.append(f"{scope['method']} {scope['path']}")
        meet = self._meet.get(scope["method"].lower())
        answer = await meet(scope["path"]) if meet else None
        # KIE's answer takes no time.
        JumpingClock.lent += 1
        try:
            await (answer or self._app)(scope, receive, send)
        finally:
            JumpingClock.lent -= 1


def call(tool: str, **arguments: Any) -> KieModel:
    """What a caller asks for."""
    (family,) = (family for family in FAMILIES if family.tool == tool)
    return family.parse({"prompt": "a heron at dawn", **arguments})


@asynccontextmanager
async def running(
    folder: Path,
    app: ASGIApp,
    clock: JumpingClock,
    *,
    save: bool = True,
    service: bool = False,
    url: str = "",
    callback_url: str = "",
    rules: Rules = EACH_IS_ANOTHER,
    usual_seconds: float | None = 4,
    read_seconds: float = READ_SECONDS,
    create_seconds: float = CREATE_SECONDS,
    busy_seconds: float = BUSY_SECONDS,
    crash: bool = False,
) -> AsyncIterator[Runner]:
    """A runner with its ledger and output in a folder; leaving ends it at once.

    Args:
        folder: Where all is kept.
        app: A KIE in this process.
        clock: Time.
        save: Whether results are saved.
        service: Whether KIE is spoken to in the model list's own pattern.
        url: Where KIE is served, instead of `app`.
        callback_url: What KIE is told to call.
        rules: What the operator allows.
        usual_seconds: How long tasks take; None leaves that to the model.
        read_seconds: How long a read may take, by the real clock, as the next two.
        create_seconds: How long a create may take.
        busy_seconds: How long another one's writing is waited for.
        crash: Whether it ends without telling the others, as a process that is killed.
    """
    transport = None if url else httpx2.ASGITransport(app)
    client = KieClient(
        "sandbox",
        base_url=url or "https://kie.test",
        service=service,
        transport=transport,
        clock=clock,
        read_seconds=read_seconds,
        create_seconds=create_seconds,
    )
    ledger = await Ledger.open(folder / "data", busy_seconds=busy_seconds)
    publisher = Uploader(client, ledger, readable=[folder], clock=clock)
    saver = Downloader(client, folder / "out", guarded=False) if save else None
    try:
        async with client, anyio.create_task_group() as group:
            runner = Runner(
                client,
                ledger,
                publisher,
                saver,
                group,
                rules=rules,
                callback_url=callback_url,
                usual_seconds=usual_seconds,
                clock=clock,
            )
            await runner.resume()
            yield runner
            group.cancel_scope.cancel()
        if not crash:
            await runner.leave()
    finally:
        await ledger.close()


async def end(runner: Runner, task: Task) -> Task:
    """The task once there is nothing to wait for any more, as the ledger has it."""
    if watch := runner._watched.get(task.id):
        await watch.over.wait()
    found = await runner.ledger.find(task.id)
    assert found
    return found


def rows(folder: Path) -> list[tuple[str, str, str | None, str]]:
    """Each task's id, state, KIE's id and route, as another process sees them."""
    with sqlite3.connect(folder / "data" / "ledger.sqlite3") as file:
        found = file.execute("SELECT id, state, kie_id, route FROM tasks ORDER BY created, id").fetchall()
    file.close()
    return found


def media(folder: Path) -> list[Path]:
    """The files in an output folder, without the JSON beside each."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(file for file in files if not (file.suffix == ".json" and file.with_suffix("").exists()))


@contextmanager
def full_disk() -> Iterator[None]:
    """No file of this process can grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
