"""Fixtures that all tests share: the sandbox in this process, the jumping clock, a server with a client."""

import gc
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx2
import hypothesis
import pytest
from mcp import Client
from pydantic import SecretStr
from support import preloaded
from support.accounts import make_key, run_provider, serve_accounts
from support.certificates import trust_nobody
from support.clock import JumpingClock, JumpingLoop
from support.effort import Effort
from support.ledgers import find_url, open_ledger, use_server
from support.new_model import NEW, SCHEMA
from support.postgresql import NOT_INSTALLED, end_shared_server, find_programs, share_server
from support.programs import PATH_OF_SYSTEM, prefer_newest_ffmpeg

from kie_mcp.config import Settings
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

# The first compares KIE's figures with the ledger and the disk, and writes the table in docs/reliability.md.
pytest_plugins = ["reconciliation", "support.ledger_template"]
# Reading the environment for each test would take as long as starting its server.
SETTINGS = Settings(sandbox=True, repeat_window=0, wait_seconds=40, confirm_above=100_000, confirm_hourly=0)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-snapshots", action="store_true", help="Write tests/snapshots instead of comparing.")
    parser.addoption("--write-pictures", action="store_true", help="Write the README's pictures into docs/images.")
    parser.addoption("--thorough", action="store_true", help="Try every moment, and ten times as many seeds.")
    parser.addoption(
        "--database",
        choices=("sqlite", "postgresql"),
        help="Run each test with this database; without it, those marked `on_postgresql` run with both.",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run the tests that are marked so with both databases."""
    chosen = metafunc.config.getoption("database")
    marked = metafunc.definition.get_closest_marker("on_postgresql")
    names = (str(mark.args[0]) for mark in metafunc.definition.iter_markers("parametrize"))
    # Some tests name their databases themselves.
    if (chosen or marked) and not any("database" in name for name in names):
        metafunc.parametrize("database", [chosen] if chosen else ["sqlite", "postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The kind of database that the test's ledgers are in; its PostgreSQL server has the time of the test's clock."""
    kind = getattr(request, "param", "sqlite")
    JumpingClock.newest = None
    if kind == "sqlite":
        yield kind
        return
    if not find_programs():
        pytest.skip(NOT_INSTALLED)
    with share_server(_find_run_folder(request.config, tmp_path_factory)) as server:
        use_server(server)
    yield kind
    use_server(None)


def _find_run_folder(config: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that all processes of this run of tests have."""
    folder = tmp_path_factory.getbasetemp()
    return folder.parent if hasattr(config, "workerinput") else folder


def pytest_configure(config: pytest.Config) -> None:
    # What is collected stays until the end, and to look for garbage in it would take as long as collecting it.
    gc.disable()
    # The table of faults has every case.
    Effort.is_thorough = config.getoption("thorough") or config.getoption("write_reliability")
    # The processes of this run inherit the PATH of the first one.
    if not hasattr(config, "workerinput"):
        prefer_newest_ffmpeg()
        trust_nobody()
    if not find_spec("sniffio"):
        # httpx2 tries to import it at each request to the sandbox in this process, and Python would search all folders.
        sys.modules["sniffio"] = None  # type: ignore[assignment]


def pytest_unconfigure(config: pytest.Config) -> None:
    factory = getattr(config, "_tmp_path_factory", None)
    # Where no test has asked for the folder, there is no server.
    if not hasattr(config, "workerinput") and factory and factory._basetemp:
        end_shared_server(factory._basetemp)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Let one process at a time import a module of tests: the first one compiles it, and the others read the result."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    with collector.path.open() as file:
        if sys.platform != "win32":
            # Windows does not have this module.
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX)
        return (yield)


def pytest_collection_finish() -> None:
    # Without this, garbage would be collected for each 700 new objects, and the collected tests searched for it.
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()


def pytest_sessionfinish() -> None:
    preloaded.end_parent()


# On a busy machine an example may take long, which is no error.
hypothesis.settings.register_profile("unhurried", deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"loop_factory": JumpingLoop}


@pytest.fixture
def clock() -> JumpingClock:
    return JumpingClock()


@pytest.fixture
def sandbox(clock: JumpingClock) -> Sandbox:
    return Sandbox(seconds=4, clock=clock.time)


@pytest.fixture
def new_model(sandbox: Sandbox) -> Sandbox:
    """The sandbox, which offers one model that is not built in."""
    sandbox.discovery.add_model(NEW, SCHEMA)
    return sandbox


@pytest.fixture
def transport(sandbox: Sandbox) -> httpx2.ASGITransport:
    return httpx2.ASGITransport(app=sandbox.app)


@pytest.fixture
async def kie(transport: httpx2.ASGITransport, clock: JumpingClock) -> AsyncIterator[KieClient]:
    async with KieClient("sandbox", transport=transport, clock=clock) as client:
        yield client


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings for the sandbox, with folders of their own, no repeat window, no confirmation, and waits of 40 s."""
    url = find_url(tmp_path / "data")
    own = {
        "data_dir": tmp_path / "data",
        "database_url": SecretStr(url) if url else None,
        "output_dir": tmp_path / "out",
        "read_dirs": (tmp_path,),
    }
    return SETTINGS.model_copy(update=own)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    """The ledger in the data folder of `settings`."""
    opened = await open_ledger(tmp_path / "data")
    yield opened
    await opened.close()


@pytest.fixture
def keyless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a server without a key."""
    for name in ("KIE_API_KEY", "KIE_AI_API_KEY", "KIE_API_KEY_FILE", "KIE_MCP_SANDBOX"):
        monkeypatch.delenv(name, raising=False)
    return Settings(data_dir=tmp_path / "data", output_dir=tmp_path / "out")


@pytest.fixture
def ffmpeg_of_system(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ffmpeg of the machine in place of the newest, if there is one: its version may be years old."""
    monkeypatch.setenv("PATH", PATH_OF_SYSTEM)


@pytest.fixture
def without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no ffmpeg is found."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)


@pytest.fixture(scope="session")
def issuer() -> Iterator[str]:
    """A real OpenID provider, which signs with the key `one`."""
    with run_provider(make_key("one")) as address:
        yield address


@pytest.fixture
async def accounts_url(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str
) -> AsyncIterator[str]:
    """The endpoint of a server that takes the provider's tokens."""
    app = App(settings, local_files=False, transport=transport, clock=clock)
    async with serve_accounts(app, issuer) as address:
        yield address


@pytest.fixture
def app(settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock) -> App:
    return App(settings, transport=transport, clock=clock)


@pytest.fixture
async def client(app: App) -> AsyncIterator[Client]:
    async with Client(build_server(app), raise_exceptions=True) as connected:
        yield connected
