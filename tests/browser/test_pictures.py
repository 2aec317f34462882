"""The pictures of the README: a chat and the library page, both the real ones, with the real server on the sandbox.

`pytest tests/browser/test_pictures.py --no-cov --write-pictures` writes them anew into docs/images. Without the option,
they go to test-output/pictures. The sandbox would only paint plain colours, so its files are replaced by drawings.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import PIL.Image
import pytest
from chromium import CHROMIUM, MODULES, NODE, needs_browser
from mcp import Client
from mcp_types import TextResourceContents
from starlette.responses import FileResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from support.answers import answer
from support.clock import JumpingClock
from support.paths import ROOT
from support.servers import serve_app

from kie_mcp.config import Settings
from kie_mcp.demo.chat_page import Chat, write_page
from kie_mcp.library_page.serving import build_local_page
from kie_mcp.media.ffmpeg import find_ffmpeg
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.file_store import MEDIA_PATH
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.extensions import gallery
from kie_mcp.server.http import PATH

SCRIPT = Path(__file__).with_name("pictures.mjs")
DRAWINGS = Path(__file__).with_name("illustrations")
SIZE = 1280, 720
TOKEN = "a-token-of-the-tests"
MAX_BYTES = 150_000
FOLDER = "/Users/you/Downloads/kie-mcp"
"""What the chat shows in place of the test's folder."""
WORDS = "Draw a red fox in fresh snow."
FOX: dict[str, Any] = {"prompt": "A red fox in fresh snow at first light", "aspect_ratio": "16:9"}

pytestmark = [pytest.mark.anyio, needs_browser("playwright-core")]


class IllustratedKie:
    """The sandbox, whose pictures and clips are the drawings with a word of the prompt in their name."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self._sandbox = sandbox
        self._folder = folder

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app: ASGIApp = self._sandbox.app
        if scope["path"].startswith(MEDIA_PATH):
            task, _, name = scope["path"].removeprefix(MEDIA_PATH).partition("/")
            prompt = next((each.prompt for each in self._sandbox.accepted if each.id == task), "")
            suffix = ".mp4" if name.endswith(".mp4") else ".jpg"
            drawings = (self._folder / f"{path.stem}{suffix}" for path in DRAWINGS.iterdir() if path.stem in prompt)
            if not name.endswith(".mp3") and (drawing := next(drawings, None)):
                app = FileResponse(drawing)
        await app(scope, receive, send)


@dataclass(frozen=True)
class Shot:
    """A screenshot to take."""

    address: str
    file: Path
    size: tuple[int, int]
    whole: bool = False
    """Whether the picture has the whole page, not only what fits into `size`."""
    frame: str = ""
    until: str = ""
    """Selector of what the page, or the one in the frame, has to show before."""


async def photograph(*shots: Shot) -> None:
    """Take screenshots with Chromium."""
    assert CHROMIUM
    wanted = json.dumps([asdict(each) for each in shots], default=str)
    with anyio.fail_after(60):
        await anyio.run_process([NODE, SCRIPT, CHROMIUM, MODULES, wanted], stderr=None)


async def draw(folder: Path) -> None:
    """Make a JPEG and, where ffmpeg is installed, a clip of every drawing."""
    await photograph(*(Shot(each.as_uri(), folder / f"{each.stem}.jpg", SIZE) for each in DRAWINGS.glob("*.svg")))
    program = find_ffmpeg()
    assert program
    waves = folder / "waves.jpg"
    loop = ["-loop", "1", "-t", "5", "-r", "12", "-i", str(waves), "-pix_fmt", "yuv420p", str(folder / "waves.mp4")]
    await anyio.run_process([program, "-v", "error", *loop])


async def make_things(client: Client) -> str:
    """Make what the library page shows, and return the id of the task that the chat shows."""

    async def make(tool: str, **arguments: object) -> str:
        made = answer(await client.call_tool(tool, arguments))
        waited = await client.call_tool("get_task", {"task_ids": made["task_id"], "wait_seconds": 600})
        assert answer(waited)["status"] == "succeeded"
        return str(made["task_id"])

    await make("elevenlabs_speech", prompt="Hello, and welcome to the film about the fox.")
    await make("suno_music", prompt="A calm folk song about rain on a tin roof")
    await make("nano_banana_image", prompt="My sketch of a house as a watercolour", aspect_ratio="16:9")
    await make("nano_banana_image", prompt="A lighthouse in a storm", aspect_ratio="16:9")
    await make("kling_video", prompt="Slow waves at dusk, the camera still")
    fox = await make("nano_banana_image", **FOX)
    await make("nano_banana_image", prompt="The same by night", images=[f"task:{fox}#1"], aspect_ratio="16:9")
    return fox


async def write_chat(client: Client, task: str, page: Path) -> None:
    """Write the page of a chat in which a task was made."""
    (content,) = (await client.read_resource(gallery.URI)).contents
    assert isinstance(content, TextResourceContents)
    shown = await client.call_tool(gallery.GALLERY_TASK.name, {"task_id": task, "preview": [1]})
    result = shown.model_dump_json(by_alias=True, exclude_none=True).replace(str(page.parent / "out"), FOLDER)
    write_page(page, content.text, Chat(WORDS, "nano_banana_image", FOX, json.loads(result)))


def store(pictures: Sequence[Path], folder: Path) -> None:
    """Write pictures as small WebP files."""
    folder.mkdir(parents=True, exist_ok=True)
    for each in pictures:
        with PIL.Image.open(each) as picture:
            picture.convert("RGB").save(folder / f"{each.stem}.webp", quality=85, method=6)


async def test_the_pictures_of_the_readme_are_made_from_the_real_pages(
    settings: Settings, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    clock = JumpingClock()
    sandbox = Sandbox(seconds=4, credits=10_000, clock=clock.time)
    chat, library = tmp_path / "chat.png", tmp_path / "library.png"
    await draw(tmp_path)
    kie = IllustratedKie(sandbox, tmp_path)
    app = App(settings, transport=httpx2.ASGITransport(app=kie), clock=clock)
    async with Client(build_server(app), raise_exceptions=True) as client:
        await write_chat(client, await make_things(client), tmp_path / "chat.html")
    async with serve_app(build_local_page(settings, TOKEN)) as url:
        await photograph(
            Shot(
                (tmp_path / "chat.html").as_uri(),
                chat,
                (760, 200),
                whole=True,
                frame="iframe",
                until=".media :is(img, canvas)",
            ),
            Shot(f"{url.removesuffix(PATH)}/library#{TOKEN}", library, (1200, 770), until=".tile img"),
        )
    images = ROOT / "docs" / "images"
    folder = images if request.config.getoption("write_pictures") else ROOT / "test-output" / "pictures"
    store([chat, library], folder)
    for name in ("chat.webp", "library.webp"):
        assert (images / name).stat().st_size < MAX_BYTES
        with PIL.Image.open(folder / name) as made, PIL.Image.open(images / name) as shown:
            assert made.width == shown.width
            # A picture that has not come would be a page of few colours.
            assert len(made.getcolors(maxcolors=1 << 24) or ()) > 2_000
