"""What the agent or another user may put in the place of a file, before it is read or while it is written."""

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from support.answers import answer, text
from support.clients import connect
from support.clock import JumpingClock
from support.commands import environment
from support.effort import examples
from support.ledgers import task as build_task
from support.media_files import midi, picture, sound
from support.paths import ROOT
from support.preloaded import preloaded_command

from kie_mcp import disk
from kie_mcp.config import Settings
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Result
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.tasks import partial_files
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.storage import FolderStorage

pytestmark = pytest.mark.anyio

SECRET = picture(33, 44)
"""A picture outside of all allowed folders."""


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A media file where nothing may be read or written."""
    (tmp_path / "private").mkdir()
    place = tmp_path / "private" / "fox.png"
    place.write_bytes(SECRET)
    return place


def test_a_folder_that_becomes_a_link_again_and_again_never_leads_outside(tmp_path: Path, secret: Path) -> None:
    allowed, inner = tmp_path / "allowed", tmp_path / "allowed" / "inner"
    inner.mkdir(parents=True)
    (inner / "fox.png").write_bytes(picture())
    folders, done = AllowedFolders([allowed]), threading.Event()

    def swap() -> None:
        while not done.is_set():
            inner.rename(allowed / "aside")
            inner.symlink_to(secret.parent)
            inner.unlink()
            (allowed / "aside").rename(inner)

    thread = threading.Thread(target=swap)
    thread.start()
    read = refused = 0
    times = examples(50)
    try:
        while read < times or refused < times:
            try:
                with folders.open(str(inner / "fox.png")) as content:
                    assert content.file.read() == picture()
                    read += 1
            except InvalidCall:
                refused += 1
    finally:
        done.set()
        thread.join()


def plant_link(path: Path, secret: Path) -> None:
    path.symlink_to(secret)


def plant_dangling_link(path: Path, secret: Path) -> None:
    path.symlink_to(secret.with_name("new.png"))


def plant_second_name(path: Path, secret: Path) -> None:
    os.link(secret, path)


def plant_pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


PLANTS: list[Callable[[Path, Path], None]] = [plant_link, plant_dangling_link, plant_second_name, plant_pipe]


@pytest.mark.parametrize("plant", PLANTS)
def test_a_file_is_not_written_through_what_stands_in_the_place_of_its_parts(
    tmp_path: Path, secret: Path, plant: Callable[[Path, Path], None]
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    plant(folder / ".heron.part", secret)
    plant(folder / ".heron.part.version", secret)
    plant(folder / "heron.png", secret)
    with partial_files.open_partial_file(folder, "heron") as part:
        assert part.size == 0
        part.begin('"version"', None)
        part.file.write(picture())
        saved = part.commit(folder, "heron", "png")
    assert saved.name == "heron-2.png"
    assert saved.read_bytes() == picture()
    assert secret.read_bytes() == SECRET
    assert [each.name for each in secret.parent.iterdir()] == ["fox.png"]


@pytest.mark.parametrize("plant", PLANTS)
def test_a_sidecar_is_not_written_through_what_stands_in_its_place(
    tmp_path: Path, secret: Path, plant: Callable[[Path, Path], None]
) -> None:
    plant(tmp_path / "heron.png.json", secret)
    anyio.run(FolderStorage(tmp_path).keep_sidecar, str(tmp_path / "heron.png"), b"{}", build_task("t_1"))
    written = tmp_path / "heron.png-2.json"
    assert written.read_bytes() == b"{}"
    assert stat.S_ISREG(written.lstat().st_mode)
    assert secret.read_bytes() == SECRET


def test_a_sidecar_that_is_written_again_takes_away_what_a_crash_has_left(tmp_path: Path) -> None:
    storage, place, ours = FolderStorage(tmp_path), str(tmp_path / "heron.png"), build_task("t_1")
    anyio.run(storage.keep_sidecar, place, b'{"task_id": "t_1"}', ours)
    os.link(beside := tmp_path / "heron.png.json", tmp_path / ".heron.png.part")
    anyio.run(storage.keep_sidecar, place, b"{}", ours)
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("heron.png.json", b"{}")]
    assert mode(beside) == 0o600


def test_a_partial_file_that_was_replaced_is_not_saved(tmp_path: Path, secret: Path) -> None:
    with partial_files.open_partial_file(tmp_path, "heron") as part:
        (tmp_path / ".heron.part").unlink()
        (tmp_path / ".heron.part").symlink_to(secret)
        with pytest.raises(OSError, match="was replaced"):
            part.commit(tmp_path, "heron", "png")
    assert not (tmp_path / "heron.png").exists()
    assert secret.read_bytes() == SECRET


def test_an_interrupted_download_still_goes_on_where_it_stopped(tmp_path: Path) -> None:
    with partial_files.open_partial_file(tmp_path, "heron") as part:
        part.begin('"version"', 9)
        part.file.write(b"half")
    with partial_files.open_partial_file(tmp_path, "heron") as part:
        assert (part.size, part.validator, part.total) == (4, '"version"', 9)


async def make(client: Client) -> tuple[str, Path]:
    """Return the id and the saved file of a new task."""
    made = answer(await client.call_tool("nano_banana_image", {"prompt": "a heron"}))
    return made["task_id"], Path(made["media"][0]["path"])


def put_link(path: Path, secret: Path) -> None:
    path.unlink()
    path.symlink_to(secret)


def put_link_to_itself(path: Path, secret: Path) -> None:
    path.rename(secret.with_name("moved.png"))
    path.symlink_to(secret.with_name("moved.png"))


def put_other_kind(path: Path, _: Path) -> None:
    path.write_bytes(b"-----BEGIN OPENSSH PRIVATE KEY-----\n")


def put_other_medium(path: Path, _: Path) -> None:
    path.write_bytes(sound(1))


def put_pipe(path: Path, _: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def put_folder(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


def put_nothing(path: Path, _: Path) -> None:
    path.unlink()


SWAPS = [put_link, put_link_to_itself, put_other_kind, put_other_medium, put_pipe, put_folder, put_nothing]


async def test_a_saved_result_that_was_replaced_is_not_handed_out(
    client: Client, sandbox: Sandbox, secret: Path
) -> None:
    for swap in SWAPS:
        case = swap.__name__
        id_, path = await make(client)
        swap(path, secret)
        with pytest.raises(MCPError):
            await client.read_resource(f"kie://tasks/{id_}/media/1")
        shown = await client.call_tool("view_media", {"task_id": id_})
        assert shown.is_error, case
        assert [block.type for block in shown.content] == ["text"], case
        previewed = answer(await client.call_tool("gallery_task", {"task_id": id_, "preview": [1]}))
        assert previewed["previews"] == {}, case
        # KIE's own link takes the place of the file.
        edited = await client.call_tool("nano_banana_image", {"prompt": "an edit", "images": [f"task:{id_}#1"]})
        assert not edited.is_error, case
        (sent,) = sandbox.accepted[-1].body["input"]["image_input"]
        assert sent == answer(await client.call_tool("get_task", {"task_ids": [id_]}))["media"][0]["url"], case
        assert not [*sandbox._files._uploads.glob("*")], case


async def test_the_sheet_of_several_results_leaves_out_what_was_replaced(client: Client, secret: Path) -> None:
    made = answer(await client.call_tool("seedream_image", {"prompt": "a heron", "count": 2}))
    put_link(Path(made["media"][0]["path"]), secret)
    shown = await client.call_tool("view_media", {"task_id": made["task_id"]})
    assert not shown.is_error
    words = next(block.text for block in shown.content if block.type == "text")
    assert "33 x 44" not in words
    assert "1. Not saved." in words


async def test_tasks_whose_files_are_half_gone_are_still_listed(client: Client) -> None:
    made = answer(await client.call_tool("seedream_image", {"prompt": "a heron", "count": 2}))
    put_nothing(Path(made["media"][0]["path"]), Path())
    for tool in ("list_tasks", "library", "spend_report"):
        assert not (await client.call_tool(tool, {})).is_error
    for uri in ("kie://library", "kie://tasks"):
        await client.read_resource(uri)
    assert not (await client.call_tool("get_task", {"task_ids": [made["task_id"]]})).is_error


@pytest.mark.parametrize(
    ("mime_type", "content"),
    [
        ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        ("image/vnd.adobe.photoshop", b"8BPS" + bytes(60)),
        ("image/x-new", b"\x00\x01NEW" + bytes(60)),
        ("audio/midi", midi()),
    ],
    ids=["svg", "psd", "new", "midi"],
)
def test_results_of_rare_types_are_handed_out(tmp_path: Path, mime_type: str, content: bytes) -> None:
    (tmp_path / "1.x").write_bytes(content)
    with FolderStorage(tmp_path).open(Result("https://a.example/1", str(tmp_path / "1.x"), mime_type)) as file:
        assert file.read() == content


NO_MEDIA = {
    "key": b"-----BEGIN OPENSSH PRIVATE KEY-----\n",
    "sqlite": b"SQLite format 3\0" + bytes(60),
    "empty": b"",
}


@pytest.mark.parametrize("content", NO_MEDIA.values(), ids=NO_MEDIA)
def test_what_is_no_media_is_not_handed_out_as_media(tmp_path: Path, content: bytes) -> None:
    for name, mime_type in (("1.png", "image/png"), ("1.mp4", "video/mp4"), ("1.mp3", "audio/mpeg")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidCall):
            FolderStorage(tmp_path).open(Result("https://a.example/1", str(tmp_path / name), mime_type))


async def test_a_result_that_the_user_has_edited_is_still_the_result(client: Client) -> None:
    id_, path = await make(client)
    path.write_bytes(SECRET)
    assert "33 x 44" in str((await client.call_tool("view_media", {"task_id": id_})).content)


async def test_only_the_owner_can_read_what_is_written(client: Client, settings: Settings) -> None:
    _, path = await make(client)
    assert mode(path.with_name(f"{path.name}.json")) == 0o600
    assert mode(path.parent) == 0o700
    state = settings.state_dir
    assert mode(state) == 0o700
    for place in state.rglob("*"):
        assert mode(place) == (0o700 if place.is_dir() else 0o600), place


async def test_a_folder_that_was_there_before_holds_private_files_too(app: App, tmp_path: Path) -> None:
    old = tmp_path / "data" / "sandbox"
    for folder in (old, tmp_path / "out"):
        folder.mkdir(parents=True)
        folder.chmod(0o755)
    for name in ("ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"):
        (old / name).touch()
        (old / name).chmod(0o644)
    async with Client(build_server(app), raise_exceptions=True) as client:
        _, path = await make(client)
        assert {mode(place) for place in old.glob("ledger.sqlite3*")} == {0o600}
        assert mode(path.with_name(f"{path.name}.json")) == 0o600
        assert mode(tmp_path / "out") == 0o755


def test_an_output_folder_of_our_own_is_made_private_later_too(tmp_path: Path) -> None:
    (tmp_path / "Downloads").mkdir(mode=0o755)
    own = tmp_path / "Downloads" / disk.OWN_FOLDER
    own.mkdir(mode=0o755)
    with partial_files.open_partial_file(own, "heron"):
        pass
    assert (mode(own), mode(own.parent)) == (0o700, 0o755)


@pytest.mark.parametrize("name", ["a?b", "a%20b", "a%b", "?mode=memory", "a#b", "a&b=c", "ü 写"])
async def test_the_ledger_is_in_the_folder_that_was_named(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, name: str
) -> None:
    folder = tmp_path / name
    async with connect(settings, sandbox.app, clock, data_dir=folder, save=False) as client:
        id_ = answer(await client.call_tool("nano_banana_image", {"prompt": "a heron"}))["task_id"]
    assert (folder / "sandbox" / "ledger.sqlite3").stat().st_size > 0
    assert os.listdir(tmp_path) == [name]  # noqa: PTH208
    async with connect(settings, sandbox.app, clock, data_dir=folder) as client:
        assert id_ in text(await client.call_tool("list_tasks", {}))


async def test_a_working_folder_that_is_deleted_costs_no_server(tmp_path: Path) -> None:
    """A server that was started in a folder goes on when the folder is deleted, and says what is wrong."""
    script = "import os, sys\nos.chdir(sys.argv[1]); os.rmdir(sys.argv[1])\nos.execv(sys.argv[2], sys.argv[2:])\n"
    # One of them imports everything in this folder.
    commands = (sys.executable, "-P", "-m", "kie_mcp"), preloaded_command()
    for number, (output, command) in enumerate(zip((str(tmp_path / "out"), "relative"), commands, strict=True)):
        (gone := tmp_path / f"gone-{number}").mkdir()
        started = StdioServerParameters(
            command=sys.executable,
            args=["-c", script, str(gone), *command],
            env=environment(
                KIE_MCP_SANDBOX="1",
                KIE_MCP_SANDBOX_SECONDS="0.1",
                KIE_MCP_DATA_DIR=str(tmp_path / "data"),
                KIE_MCP_OUTPUT_DIR=output,
            ),
        )
        async with Client(started) as client:
            for _ in range(2):
                made = await client.call_tool("nano_banana_image", {"prompt": f"heron {number}"})
                assert made.is_error == (output == "relative")
                assert "internal" not in text(made)
                assert ("KIE_MCP_OUTPUT_DIR" in text(made)) == made.is_error


BECOME_NOBODY = "import os, sys; os.setgroups([]); os.setgid(65534); os.setuid(65534)"


def run_as_nobody(script: str, *arguments: str) -> str:
    """Run a script as another user of this machine, and return what it prints."""
    if os.getuid() != 0:
        pytest.skip("Only root can become another user.")
    ran = subprocess.run(
        [sys.executable, "-c", f"{BECOME_NOBODY}\n{script}", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return ran.stdout + ran.stderr


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder into which every user of this machine can write."""
    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    made = tmp_path / "shared"
    made.mkdir()
    made.chmod(0o777)
    return made


@pytest.mark.usefixtures("shared")
async def test_another_user_reads_no_prompt(client: Client, settings: Settings) -> None:
    _, path = await make(client)
    path.parent.chmod(0o755)
    settings.state_dir.chmod(0o755)
    script = """
for place in sys.argv[1:]:
    try:
        print(open(place, 'rb').read()[:4])
    except OSError as error:
        print(type(error).__name__)
"""
    places = (f"{path}.json", str(settings.state_dir / "ledger.sqlite3"))
    assert run_as_nobody(script, *places).split() == ["PermissionError"] * 2


def test_nothing_is_written_into_a_file_of_another_user(shared: Path) -> None:
    script = """
for name in ('.heron.part', 'heron.png'):
    open(f'{sys.argv[1]}/{name}', 'w').close()
    os.chmod(f'{sys.argv[1]}/{name}', 0o666)
print('planted')
"""
    assert run_as_nobody(script, str(shared)) == "planted\n"
    planted = {place.name: place.stat().st_ino for place in shared.iterdir()}
    with (shared / ".heron.part").open("rb") as theirs:
        with partial_files.open_partial_file(shared, "heron") as part:
            part.file.write(picture())
            saved = part.commit(shared, "heron", "png")
        assert theirs.read() == b""
    assert saved.name == "heron-2.png"
    assert saved.stat().st_uid == os.getuid()
    assert (shared / "heron.png").stat().st_ino == planted["heron.png"]
    assert (shared / "heron.png").read_bytes() == b""


def test_the_demo_runs_nothing_from_the_folder_that_it_is_called_from(tmp_path: Path) -> None:
    for name in ("typer", "venv", "pip", "ensurepip", "anyio", "kie_mcp"):
        (tmp_path / f"{name}.py").write_text("open('was-run', 'w').close(); raise SystemExit(9)")
    # A browser takes long to start, and shows only a page that is written before.
    (browser := tmp_path / "bin" / "chromium").parent.mkdir()
    browser.write_text("#!/bin/sh\n")
    browser.chmod(0o755)
    ran = subprocess.run(
        [ROOT / "scripts" / "demo", "--seconds", "0.1"],
        cwd=tmp_path,
        env=environment(HOME=str(tmp_path), PATH=f"{browser.parent}{os.pathsep}{os.environ['PATH']}"),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert not (tmp_path / "was-run").exists()
