"""A search for results in a status answer in which no reader finds any, because KIE may put them in a new place."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kie_mcp.kie.result_readers import Media, as_text, one_line, parse_json

MOST_FILES = 64
"""Largest number of files that are read out of one answer."""
LONGEST_URL = 4096
"""Largest number of characters of a result's URL."""
LONGEST_TEXT = 10_000
"""Largest number of characters that are kept of an answer in which no result is found."""
DEEPEST = 30
"""Largest number of lists, objects and JSON texts around a value that is looked at."""

_URL = re.compile(r"https://[^\s\"'<>\\^`{|}]+", re.IGNORECASE)
_URL_WITHOUT_SCHEME = re.compile(r"//[\w-]+(\.[\w-]+)+/\S+")
_PUNCTUATION = ".,;:!?)]"

# Names are compared in small letters and without other characters, so that spellings such as callBackUrl and
# call_back_url are the same.
_REQUEST = re.compile(
    "param|request|input|reference|prompt|callback|webhook|notify|error|fail|msg|message|(task|music|audio)id"
)
"""Parts of the names of fields that hold the request or an error, and no result."""
_COVER = re.compile("cover|thumb|poster|preview|origin|(?<!re)source|stream")
"""Parts of the names of fields that hold a preview, a stream or the original of a result, not the result itself."""
_PICTURE = re.compile("image|picture|photo|img")
_CLIP_OR_SOUND = re.compile("video|audio|song|music|clip|movie")

_BOOKKEEPING = re.compile("(parent|record)?taskid|recordid|state|status|model|type|progress|.*(time|flag|credits.*)")
"""Names of fields that are never part of a result, such as ids, states and times."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What a status answer holds in places that no reader knows."""

    media: tuple[Media, ...] = ()
    """The files; covers and originals, by the names of their fields, are included only if there are no other files."""
    certain: bool = False
    """Whether a file is surely a result: no cover, no original, and no picture where a clip or sound is expected."""
    text: str = ""
    """The rest of the record as JSON; empty when there are files."""


class _Link(NamedTuple):
    url: str
    names: tuple[str, ...]
    """Names of the fields that lead to the link, from the outermost on."""
    owner: Mapping[str, Any]
    """The innermost object around the link."""


def search(envelope: Mapping[str, Any]) -> Findings:
    """Search a status answer of a succeeded task for its results."""
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
    """Return the first `MOST_FILES` files, without those whose URL is too long."""
    return tuple(each for each in media if len(each.url) <= LONGEST_URL)[:MOST_FILES]


def _rank(names: tuple[str, ...], *, has_clip: bool) -> int:
    """Rank a link by the names of its fields: 0 for a result, 1 for a picture beside a clip or sound, 2 for a cover."""
    for name in reversed(names):
        if _COVER.search(name):
            return 2
        if _PICTURE.search(name):
            return int(has_clip)
        if _CLIP_OR_SOUND.search(name):
            return 0
    return 0


def _find_links(value: Any, names: tuple[str, ...], owner: Mapping[str, Any], depth: int) -> Iterator[_Link]:
    """Yield every link in a value, in the order in which the answer has them."""
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
    """Yield the names of all fields in a value, without those that hold the request or an error."""
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
    """Return a record without empty fields, bookkeeping, and fields that hold the request or an error."""
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
