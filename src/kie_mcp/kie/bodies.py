"""Check the bodies of requests, and read those of answers with limited memory, even if they expand to gigabytes."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from kie_mcp.errors import InvalidCall

MAX_BYTES = 16_000_000
"""Maximum size of an answer, in bytes after decompression; the list of models, KIE's largest answer, has about 1 MB."""
MAX_UPLOAD_BYTES = 1_000_000
"""Maximum size of the answer to an upload, in bytes after decompression."""
MAX_VALUES = 1_000_000
"""Maximum number of JSON values in an answer; when parsed, even a digit takes about 70 bytes of memory."""
BODY_HEADERS = ("content-encoding", "content-length", "transfer-encoding")
"""Headers that describe how a body was sent; they are removed, because they are wrong for the decompressed body."""


class OversizedAnswer(Exception):
    """Raised when KIE's answer is too large to be read; the exception's message is a complete sentence."""


def check_encodable(body: Mapping[str, Any]) -> None:
    """Check that a request's body can be sent, before anything is written down that says that it was sent.

    Raises:
        InvalidCall: When the body has half a character (a lone surrogate), or a number that JSON does not have.
    """
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except ValueError as error:
        raise InvalidCall(f"This call cannot be sent to KIE ({error}).", "Write its texts and numbers anew.") from None


async def read_body(response: httpx2.Response, max_bytes: int) -> httpx2.Response:
    """Read the body of an answer that was requested as a stream.

    Args:
        response: The answer; its body has not been read yet.
        max_bytes: Maximum size of the decompressed body, in bytes; the rest of a larger body is not read.

    Returns:
        The same answer with its whole body, decompressed.

    Raises:
        OversizedAnswer: The body has more than `max_bytes` bytes, or more than MAX_VALUES values.
        RequestError: The connection breaks, or the body cannot be decompressed.
    """
    body = bytearray()
    # httpx2 decompresses the body in small pieces, so reading can stop early if the body is too large.
    async for piece in response.aiter_bytes():
        body += piece
        if len(body) > max_bytes:
            raise OversizedAnswer(f"KIE's answer is larger than {max_bytes // 1_000_000} MB and was not read.")
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise OversizedAnswer(f"KIE's answer has more than {MAX_VALUES:,} values and was not read.")
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in BODY_HEADERS]
    return httpx2.Response(response.status_code, headers=headers, content=bytes(body), request=response.request)


def parse_body(response: httpx2.Response, hide_key: Callable[[str], str]) -> Any:
    """Return the JSON value in an answer's body; the text if the body is not JSON; None if it is empty.

    All answers of KIE pass through this function. So this function also removes the API key from them.

    Args:
        response: The answer; its body has been read.
        hide_key: Function that removes the API key from a text.
    """
    content = response.content
    if not content.strip():
        return None
    try:
        return json.loads(hide_key(content.decode(json.detect_encoding(content), "surrogatepass")))
    except (ValueError, RecursionError):
        # The header's charset is ignored, because `response.text` raises an error for charsets such as base64.
        return hide_key(content.decode("utf-8", "replace"))
