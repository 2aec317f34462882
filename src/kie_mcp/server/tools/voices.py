"""The tool `find_voices`, which finds the voices of speech models by words."""

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.catalog.registry import FAMILIES
from kie_mcp.catalog.voices import Voice, find_voices
from kie_mcp.errors import InvalidCall
from kie_mcp.server import answers
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.live_models import find_built_in, no_such_model
from kie_mcp.server.tools.tool import Arguments, Tool

MAX_VOICES = 12
"""Maximum number of voices of one tool in an answer."""
LANGUAGES_NOTE = "A voice speaks every language of its model: the text decides."


class FindVoices(Arguments):
    """Arguments of find_voices."""

    words: str = Field("", description="Such as: calm British man.")
    model: str = Field("", description="A speech model; empty for all.")


async def run_find_voices(_: App, __: ToolCall, arguments: FindVoices) -> CallToolResult:
    """Return a result with the voices that match the words best, grouped by tool; send nothing to KIE.

    Raises:
        InvalidCall: When there is no such model, or it has no list of voices.
    """
    rows: list[dict[str, str]] = []
    more: list[str] = []
    unknown: set[str] | None = None
    for tool, voices in _voices_by_tool(arguments.model).items():
        found, missed = find_voices(voices, arguments.words)
        unknown = set(missed) if unknown is None else unknown & set(missed)
        rows += [_describe(tool, voice) for voice in found[:MAX_VOICES]]
        if len(found) > MAX_VOICES:
            more.append(f"{tool} has more such voices: describe_model lists all of a model.")
    answer = {"voices": rows}
    if unknown or not rows:
        more.insert(0, f"No voice is described as {', '.join(sorted(unknown or ()))}.")
    lines = [" ".join(row.values()) for row in rows]
    return answers.add_note(answers.build_result(answer, "\n".join(lines)), " ".join([*more, LANGUAGES_NOTE]))


def _describe(tool: str, voice: Voice) -> dict[str, str]:
    sample = {"sample": voice.sample} if voice.sample else {}
    return {"tool": tool, "voice": voice.id, "about": voice.about, **sample}


def _voices_by_tool(name: str) -> dict[str, tuple[Voice, ...]]:
    """Return, for each tool, the voices of its first model; if a model is named, return only the voices of this model.

    Raises:
        InvalidCall: When there is no such model, or it has no list of voices.
    """
    if name:
        found = find_built_in(name, lambda each: bool(each[1].voice_list))
        if not found:
            raise no_such_model(name)
        family, model, _ = found
        if not model.voice_list:
            raise InvalidCall(f"{model.id} has no list of voices.", "Leave out model, or name a speech model.")
        return {family.tool: model.voice_list}
    return {family.tool: family.models[0].voice_list for family in FAMILIES if family.models[0].voice_list}


FIND_VOICES = Tool(
    "find_voices",
    "Voices for speech, by words such as: calm British man; with the argument voice, and samples to listen to.",
    FindVoices,
    run_find_voices,
    open_world=False,
)
