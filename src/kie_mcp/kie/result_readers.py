"""Readers of result objects: they find the files and texts that a task made, wherever KIE's answers put them."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

DEEPEST_JSON = 5
"""Largest number of JSON texts, each inside the one before, that are parsed."""
LONGEST_LINE = 500
"""Largest number of characters that are shown of one of KIE's texts."""


@dataclass(frozen=True, slots=True)
class Media:
    """A result: one file that a task made."""

    url: str
    id: str = ""
    """KIE's id of a track or stem, which follow-up tasks need."""
    label: str = ""
    """The title of a song, the name of a stem, or which of several clips or frames this is."""


MediaReader = Callable[[Any], list[Media]]
"""Reads the files out of a results object."""
TextReader = Callable[[Any], list[str]]
"""Reads the texts out of a results object."""


def values_at(value: Any, path: str) -> list[Any]:
    """Return all values at a path such as `data.url`; if `data` is a list, return the `url` of every item."""
    found = [value]
    for name in path.split(".") if path else ():
        found = [item[name] for each in found for item in as_items(each) if isinstance(item, dict) and name in item]
    return found


def as_items(value: Any) -> list[Any]:
    """Return the items of a list, or a list of the one value; a string that holds JSON is parsed first."""
    value = parse_json(value)
    return value if isinstance(value, list) else [value]


def parse_json(value: Any) -> Any:
    """Parse a string of JSON, and the result too if it is a string of JSON again; return any other value unchanged."""
    for _ in range(DEEPEST_JSON):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            break
    return value


def parse_number(value: Any) -> float | None:
    """Return a finite number, which may be given as a string; None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        figure = float(value)
    except (ValueError, OverflowError):
        return None
    return figure if math.isfinite(figure) else None


def parse_integer(value: Any) -> int | None:
    """Return an integer of at most four digits, as KIE's codes and flags are; None for any other value."""
    figure = parse_number(value)
    return int(figure) if figure is not None and figure.is_integer() and abs(figure) < 10_000 else None


def normalize_word(value: Any) -> str:
    """Return a state word as `status.SHAPES` spells it: "1" for 1, 1.0 and "1"; "success" for "SUCCESS"."""
    figure = parse_integer(value)
    if figure is not None:
        return str(figure)
    return str(value).strip().lower() if isinstance(value, str | bool) else ""


def as_text(value: Any) -> str:
    """Return a string without NUL characters and outer spaces, or another value as JSON.

    A value that is empty, or that JSON cannot express, gives an empty string.
    """
    if value in (None, [], {}):
        return ""
    try:
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return ""
    # PostgreSQL refuses NUL characters, and UTF-8 cannot encode half of a surrogate pair.
    return written.replace("\0", "").encode(errors="replace").decode().strip()


def one_line(value: Any) -> str:
    """Return a text on one line, cut after `LONGEST_LINE` characters."""
    return " ".join(as_text(value).split())[:LONGEST_LINE]


def as_url(value: Any) -> str:
    """Return an http or https URL; an empty string for any other value."""
    return as_text(value) if isinstance(value, str) and value.strip().startswith(("https://", "http://")) else ""


def files(*paths: str, label: str = "") -> MediaReader:
    """Return a reader of the URLs at the first path that leads to a URL."""

    def read_files(result: Any) -> list[Media]:
        each = (
            [found for leaf in values_at(result, path) for item in as_items(leaf) if (found := as_url(item))]
            for path in paths
        )
        return [Media(found, label=label) for found in next(filter(None, each), [])]

    return read_files


def words(*paths: str) -> TextReader:
    """Return a reader of the texts at all these paths."""
    return lambda result: [found for path in paths for leaf in values_at(result, path) if (found := as_text(leaf))]


def lyrics(path: str) -> TextReader:
    """Return a reader of every variant of the lyrics that did not fail, each under its title."""

    def read_lyrics(result: Any) -> list[str]:
        variants = (item for leaf in values_at(result, path) for item in as_items(leaf) if isinstance(item, dict))
        return [
            "\n\n".join(filter(None, [one_line(variant.get("title")), verses]))
            for variant in variants
            if (verses := as_text(variant.get("text"))) and normalize_word(variant.get("status")) != "failed"
        ]

    return read_lyrics


def timed_lyrics(path: str) -> TextReader:
    """Return a reader of timestamped lyrics: each line is the second at which a line of the song begins, and its text.

    All lines are joined into one text.
    """

    def read_timed_lyrics(result: Any) -> list[str]:
        lines: list[str] = []
        fresh = True
        for sung in (item for leaf in values_at(result, path) for item in as_items(leaf) if isinstance(item, dict)):
            sung_word = sung.get("word")
            if not one_line(sung_word):
                continue
            if fresh:
                lines.append(f"{parse_number(sung.get('startS')) or 0:.2f}")
            lines[-1] += f" {one_line(sung_word)}"
            # In KIE's answer, the last word of a line ends with the line break.
            fresh = str(sung_word).rstrip(" ").endswith("\n")
        return ["\n".join(lines)] if lines else []

    return read_timed_lyrics


def tracks(path: str) -> MediaReader:
    """Return a reader of each song's audio file, or of the song's audio stream when there is no file."""
    spellings = ("audioUrl", "audio_url", "streamAudioUrl", "stream_audio_url")

    def read_tracks(result: Any) -> list[Media]:
        songs = (item for leaf in values_at(result, path) for item in as_items(leaf) if isinstance(item, dict))
        return [
            Media(found, id=one_line(song.get("id")), label=one_line(song.get("title")))
            for song in songs
            if (found := next(filter(None, (as_url(song.get(name)) for name in spellings)), ""))
        ]

    return read_tracks


def clips(result: Any) -> list[Media]:
    """Return Veo's clips, and also the whole film when the task extended a clip."""
    own = files("resultUrls", "originUrls")(result)
    known = {clip.url for clip in own}
    return own + [film for film in files("fullResultUrls", label="whole film")(result) if film.url not in known]


def stems(result: Any) -> list[Media]:
    """Return the files in all fields with names such as `vocalUrl`, and the files that only `originData` has.

    The ids of the files come from `originData`, which spells the names of the stems in another way.
    """
    urls = {
        key.removesuffix("Url"): url for key, value in result.items() if key.endswith("Url") and (url := as_url(value))
    }
    ids: dict[str, str] = {}
    others = []
    for part in (item for item in as_items(result.get("originData")) if isinstance(item, dict)):
        id_, url = one_line(part.get("id")), as_url(part.get("audio_url"))
        name = one_line(part.get("stem_type_group_name"))
        same_name = [stem for stem in urls if stem_key(stem) == stem_key(name)]
        same = same_name or [stem for stem in urls if urls[stem] == url]
        if same:
            ids[same[0]] = id_
        elif url:
            others.append(Media(url, id=id_, label=name.lower()))
    return [Media(url, id=ids.get(stem, ""), label=stem) for stem, url in urls.items()] + others


def stem_key(name: str) -> str:
    """Return a key that is equal for a stem's spellings, such as `Backing Vocals` and `backingVocals`."""
    return re.sub("[^a-z]", "", name.lower()).removesuffix("s")


def result_texts(result: Any) -> list[str]:
    """Return the texts of a `jobs` result: lyrics, the notes of a MIDI file, or the whole object as JSON."""
    if values_at(result, "resultObject.lyricsData"):
        return lyrics("resultObject.lyricsData")(result)
    if values_at(result, "resultObject.instruments"):
        return words("resultObject.instruments")(result)
    return words("resultObject")(result)
