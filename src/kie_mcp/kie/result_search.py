"""Search a whole status answer for results; used if the readers of `result_readers.py` find no file in it.

The readers know only the fields that KIE uses today, and KIE may put results into new fields.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from kie_mcp.kie.result_readers import (
    LONGEST_URL,
    Media,
    as_data_uri,
    as_line,
    as_text,
    begins_with_url,
    find_urls,
    parse_json,
)

MAX_FILES = 64
"""Maximum number of files that are taken from one answer."""
LONGEST_TEXT = 10_000
"""Maximum length of `Findings.text`, in characters; the rest is cut off."""
DEEPEST = 30
"""Maximum depth of nested lists and objects that are searched."""

# Before a pattern is applied to a field's name, the name is split into words in lower case: callBackUrl and
# call_back_url both become `call back url`.
_CALLBACK = re.compile(r".*\b(call ?back|web ?hook|notify)( ur[il])?")
"""Matches the names of fields that contain a callback URL, which is never a result."""
_ID = re.compile(r"(.* )?ids?")
"""Matches the names of fields that contain an id; an id is never a result, even if it is a URL."""
_REQUEST = re.compile(r"\b(param(eter)?s?|requests?|inputs?|references?|prompts?|errors?|fail(ed|ure)?)\b")
"""Matches words in the names of fields that contain the request or an error; such fields contain no result."""
_RESULT = re.compile(r"\b(results?|response|outputs?)\b")
"""Matches words in the names of fields that contain results; if `_REQUEST` matches too, this pattern wins."""
_COVER = re.compile("cover|thumb|poster|preview|origin|(?<!re)source|stream")
"""Matches parts of the names of fields that contain a result's preview, stream or original instead of the result."""
_PICTURE = re.compile("image|picture|photo|img")
_CLIP_OR_SOUND = re.compile("video|audio|song|music|clip|movie")
_STAND_IN = re.compile("(preview|origin|(?<!re)source|stream).*(video|audio|song|music|clip|movie)")
"""Matches names such as `stream audio url`: this clip or sound is used only if the same object has no better one."""
_CLIP_OR_SOUND_FILE = re.compile(r"\.(mp4|mov|webm|mkv|mp3|wav|m4a|ogg|flac|aac)\b", re.IGNORECASE)
_FILE = re.compile(r"[^/]/[^?#]*\.(?!html?$|php$|aspx?$)[a-z]\w{1,4}$", re.IGNORECASE)
"""Matches a URL, without its query, that leads to a file and not to a web page."""

_BOOKKEEPING = re.compile("(parent|record)?taskid|recordid|state|status|model|type|progress|.*(time|flag|credits.*)")
"""Matches names of fields that are never a part of a result, such as ids, states and times."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What the search found in a status answer."""

    media: tuple[Media, ...] = ()
    """The files that were found. Covers and originals are included only if there are no other files."""
    certain: bool = False
    """Whether a file was found that is surely a result: not a cover, an original, a stream or the picture of a clip."""
    text: str = ""
    """The task's record as JSON, without fields that are never a result.

    The text is empty if files were found, except when one of the files was found inside a sentence.
    """


class _Rank(IntEnum):
    RESULT = 0
    STAND_IN = 1
    """The stream or the source of a clip or sound; it is only used if the clip or sound itself is missing."""
    PICTURE = 2
    """A picture that belongs to a clip or sound; it is used in addition to the clip or sound."""
    COVER = 3
    """A cover, an original or a file of the request; it is only used if there is no link of another rank."""


class _Link(NamedTuple):
    url: str
    in_sentence: bool
    names: tuple[str, ...]
    """Names of the fields that contain the link, the outermost field first."""
    owner: Mapping[str, Any]
    """The innermost object that contains the link; it may have the file's `title` and `id`."""


def search(envelope: Mapping[str, Any]) -> Findings:
    """Find the results of a successful task in its status answer."""
    links = [*_find_links(envelope, (), {}, 0)]
    given = {link.url for link in links if _is_given(link.names)}
    found: dict[str, _Link] = {}
    for link in links:
        if link.url not in given:
            found.setdefault(link.url, link)
    has_clip = any(_CLIP_OR_SOUND_FILE.search(url) for url in found) or _has_place_for_clip(envelope, 0)
    ranked = [(_rank(link, has_clip=has_clip), link) for link in found.values()]
    complete = {id(link.owner) for rank, link in ranked if rank is _Rank.RESULT}
    results = [
        link
        for rank, link in ranked
        if rank is _Rank.RESULT or (rank is _Rank.STAND_IN and id(link.owner) not in complete)
    ]
    pictures, covers = ([link for rank, link in ranked if rank is each] for each in (_Rank.PICTURE, _Rank.COVER))
    taken = [*results, *pictures] or covers
    media = bound([_as_media(link) for link in taken])
    has_words = not media or any(link.in_sentence for link in taken)
    text = as_text(_shorten(parse_json(envelope.get("data"))))[:LONGEST_TEXT] if has_words else ""
    return Findings(media, certain=bool(complete), text=text)


def bound(media: Sequence[Media]) -> tuple[Media, ...]:
    """Return at most `MAX_FILES` files, without repetitions and without files whose URL is longer than `LONGEST_URL`.

    A data URI may be longer, because it contains the file itself.
    """
    kept = (each for each in dict.fromkeys(media) if len(each.url) <= LONGEST_URL or each.url.startswith("data:"))
    return tuple(kept)[:MAX_FILES]


def _as_media(link: _Link) -> Media:
    return Media(link.url, id=as_line(link.owner.get("id")), label=as_line(link.owner.get("title")))


def _is_given(names: tuple[str, ...]) -> bool:
    """Tell whether a link is surely no result: it belongs to the request, an error or an id, or is a callback URL."""
    if any(_CALLBACK.fullmatch(name) or _ID.fullmatch(name) for name in names):
        return True
    outermost = next((name for name in names if _RESULT.search(name) or _REQUEST.search(name)), "")
    return bool(outermost) and not _RESULT.search(outermost)


def _is_request(name: str) -> bool:
    return bool(_REQUEST.search(name)) and not _RESULT.search(name)


def _rank(link: _Link, *, has_clip: bool) -> _Rank:
    """Return the rank of a link, by the names of the fields that contain the link.

    Args:
        link: A link in a status answer.
        has_clip: Whether the answer has a clip or sound, or a field for one.
    """
    if any(_is_request(name) for name in link.names):
        return _Rank.COVER
    is_clip = bool(_CLIP_OR_SOUND_FILE.search(link.url))
    for name in reversed(link.names):
        if _COVER.search(name):
            return _Rank.STAND_IN if is_clip or _STAND_IN.search(name) else _Rank.COVER
        if _PICTURE.search(name) and not is_clip:
            return _Rank.PICTURE if has_clip else _Rank.RESULT
        if _CLIP_OR_SOUND.search(name):
            return _Rank.RESULT
    return _Rank.RESULT


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
            yield from _find_links(inner, (*names, _split_words(name)), value, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _find_links(inner, names, owner, depth + 1)
    elif isinstance(value, str) and (inline := as_data_uri(value)):
        yield _Link(inline, in_sentence=False, names=names, owner=owner)
    elif isinstance(value, str):
        in_sentence = not begins_with_url(value)
        for url in find_urls(value):
            # In a sentence, only links to files are results, because a sentence may also mention a web page.
            if url.lower().startswith("https:") and (not in_sentence or _FILE.search(re.split("[?#]", url)[0])):
                yield _Link(url, in_sentence, names, owner)


def _has_place_for_clip(value: Any, depth: int) -> bool:
    """Tell whether a value contains a field for a clip or sound, even if this field is empty.

    A field whose value is a flag, a number or a word is ignored.
    """
    value = parse_json(value)
    if depth > DEEPEST:
        return False
    if isinstance(value, list):
        return any(_has_place_for_clip(inner, depth + 1) for inner in value)
    if not isinstance(value, dict):
        return False
    fields = [(_split_words(name), inner) for name, inner in value.items()]
    return any(
        (_CLIP_OR_SOUND.search(name) and not name.endswith(" id") and _is_place(inner))
        or _has_place_for_clip(inner, depth + 1)
        for name, inner in fields
        if not _is_request(name)
    )


def _is_place(value: Any) -> bool:
    return value in (None, "") or isinstance(value, dict | list) or (isinstance(value, str) and bool(find_urls(value)))


def _shorten(record: Any) -> Any:
    """Return a record without the fields that are empty or that hold ids, states, times, errors or the request.

    A field with an error or a part of the request is kept if it contains a link. A field such as `params`, which holds
    the complete request, is never kept.
    """
    if not isinstance(record, dict):
        return record
    return {
        name: value
        for name, value in record.items()
        if value not in (None, "", [], {}, "null", "[]", "{}")
        and not (
            _is_request(words := _split_words(name)) and (words.startswith("param") or not find_urls(as_text(value)))
        )
        and not _BOOKKEEPING.fullmatch(words.replace(" ", ""))
    }


def _split_words(name: Any) -> str:
    """Return the words of a field's name in lower case: `call back url` for callBackUrl or CALL_BACK_URL."""
    return " ".join(re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", str(name))).lower()
