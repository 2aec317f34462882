"""The demo `--film`: the sandbox makes three scenes, a voice and a song, and `edit_media` joins them into a film."""

import tempfile

from mcp import Client
from rich.console import Console

from kie_mcp.demo.session import FOLDER, Session, server_parameters, use_folder

SCENES = ("A red fox wakes in fresh snow", "It crosses a frozen river at noon", "It comes home at dusk")
VOICE = "It had snowed all night. The fox knew the way."
SONG = "A calm piano piece about snow"
TITLE = "The fox goes home"
CARD_SECONDS, SCENE_SECONDS, FADE_SECONDS = 1.5, 5, 0.5


async def run_film(console: Console, seconds: float, tools: str = "") -> bool:
    """Start kie-mcp with a fake KIE, make the parts of a film and join them, and print what happens.

    Args:
        console: The console to print to.
        seconds: Seconds that each task takes.
        tools: The tools that the server lists, written as in the environment variable KIE_MCP_TOOLS.

    Returns:
        True if the film was made and can be opened.

    Raises:
        ConfigurationError: When the demo cannot write its files.
    """
    use_folder()
    with tempfile.TemporaryDirectory() as data:
        async with Client(server_parameters(data, seconds, tools)) as client:
            session = Session(console, client)
            session.print_heading(f"The parts of a film, into {FOLDER}/")
            video = {"model": "kling-3.0/video"}
            inputs = [{"prompt": prompt, "duration": SCENE_SECONDS} for prompt in SCENES]
            scenes = [await _make(session, {**video, "input": each}) for each in inputs]
            voice = await _make(session, {"model": "elevenlabs/text-to-speech-turbo-2-5", "input": {"prompt": VOICE}})
            song = await _make(session, {"model": "ai-music-api/generate", "input": {"prompt": SONG}})
            session.print_heading("The film, which costs no credits")
            return await session.make("edit_media", build_timeline(scenes, voice, song))


async def _make(session: Session, arguments: dict[str, object]) -> str:
    """Run a model, and return a reference to its first file, such as `task:abc#1`, for other tool calls."""
    await session.make("run_model", arguments)
    return f"task:{session.last_answer['task_id']}#1"


def build_timeline(scenes: list[str], voice: str, song: str) -> dict[str, object]:
    """Return the arguments of `edit_media`: a title, numbered scenes with cross-fades, a voice and background music."""
    shown = [{"source": scene, "fade": FADE_SECONDS} for scene in scenes]
    lasts = SCENE_SECONDS - FADE_SECONDS
    starts = [CARD_SECONDS - FADE_SECONDS + number * lasts for number, _ in enumerate(scenes)]
    words = [f"{number}. {prompt}" for number, prompt in enumerate(SCENES, start=1)]
    return {
        "clips": [{"title": TITLE, "seconds": CARD_SECONDS}, *shown],
        "sounds": [{"source": voice, "role": "voice", "at": CARD_SECONDS}, {"source": song}],
        "texts": [{"text": text, "at": at, "until": at + lasts} for text, at in zip(words, starts, strict=True)],
    }
