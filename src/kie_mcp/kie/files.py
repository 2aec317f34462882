"""Upload files to KIE: as a stream, as base64, or by a URL from which KIE downloads the file."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from kie_mcp.kie.client import KieClient

FOLDER = "kie-mcp"
BASE64_LIMIT = 10_000_000
"""Largest size of a file for which KIE recommends base64, in bytes."""
UPLOAD_LIFETIME = 24 * 3600
"""Seconds for which KIE keeps an uploaded file; older pages of KIE's documentation say three days."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """KIE's description of an uploaded file."""

    url: str
    name: str
    size: int | None
    mime_type: str


async def upload_stream(client: KieClient, file: IO[bytes], name: str, mime_type: str) -> UploadedFile:
    """Upload an open file as a stream.

    KIE derives the MIME type from the file's name, so the ending of the name must fit the content.
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
    """Let KIE download a file from a public URL; KIE allows about 100 MB and 30 seconds."""
    body = {"fileUrl": url, "uploadPath": FOLDER, "fileName": name}
    return _uploaded_file(await client.upload(client.endpoints.upload_from_url, json=body), name, "")


def _uploaded_file(data: Mapping[str, Any], name: str, mime_type: str) -> UploadedFile:
    size = data.get("fileSize")
    return UploadedFile(
        url=str(data["downloadUrl"]),
        name=str(data.get("fileName") or name),
        size=size if isinstance(size, int) else None,
        mime_type=str(data.get("mimeType") or mime_type),
    )
