"""Read references (a URL, path, id or base64 text) in all spellings that people, editors and clients use."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

TASK_ID = re.compile(r"t_\w+(#[\w-]+)?")
"""Matches kie-mcp's id of a task, such as t_ab12, or of a result of the task, such as t_ab12#2."""

INVISIBLE = "".join(map(chr, (0xAD, *range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x206A), 0xFEFF)))
"""Invisible characters; Windows and web pages put some of them before or behind a copied path or URL."""

_UPLOAD_ID = re.compile(r"u_\w+")
_RESOURCE = re.compile(r"kie://(?P<kind>tasks|uploads)/(?P<id>[\w-]+)(?:/media/(?P<n>\d+))?/?", re.IGNORECASE)
_TASK = re.compile(r"task:\s*(?P<id>[\w-]+)\s*(?:#\s*(?P<n>[\w-]+))?", re.IGNORECASE)
_URL = re.compile(r"(https?)://(.+)", re.IGNORECASE | re.DOTALL)
_MARKUP = re.compile(r"<(?:img|image|video|audio|source)\b[^>]{0,300}?\ssrc\s{0,9}=\s{0,9}|url\(\s{0,9}", re.IGNORECASE)
"""Matches what is before the target in `<img src="target">` of HTML and in `url(target)` of CSS."""
_ESCAPED_URL = re.compile(r"https?(?::\\/\\?/|%3A(?:%2F%2F|//))", re.IGNORECASE)
"""Matches the beginning of a URL in which slashes are escaped as in JSON, or that is percent-encoded as a whole."""
_TITLE = re.compile(r"""\s("[^"]*"|'[^']*')$""")
_PAIRS = ('""', "''", "``", "<>", "()", "[]", "**", "“”", "„“", "„”", "‘’", "‚‘", "«»", "»«", "「」")
_MOST_LAYERS = 6
_PUNCTUATION = ".,;:!?"
_AROUND_URLS = f"{_PUNCTUATION})]}}*\\\"'<>`”’»。，、！？…；：）」" + INVISIBLE
"""Characters that may follow a URL in a text; they are removed only if a media file's extension precedes them."""
_HIDDEN_IN_URLS = re.compile("[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Matches invisible characters that no writing needs; unlike them, joiners may be a part of a Persian URL."""
_AMPERSAND = re.compile(r"&(?:amp|#38|#x26);", re.IGNORECASE)
_ENDING = re.compile(r"\.\w{2,5}$")
_EXTENSION = r"\.(?:png|jpe?g|webp|gif|bmp|tiff?|hei[cf]|avif|mp4|m4v|mov|webm|mkv|avi|mp3|wav|ogg|flac|m4a|aac|opus)"
_MEDIA_ENDING = re.compile(rf"{_EXTENSION}$", re.IGNORECASE)
_SCHEME = r"[\"'`<]?(?:https?://|data:|task:|kie://|file:)"
_ID = r"[tu]_\w"
_PATH = r"(?:(?:~|\.{1,2})?/\S|[a-z]:[\\/])"
_FULL_PATH = r"(?:(?:~|/(?:home|Users|Volumes|mnt|private|root|tmp|var))/|[a-z]:[\\/])"
_QUOTE = "[\"'`<]?"
_LOCAL_START = re.compile(f"{_QUOTE}(?:{_ID}|{_PATH})", re.IGNORECASE)
"""Matches the beginning of a path or of an id of kie-mcp; a quotation mark may come first."""
HAS_SCHEME = re.compile(_SCHEME, re.IGNORECASE)
"""Matches the beginning of a URL, data URI or name such as `task:t_ab12#1`; a quotation mark may come first."""
_NEXT_SCHEME = re.compile(
    rf"(?P<between>[\s,;|、，；]|%2C|%0A|(?:\\[nrt]){{1,9}})(?<!;base64,)(?={_SCHEME})", re.IGNORECASE
)
r"""Matches a separator, such as a comma, `\n` or `%2C`, in front of another reference.

The comma in `;base64,` is no separator, even if `data:` follows: some tools write the prefix of a data URI twice.
"""
_NEXT_PATH = re.compile(f"(?P<between>[ |](?={_QUOTE}{_PATH})|[,;、，；](?={_QUOTE}{_FULL_PATH}))", re.IGNORECASE)
"""Matches a separator that ends any URL, also one with a query, in front of a path on this machine."""
_SEPARATOR = r"[\s,;|、，；]|\\[nrt]|%0A"
_PATH_BEHIND_FILE = re.compile(rf"{_EXTENSION}(?P<between>(?:{_SEPARATOR}|%2C)++)(?={_QUOTE}{_PATH})", re.IGNORECASE)
"""Matches the separators between a file's name and any path."""
_NEXT_NAME = re.compile(
    rf"{_EXTENSION}(?P<between>\+(?=https?:)"
    rf"|(?:%2C)?+(?:{_SEPARATOR})++(?![^\s/]{{0,99}}\w/)(?={_QUOTE}(?:{_ID}|[^\s,;|/?#]{{1,99}}{_EXTENSION}(?!\w))))",
    re.IGNORECASE,
)
"""Matches the separators between a URL that ends in a file's name and a file's name, an id or another URL.

If a folder's name and a slash follow, as in `l_logo.png,t_media/v1/dog.jpg`, the URL goes on.
"""
_LAST_SEPARATORS = re.compile(rf"({_EXTENSION})(?:{_SEPARATOR}|%2C|\+)++\Z", re.IGNORECASE)

_DATA = re.compile(r"data(:|%3A)", re.IGNORECASE)
_DATA_HEAD = re.compile(r"[\"'\s]*data:[^,]{0,100},", re.IGNORECASE)
_SEMICOLON = re.compile(r"^(data:[^,]{0,100};base64);", re.IGNORECASE)
"""Matches the beginning of a data URI with a semicolon in place of the comma."""
_BARE_HEAD = re.compile(r"(?:[\w.+-]+/[\w.+-]+;)?base64[,:]", re.IGNORECASE)
"""Matches the beginning of a data URI without `data:`, such as `image/png;base64,`."""
_BASE64_START = re.compile(
    r"/9j/|iVBORw0K|R0lGOD|UklGR|Qk[0-9A-Za-z+/]|SUkq|TU0A|SUQz|T2dnUw|ZkxhQ|GkXfo|TVRoZ|AAAA..Z0eXB|[/_]{2}[stuv]"
)
"""Matches the beginning of the base64 text of common media files, such as `/9j/` for a JPEG."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_=\s%\\-]+")
_SHORTEST_BASE64 = 60
"""A text that begins like a media file in base64 is read as base64 only if it has more characters than this.

A shorter text may be a path.
"""
_LONGEST_NAME = 400
"""A text that does not begin like a media file is read as base64 only if it has more characters than this.

A shorter text may be a path. A longer one is base64 only if all its characters may occur in base64.
"""

_DATA_KEYS = ("data", "blob", "base64", "b64json", "b64", "bytes")
_ADDRESS_KEYS = (
    *("resource", "resourceuri", "uri", "fileuri", "path", "filepath", "url", "href", "src", "file", "source"),
    *("imageurl", "videourl", "audiourl", "inputaudio", "inlinedata", "filedata", "image", "video", "audio", "media"),
)


def read_reference(text: str) -> str:
    """Return a reference in kie-mcp's own spelling, such as `task:t_ab12#1` for `"kie://tasks/t_ab12/media/1"`.

    From a path, only outer blanks are removed, because only the disk shows which quotes, backslashes and dots belong to
    the file's name.

    Args:
        text: A URL, path, data URI or id, perhaps inside quotes, brackets or a Markdown link; base64 text; or a content
            block (see `find_in_block()`) as a JSON text.
    """
    if text.lstrip().startswith("{"):
        text = find_in_block(_parse_object(text)) or text
    return next(filter(None, map(_standardize, unwrap(text))), text.strip())


def split_references(text: str) -> list[str]:
    """Split a text with several references, such as `task:t_ab12#1, https://e.com/b.png`.

    Commas alone do not separate references, because a URL may contain commas, and a data URI may contain commas and
    line breaks. Behind a URL, a path begins another reference; outside `/home` and similar folders, only with a file's
    name, a blank or a `|` before it. A file's name or an id of kie-mcp begins one only if the URL is that of a file and
    has no query, such as `https://e.com/a.png`.
    """
    wholes = _cut(text, _NEXT_SCHEME.finditer(text))
    parts = [part for whole in wholes for part in _cut(whole, _find_names(whole))]
    if len(parts) > 1:
        parts = [_LAST_SEPARATORS.sub(r"\1", part.strip(" ,;|、，；\n\r\t")) for part in parts]
    return [part for part in parts if part]


def _find_names(text: str) -> Iterable[re.Match[str]]:
    """Return the separators behind a URL in front of paths, files' names and ids of kie-mcp."""
    if not _URL.match(text.lstrip()):
        return ()
    name_end = text.find("?") if "?" in text else len(text)
    names = _NEXT_NAME.finditer(text, 0, name_end)
    return sorted((*names, *_PATH_BEHIND_FILE.finditer(text), *_NEXT_PATH.finditer(text)), key=re.Match.end)


def _cut(text: str, separators: Iterable[re.Match[str]]) -> list[str]:
    starts, ends = [0], []
    for found in separators:
        ends.append(found.start("between"))
        starts.append(found.end())
    return [text[start:end] for start, end in zip(starts, [*ends, len(text)], strict=True)]


def unwrap(text: str) -> Iterator[str]:
    """Yield the texts that a reference may mean: the text itself, then the text without its outermost layer, and so on.

    Layers are quotes, brackets, Markdown links, invisible characters, an `@` and a final full stop: `@"my photo.png".`
    also gives `my photo.png`.
    """
    inner = text.strip()
    for _ in range(_MOST_LAYERS):
        if not inner:
            return
        yield inner
        inner = _peel(inner)


def name_task(reference: str) -> str:
    """Return `task:t_ab12#1` for `t_ab12#1` or `kie://tasks/t_ab12/media/1`; return other texts unchanged."""
    text = reference.strip()
    found = _RESOURCE.fullmatch(text) or _TASK.fullmatch(text)
    if found and found.groupdict().get("kind", "tasks").lower() == "tasks":
        return f"task:{found['id']}#{found['n']}" if found["n"] else f"task:{found['id']}"
    return f"task:{text}" if TASK_ID.fullmatch(text) else reference


def find_in_block(block: Mapping[str, Any]) -> str:
    """Return the URL, path, id or data URI in a content block of MCP or of a model's API; empty if there is none.

    Examples of such blocks are `{"type": "image", "data": …, "mimeType": …}`, `{"image_url": {"url": …}}` and `{"path":
    …}`. In this server's answers, the entry for each result is such a block, too.
    """
    given = {re.sub(r"[\W_]", "", str(name)).lower(): value for name, value in block.items()}
    for name in _DATA_KEYS:
        if isinstance(text := given.get(name), str) and text:
            mime_type = next((each for key in ("mimetype", "mediatype") if isinstance(each := given.get(key), str)), "")
            return text if _DATA.match(text) or _URL.match(text) else f"data:{mime_type};base64,{text}"
    for name in _ADDRESS_KEYS:
        match given.get(name):
            case str() as text if text.strip():
                return text
            case Mapping() as inner if found := find_in_block(inner):
                return found
    return ""


def unpack_block(given: Any) -> Any:
    """Return the reference in a content block as a text; return anything else unchanged."""
    return (find_in_block(given) or given) if isinstance(given, Mapping) else given


def _peel(text: str) -> str:
    """Remove the outermost layer around a reference, such as quotes; return an empty text if there is no layer."""
    if (visible := text.strip(INVISIBLE)) != text:
        return visible.strip()
    if text.startswith(("[", "![")) and (target := _find_link_target(text.removeprefix("!"))):
        return target
    if found := _MARKUP.match(text):
        target = text[found.end() :]
        if target.startswith(('"', "'")):
            return target[1:].partition(target[0])[0].strip()
        return target.rpartition(")")[0] if found[0].endswith("(") else re.split(r"[\s>]", target, maxsplit=1)[0]
    if text[0] + text[-1] in _PAIRS and len(text) > 2:
        inner = text[1:-1].strip()
        # Slack writes a link as `<URL|text>`.
        return inner.partition("|")[0] if text.startswith("<http") else inner
    if text.startswith("@"):
        return text[1:].strip()
    bare = text.rstrip(_PUNCTUATION)
    is_name = bool(bare) and (_ENDING.search(bare[-8:]) or bare[0] + bare[-1] in _PAIRS)
    return bare if is_name and bare != text else ""


def _find_link_target(link: str) -> str:
    """Return the target of a Markdown link, `[name](path "title")`, or a wiki link, `[[path|title]]`; empty if none.

    The target of a picture that is a link, `[![name](picture)](page)`, is the picture.
    """
    if link.startswith("[[") and link.endswith("]]"):
        return link[2:-2].partition("|")[0].strip()
    if link.startswith("[![") and link.endswith(")"):
        return link[1:].rpartition("](")[0]
    before, bracket, target = link.partition("](")
    if not bracket or "]" in before or not target.endswith(")"):
        return ""
    target = target[:-1].strip()
    # The title is searched only at the end of the link, because the target may be a data URI of many megabytes.
    if title := _TITLE.search(target, max(len(target) - 200, 0)):
        target = target[: title.start()].strip()
    return target[1:-1].strip() if target[:1] + target[-1:] == "<>" else target


def _standardize(text: str) -> str:
    """Return a reference in kie-mcp's spelling; empty if the text may be a path, which must stay unchanged."""
    if _DATA.match(text):
        return _read_data_uri(text)
    if escaped := _ESCAPED_URL.match(text):
        text = unquote(text) if "%" in escaped[0] else text.replace("\\/", "/")
    if url := _URL.fullmatch(text):
        return f"{url[1].lower()}://{_mend_url(url[2])}"
    if (named := name_task(text)) != text or named.startswith("task:"):
        return named
    if found := _RESOURCE.fullmatch(text):
        return f"kie://uploads/{found['id']}"
    if _UPLOAD_ID.fullmatch(text):
        return f"kie://uploads/{text}"
    if head := _BARE_HEAD.match(text):
        return f"data:;base64,{text[head.end() :]}"
    is_base64 = len(text) > (_SHORTEST_BASE64 if _BASE64_START.match(text) else _LONGEST_NAME)
    return f"data:;base64,{text}" if is_base64 and _BASE64.fullmatch(text) else ""


def _read_data_uri(text: str) -> str:
    """Return a data URI with its prefix in lower case; of several prefixes in a row, only the last is kept."""
    text = unquote(text) if text[4] == "%" else text
    text = _SEMICOLON.sub(r"\1,", text, count=1)
    start = 0
    while inner := _DATA_HEAD.match(text, text.find(",", start) + 1):
        start = inner.start()
    head, comma, payload = text[start:].lstrip("\"' \t\r\n").partition(",")
    return f"{head.lower()}{comma}{payload}"


def _mend_url(rest: str) -> str:
    """Join the lines of a URL without its scheme, remove final punctuation, and encode the blanks in it."""
    first, *lines = (line.strip() for line in re.split(r"[\r\n\t]+", rest.strip()))
    for line in filter(None, lines):
        # A line behind a complete file name, such as `a.png`, or with blanks is another reference or other words. The
        # line break stays, so that a later check refuses the URL.
        is_end = _MEDIA_ENDING.search(first[-8:]) and not line.startswith(("?", "#", "&"))
        first += f"\n{line}" if is_end or " " in line or _LOCAL_START.match(line) else line
    rest = _HIDDEN_IN_URLS.sub("", _AMPERSAND.sub("&", first)).rstrip(f'{INVISIBLE}"<>`')
    bare = rest.rstrip(_AROUND_URLS)
    rest = bare if _MEDIA_ENDING.search(bare[-8:]) else rest
    # A blank after a complete file name or before a path ends the URL as well, and is not encoded.
    before = rest.partition(" ")[0].rstrip(_PUNCTUATION)
    return rest if _MEDIA_ENDING.search(before[-8:]) or _NEXT_PATH.search(rest) else rest.replace(" ", "%20")


def _parse_object(text: str) -> Mapping[str, Any]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return read if isinstance(read, Mapping) else {}
