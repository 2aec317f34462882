"""What a hostile agent may ask for: local files outside the folders that were meant."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning
from mcp_types import ListRootsResult, Root
from pydantic import FileUrl
from support.answers import answer, text
from support.clock import JumpingClock
from support.media_files import picture

from kie_mcp.config import Settings, load
from kie_mcp.errors import InvalidCall
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.roots import read_file_url
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.private_places import find_fault

pytestmark = pytest.mark.anyio


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a picture in many places."""
    made = tmp_path / "users" / "ann"
    for place in ("", "Pictures", "Pictures/.thumbnails", ".ssh", ".config/app", "AppData/Local", "work"):
        (made / place).mkdir(parents=True, exist_ok=True)
        (made / place / "fox.png").write_bytes(picture())
    (made / "Pictures" / ".fox.png").write_bytes(picture())
    monkeypatch.setenv("HOME", str(made))
    return made


def opens(folders: AllowedFolders, place: Path) -> bool:
    """Whether a file may be read."""
    try:
        with folders.open(str(place)) as content:
            return content.file.read() == picture()
    except InvalidCall:
        return False


def folders_of(**settings: Any) -> AllowedFolders:
    found = Settings(**settings)
    return AllowedFolders(found.read_dirs, found.found_dirs)


PRIVATE: dict[str, Callable[[Path], Path]] = {
    "is the whole disk": lambda home: Path(home.anchor),
    "is the home folder": lambda home: home,
    "has the home folder in it": lambda home: home.parent,
    "is hidden (.config)": lambda home: home / ".config" / "app",
    "is hidden (AppData)": lambda home: home / "AppData" / "Local",
}


@pytest.mark.parametrize("source", ["working folder", "output folder", "Music", "link"])
@pytest.mark.parametrize("fault", PRIVATE)
def test_a_private_place_does_not_count_by_itself(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, source: str
) -> None:
    place = PRIVATE[fault](home)
    settings: dict[str, Any] = {"output_dir": tmp_path / "out"}
    monkeypatch.chdir(tmp_path)
    match source:
        case "working folder":
            monkeypatch.chdir(place)
        case "output folder":
            settings["output_dir"] = place
        case "Music":
            monkeypatch.setenv("XDG_MUSIC_DIR", f"{place}/")
        case _:
            (home / "Downloads").symlink_to(place)
    folders = folders_of(**settings)
    assert fault in {folder.fault for folder in folders.list_folders()}
    secret = place / "fox.png" if (place / "fox.png").exists() else home / ".ssh" / "fox.png"
    monkeypatch.chdir("/")
    assert not opens(folders, secret)
    assert not opens(folders, home / ".ssh" / "fox.png")


@pytest.mark.parametrize("place", PRIVATE.values(), ids=PRIVATE)
def test_a_private_place_counts_if_the_operator_names_it(home: Path, place: Callable[[Path], Path]) -> None:
    named = place(home)
    visible = named / "fox.png" if (named / "fox.png").exists() else home / "work" / "fox.png"
    assert opens(AllowedFolders([named]), visible)


@pytest.mark.parametrize(
    "place", ["Pictures/.fox.png", "Pictures/.thumbnails/fox.png", ".ssh/fox.png", "AppData/Local/fox.png"]
)
def test_what_is_hidden_below_an_allowed_folder_is_refused(home: Path, place: str) -> None:
    for folder in (home, home / "Pictures"):
        assert not opens(AllowedFolders([folder]), home / place)


def refusal(folders: AllowedFolders, path: str) -> str:
    """The whole refusal, without the path as it is written and without its last name."""
    with pytest.raises(InvalidCall) as raised, folders.open(path):
        pass
    said = f"{raised.value.message} {raised.value.next_step}"
    return said.replace(path, "…").replace(Path(path).name, "…")


@pytest.fixture
def near(home: Path, monkeypatch: pytest.MonkeyPatch) -> AllowedFolders:
    """Folders of which one is the working folder, with links and hidden files in them."""
    (home / "work" / "link").symlink_to(home / ".ssh")
    (home / "work" / "link.png").symlink_to(home / "fox.png")
    (home / "work" / "circle.png").symlink_to(home / "circle.png")
    (home / "circle.png").symlink_to(home / "circle.png")
    (home / "Pictures" / ".fox-2.png").write_bytes(picture())
    (home / "Pictures" / ".FOX-2.png").write_bytes(picture())
    monkeypatch.chdir(home / "work")
    return AllowedFolders([home / "Pictures", home / "work"])


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ("{home}/fox.png", "{home}/nix.png"),
        ("{home}/.ssh/fox.png", "{home}/.ssh/nix.png"),
        ("{home}/circle.png", "{home}/square.png"),
        ("{home}/.ssh", "{home}/.gpg"),
        ("'{home}/fox.png'", "'{home}/nix.png'"),
        ("file://{home}/fox.png", "file://{home}/nix.png"),
        ("~/fox.png", "~/nix.png"),
        ("../fox.png", "../nix.png"),
        ("../.ssh/fox.png", "../.ssh/nix.png"),
        ("{home}/work/../fox.png", "{home}/work/../nix.png"),
        ("{home}/work/link/fox.png", "{home}/work/link/nix.png"),
        ("link/fox.png", "link/nix.png"),
        ("{home}/Pictures/.fox.png", "{home}/Pictures/.nix.png"),
        ("{home}/Pictures/.thumbnails/fox.png", "{home}/Pictures/.thumbnails/nix.png"),
        ("{home}/Pictures/.thumbnails/fox.png", "{home}/Pictures/.thumbnails/fox.jpg"),
        ("{home}/Pictures/.thumbnails/fox.png", "{home}/Pictures/.thumbnails/FOX.png"),
        ("{home}/Pictures/.Fox-2.png", "{home}/Pictures/.Nix-2.png"),
    ],
)
def test_a_refusal_is_the_same_whether_or_not_there_is_a_file(
    home: Path, near: AllowedFolders, there: str, missing: str
) -> None:
    there, missing = there.format(home=home), missing.format(home=home)
    assert refusal(near, there) == refusal(near, missing)
    assert not near.find_file(there)


def test_no_hidden_file_is_named_as_similar(home: Path) -> None:
    (home / ".ssh" / "id_rsa").touch()
    (home / "fox.gif").symlink_to(home / ".ssh" / "id_rsa")
    for path in (".ssh/id_rs", ".ssh/id_rsa.png", ".SSH/ID_RSA", "Pictures/.foxx.png", "Pictures/.thumbnails/fox.jpg"):
        assert "Similar" not in refusal(AllowedFolders([home]), str(home / path))
    assert f"Similar: {home}/…." in refusal(AllowedFolders([home]), str(home / "fox.jpg")).replace("fox.png", "…")


def test_a_hidden_folder_that_is_named_itself_is_read(home: Path) -> None:
    assert opens(AllowedFolders([home, home / ".ssh"]), home / ".ssh" / "fox.png")


def test_the_usual_folders_still_count(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home / "work")
    folders = folders_of(output_dir=tmp_path / "out")
    assert opens(folders, home / "Pictures" / "fox.png")
    assert opens(folders, home / "work" / "fox.png")
    assert opens(folders, Path("fox.png"))


def test_the_refusal_says_which_folders_count_and_why_one_does_not(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    with pytest.raises(InvalidCall) as raised, folders_of().open(str(home / "fox.png")):
        pass
    assert str(home / "Pictures") in raised.value.message
    assert f"{home}, the working folder, is the home folder." in raised.value.message
    assert "KIE_MCP_READ_DIRS" in raised.value.next_step


def test_the_disk_is_no_folder_on_any_system() -> None:
    assert find_fault(Path("/")) == "is the whole disk"


def test_the_home_folder_counts_by_the_list_of_users_too(monkeypatch: pytest.MonkeyPatch) -> None:
    import os
    import pwd

    monkeypatch.setenv("HOME", "/nowhere")
    assert find_fault(Path(pwd.getpwuid(os.getuid()).pw_dir)) == "is the home folder"


class AnyRoot(Root):
    uri: str  # type: ignore[assignment]


class AnyRoots(ListRootsResult):
    roots: list[AnyRoot]  # type: ignore[assignment]


async def test_a_client_may_declare_folders_and_none_of_them_may_be_private(
    sandbox: Sandbox, settings: Settings, clock: JumpingClock, home: Path
) -> None:
    roots = [home, home / "work"]
    asked = []

    async def list_roots(context: object) -> ListRootsResult:
        asked.append(context)
        others = ["vscode-vfs://github/a/b", str(home / "plain"), "file://[bad/x", "file:///nul%00"]
        return AnyRoots(roots=[AnyRoot(uri=uri) for uri in (*others, *(folder.as_uri() for folder in roots))])

    app = App(
        settings.model_copy(update={"read_dirs": ()}), transport=httpx2.ASGITransport(app=sandbox.app), clock=clock
    )
    async with Client(build_server(app), mode="legacy", list_roots_callback=list_roots) as client:
        for _ in range(2):
            sent = await client.call_tool("upload_file", {"path": str(home / "work" / "fox.png")})
            assert answer(sent)["url"]
        refused = await client.call_tool("upload_file", {"path": str(home / "fox.png")})
        assert "is the home folder" in text(refused)
        assert len(asked) == 1
        roots[:] = [home / "Pictures"]
        with pytest.warns(MCPDeprecationWarning):
            await client.session.send_roots_list_changed()
        assert (await client.call_tool("upload_file", {"path": str(home / "work" / "fox.png")})).is_error
        assert not (await client.call_tool("upload_file", {"path": str(home / "Pictures" / "fox.png")})).is_error
        assert len(asked) == 2


async def test_a_call_that_is_cancelled_before_the_folders_are_known_does_not_lose_them(
    sandbox: Sandbox, settings: Settings, clock: JumpingClock, home: Path
) -> None:
    first, never = anyio.Event(), anyio.Event()

    async def list_roots(context: object) -> ListRootsResult:  # noqa: ARG001
        if not first.is_set():
            first.set()
            await never.wait()
        return ListRootsResult(roots=[Root(uri=FileUrl((home / "work").as_uri()))])

    app = App(
        settings.model_copy(update={"read_dirs": ()}), transport=httpx2.ASGITransport(app=sandbox.app), clock=clock
    )
    async with Client(build_server(app), mode="legacy", list_roots_callback=list_roots) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "list_tasks", {})
            await first.wait()
            group.cancel_scope.cancel()
        sent = await client.call_tool("upload_file", {"path": str(home / "work" / "fox.png")})
        assert not sent.is_error, text(sent)


@pytest.mark.parametrize("host", ["", "localhost", "LocalHost", "127.0.0.1", "[::1]", "nas", "localhost.a.example"])
async def test_a_root_counts_if_it_is_on_this_machine(
    sandbox: Sandbox, settings: Settings, clock: JumpingClock, home: Path, host: str
) -> None:
    async def list_roots(context: object) -> ListRootsResult:  # noqa: ARG001
        return ListRootsResult(roots=[Root(uri=FileUrl(f"file://{host}{home / 'work'}"))])

    app = App(
        settings.model_copy(update={"read_dirs": ()}), transport=httpx2.ASGITransport(app=sandbox.app), clock=clock
    )
    async with Client(build_server(app), mode="legacy", list_roots_callback=list_roots) as client:
        is_here = "nas" not in host and "example" not in host
        sent = await client.call_tool("upload_file", {"path": str(home / "work" / "fox.png")})
        assert sent.is_error != is_here
        # The same hosts are this machine in the URL of a file.
        sent = await client.call_tool("upload_file", {"path": f"file://{host}{home}/work/fox.png"})
        assert sent.is_error != is_here


async def test_a_server_that_reads_no_local_files_asks_for_no_roots(
    sandbox: Sandbox, settings: Settings, clock: JumpingClock, home: Path
) -> None:
    async def list_roots(context: object) -> ListRootsResult:
        raise AssertionError(context)

    app = App(settings, local_files=False, transport=httpx2.ASGITransport(app=sandbox.app), clock=clock)
    async with Client(build_server(app), mode="legacy", list_roots_callback=list_roots) as client:
        refused = await client.call_tool("upload_file", {"path": str(home / "work" / "fox.png")})
        assert "reads no local files" in text(refused)


async def test_a_client_whose_roots_are_an_error_has_none(
    sandbox: Sandbox, settings: Settings, clock: JumpingClock, home: Path
) -> None:
    async def list_roots(context: object) -> ListRootsResult:
        raise ValueError(context)

    app = App(
        settings.model_copy(update={"read_dirs": ()}), transport=httpx2.ASGITransport(app=sandbox.app), clock=clock
    )
    async with Client(build_server(app), mode="legacy", list_roots_callback=list_roots) as client:
        refused = await client.call_tool("upload_file", {"path": str(home / "work" / "fox.png")})
        assert "outside the folders" in text(refused)


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///C:/Users/Ann", "/C:/Users/Ann"),
        ("file:///c%3A/Users/Ann", "/c:/Users/Ann"),
        ("file:///c%3a/Users/Jos%C3%A9", "/c:/Users/Jos%C3%A9"),
        ("vscode-remote://wsl/home", ""),
        ("C:/Users/Ann", ""),
    ],
)
def test_a_root_on_windows_may_be_written_as_vs_code_writes_it(url: str, path: str) -> None:
    assert read_file_url(url) == path


def test_a_working_folder_that_is_gone_is_left_out(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    found = load().found_dirs
    assert "the working folder" not in found
    assert opens(AllowedFolders((), found), home / "Pictures" / "fox.png")
