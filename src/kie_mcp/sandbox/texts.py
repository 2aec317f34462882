"""What comes out of the models that make no file: words, ids, a yes or a no."""

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid5

from kie_mcp.sandbox.media import SONG_SECONDS, lyrics
from kie_mcp.sandbox.task import Record

Answer = dict[str, Any]


def omni(record: Record) -> Answer:
    """A voice or a character of Gemini Omni."""
    name = record.task.said.get("name")
    if record.task.offers[0].way == "omni-audio":
        return {"kieAudioId": _id(record, "audio"), "name": name}
    return {
        "characterId": _id(record, "character"),
        "characterName": name,
        "imageUrl": record.cover,
        "bodyImageUrl": record.cover,
    }


def persona(record: Record) -> Answer:
    """A song's character."""
    said = record.task.said
    return {"personaId": _id(record, "persona"), "name": said.get("name"), "description": said.get("description")}


def style(record: Record) -> Answer:
    """A style written out; KIE counts on in text here."""
    prompt = record.task.prompt
    result = f"{prompt}, slow at first, then with strings and a choir" if record.urls else ""
    return {"param": prompt, "result": result, "successFlag": "1", "creditsConsumed": record.task.credits}


def timestamped_lyrics(record: Record) -> Answer:
    """Every word of a song, evenly through it."""
    words = lyrics(record.task.work("1.txt")).split() if record.urls else []
    seconds = SONG_SECONDS / (len(words) or 1)
    aligned = [
        {"word": word, "success": True, "startS": n * seconds, "endS": (n + 1) * seconds, "palign": 0}
        for n, word in enumerate(words)
    ]
    return {"alignedWords": aligned, "waveformData": [], "hootCer": 0, "isStreamed": False}


def phrase(record: Record) -> Answer:
    """What to sing for a voice."""
    return {
        "validateInfo": f"Number {record.task.id[:4]} of the night, sing until it is light" if record.urls else None
    }


def voice(record: Record) -> Answer:
    """A voice of one's own."""
    return {"voiceId": _id(record, "voice")}


def voice_check(record: Record) -> Answer:
    """Whether a voice can be used."""
    return {"isAvailable": bool(record.urls)}


TEXTS: dict[str, Callable[[Record], Answer]] = {
    "omni": omni,
    "persona": persona,
    "style": style,
    "timestamped-lyrics": timestamped_lyrics,
    "suno-voice-validate": phrase,
    "suno-voice": voice,
    "suno-voice-check": voice_check,
}
"""By the name that a route gives its shape."""


def _id(record: Record, of: str) -> str | None:
    return f"{of}_{uuid5(UUID(record.task.id), of).hex}" if record.urls else None
