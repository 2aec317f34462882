"""The ledger's file: opened, shared by processes, broken."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from support.ledgers import NOW, ids, task

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.sqlite import check_version

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("created_tables")]


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(tmp_path / "data")
    yield opened
    await opened.close()


async def test_the_ledger_outlives_the_process(tmp_path: Path) -> None:
    for number in range(3):
        ledger = await Ledger.open(tmp_path)
        await ledger.add(task(f"t_{number}", created=NOW - number))
        await ledger.close()
    ledger = await Ledger.open(tmp_path)
    assert ids(await ledger.page()) == ["t_0", "t_1", "t_2"]
    await ledger.close()


async def test_a_new_folder_is_for_its_owner_only(tmp_path: Path) -> None:
    await (await Ledger.open(tmp_path / "a" / "b")).close()
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        assert folder.stat().st_mode & 0o777 == 0o700


async def test_many_servers_may_open_a_new_ledger_at_once(tmp_path: Path) -> None:
    async def work(id_: str) -> None:
        ledger = await Ledger.open(tmp_path)
        await ledger.add(task(id_))
        await ledger.close()

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(work, f"t_{number}")
    ledger = await Ledger.open(tmp_path)
    assert len(await ledger.page()) == 12
    await ledger.close()


async def test_a_ledger_is_opened_while_another_server_writes_without_a_pause(tmp_path: Path) -> None:
    await (await Ledger.open(tmp_path)).close()
    with sqlite3.connect(tmp_path / "ledger.sqlite3", isolation_level=None) as file:
        file.execute("BEGIN IMMEDIATE")
        ledger = await Ledger.open(tmp_path, busy_seconds=0)
        assert await ledger.page() == []
        await ledger.close()
    file.close()


ANOTHER_PROCESS = """
import anyio, sys
from pathlib import Path
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Task

async def main():
    ledger = await Ledger.open(Path(sys.argv[1]))
    for n in range(30):
        await ledger.add(Task(f"child_{n}", "veo_video", "veo3", "video", "veo", {"prompt": "ß"}, created=n))
    await ledger.close()

anyio.run(main)
"""


async def test_two_processes_write_to_one_ledger(ledger: Ledger, tmp_path: Path) -> None:
    command = [sys.executable, "-c", ANOTHER_PROCESS, str(tmp_path / "data")]
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.to_thread.run_sync, lambda: subprocess.run(command, check=True, timeout=60))
        written = 0
        while written < 30 or len(await ledger.page(model="veo3", words="ß", limit=100)) < 30:
            await ledger.add(task(f"parent_{written}"))
            written += 1
    assert len(await ledger.page(limit=10_000)) == 30 + written


def folder_is_a_file(folder: Path) -> None:
    folder.write_text("here")


def parent_is_a_file(folder: Path) -> None:
    folder.parent.write_text("here")


def file_is_garbage(folder: Path) -> None:
    folder.mkdir()
    (folder / "ledger.sqlite3").write_bytes(b"\x89PNG garbage" * 1000)


def file_is_a_folder(folder: Path) -> None:
    (folder / "ledger.sqlite3").mkdir(parents=True)


def file_is_something_else(folder: Path) -> None:
    folder.mkdir()
    with sqlite3.connect(folder / "ledger.sqlite3") as file:
        file.execute("CREATE TABLE ledger (page INTEGER)")
    file.close()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (folder_is_a_file, "File exists"),
        (parent_is_a_file, "File exists"),
        (file_is_a_folder, "unable to open database file"),
        (file_is_something_else, "no such column"),
    ],
)
async def test_a_ledger_that_cannot_be_used_says_why(
    tmp_path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    folder = tmp_path / "a" / "data" if spoil is parent_is_a_file else tmp_path / "data"
    spoil(folder)
    with pytest.raises(ConfigurationError) as caught:
        await Ledger.open(folder)
    assert reason in caught.value.message
    assert str(folder) in caught.value.message
    assert "KIE_MCP_DATA_DIR" in caught.value.next_step
    # Where it could not connect, aiosqlite lets its thread end by itself.
    for thread in threading.enumerate():
        if "_connection_worker_thread" in thread.name:
            await anyio.to_thread.run_sync(thread.join)


def middle_is_garbage(folder: Path) -> None:
    """A file that opens, with a page in it that does not hold."""
    folder.mkdir()
    place = folder / "ledger.sqlite3"
    with sqlite3.connect(place) as file:
        file.execute("CREATE TABLE tasks (id TEXT, arguments JSON)")
        file.executemany("INSERT INTO tasks VALUES (?, ?)", ((f"t_{n}", "{}" * 50) for n in range(2000)))
    file.close()
    whole = bytearray(place.read_bytes())
    whole[8192:65536] = bytes(65536 - 8192)
    place.write_bytes(whole)


@pytest.mark.parametrize("spoil", [file_is_garbage, middle_is_garbage])
async def test_a_broken_ledger_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, spoil: Callable[[Path], None]
) -> None:
    folder = tmp_path / "data"
    spoil(folder)
    broken = (folder / "ledger.sqlite3").read_bytes()
    opened = [await Ledger.open(folder), await Ledger.open(folder)]
    await opened[0].add(kept := task("t_1"))
    assert await opened[1].find("t_1") == kept
    for each in opened:
        await each.close()
    # Opening a file marks its head.
    assert (folder / "ledger.sqlite3.broken-1").read_bytes()[100:] == broken[100:]
    assert not (folder / "ledger.sqlite3.broken-2").exists()
    assert "ledger.sqlite3.broken-1" in caplog.text


def test_an_sqlite_that_does_not_know_the_syntax_of_the_tables_is_refused_before_it_calls_them_broken() -> None:
    with pytest.raises(ConfigurationError, match=r"needs SQLite 3\.34 or newer, and this Python has 3\.26\.0"):
        check_version((3, 26, 0))
    check_version((3, 34, 0))
