"""Types of settings: they parse and check paths, URLs and credits from environment variables."""

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import pydantic_core
from pydantic import AfterValidator, Field

VARIABLE = re.compile(r"\$\{(?:env:)?(\w+)\}|%(\w+)%|\$([A-Za-z_]\w*)")
"""Matches an environment variable inside a setting: `${HOME}`, `${env:HOME}`, `%USERPROFILE%` or `$HOME`."""
UNFILLED = re.compile(r"\$[{(]|`|\{\{|^<")
"""Matches the beginning of a placeholder that a shell or an editor should have replaced: `$(`, `${`, `{{` or `<`."""
LIST_SEPARATOR = re.compile(re.escape(os.pathsep) + r"(?![^${}]*\})")
"""Matches the separator between two folders in a list, as in PATH; the colon in `${env:HOME}` is no separator."""


def _expand_path(path: Path) -> Path:
    """Remove quotes around a path, and replace `~` and environment variables: `"~/films"` -> `/home/ann/films`.

    A shell replaces `~` and variables in a command, but MCP clients do not replace them in the settings of their
    configuration.

    Raises:
        ValueError: When the path is empty, or contains a variable that is not set, such as `${workspaceFolder}`.
    """
    text = VARIABLE.sub(_read_variable, str(path).strip(" '\""))
    if not text:
        raise ValueError("it names no folder or file")
    if found := UNFILLED.search(text):
        raise ValueError(f"{text[found.start() :]} is not filled in; give the whole path")
    # `Path.expanduser()` is not used, because it raises RuntimeError if the home folder of a user is unknown.
    return Path(os.path.expanduser(text))  # noqa: PTH111


def _read_variable(found: re.Match[str]) -> str:
    name = next(filter(None, found.groups()))
    if not (value := os.environ.get(name)):
        raise ValueError(f"{found[0]} is not set in the server's environment; give the whole path")
    return value


def _check_url(url: str) -> str:
    """Check that a URL names a server, and return the URL unchanged.

    Raises:
        ValueError: When the URL has no host, or an impossible port.
    """
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:
        raise ValueError("it names no server")
    return url


def _normalise_url(url: str) -> str:
    """Return a URL as clients and browsers spell it, without a slash at its end.

    `https://KIE.example:443/` becomes `https://kie.example`. Clients compare addresses letter for letter, so a server
    has to tell and to expect the same spelling.

    Raises:
        ValueError: When the URL has an impossible host.
    """
    try:
        return str(pydantic_core.Url(url)).rstrip("/")
    except pydantic_core.ValidationError:
        raise ValueError("it names no server") from None


ExpandedPath = Annotated[Path, AfterValidator(_expand_path)]
Credits = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]\S*$"), AfterValidator(_check_url)]
PublicUrl = Annotated[Url, AfterValidator(_normalise_url)]
