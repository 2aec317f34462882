"""The library page in a real browser, with a ledger that the real server filled on the sandbox.

Screenshots go to test-output/library, for a person to look at.
"""

import json
from pathlib import Path
from zipfile import ZipFile

import anyio
import PIL.Image
import pytest
from chromium import CHROMIUM, MODULES, NODE, list_scenes, needs_browser
from mcp import Client
from starlette.types import ASGIApp, Receive, Scope, Send
from support.answers import answer
from support.ledgers import fill_ledger
from support.paths import ROOT
from support.servers import serve_app

from kie_mcp.config import Settings
from kie_mcp.library_page.serving import build_local_page
from kie_mcp.server.http import PATH

SCRIPT = Path(__file__).with_name("library.mjs")
PICTURES = ROOT / "test-output" / "library"
TOKEN = "a-token-of-the-tests"
BELOW = "/kie"
SCENES = list_scenes(SCRIPT)

pytestmark = [pytest.mark.anyio, needs_browser("playwright-core", "axe-core")]


def below(path: str, app: ASGIApp) -> ASGIApp:
    """Serve an application below a path that it does not know of, as a proxy does."""

    async def strip(scope: Scope, receive: Receive, send: Send) -> None:
        known = {"path": scope["path"].removeprefix(path)} if "path" in scope else {}
        await app({**scope, **known}, receive, send)

    return strip


async def make_things(client: Client) -> None:
    """Make one thing of each kind, an edit and a batch."""

    async def make(tool: str, **arguments: object) -> str:
        made = answer(await client.call_tool(tool, arguments))
        return str(
            answer(await client.call_tool("get_task", {"task_ids": made["task_id"], "wait_seconds": 60}))["task_id"]
        )

    fox = await make("nano_banana_image", prompt="A red fox in fresh snow at first light, its breath in the cold air")
    await make("suno_lyrics", prompt="the sea")
    await make("kling_video", prompt="The fox runs through the forest")
    await make("suno_music", prompt="A slow song about a fox in the snow")
    await make("elevenlabs_speech", prompt="Hello, and welcome to the film about the fox.")
    await make("make_batch", model="z-image", prompts=["a cat", "a dog", "an owl at night"], max_credits=60)
    await make("nano_banana_image", prompt="Make it night, with <b>stars</b> & a moon", images=[f"task:{fox}#1"])


async def test_every_scene_of_the_library_page_goes_as_it_should(
    client: Client, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whoever runs the tests has a trash, too.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    PICTURES.mkdir(parents=True, exist_ok=True)
    assert CHROMIUM
    await make_things(client)
    many = settings.model_copy(update={"data_dir": tmp_path / "many"})
    await fill_ledger(many.state_dir, 10_000)
    async with (
        serve_app(below(BELOW, build_local_page(settings, TOKEN))) as url,
        serve_app(build_local_page(many, TOKEN)) as big_url,
    ):
        bases = (url.removesuffix(PATH) + BELOW, big_url.removesuffix(PATH))
        addresses = [f"{each}/library#{TOKEN}" for each in bases]
        with anyio.fail_after(150):
            ran = await anyio.run_process([NODE, SCRIPT, *addresses, PICTURES, CHROMIUM, MODULES], check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    played = json.loads(ran.stdout)
    assert set(played) == set(SCENES)
    assert not any(played.values()), "\n".join(played.values())
    with ZipFile(PICTURES / "kie-mcp.zip") as archive:
        assert archive.testzip() is None
        assert len(archive.namelist()) == 2
    with PIL.Image.open(PICTURES / "contact-sheet.jpg") as sheet:
        sheet.load()
