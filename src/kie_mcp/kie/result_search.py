"""Search a whole status answer for results when no reader finds any, because KIE may put them into new fields."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kie_mcp.kie.result_readers import Media, as_text, one_line, parse_json

MOST_FILES = 64
"""Largest number of files that are taken from one answer."""
LONGEST_URL = 4096
"""Largest number of characters of a file's URL; files with longer URLs are left out."""
LONGEST_TEXT = 10_000
"""Largest number of characters of the answer that are kept when no result is found."""
DEEPEST = 30
"""Largest number of lists and objects, one inside the other, that are searched."""

_URL = re.compile(r"https://[^\s\"'<>\\^`{|}]+", re.IGNORECASE)
_URL_WITHOUT_SCHEME = re.compile(r"//[\w-]+(\.[\w-]+)+/\S+")
_PUNCTUATION = ".,;:!?)]"

# These patterns match names in lower case without other characters: `callbackurl` for callBackUrl and call_back_url.
_REQUEST = re.compile(
    "param|request|input|reference|prompt|callback|webhook|notify|error|fail|msg|message|(task|music|audio)id"
)
"""Matches parts of the names of fields that contain the request or an error, and therefore no result."""
_COVER = re.compile("cover|thumb|poster|preview|origin|(?<!re)source|stream")
"""Matches parts of the names of fields that contain a preview, stream or original of a result, not the result."""
_PICTURE = re.compile("image|picture|photo|img")
_CLIP_OR_SOUND = re.compile("video|audio|song|music|clip|movie")

_BOOKKEEPING = re.compile("(parent|record)?taskid|recordid|state|status|model|type|progress|.*(time|flag|credits.*)")
"""Matches names of fields that are never a part of a result, such as ids, states and times."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the search found in a status answer."""

    media: tuple[Media, ...] = ()
    """The files; files in fields such as `coverUrl` or `originUrl` are included only if there are no others."""
    certain: bool = False
    """Whether a file is surely a result, and not a cover, an original, or a picture that belongs to a clip."""
    text: str = ""
    """If there are no files: the task's record as JSON, without fields that are never a result; otherwise empty."""


class _Link(NamedTuple):
    url: str
    names: tuple[str, ...]
    """Names of the fields around the link, the outermost field first."""
    owner: Mapping[str, Any]
    """The innermost object that contains the link; it may have the file's `title` and `id`."""


def search(envelope: Mapping[str, Any]) -> Findings:
    """Search the status answer of a task that succeeded for the task's results."""
    links = [*_find_links(envelope, (), {}, 0)]
    given = {link.url for link in links if any(_REQUEST.search(name) for name in link.names)}
    found: dict[str, _Link] = {}
    for link in links:
        if link.url not in given:
            found.setdefault(link.url, link)
    has_clip = bool(_CLIP_OR_SOUND.search(" ".join(_find_names(envelope, 0))))
    ranked: tuple[list[Media], list[Media], list[Media]] = [], [], []
    for link in found.values():
        title, id_ = one_line(link.owner.get("title")), one_line(link.owner.get("id"))
        ranked[_rank(link.names, has_clip=has_clip)].append(Media(link.url, id=id_, label=title))
    results, pictures, covers = ranked
    media = bound([*results, *pictures] if results or pictures else covers)
    text = "" if media else as_text(_shorten(parse_json(envelope.get("data"))))[:LONGEST_TEXT]
    return Findings(media, certain=bool(results), text=text)


def bound(media: Sequence[Media]) -> tuple[Media, ...]:
    """Return at most `MOST_FILES` files, without files whose URL is longer than `LONGEST_URL`."""
    return tuple(each for each in media if len(each.url) <= LONGEST_URL)[:MOST_FILES]


def _rank(names: tuple[str, ...], *, has_clip: bool) -> int:
    """Return 0 for a link to a result, 1 for a picture that belongs to a clip or sound, and 2 for a cover or original.

    Args:
        names: Names of the fields around the link.
        has_clip: Whether the answer has a field for a clip or sound.
    """
    for name in reversed(names):
        if _COVER.search(name):
            return 2
        if _PICTURE.search(name):
            return int(has_clip)
        if _CLIP_OR_SOUND.search(name):
            return 0
    return 0


def _find_links(value: Any, names: tuple[str, ...], owner: Mapping[str, Any], depth: int) -> Iterator[_Link]:
    """Yield all links in a value, in the order of the answer.

    Args:
        value: The value to search.
        names: Names of the fields around the value.
        owner: The innermost object that contains the value.
        depth: Number of lists and objects around the value.
    """
    value = parse_json(value)
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _find_links(inner, (*names, _squash(name)), value, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _find_links(inner, names, owner, depth + 1)
    elif isinstance(value, str):
        text = value.strip()
        if _URL_WITHOUT_SCHEME.fullmatch(text):
            text = f"https:{text}"
        for link in _URL.findall(text.replace("\\/", "/")):
            yield _Link(link.rstrip(_PUNCTUATION), names, owner)


def _find_names(value: Any, depth: int) -> Iterator[str]:
    """Yield the names of all fields in a value, except fields that contain the request or an error."""
    value = parse_json(value)
    if depth > DEEPEST:
        return
    if isinstance(value, dict):
        for name, inner in value.items():
            if not _REQUEST.search(_squash(name)):
                yield _squash(name)
                yield from _find_names(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _find_names(inner, depth + 1)


def _shorten(record: Any) -> Any:
    """Return a record without empty fields, without ids, states and times, and without the request and errors."""
    if not isinstance(record, dict):
        return record
    return {
        name: value
        for name, value in record.items()
        if value not in (None, "", [], {}, "null", "[]", "{}")
        and not _REQUEST.search(_squash(name))
        and not _BOOKKEEPING.fullmatch(_squash(name))
    }


def _squash(name: Any) -> str:
    return re.sub("[^a-z]", "", str(name).lower())
