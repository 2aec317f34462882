"""A runner with its client, ledger, uploads and downloads, started and ended as a server process does."""

import resource
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
from kie_mcp.clock import Clock
from kie_mcp.kie.client import CREATE_SECONDS, READ_SECONDS, KieClient
from kie_mcp.kie.rate_limit import CreateLimiter
from kie_mcp.kie.routes import DOCUMENTED
from kie_mcp.ledger.database import BUSY_SECONDS
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.callbacks import Callbacks
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.create_limiter import LedgerCreateLimiter
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.storage import FolderStorage, Storage
from kie_mcp.tasks.uploads import Uploader
from support.clock import JumpingClock
from support.ledgers import open_ledger, select_rows

NO_REPEATS = Rules(repeat_window=0)
"""Rules by which each call is a new task, however alike they are."""
Intercept = Callable[[str], Awaitable[Response | None]]
"""A function that sees the path of a request first; what it returns is the answer, None lets KIE answer."""


class InterceptedKie:
    """A KIE behind functions that see each request first and may answer in its place."""

    def __init__(self, app: ASGIApp, **intercept: Intercept) -> None:
        """Take a function for each HTTP method, named in small letters: it gets the path; None lets KIE answer."""
        self.requests: list[str] = []
        """Method and path of each request, except reads of the balance."""
        self.balance_reads = 0
        """The number of reads of the balance."""
        self._app = app
        self._intercept = intercept

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == DOCUMENTED.credits:
            self.balance_reads += 1
        else:
            self.requests.append(f"{scope['method']} {scope['path']}")
        intercept = self._intercept.get(scope["method"].lower())
        answer = await intercept(scope["path"]) if intercept else None
        # KIE's answer takes no time.
        with JumpingClock.hold():
            await (answer or self._app)(scope, receive, send)


def model_call(tool: str, **arguments: Any) -> KieModel:
    """Return the model call that a family's tool makes of these arguments; there is a prompt by default."""
    (family,) = (family for family in FAMILIES if family.tool == tool)
    return family.parse({"prompt": "a heron at dawn", **arguments})


@asynccontextmanager
async def run_runner(
    folder: Path,
    app: ASGIApp,
    clock: Clock,
    *,
    save: bool = True,
    service: bool = False,
    url: str = "",
    storage: Storage | None = None,
    callbacks: Callbacks | None = None,
    rules: Rules = NO_REPEATS,
    usual_seconds: float | None = 4,
    read_seconds: float = READ_SECONDS,
    create_seconds: float = CREATE_SECONDS,
    busy_seconds: float = BUSY_SECONDS,
    crash: bool = False,
    wrap_limiter: Callable[[CreateLimiter], CreateLimiter] = lambda limiter: limiter,
    wrap_ledger: Callable[[Ledger], Ledger] = lambda ledger: ledger,
) -> AsyncIterator[Runner]:
    """Run a runner with its ledger and output in a folder; leaving cancels all it does.

    Args:
        folder: The folder for the ledger, the output and readable files.
        app: An application in this process that takes KIE's place.
        clock: The clock of the runner and its parts.
        save: Whether results are saved.
        service: Whether the client uses the routes `/api/v1/<service>/generate`.
        url: The address of a KIE, instead of `app`.
        storage: Where results are kept; None for a folder of this machine.
        callbacks: The addresses that KIE is given for its callbacks.
        rules: Repeat window, caps and the limit for confirmation.
        usual_seconds: The usual length of tasks in seconds; None takes the model's.
        read_seconds: Timeout of a read in seconds, by the machine's clock.
        create_seconds: Timeout of a create in seconds, by the machine's clock.
        busy_seconds: Seconds, by the machine's clock, to wait for another process's write transaction.
        crash: Whether it ends without releasing its tasks, as a killed process does.
        wrap_limiter: Returns the create limiter that the client is given, made of the usual one.
        wrap_ledger: Returns the ledger that all parts are given, made of the usual one.
    """
    transport = None if url else httpx2.ASGITransport(app)
    ledger = wrap_ledger(await open_ledger(folder / "data", busy_seconds=busy_seconds))
    client = KieClient(
        "sandbox",
        base_url=url or "https://kie.test",
        service=service,
        transport=transport,
        clock=clock,
        read_seconds=read_seconds,
        create_seconds=create_seconds,
        create_limiter=wrap_limiter(LedgerCreateLimiter(ledger, clock)),
    )
    publisher = Uploader(client, ledger, folders=AllowedFolders([folder]), clock=clock, guarded=False)
    storage = storage or FolderStorage(folder / "out")
    saver = Downloader(client, storage, guarded=False) if save else None
    try:
        async with client, anyio.create_task_group() as group:
            runner = Runner(
                client,
                ledger,
                publisher,
                saver,
                group,
                storage=storage,
                rules=rules,
                callbacks=callbacks,
                usual_seconds=usual_seconds,
                clock=clock,
            )
            await runner.resume()
            yield runner
            group.cancel_scope.cancel()
        if not crash:
            await runner.release_lease()
    finally:
        await ledger.close()


async def run_to_end(runner: Runner, task: Task) -> Task:
    """Wait until there is nothing more to wait for; return the task as the ledger has it then."""
    if watch := runner._watchers.get(task.id):
        await watch.ended.wait()
    found = await runner.ledger.find(task.id)
    assert found
    return found


def task_rows(folder: Path) -> list[tuple[str, str, str | None, str]]:
    """Return each task's id, state, KIE's id and route, as another process reads them."""
    rows = select_rows(folder / "data", "SELECT id, state, kie_id, route FROM tasks ORDER BY created, id")
    return [(row["id"], row["state"], row["kie_id"], row["route"]) for row in rows]


def saved_files(folder: Path) -> list[Path]:
    """Return the files in an output folder and its folders, without the JSON file beside each."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in files if not (file.suffix == ".json" and file.with_suffix("").exists()))


@contextmanager
def full_disk() -> Iterator[None]:
    """Let no file of this process grow, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
