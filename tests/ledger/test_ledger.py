import dataclasses
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
import sqlalchemy.exc

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.ledger import LEASE, Ledger
from kie_mcp.ledger.records import Upload
from kie_mcp.ledger.tables import STEPS, VERSION
from kie_mcp.ledger.task import FINAL, Result, State, Task, new_id

pytestmark = pytest.mark.anyio

NOW = 1_800_000_000.0


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    opened = await Ledger.open(tmp_path / "data")
    yield opened
    await opened.close()


def task(id_: str, **more: Any) -> Task:
    """A task on its way; further fields as given."""
    usual: dict[str, Any] = {
        "tool": "veo_video",
        "model": "veo3_fast",
        "kind": "video",
        "route": "veo",
        "arguments": {},
    }
    return Task(**{"id": id_, **usual, "created": NOW, **more})


def upload(id_: str, **more: Any) -> Upload:
    usual: dict[str, Any] = {
        "sha256": "ab",
        "name": "a.png",
        "url": "https://kie.invalid/a",
        "size": 7,
        "mime_type": "image/png",
    }
    return Upload(**{"id": id_, **usual, "created": NOW, "expires": NOW + 60, **more})


def ids(found: Sequence[Task]) -> list[str]:
    return [each.id for each in found]


async def test_a_task_comes_back_as_it_was_written(ledger: Ledger) -> None:
    whole = task(
        "t_1",
        state="succeeded",
        kie_id="5f0c",
        finished=NOW + 60.25,
        estimate=(60.0, 65.5),
        credits=60.0,
        arguments={"prompt": "Füchse 🦊\n'; DROP TABLE tasks; --", "images": ["~/a.png"], "seed": 2**31},
        results=[Result("https://kie.invalid/1.mp4", "/out/1.mp4", "video/mp4", "id", "Lied"), Result("x")],
        texts=["[Vers]\n\u2028…"],
        error={"message": "no", "billed": None},
        saved=True,
        note="Nicht gespeichert",
    )
    await ledger.add(whole)
    await ledger.add(bare := task("t_2"))
    assert await ledger.find("t_1") == whole
    assert await ledger.find("t_2") == bare


async def test_a_change_is_written_down(ledger: Ledger) -> None:
    await ledger.add(given := task("t_1"))
    given.state, given.kie_id = "running", "5f0c"
    await ledger.save(given)
    assert await ledger.find("t_1") == given


async def test_a_task_is_found_by_its_own_id_and_by_that_of_kie(ledger: Ledger) -> None:
    await ledger.add(task("t_1", kie_id="5f0c"))
    await ledger.add(task("t_2"))
    for id_ in ("t_1", "5f0c"):
        found = await ledger.find(id_)
        assert found
        assert found.id == "t_1"
    for id_ in ("", "t_3", "%", "t_1' OR '1'='1"):
        assert await ledger.find(id_) is None


async def test_the_same_id_is_not_written_twice(ledger: Ledger) -> None:
    await ledger.add(task("t_1"))
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        await ledger.add(task("t_1"))


def test_ids_are_readable_and_differ() -> None:
    made = {new_id("t") for _ in range(1000)}
    assert len(made) == 1000
    assert not set("il0o1") & set("".join(made).replace("t_", ""))


async def test_pages_follow_one_another_without_gap_or_repetition(ledger: Ledger) -> None:
    for number in range(10):
        # Three tasks at each moment: time alone does not tell them apart.
        await ledger.add(task(f"t_{number}", created=NOW + number // 3))
    seen: list[str] = []
    before = None
    while page := await ledger.page(before=before, limit=4):
        seen += ids(page)
        before = page[-1].created, page[-1].id
    assert seen == [f"t_{number}" for number in reversed(range(10))]


async def test_a_page_says_no_more_than_its_limit(ledger: Ledger) -> None:
    for number in range(25):
        await ledger.add(task(f"t_{number}", created=NOW + number))
    assert len(await ledger.page()) == 20
    assert len(await ledger.page(limit=1)) == 1


@pytest.fixture
async def mixed(ledger: Ledger) -> Ledger:
    """Four tasks that differ in everything one may ask for."""
    rows: list[tuple[str, State, str, str, str | None]] = [
        ("fox", "running", "video", "veo3_fast", "Ein Fuchs im SCHNEE, 100% weiß"),
        ("city", "succeeded", "image", "qwen/text-to-image", "ÜBER_STADT bei Nacht"),
        ("song", "failed", "audio", "ai-music-api/generate", "夜の街 \\ straße"),
        ("none", "succeeded", "image", "recraft/crisp-upscale", None),
    ]
    for number, (id_, state, kind, model, prompt) in enumerate(rows):
        arguments = {"prompt": prompt} if prompt else {"image": "task:fox#1"}
        # Nobody knows yet what the first and the last cost.
        cost = {"credits": {"city": 5.5, "song": 0}.get(id_), "reserved": 4.5}
        made = task(id_, state=state, kind=kind, model=model, arguments=arguments, created=NOW - number, **cost)
        await ledger.add(made)
    return ledger


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["fox", "city", "song", "none"]),
        ({"states": ["succeeded"]}, ["city", "none"]),
        ({"states": ["running", "failed"]}, ["fox", "song"]),
        ({"states": ["expired"]}, []),
        ({"kind": "image"}, ["city", "none"]),
        ({"model": "veo"}, ["fox"]),
        ({"model": "image"}, ["city"]),
        ({"model": "%"}, []),
        ({"model": "veo3_f"}, ["fox"]),
        ({"model": "veo_fast"}, []),
        ({"words": "fuchs"}, ["fox"]),
        ({"words": "schnee FUCHS"}, ["fox"]),
        ({"words": "fuchs nacht"}, []),
        ({"words": "über"}, ["city"]),
        ({"words": "STRASSE"}, ["song"]),
        ({"words": "夜の"}, ["song"]),
        ({"words": "%"}, ["fox"]),
        ({"words": "_"}, ["city"]),
        ({"words": "\\"}, ["song"]),
        ({"words": "r_s"}, ["city"]),
        ({"words": "'"}, []),
        ({"words": "  "}, ["fox", "city", "song", "none"]),
        ({"words": "nacht", "kind": "video"}, []),
        ({"since": NOW - 1}, ["fox", "city"]),
        ({"until": NOW - 1}, ["song", "none"]),
        ({"since": NOW - 2, "until": NOW}, ["city", "song"]),
        ({"credits_": (5, None)}, ["city"]),
        ({"credits_": (None, 0)}, ["song"]),
        ({"credits_": (0, 4.5)}, ["fox", "song", "none"]),
        ({"made_from": ["fox"]}, ["none"]),
        ({"made_from": ["ox", "fo"]}, []),
        ({"made_from": ["f%x", "f_x"]}, []),
        ({"words": "nacht", "kind": "image", "states": ["succeeded"], "model": "qwen"}, ["city"]),
    ],
)
async def test_a_page_shows_what_was_asked_for(mixed: Ledger, wanted: dict[str, Any], expected: list[str]) -> None:
    assert ids(await mixed.page(**wanted)) == expected


async def test_what_is_open_or_not_saved_and_nobody_watches_is_told_the_oldest_first(ledger: Ledger) -> None:
    states: tuple[State, ...] = ("submitting", "running", *sorted(FINAL))
    for number, state in enumerate(states):
        saved = state in FINAL and state != "succeeded"
        await ledger.add(task(state, state=state, created=NOW - number, saved=saved))
    await ledger.add(task("saved", state="succeeded", saved=True))
    await ledger.add(task("others", state="running", session="s_other"))
    await ledger.beat("s_other", NOW)
    assert await ledger.unwatched("s_me", NOW) == ["succeeded", "running", "submitting"]
    assert await ledger.unwatched("s_other", NOW) == ["succeeded", "running", "submitting", "others"]


async def test_one_server_watches_a_task_until_its_lease_ends(ledger: Ledger) -> None:
    await ledger.add(task("t_1", state="running", session="s_a"))
    assert await ledger.beat("s_a", NOW) == 1
    assert await ledger.beat("s_b", NOW) == 2
    assert await ledger.claim("t_1", "s_b", NOW + LEASE) is None
    taken = await ledger.claim("t_1", "s_b", NOW + LEASE + 1)
    assert taken == await ledger.find("t_1")
    # The lease of b has ended as well, unless it says that it is there.
    assert await ledger.beat("s_b", NOW + LEASE + 1) == 1
    assert await ledger.claim("t_1", "s_a", NOW + LEASE + 2) is None
    await ledger.leave("s_b")
    assert await ledger.claim("t_1", "s_a", NOW + LEASE + 2)
    assert await ledger.claim("t_x", "s_a", NOW) is None


async def test_a_lease_from_a_clock_that_was_ahead_is_none(ledger: Ledger) -> None:
    await ledger.add(task("t_1", state="running", session="s_a"))
    await ledger.beat("s_a", NOW + 3600)
    assert await ledger.claim("t_1", "s_b", NOW)


async def test_servers_share_the_turns_to_create(ledger: Ledger, tmp_path: Path) -> None:
    other = await Ledger.open(tmp_path / "data")
    waits = [await each.turn("key", lambda: NOW, 4, 10) for each in (ledger, other) * 3]
    assert waits == [0, 0, 0, 0, 10, 10]
    assert await ledger.turn("other key", lambda: NOW, 4, 10) == 0
    assert await other.turn("key", lambda: NOW + 9.5, 4, 10) == 0.5
    assert await other.turn("key", lambda: NOW + 10, 4, 10) == 0
    # A clock that was set back does not close the window for as long.
    assert await other.turn("key", lambda: NOW - 3600, 4, 10) == 0
    await other.close()


async def test_many_at_once_take_no_more_turns_than_there_are(ledger: Ledger) -> None:
    waits: list[float] = []

    async def take() -> None:
        waits.append(await ledger.turn("key", lambda: NOW, 20, 10))

    async with anyio.create_task_group() as group:
        for _ in range(60):
            group.start_soon(take)
    assert sorted(waits) == [0] * 20 + [10] * 40


async def test_a_confirmation_is_for_one_call_and_a_while(ledger: Ledger) -> None:
    await ledger.ask_for_confirmation("c_1", "this", NOW, 300)
    assert await ledger.is_confirmed("c_1", "this", NOW + 299)
    assert not await ledger.is_confirmed("c_1", "this", NOW + 300)
    assert not await ledger.is_confirmed("c_1", "that", NOW)
    assert not await ledger.is_confirmed("c_2", "this", NOW)
    assert not await ledger.is_confirmed("", "this", NOW)


async def test_uploads_are_told_apart_by_content_id_and_time(ledger: Ledger) -> None:
    old = upload("u_old", created=NOW - 9)
    new = upload("u_new", size=None)
    other = upload("u_other", sha256=None, created=NOW - 1, expires=NOW + 10)
    for each in (old, new, other):
        await ledger.add_upload(each)
    assert await ledger.live_uploads(NOW) == [new, other, old]
    assert await ledger.live_uploads(NOW, sha256="ab") == [new, old]
    assert await ledger.live_uploads(NOW, sha256="cd") == []
    assert await ledger.live_uploads(NOW, id_="u_other") == [other]
    assert await ledger.live_uploads(NOW + 10, id_="u_other") == []


async def test_the_ledger_outlives_the_process(tmp_path: Path) -> None:
    for number in range(3):
        ledger = await Ledger.open(tmp_path)
        await ledger.add(task(f"t_{number}", created=NOW - number))
        await ledger.close()
    ledger = await Ledger.open(tmp_path)
    assert ids(await ledger.page()) == ["t_0", "t_1", "t_2"]
    await ledger.close()
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as file:
        assert file.execute("SELECT version FROM ledger").fetchall() == [(VERSION,)]
    file.close()


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
        file.executescript(FIRST)
        row = file.execute("SELECT * FROM tasks").fetchone()
        marks = ", ".join("?" * len(row))
        file.executemany(f"INSERT INTO tasks VALUES ({marks})", ((f"t_{n}", *row[1:]) for n in range(2, 2000)))
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


async def test_a_ledger_from_a_newer_version_is_left_alone(ledger: Ledger, tmp_path: Path) -> None:
    await ledger.add(kept := task("t_1"))
    with sqlite3.connect(tmp_path / "data" / "ledger.sqlite3") as file:
        file.execute("UPDATE ledger SET version = ?", [VERSION + 1])
    file.close()
    with pytest.raises(ConfigurationError, match=f"newer kie-mcp .*version {VERSION + 1}") as caught:
        await Ledger.open(tmp_path / "data")
    assert "Update kie-mcp" in caught.value.next_step
    assert await ledger.find("t_1") == kept


def test_a_task_shows_its_prompt_as_text() -> None:
    assert task("t_1", arguments={"prompt": "ein Fuchs"}).prompt == "ein Fuchs"
    assert task("t_1").prompt == ""
    assert [state for state in FINAL if not dataclasses.replace(task("t_1"), state=state).final] == []
    assert not task("t_1").final


# As the first version wrote it.
FIRST = """
CREATE TABLE ledger (version INTEGER NOT NULL);
INSERT INTO ledger VALUES (1);
CREATE TABLE tasks (
    id TEXT NOT NULL PRIMARY KEY, kie_id TEXT, tool TEXT NOT NULL, model TEXT NOT NULL, kind TEXT NOT NULL,
    route TEXT NOT NULL, state TEXT NOT NULL, arguments JSON NOT NULL, created FLOAT NOT NULL, finished FLOAT,
    estimate JSON, credits FLOAT, results JSON NOT NULL, texts JSON NOT NULL, error JSON, saved BOOLEAN NOT NULL,
    note TEXT NOT NULL
);
INSERT INTO tasks VALUES (
    't_1', '5f0c', 'veo_video', 'veo3', 'video', 'veo', 'running', '{"prompt": "Füchse"}', 1.8e9, NULL,
    '[250.0, 250.0]', NULL, '[]', '[]', 'null', 0, ''
);
"""


async def test_a_ledger_of_the_first_version_is_upgraded_once_and_keeps_its_rows(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as file:
        file.executescript(FIRST)
    file.close()
    opened: list[Ledger] = []

    async def work() -> None:
        opened.append(await Ledger.open(tmp_path))

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(work)
    old = Task(
        *("t_1", "veo_video", "veo3", "video", "veo", {"prompt": "Füchse"}, 1.8e9, "running", "5f0c"),
        estimate=(250, 250),
    )
    for ledger in opened:
        assert await ledger.unwatched("s_me", NOW) == [old.id]
        assert await ledger.find(old.id) == old
    old.request = {"taskId": "5f0c", "index": 0}
    await opened[0].save(old)
    assert await opened[-1].find("t_1") == old
    for ledger in opened:
        await ledger.close()
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as file:
        assert file.execute("SELECT version FROM ledger").fetchall() == [(VERSION,)]
    file.close()


async def test_who_saves_a_task_does_not_take_back_that_it_was_cancelled(ledger: Ledger) -> None:
    watched, asked = task("t_1"), task("t_1", cancelled=5.0)
    await ledger.add(watched)
    await ledger.cancel(asked)
    watched.state = "succeeded"
    await ledger.save(watched)
    found = await ledger.find("t_1")
    assert found
    assert (found.state, found.cancelled) == ("succeeded", 5.0)


async def test_a_step_that_fails_leaves_the_version_as_it_was(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as file:
        file.executescript(FIRST + f"{STEPS[0]};")
    file.close()
    with pytest.raises(ConfigurationError, match="duplicate column"):
        await Ledger.open(tmp_path)
    with sqlite3.connect(tmp_path / "ledger.sqlite3") as file:
        assert file.execute("SELECT version FROM ledger").fetchall() == [(1,)]
    file.close()
