"""Remove the paths of files on this machine from answers to callers on other machines, who cannot open these files.

In answers, a saved result's path is replaced by the result's `kie://` URI, which callers on other machines can read.
The sidecars (JSON files beside the results on the server's disk) still contain the paths.
"""

import json
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath
from typing import Any, NamedTuple, Self
from weakref import WeakKeyDictionary

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError

from kie_mcp.errors import ConfigurationError
from kie_mcp.server.app import App, Context
from kie_mcp.text import write_json

UNREAD_KEYS = frozenset({"blob", "data", "prompt", "whole_prompt"})
"""JSON keys whose values are not searched for paths: files in base64, and prompts, which stay as they were written."""
DATA_URI = re.compile(r"data:\w+/[\w.+-]+;base64,[\w+/=-]*", re.ASCII)
"""Pattern for `fullmatch()`: a file as a data URI; its base64 may contain a folder, such as `/tmp`, by chance."""
SAVED_NAME = r"\d{4}-\d\d-\d\d-[a-z0-9.-]{1,100}-(t_[a-z0-9]+)-(\d+)(?:-\d+)?\.\w+"
"""Regular expression for the file name of a result; for the 100 characters, see `LONGEST_MODEL` in `storage.py`."""
SAVED_FILE = re.compile(
    r"(?<![^\s\"'(])(?:[A-Za-z]:)?[/\\]"
    rf"(?:[^\n\":]*?[/\\]{SAVED_NAME}|[^\n\":]*(?<![\s'(][A-Za-z]))"
)
"""Matches the path of a saved result; its groups match the task's id and the result's number in the file's name.

After the start of a path without a result's name, the rest of the line is matched too, without these groups. Otherwise,
the rest would be searched again from each further slash, which takes minutes for a long text. A colon ends a path,
because the slashes after it may belong to a URL or to a path with a drive letter.
"""
URL = r"(?P<url>(?:https?|kie)://[^\s\"'<>(),;|]+)"
"""Regular expression for a URL that callers on other machines can use."""
_ARGUMENT = r"(?:'(?:[^'\n]|'\"'\"')*'|[\w@%+=:,./-]+)"
OWN_PATH = rf"--data-binary (?=['@]){_ARGUMENT} {_ARGUMENT}"
"""Regular expression for the end of the command that `tasks/upload_command.py` builds, with a path of the caller.

The path stays as the caller wrote it, although this machine may have a folder of the same name, such as `/tmp`.
"""
PATH_START = r"(?:(?<![\w.~%\]}-])|(?<=file://localhost))"
"""Regular expression for a place at which an absolute path can begin; in `/mnt/media`, none begins at `/media`."""
DATABASE_PLACE = re.compile(
    r"connection to server (?:at|on) .*?(?=\)|\. |\.?$)|(?<=failed to resolve host )'[^']*'", re.MULTILINE
)
"""Matches the parts of the PostgreSQL driver's error messages that contain the database's address."""
NEEDED = r"-t_|connection to server |failed to resolve host "
"""Regular expression for what each text contains that `SAVED_FILE` or `DATABASE_PLACE` changes."""


class Folders(NamedTuple):
    """Patterns that find the paths of some folders in a text."""

    needed: re.Pattern[str]
    """A text without a match stays unchanged. This one search is faster than the searches for all other patterns."""
    pattern: re.Pattern[str]
    """Matches the paths of the folders; subfolders come before parents.

    The pattern also matches whole URLs, as the group `url`: a URL such as `https://host/media/1` contains no path of
    this machine, even if `/media` is a folder here.
    """

    @classmethod
    def compile(cls, folders: Iterable[PurePath]) -> Self:
        r"""Compile the patterns for some absolute paths; on Windows, these may be written with `/`, `\` or `\\`."""
        spelled = {
            path
            for each in folders
            for path in (str(each), each.as_posix(), json.dumps(str(each), ensure_ascii=False)[1:-1])
            if len(path) > 1
        }
        paths = "|".join(map(re.escape, sorted(spelled, key=len, reverse=True)))
        return cls(re.compile(f"{paths}|{NEEDED}"), re.compile(rf"{URL}|{PATH_START}(?:{paths})(?![\w-]|\.\w)"))


_FOLDERS: WeakKeyDictionary[App, Folders] = WeakKeyDictionary()
"""The folders of each app; they are looked up once, because this takes longer than to filter an answer."""


@dataclass(frozen=True)
class PathFilter:
    """Middleware that removes paths of this machine, and the database's address, from all answers of the server."""

    app: App

    async def __call__(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Answer a request, and remove all paths from the answer or the error."""
        # The request may have the app of a tenant, whose folders differ from those of `self.app`.
        paths = PathFilter(ctx.lifespan_context)
        try:
            answer: HandlerResult = paths.hide(await call_next(ctx))
        except MCPError as error:
            error.error.message = paths.hide(error.error.message)
            error.error.data = paths.hide(error.error.data)
            raise
        return answer

    def hide(self, value: Any) -> Any:
        """Return a copy of a JSON value from an answer, without paths."""
        match value:
            case str():
                return self._hide_in_text(value)
            case list():
                return [self.hide(each) for each in value]
            case {"mimeType": "application/json", "text": str(text)}:
                return {**value, "text": write_json(self.hide(json.loads(text)))}
            case dict():
                return {
                    key: each if key in UNREAD_KEYS else self.hide(each)
                    for key, each in value.items()
                    if not (key == "path" and isinstance(each, str))
                }
        return value

    def _hide_in_text(self, text: str) -> str:
        folders = self._folders
        if not folders.needed.search(text) or DATA_URI.fullmatch(text):
            return text
        parts = re.split(f"({OWN_PATH})", text)
        parts[::2] = (_hide_in_sentence(each, folders) for each in parts[::2])
        return "".join(parts)

    @property
    def _folders(self) -> Folders:
        """The folders on this machine that could occur in answers of the app."""
        if self.app in _FOLDERS:
            return _FOLDERS[self.app]
        folders = {Path.home(), Path(tempfile.gettempdir())}
        try:
            settings = self.app.settings
        except ConfigurationError:
            return Folders.compile(folders)
        folders |= {settings.data_dir, *settings.read_dirs, *settings.found_dirs.values()}
        _FOLDERS[self.app] = Folders.compile(chain.from_iterable(map(_locate, folders)))
        return _FOLDERS[self.app]


def _hide_in_sentence(text: str, folders: Folders) -> str:
    text = SAVED_FILE.sub(_tell_address, text)
    return folders.pattern.sub(lambda found: found["url"] or "…", DATABASE_PLACE.sub("…", text))


def _locate(folder: Path) -> Iterator[Path]:
    """Yield the absolute path of a folder, as it is and without links; nothing if the working folder was deleted."""
    with suppress(OSError, RuntimeError):
        yield folder.absolute()
        yield folder.resolve()


def _tell_address(found: re.Match[str]) -> str:
    """Return the `kie://` URI of the saved result that `SAVED_FILE` matched, or the same text if it is no result."""
    return f"kie://tasks/{found[1]}/media/{found[2]}" if found[1] else found[0]
