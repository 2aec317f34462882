"""Readers: functions that extract the files or texts of a task from a result object in KIE's answer."""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kie_mcp.text import make_visible, one_line

DEEPEST_JSON = 5
"""Maximum number of times that a text is parsed as JSON; KIE nests JSON texts in JSON texts."""
LONGEST_URL = 4096
"""Maximum length of a file's URL, in characters; files with a longer URL are left out."""
LONGEST_LINE = 500
"""Maximum length of a text on one line, in characters; the rest is cut off."""


@dataclass(frozen=True, slots=True)
class Media:
    """A result: one file that a task made."""

    url: str
    id: str = ""
    """KIE's id of a track or stem, by which later tasks refer to it; empty for other files."""
    label: str = ""
    """Text that distinguishes this file from the task's other files: a song's title, a stem's name, "first frame"."""


# A URL inside another URL does not match, because it is a part of the outer URL, as in `?url=https://...`.
_URL_START = re.compile(r"(?<![=/:&?#@])(?=https?://)", re.IGNORECASE)
_URL_WITHOUT_SCHEME = re.compile(r"//[\w-]+(\.[\w-]+)+/\S")
_OPENERS = " \t\r\n[(\"'"
_SEPARATORS = " ,;|\"'([、，；"
_PUNCTUATION = ".,;:!?。"
_LIST_END = r"[\r\n\t\"<>\\]"
_PROSE_END = r"[\s\"<>\\^`|]|'(?!\w)"
_EXTENSION_AT_END = re.compile(r"\.\w{2,5}([?#]\S*)?$")
# Matches a data URI, or base64 text that begins like an image, clip or sound file. The base64 text has at least 60
# characters, so that no word matches.
_BASE64_FILE = re.compile(
    r"(data:[^,\s]{0,200};base64,|(?=iVBOR|/9j/|R0lGOD|UklGR|AAAA|GkXf|SUQz|//[sumv]|T2dnU|ZkxhQ))"
    r"(?=[\w+/-]{60})((?:[\w+/-]{60,}\r?\n)*[\w+/-]*={0,2})",
    re.ASCII,
)

MediaReader = Callable[[Any], list[Media]]
"""The type of functions that take a result object and return its files."""
TextReader = Callable[[Any], list[str]]
"""The type of functions that take a result object and return its texts."""


def values_at(value: Any, path: str) -> list[Any]:
    """Return all values at a path such as `data.url`; if `data` is a list, return the `url` of each item."""
    found = [value]
    for name in path.split(".") if path else ():
        found = [item[name] for each in found for item in as_items(each) if isinstance(item, dict) and name in item]
    return found


def as_items(value: Any) -> list[Any]:
    """Return the items of a list, or of a JSON text that is a list; any other value becomes the only item of a list."""
    value = parse_json(value)
    return value if isinstance(value, list) else [value]


def parse_json(value: Any) -> Any:
    """Parse a JSON text, and parse the value again if it is a JSON text, too; return any other value unchanged."""
    for _ in range(DEEPEST_JSON):
        if not isinstance(value, str):
            break
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            break
    return value


def parse_number(value: Any) -> float | None:
    """Convert a finite number, or a text such as "5", to a number; return None for any other value."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        figure = float(value)
    except (ValueError, OverflowError):
        return None
    return figure if math.isfinite(figure) else None


def parse_integer(value: Any) -> int | None:
    """Return an integer of at most four digits, such as one of KIE's codes; None for any other value."""
    figure = parse_number(value)
    return int(figure) if figure is not None and figure.is_integer() and abs(figure) < 10_000 else None


def normalize_word(value: Any) -> str:
    """Return a state in KIE's answer as a word in lower case: "success" for "SUCCESS"; "1" for 1, 1.0 or "1"."""
    figure = parse_integer(value)
    if figure is not None:
        return str(figure)
    return str(value).strip().lower() if isinstance(value, str | bool) else ""


def as_text(value: Any) -> str:
    """Return a string without invisible characters and without spaces at its ends; any other value as a JSON text.

    An empty value, or a value that JSON cannot express, gives an empty string.
    """
    if value in (None, [], {}):
        return ""
    try:
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return ""
    return make_visible(written).strip()


def as_line(value: Any) -> str:
    """Return a value as text on one line, cut off after `LONGEST_LINE` characters."""
    return one_line(as_text(value), LONGEST_LINE)


def as_urls(value: Any) -> list[str]:
    """Return the URLs in a text that begins with a URL, or the data URI of a text that is a file in base64.

    For any other value, the list is empty.
    """
    if not isinstance(value, str):
        return []
    return [inline] if (inline := as_data_uri(value)) else find_urls(value) if begins_with_url(value) else []


def as_data_uri(text: str) -> str:
    """Return the data URI for a text that is a file in base64; an empty string for any other text."""
    found = _BASE64_FILE.fullmatch(text.strip())
    return f"{found[1] or 'data:;base64,'}{found[2]}" if found else ""


def begins_with_url(text: str) -> bool:
    """Tell whether a text begins with a URL, perhaps after brackets or quotes."""
    return bool(_URL_START.match(_clean_urls(text)))


def find_urls(text: str) -> list[str]:
    """Return all http and https URLs in a text, in the order of the text.

    A URL ends before the next URL, at the end of the line, or at its first space. Only in a text that begins with a URL
    may URLs contain spaces (`https://a.example/my photo.png`); such a URL must end with a file extension. Separators
    between two URLs, such as commas, are left out.
    """
    written = _clean_urls(text)
    is_list = bool(_URL_START.match(written))
    found = []
    for part in _URL_START.split(written):
        url = re.split(_LIST_END if is_list else _PROSE_END, part[: 2 * LONGEST_URL], maxsplit=1)[0].rstrip(_SEPARATORS)
        if is_list and " " in url and not _EXTENSION_AT_END.search(url):
            url = url.partition(" ")[0].rstrip(_SEPARATORS)
        found.append(_strip_brackets(url if is_list else url.rstrip(_PUNCTUATION)))
    return [url for url in found if _URL_START.match(url)]


def _clean_urls(text: str) -> str:
    """Remove brackets and quotes from the start of a text, and undo escapes, such as `&amp;` in a URL.

    If the text then begins with `//host/`, `https:` is put before it.
    """
    written = as_text(text).lstrip(_OPENERS).replace("\\/", "/").replace("&amp;", "&")
    return f"https:{written}" if _URL_WITHOUT_SCHEME.match(written) else written


def _strip_brackets(url: str) -> str:
    """Remove closing brackets from the end of a URL, if their opening brackets are not in the URL."""
    # The brackets are counted only once, because a text may have thousands of them after a URL.
    unopened = {end: url.count(end) - url.count(start) for start, end in ("()", "[]")}
    while unopened.get(url[-1:], 0) > 0:
        unopened[url[-1]] -= 1
        url = url[:-1].rstrip(_SEPARATORS + _PUNCTUATION)
    return url


def files(*paths: str, label: str = "") -> MediaReader:
    """Return a reader for files: it tries the paths in order, and returns the files at the first path that has URLs."""

    def read_files(result: Any) -> list[Media]:
        each = (
            [found for leaf in values_at(result, path) for item in as_items(leaf) for found in as_urls(item)]
            for path in paths
        )
        return [Media(found, label=label) for found in next(filter(None, each), [])]

    return read_files


def words(*paths: str) -> TextReader:
    """Return a reader for texts: it returns the texts at all of these paths."""
    return lambda result: [found for path in paths for leaf in values_at(result, path) if (found := as_text(leaf))]


def lyrics(path: str) -> TextReader:
    """Return a reader for lyrics: it returns one text for each variant, with the title above the lyrics.

    Variants that failed are left out.
    """

    def read_lyrics(result: Any) -> list[str]:
        variants = (item for leaf in values_at(result, path) for item in as_items(leaf) if isinstance(item, dict))
        return [
            "\n\n".join(filter(None, [as_line(variant.get("title")), verses]))
            for variant in variants
            if (verses := as_text(variant.get("text"))) and normalize_word(variant.get("status")) != "failed"
        ]

    return read_lyrics


def timed_lyrics(path: str) -> TextReader:
    """Return a reader for timed lyrics: it returns one text, in which each line begins with its start in seconds.

    For example, the line "12.50 Hello darkness" is sung from second 12.5 on.
    """

    def read_timed_lyrics(result: Any) -> list[str]:
        lines: list[str] = []
        fresh = True
        for sung in (item for leaf in values_at(result, path) for item in as_items(leaf) if isinstance(item, dict)):
            sung_word = sung.get("word")
            if not as_line(sung_word):
                continue
            if fresh:
                lines.append(f"{parse_number(sung.get('startS')) or 0:.2f}")
            lines[-1] += f" {as_line(sung_word)}"
            # KIE ends the last word of each line with a line break.
            fresh = str(sung_word).rstrip(" ").endswith("\n")
        return ["\n".join(lines)] if lines else []

    return read_timed_lyrics


def tracks(path: str) -> MediaReader:
    """Return a reader for songs: for each song, it returns the audio file, or else a stream or a source file."""
    names = ("audioUrl", "audio_url", "streamAudioUrl", "stream_audio_url", "sourceAudioUrl", "source_audio_url")

    def read_tracks(result: Any) -> list[Media]:
        songs = (item for leaf in values_at(result, path) for item in as_items(leaf) if isinstance(item, dict))
        return [
            Media(found, id=as_line(song.get("id")), label=as_line(song.get("title")))
            for song in songs
            if (found := next(filter(None, (as_urls(song.get(name)) for name in names)), [""])[0])
        ]

    return read_tracks


def clips(result: Any) -> list[Media]:
    """Return the video files of a Veo task; a task that extended a clip has two: the new part and the whole clip."""
    own = files("resultUrls", "originUrls")(result)
    known = {clip.url for clip in own}
    return own + [film for film in files("fullResultUrls", label="whole film")(result) if film.url not in known]


def stems(result: Any) -> list[Media]:
    """Return the stems of a song: the files in fields such as `vocalUrl`, and further files in `originData`.

    Only `originData` has the ids of the files. It spells the names of the stems differently (see `stem_key()`).
    """
    urls = {
        key.removesuffix("Url"): found[0]
        for key, value in result.items()
        if key.endswith("Url") and (found := as_urls(value))
    }
    ids: dict[str, str] = {}
    others = []
    for part in (item for item in as_items(result.get("originData")) if isinstance(item, dict)):
        id_, url = as_line(part.get("id")), next(iter(as_urls(part.get("audio_url"))), "")
        name = as_line(part.get("stem_type_group_name"))
        same_name = [stem for stem in urls if stem_key(stem) == stem_key(name)]
        same = same_name or [stem for stem in urls if urls[stem] == url]
        if same:
            ids[same[0]] = id_
        elif url:
            others.append(Media(url, id=id_, label=name.lower()))
    return [Media(url, id=ids.get(stem, ""), label=stem) for stem, url in urls.items()] + others


def stem_key(name: str) -> str:
    """Return a key that is equal for all spellings of a stem's name, such as `Backing Vocals` and `backingVocal`."""
    return re.sub("[^a-z]", "", name.lower()).removesuffix("s")


def result_texts(result: Any) -> list[str]:
    """Return the texts in the result object of a `jobs` task: lyrics, MIDI notes, or all of `resultObject` as JSON."""
    if values_at(result, "resultObject.lyricsData"):
        return lyrics("resultObject.lyricsData")(result)
    if values_at(result, "resultObject.instruments"):
        return words("resultObject.instruments")(result)
    return words("resultObject")(result)
