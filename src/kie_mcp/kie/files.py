"""Upload files to KIE: as a stream, as base64, or by a URL from which KIE downloads the file."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from kie_mcp.errors import ApiError
from kie_mcp.kie.client import KieClient
from kie_mcp.kie.result_readers import LONGEST_URL

FOLDER = "kie-mcp"
BASE64_LIMIT = 10_000_000
"""Size of the largest file for which KIE recommends base64, in bytes."""
LARGEST_SIZE = 2**53
"""Largest plausible size of an upload, in bytes; a larger number in KIE's answer is a mistake and is ignored."""
UPLOAD_LIFETIME = 24 * 3600
"""Seconds for which KIE keeps an uploaded file. Older pages of KIE's documentation say three days."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """KIE's description of an uploaded file."""

    url: str
    name: str
    size: int | None
    mime_type: str


async def upload_stream(client: KieClient, file: IO[bytes], name: str, mime_type: str) -> UploadedFile:
    """Upload an open file as a stream.

    KIE derives the MIME type from the extension in the file's name, so the extension must fit the content.
    """
    data = await client.upload(
        client.endpoints.upload_stream,
        files={"file": (name, file, mime_type)},
        data={"uploadPath": FOLDER, "fileName": name},
    )
    return _uploaded_file(data, name, mime_type)


async def upload_base64(client: KieClient, content: bytes, name: str, mime_type: str) -> UploadedFile:
    """Upload a small file as base64 inside the request."""
    text = f"data:{mime_type};base64,{b64encode(content).decode()}"
    body = {"base64Data": text, "uploadPath": FOLDER, "fileName": name}
    return _uploaded_file(await client.upload(client.endpoints.upload_base64, json=body), name, mime_type)


async def upload_from_url(client: KieClient, url: str, name: str) -> UploadedFile:
    """Let KIE download a file from a public URL; KIE allows about 100 MB, and 30 seconds for the download."""
    body = {"fileUrl": url, "uploadPath": FOLDER, "fileName": name}
    return _uploaded_file(await client.upload(client.endpoints.upload_from_url, json=body), name, "")


def _uploaded_file(data: Mapping[str, Any], name: str, mime_type: str) -> UploadedFile:
    url, size = data["downloadUrl"], data.get("fileSize")
    if not isinstance(url, str) or len(url) > LONGEST_URL:
        raise ApiError("KIE took the file and named no URL that can be used.", "Try again.", retryable=True)
    return UploadedFile(
        url=url,
        name=str(data.get("fileName") or name),
        size=size if type(size) is int and 0 <= size <= LARGEST_SIZE else None,
        mime_type=str(data.get("mimeType") or mime_type),
    )
