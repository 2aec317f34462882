"""Read what the sandbox's handlers need from a request: its JSON object, and the addresses in it and of it."""

import contextlib
import json
from typing import Any
from urllib.parse import SplitResult, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import Request

MEDIA_ORIGIN = "https://tempfile.kie-sandbox.invalid"
"""Start of the URLs of media files if the sandbox runs inside the process and not as an HTTP server."""


async def read_json(request: Request) -> dict[str, Any]:
    """Parse the request body as a JSON object; raise an error with HTTP status 400 if it is no JSON object."""
    with contextlib.suppress(ValueError):
        body = json.loads(await request.body())
        if isinstance(body, dict):
            return body
    raise HTTPException(400, "The body is no JSON object")


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a web address, or None if the text is no web address."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return parts if parts.scheme in {"http", "https"} else None


def find_base_url(request: Request) -> str:
    """Return scheme and host for media URLs: those of the request if it came over the network, else MEDIA_ORIGIN.

    Within a server's process, requests are for KIE's own addresses, which are https; on a port, the sandbox is http.
    """
    return str(request.base_url).rstrip("/") if request.url.scheme == "http" else MEDIA_ORIGIN
