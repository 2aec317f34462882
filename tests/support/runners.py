"""A runner with its client, ledger, uploads and downloads, which starts and ends as in a server process."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.background import Background
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
from kie_mcp.tasks.read_limiter import share_reads
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.services import Change
from kie_mcp.tasks.storage import FolderStorage, Storage
from kie_mcp.tasks.uploads import Uploader
from support.clock import JumpingClock
from support.ledgers import find_database, open_ledger, select_rows

NO_REPEATS = Rules(repeat_window=0)
"""Rules with which each call starts a new task, even if an equal call was made before."""
Intercept = Callable[[str], Awaitable[Response | None]]
"""A function that gets the path of a request, and returns the answer, or None to let the fake KIE answer."""


class InterceptedKie:
    """A fake KIE with functions that get each request first, and may answer instead of it."""

    def __init__(self, app: ASGIApp, **intercept: Intercept) -> None:
        """Store the fake KIE and, for each HTTP method in lower case, a function that gets the requests first."""
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
    """Return the model call that a tool makes from these arguments; a missing prompt gets a default text."""
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
    process: str = "",
    on_change: Change | None = None,
    wrap_limiter: Callable[[CreateLimiter], CreateLimiter] = lambda limiter: limiter,
    wrap_ledger: Callable[[Ledger], Ledger] = lambda ledger: ledger,
) -> AsyncIterator[Runner]:
    """Run a runner with its ledger and output in a folder; the end of the block cancels all its work.

    Args:
        folder: The folder for the ledger, the output and readable files.
        app: An ASGI application that the runner uses as KIE.
        clock: The clock of the runner and its parts.
        save: Whether results are saved.
        service: Whether the client uses the routes `/api/v1/<service>/generate`.
        url: The URL of a KIE server to use instead of `app`; empty to use `app`.
        storage: Where results are kept; None for a folder of this machine.
        callbacks: The settings of the callback URLs that KIE gets.
        rules: Repeat window, caps and the limit for confirmation.
        usual_seconds: The usual length of tasks in seconds; None takes the model's.
        read_seconds: Timeout of a read in seconds, by the machine's clock.
        create_seconds: Timeout of a create in seconds, by the machine's clock.
        busy_seconds: Seconds, by the machine's clock, to wait for another process's write transaction.
        crash: True to end without releasing the tasks, as a killed process does.
        process: The id of the runner's process in the ledger; empty to make one.
        on_change: A function that is called each time a task's new state is saved.
        wrap_limiter: A function that gets the usual create limiter, and returns the one to use.
        wrap_ledger: A function that gets the usual ledger, and returns the one to use.
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
        read_limiters=share_reads(ledger, clock),
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
                Background(group),
                storage=storage,
                rules=rules,
                callbacks=callbacks,
                usual_seconds=usual_seconds,
                on_change=on_change,
                clock=clock,
                process=process,
            )
            await runner.resume()
            yield runner
            group.cancel_scope.cancel()
        if not crash:
            await runner.release_lease()
    finally:
        await ledger.close()


async def run_to_end(runner: Runner, task: Task) -> Task:
    """Wait until the runner has finished a task, and return the task from the ledger."""
    if watch := runner._watchers.get(task.id):
        await watch.ended.wait()
    found = await runner.ledger.find(task.id)
    assert found
    return found


def task_rows(folder: Path) -> list[tuple[str, str, str | None, str]]:
    """Return each task's id, state, KIE's id and route, read with a new connection to the ledger."""
    rows = select_rows(folder / "data", "SELECT id, state, kie_id, route FROM tasks ORDER BY created, id")
    return [(row["id"], row["state"], row["kie_id"], row["route"]) for row in rows]


def saved_files(folder: Path) -> list[Path]:
    """Return the files in an output folder and its subfolders, without the JSON sidecar of each file."""
    files = (file for file in folder.rglob("*") if file.is_file())
    return sorted(file for file in files if not (file.suffix == ".json" and file.with_suffix("").exists()))


def refuse_ledger_writes(folder: Path) -> AbstractContextManager[None]:
    """Let writes to a runner's ledger fail until the block ends: the disk is full, or PostgreSQL refuses them."""
    found = find_database(folder / "data")
    return found[0].refuse_writing(found[1]) if found else full_disk()


@contextmanager
def full_disk() -> Iterator[None]:
    """Let writes to files fail until the block ends, as on a full disk."""
    # Windows does not have this module.
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
