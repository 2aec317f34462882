"""Build results that are not files, such as the id of a voice, the description of a style, or lyrics with times."""

import json
from collections.abc import Callable
from uuid import UUID, uuid5

from kie_mcp.sandbox.answer_fields import Answer, error_fields
from kie_mcp.sandbox.fake_media import SONG_SECONDS, write_lyrics
from kie_mcp.sandbox.fake_task import StatusRecord, to_plain_time


def omni(record: StatusRecord) -> Answer:
    """Return the id and the name of a voice or a character of Gemini Omni."""
    name = record.task.arguments.get("name")
    if record.task.offers[0].route_id == "omni-audio":
        return {"kieAudioId": _result_id(record, "audio"), "name": name}
    return {
        "characterId": _result_id(record, "character"),
        "characterName": name,
        "imageUrl": record.cover_url,
        "bodyImageUrl": record.cover_url,
    }


def persona(record: StatusRecord) -> Answer:
    """Return a Suno persona, which is the musical character of a song."""
    arguments = record.task.arguments
    name, description = arguments.get("name"), arguments.get("description")
    return {"personaId": _result_id(record, "persona"), "name": name, "description": description}


def style(record: StatusRecord) -> Answer:
    """Return a longer description of a music style; the success flag is a Chinese word, as in KIE's own answers."""
    task = record.task
    return {
        "taskId": task.id,
        "param": json.dumps({"content": task.prompt}),
        "result": f"{task.prompt}, slow at first, then with strings and a choir" if record.urls else "",
        "creditsConsumed": task.credits,
        "successFlag": "成功",
        **error_fields(record, message=""),
        "createTime": to_plain_time(task.created_at),
    }


def timestamped_lyrics(record: StatusRecord) -> Answer:
    """Return the words of a song with their times; the sandbox distributes the words evenly over the song's length."""
    words = write_lyrics(record.task.describe_content("1.txt")).split() if record.urls else []
    seconds = SONG_SECONDS / (len(words) or 1)
    aligned = [
        {"word": word, "success": True, "startS": n * seconds, "endS": (n + 1) * seconds, "palign": 0}
        for n, word in enumerate(words)
    ]
    return {"alignedWords": aligned, "waveformData": [0, 0.5, 1, 0.5], "hootCer": 0, "isStreamed": False}


def phrase(record: StatusRecord) -> Answer:
    """Return the phrase that a user has to sing to make a custom voice."""
    return {
        "validateInfo": f"Number {record.task.id[:4]} of the night, sing until it is light" if record.urls else None
    }


def voice(record: StatusRecord) -> Answer:
    """Return the id of a custom voice."""
    return {"voiceId": _result_id(record, "voice")}


def voice_check(record: StatusRecord) -> Answer:
    """Return a JSON object that says whether a custom voice can be used."""
    return {"isAvailable": bool(record.urls)}


TEXT_RESULTS: dict[str, Callable[[StatusRecord], Answer]] = {
    "omni": omni,
    "persona": persona,
    "style": style,
    "timestamped-lyrics": timestamped_lyrics,
    "suno-voice-validate": phrase,
    "suno-voice": voice,
    "suno-voice-check": voice_check,
}
"""For each `Route.shape` whose results are not files, the function that builds the results.

`Route.shape` is the name of the JSON structure that a route's answers have.
"""


def _result_id(record: StatusRecord, of: str) -> str | None:
    """Return an id for a task's result, or None if there is no result; the same task always gets the same id."""
    return f"{of}_{uuid5(UUID(record.task.id), of).hex}" if record.urls else None
