"""The main job as a user sees it: a client starts the server, asks for five things, and opens the files."""

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutagen
from mcp import Client, StdioServerParameters
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp_types import TextContent, TextResourceContents
from PIL import Image, ImageDraw
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from kie_mcp.demo import chat
from kie_mcp.demo.following import Following
from kie_mcp.errors import ConfigurationError
from kie_mcp.server.extensions import gallery
from kie_mcp.server.selection import Selection

FOLDER = Path("demo-output")
SKETCH = FOLDER / "sketch.png"
CHAT = FOLDER / "chat.html"
CHAT_PICTURE = FOLDER / "chat.png"


@dataclass(frozen=True)
class Wish:
    """What a person asks for, and the call that an agent makes of it."""

    words: str
    tool: str
    model: str
    """What `run_model` runs where the tool is not shown."""
    arguments: dict[str, Any]


WISHES = (
    Wish(
        "A picture of a red fox in fresh snow.",
        "nano_banana_image",
        "nano-banana-2-1",
        {"prompt": "A red fox in fresh snow at sunrise", "aspect_ratio": "16:9"},
    ),
    Wish(
        "My sketch of a house as a watercolour.",
        "nano_banana_image",
        "nano-banana-2-1",
        {"prompt": "Paint this sketch as a watercolour", "images": [str(SKETCH)]},
    ),
    Wish(
        "A video of waves at dusk.",
        "kling_video",
        "kling-3.0/video",
        {"prompt": "Slow waves at dusk, the camera still", "duration": 5},
    ),
    Wish(
        "A song about rain on a tin roof.",
        "suno_music",
        "ai-music-api/generate",
        {"prompt": "A calm folk song about rain on a tin roof"},
    ),
    Wish(
        "A voice that says good morning.",
        "elevenlabs_speech",
        "elevenlabs/text-to-speech-turbo-2-5",
        {"prompt": "Good morning. It stopped raining in the night."},
    ),
)


SHOWN: tuple[str, dict[str, Any]] = (
    "run_model",
    {"model": "nano-banana-2-1", "input": {"prompt": "A lighthouse in a storm", "aspect_ratio": "16:9"}},
)
"""The call that is followed, and shown as a chat shows it."""


async def run(console: Console, seconds: float, tools: str = "", wishes: Sequence[Wish] = WISHES) -> bool:
    """Ask a server on the sandbox for every wish, and tell how it goes.

    Args:
        console: Where to tell it.
        seconds: How long the sandbox takes for a task.
        tools: Which tools the server shows, in the words of KIE_MCP_TOOLS.
        wishes: What to ask for.

    Returns:
        Whether each of them came as files that open.

    Raises:
        ConfigurationError: When nothing can be written here, or there are no such tools.
    """
    # The server would refuse them as well, but to nobody who reads it.
    Selection(tools)
    _draw_sketch()
    with tempfile.TemporaryDirectory() as data:
        async with Client(_server(data, seconds, tools)) as client:
            granted = await _Session(console, client).grant(wishes)
        # Another server on the same ledger, for a client that follows tasks itself.
        knows = [
            Following(lambda text: tell(console, "task", text, "dim")),
            advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]}),
        ]
        async with Client(_server(data, seconds, tools), extensions=knows) as client:
            shown = await _Session(console, client).show()
    return granted and shown


def _server(data: str, seconds: float, tools: str) -> StdioServerParameters:
    folder = str(FOLDER.resolve())
    settings = {
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_SANDBOX_SECONDS": str(seconds),
        "KIE_MCP_TOOLS": tools,
        "KIE_MCP_DATA_DIR": data,
        "KIE_MCP_OUTPUT_DIR": folder,
        "KIE_MCP_READ_DIRS": folder,
    }
    return StdioServerParameters(command=sys.executable, args=["-m", "kie_mcp"], env=settings)


def _draw_sketch() -> None:
    sketch = Image.new("RGB", (640, 480), "white")
    pen = ImageDraw.Draw(sketch)
    for corners in (
        [(320, 80), (120, 240), (520, 240)],
        [(160, 240), (480, 240), (480, 420), (160, 420)],
        [(290, 320), (350, 320), (350, 420), (290, 420)],
    ):
        pen.polygon(corners, outline="black", width=4)
    try:
        FOLDER.mkdir(exist_ok=True)
        sketch.save(SKETCH)
    except OSError as error:
        reason = f"{FOLDER} cannot be written here: {error.strerror}."
        raise ConfigurationError(reason, "Run the demo in a folder of your own.") from None


class _Session:
    """One client, and the account of what it does."""

    def __init__(self, console: Console, client: Client) -> None:
        self._console = console
        self._client = client
        self._last: dict[str, Any] = {}
        """The last answer."""

    async def grant(self, wishes: Sequence[Wish]) -> bool:
        """Make every wish come true, or say which did not."""
        tools = [tool.name for tool in (await self._client.list_tools()).tools]
        before = await self._credits()
        server = self._client.server_info
        self._heading(f"{server.name} {server.version}" if server else "The server")
        self._tell("started", f"{Path(sys.executable).name} -m kie_mcp on stdio, MCP {self._client.protocol_version}")
        self._tell("sandbox", "nothing leaves this machine, nothing costs money")
        self._tell("tools", str(len(tools)))
        self._tell("credits", f"{before:g}")
        self._tell("folder", f"{FOLDER}/")
        failed = []
        for number, wish in enumerate(wishes, start=1):
            self._heading(f"{number}. {wish.words}")
            if wish.tool in tools:
                made = await self._make(wish.tool, wish.arguments)
            else:
                made = await self._make("run_model", {"model": wish.model, "input": wish.arguments})
            if not made:
                failed.append(wish)
        after = await self._credits()
        self._heading(f"{len(wishes) - len(failed)} of {len(wishes)} made")
        self._tell("credits", f"{before:g} before, {after:g} after")
        for wish in failed:
            self._tell("failed", wish.words, "red")
        return not failed

    async def _make(self, tool: str, arguments: dict[str, Any]) -> bool:
        """Make one wish come true as an agent does: call, wait while it runs, look at the files."""
        started = time.monotonic()
        answer = await self._call(tool, arguments)
        while answer.get("status") in ("submitting", "running"):
            answer = await self._call("get_task", {"task_ids": [answer["task_id"]], "wait_seconds": 50})
        self._tell("took", f"{time.monotonic() - started:.1f} s")
        files = [Path(each["path"]) for each in answer.get("media", ()) if "path" in each]
        opened = [self._open(file) for file in files]
        return bool(opened) and all(opened)

    async def show(self) -> bool:
        """Have a task followed by the client, and show it as a chat does."""
        self._heading("In a client that knows MCP Tasks, and in a chat that shows pages")
        made = await self._make(*SHOWN)
        if made:
            (page,) = (await self._client.read_resource(gallery.URI)).contents
            asked = {"task_id": self._last["task_id"], "preview": [1]}
            result = await self._client.call_tool(gallery.TOOL.name, asked)
            told = result.model_dump(mode="json", by_alias=True, exclude_none=True)
            chat.write(CHAT, page.text if isinstance(page, TextResourceContents) else "", SHOWN[1], told)
            self._tell("page", str(CHAT))
            if await chat.photograph(CHAT, CHAT_PICTURE):
                self._tell("picture", str(CHAT_PICTURE), "green")
            else:
                self._tell("", "Open it in a browser; there is no Chromium here to take a picture of it.")
        return made

    async def _call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self._tell("call", f"{tool} {json.dumps(arguments)}")
        result = await self._client.call_tool(tool, arguments, progress_callback=self._progress)
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        self._tell("answer", text if result.is_error else text.partition("\n")[0], "red" if result.is_error else "")
        self._last = dict(result.structured_content or {})
        return self._last

    async def _progress(self, progress: float, total: float | None, message: str | None) -> None:
        self._tell("progress", f"{progress / (total or 1):.0%} {message or ''}", "dim")

    async def _credits(self) -> float:
        result = await self._client.call_tool("get_credits")
        return float((result.structured_content or {})["credits"])

    def _open(self, file: Path) -> bool:
        try:
            content, style = f"{look(file)}, {file.stat().st_size / 1000:,.1f} kB, opens", "green"
        except (OSError, ValueError) as error:
            content, style = f"does not open: {error}", "red"
        self._tell("file", file.name)
        self._tell("", content, style)
        return style == "green"

    def _heading(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, "bold"))

    def _tell(self, what: str, text: str, style: str = "") -> None:
        tell(self._console, what, text, style)


def tell(console: Console, what: str, text: str, style: str = "") -> None:
    """Print a line of the account."""
    row = Table.grid(padding=(0, 1))
    row.add_column(width=8, style="dim")
    row.add_column(overflow="fold")
    row.add_row(what, Text(text, style))
    console.print(Padding(row, (0, 0, 0, 2), expand=False))


def look(file: Path) -> str:
    """What a picture, a sound or a video is, found out by reading it.

    Raises:
        OSError: When it cannot be read.
        ValueError: When its content is none of these, or broken.
    """
    try:
        if file.suffix in (".png", ".jpg", ".webp"):
            with Image.open(file) as picture:
                picture.load()
                return f"{picture.format} of {picture.width} x {picture.height} px"
        media = mutagen.File(file)
    # Pillow finds broken PNG to be a SyntaxError.
    except (SyntaxError, mutagen.MutagenError) as error:
        raise ValueError(str(error)) from None
    if media is None or not media.info.length:
        raise ValueError("neither sound nor video")
    return f"{type(media).__name__} of {media.info.length:.1f} s"
