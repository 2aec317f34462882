"""Uploads to KIE: as a stream, as base64, or fetched by KIE from a URL."""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from kie_mcp.kie.client import KieClient

FOLDER = "kie-mcp"
BASE64_LIMIT = 10_000_000
"""Largest file for which KIE recommends base64, in bytes."""
UPLOAD_LIFETIME = 24 * 3600
"""Seconds that KIE keeps an uploaded file; older pages of KIE say three days."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """An uploaded file, as KIE describes it."""

    url: str
    name: str
    size: int | None
    mime_type: str


async def upload_stream(client: KieClient, file: IO[bytes], name: str, mime_type: str) -> UploadedFile:
    """Upload an open file as a stream.

    KIE derives the content type from the name, so name and content have to agree.
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
    """Let KIE fetch a file from a public URL; the file may have about 100 MB, and the fetch may take 30 seconds."""
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
