"""The demo: an MCP client starts kie-mcp with a fake KIE (the sandbox), asks for five results, and opens the files."""

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

from kie_mcp.catalog.credits import format_credits, format_number
from kie_mcp.demo import chat_page
from kie_mcp.demo.task_follower import TaskFollower
from kie_mcp.errors import ConfigurationError
from kie_mcp.server.extensions import gallery
from kie_mcp.server.selection import Selection

FOLDER = Path("demo-output")
SKETCH = FOLDER / "sketch.png"
CHAT = FOLDER / "chat.html"
CHAT_PICTURE = FOLDER / "chat.png"


@dataclass(frozen=True)
class Wish:
    """A user's request in words, and the tool call that an agent makes for this request."""

    words: str
    tool: str
    model: str
    """Id of a model that the demo runs with `run_model` if the server does not list the tool of this wish."""
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


FOLLOWED_WORDS = "Draw a lighthouse in a storm."
FOLLOWED_CALL: tuple[str, dict[str, Any]] = (
    "run_model",
    {"model": "nano-banana-2-1", "input": {"prompt": "A lighthouse in a storm", "aspect_ratio": "16:9"}},
)
"""Name and arguments of the tool call that the demo makes with MCP Tasks; the chat page shows this call."""


async def run_demo(console: Console, seconds: float, tools: str = "", wishes: Sequence[Wish] = WISHES) -> bool:
    """Start kie-mcp with a fake KIE (the sandbox), make the tool call of each wish, and print what happens.

    Args:
        console: The console to print to.
        seconds: Seconds that each task takes.
        tools: The tools that the server lists, written as in the environment variable KIE_MCP_TOOLS.
        wishes: The tool calls to make.

    Returns:
        True if every wish and the additional call with MCP Tasks gave files that can be opened.

    Raises:
        ConfigurationError: When the demo cannot write its files, or `tools` has an unknown name.
    """
    # `Selection` checks the names in `tools` already here, because the user does not see the errors of the server's
    # process.
    Selection(tools)
    _draw_sketch()
    with tempfile.TemporaryDirectory() as data:
        async with Client(server_parameters(data, seconds, tools)) as client:
            all_made = await Session(console, client).make_all(wishes)
        # The second server process uses the same ledger. Its client declares the extensions MCP Tasks and MCP Apps.
        extensions = [
            TaskFollower(lambda text: print_line(console, "task", text, "dim")),
            advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]}),
        ]
        async with Client(server_parameters(data, seconds, tools), extensions=extensions) as client:
            shown = await Session(console, client).show_followed_call()
    return all_made and shown


def server_parameters(data: str, seconds: float, tools: str) -> StdioServerParameters:
    """Return the command and the settings of the demo's server, which uses the sandbox and the demo's folders."""
    folder = str(FOLDER.resolve())
    settings = {
        "KIE_MCP_SANDBOX": "1",
        "KIE_MCP_SANDBOX_SECONDS": str(seconds),
        "KIE_MCP_TOOLS": tools,
        "KIE_MCP_WAIT_SECONDS": "50",
        "KIE_MCP_DATA_DIR": data,
        "KIE_MCP_OUTPUT_DIR": folder,
        "KIE_MCP_READ_DIRS": folder,
    }
    # The option -P prevents Python from importing modules from the working folder.
    return StdioServerParameters(command=sys.executable, args=["-P", "-m", "kie_mcp"], env=settings)


def _draw_sketch() -> None:
    sketch = Image.new("RGB", (640, 480), "white")
    pen = ImageDraw.Draw(sketch)
    for corners in (
        [(320, 80), (120, 240), (520, 240)],
        [(160, 240), (480, 240), (480, 420), (160, 420)],
        [(290, 320), (350, 320), (350, 420), (290, 420)],
    ):
        pen.polygon(corners, outline="black", width=4)
    use_folder()
    sketch.save(SKETCH)


def use_folder() -> None:
    """Create the demo's folder in the working folder.

    Raises:
        ConfigurationError: When the folder cannot be created.
    """
    try:
        FOLDER.mkdir(exist_ok=True)
    except OSError as error:
        reason = f"{FOLDER} cannot be written here: {error.strerror}."
        raise ConfigurationError(reason, "Run the demo in a folder of your own.") from None


class Session:
    """Makes tool calls with one MCP client, and prints what happens."""

    def __init__(self, console: Console, client: Client) -> None:
        self._console = console
        self._client = client
        self.last_answer: dict[str, Any] = {}
        """The structured content (a JSON object) of the last tool result."""

    async def make_all(self, wishes: Sequence[Wish]) -> bool:
        """Make the tool call of every wish, print the wishes that failed, and return True if none failed."""
        tools = [tool.name for tool in (await self._client.list_tools()).tools]
        before = await self._read_credits()
        server = self._client.server_info
        self.print_heading(f"{server.name} {server.version}" if server else "The server")
        self._print("started", f"{Path(sys.executable).name} -m kie_mcp on stdio, MCP {self._client.protocol_version}")
        self._print("sandbox", "nothing leaves this machine, nothing costs money")
        self._print("tools", str(len(tools)))
        self._print("credits", format_credits(before))
        self._print("folder", f"{FOLDER}/")
        failed = []
        for number, wish in enumerate(wishes, start=1):
            self.print_heading(f"{number}. {wish.words}")
            if wish.tool in tools:
                made = await self.make(wish.tool, wish.arguments)
            else:
                made = await self.make("run_model", {"model": wish.model, "input": wish.arguments})
            if not made:
                failed.append(wish)
        after = await self._read_credits()
        self.print_heading(f"{len(wishes) - len(failed)} of {len(wishes)} made")
        spent = format_credits(round(before - after, 2))
        self._print("credits", f"{format_number(before)} before, {format_number(after)} after: {spent} spent")
        for wish in failed:
            self._print("failed", wish.words, "red")
        return not failed

    async def make(self, tool: str, arguments: dict[str, Any]) -> bool:
        """Call a tool as an agent would, and then call `get_task` until the task has ended.

        Returns:
            True if the task made files, and all of them can be opened.
        """
        started = time.monotonic()
        answer = await self._call(tool, arguments)
        while answer.get("status") in ("submitting", "running"):
            answer = await self._call("get_task", {"task_ids": [answer["task_id"]], "wait_seconds": 50})
        self._print("took", f"{time.monotonic() - started:.1f} s")
        files = [Path(each["path"]) for each in answer.get("media", ()) if "path" in each]
        opened = [self._print_file(file) for file in files]
        return bool(opened) and all(opened)

    async def show_followed_call(self) -> bool:
        """Make a tool call with MCP Tasks (the client polls the task itself), and write the chat page of this call.

        Returns:
            True if the task made files, and all of them can be opened.
        """
        self.print_heading("In a client that knows MCP Tasks, and in a chat that shows pages")
        made = await self.make(*FOLLOWED_CALL)
        if made:
            (page,) = (await self._client.read_resource(gallery.URI)).contents
            arguments = {"task_id": self.last_answer["task_id"], "preview": [1]}
            result = await self._client.call_tool(gallery.GALLERY_TASK.name, arguments)
            answer = result.model_dump(mode="json", by_alias=True, exclude_none=True)
            text = page.text if isinstance(page, TextResourceContents) else ""
            chat_page.write_page(CHAT, text, chat_page.Chat(FOLLOWED_WORDS, *FOLLOWED_CALL, answer))
            self._print("page", str(CHAT))
            if await chat_page.take_screenshot(CHAT, CHAT_PICTURE):
                self._print("picture", str(CHAT_PICTURE), "green")
            else:
                self._print("", "Open it in a browser; there is no Chromium here to take a picture of it.")
        return made

    async def _call(self, tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        self._print("call", f"{tool} {json.dumps(arguments)}")
        result = await self._client.call_tool(tool, arguments, progress_callback=self._print_progress)
        text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
        self._print("answer", text if result.is_error else text.partition("\n")[0], "red" if result.is_error else "")
        self.last_answer = dict(result.structured_content or {})
        return self.last_answer

    async def _print_progress(self, progress: float, total: float | None, message: str | None) -> None:
        self._print("progress", f"{progress / (total or 1):.0%} {message or ''}", "dim")

    async def _read_credits(self) -> float:
        result = await self._client.call_tool("get_credits")
        return float((result.structured_content or {})["credits"])

    def _print_file(self, file: Path) -> bool:
        try:
            content, style = f"{describe_file(file)}, {file.stat().st_size / 1000:,.1f} kB, opens", "green"
        except (OSError, ValueError) as error:
            content, style = f"does not open: {error}", "red"
        self._print("file", file.name)
        self._print("", content, style)
        return style == "green"

    def print_heading(self, text: str) -> None:
        """Print an empty line, and then a text in bold."""
        self._console.print()
        self._console.print(Text(text, "bold"))

    def _print(self, what: str, text: str, style: str = "") -> None:
        print_line(self._console, what, text, style)


def print_line(console: Console, what: str, text: str, style: str = "") -> None:
    """Print a label and, in a column beside the label, a text; a long text is wrapped within this column."""
    row = Table.grid(padding=(0, 1))
    row.add_column(width=8, style="dim")
    row.add_column(overflow="fold")
    row.add_row(what, Text(text, style))
    console.print(Padding(row, (0, 0, 0, 2), expand=False))


def describe_file(file: Path) -> str:
    """Open a picture, a sound or a video; return its format, and its size in pixels or its length in seconds.

    Raises:
        OSError: When the file cannot be read.
        ValueError: When the file is no picture, sound or video, or is broken.
    """
    try:
        if file.suffix in (".png", ".jpg", ".webp"):
            with Image.open(file) as picture:
                picture.load()
                return f"{picture.format} of {picture.width} x {picture.height} px"
        media = mutagen.File(file)
    # Pillow raises SyntaxError for a broken PNG.
    except (SyntaxError, mutagen.MutagenError) as error:
        raise ValueError(str(error)) from None
    if media is None or not media.info.length:
        raise ValueError("neither sound nor video")
    return f"{type(media).__name__} of {media.info.length:.1f} s"
