"""`upload_file`, `get_download_url`."""

from mcp_types import CallToolResult
from pydantic import Field

from kie_mcp.errors import InvalidCall
from kie_mcp.server import answers
from kie_mcp.server.answers import when
from kie_mcp.server.app import App
from kie_mcp.server.generate import Asked
from kie_mcp.server.tools.tool import Arguments, Tool

LINK_MINUTES = 20
"""How long a link of get_download_url lives."""


class UploadFile(Arguments):
    """The file to hand over: exactly one of path, url and base64."""

    path: str | None = None
    url: str | None = None
    base64: str | None = Field(None, description="Small files only; hosts cut long arguments.")
    name: str = Field("", description="File name to give it.")


async def upload_file(app: App, _: Asked, wanted: UploadFile) -> CallToolResult:
    """Hand a file over to KIE."""
    given = [name for name in ("path", "url", "base64") if getattr(wanted, name)]
    if len(given) != 1:
        raise InvalidCall("upload_file takes exactly one of path, url and base64.", "Give one of them.")
    publisher = (await app.runner()).publisher
    if wanted.path:
        upload = await publisher.upload_path(wanted.path)
    elif wanted.url:
        upload = await publisher.upload_url(wanted.url, wanted.name)
    else:
        upload = await publisher.upload_base64(wanted.base64 or "", wanted.name)
    answer = {
        "upload_id": upload.id,
        "url": upload.url,
        "name": upload.name,
        "expires": when(upload.expires),
    }
    text = f"{upload.name} is at {upload.url} until {answer['expires']}: pass the URL, or kie://uploads/{upload.id}."
    return answers.result(answer, answers.one_line(text))


class GetDownloadUrl(Arguments):
    """The file to link to."""

    file: str = Field(description="task:<id>#<n>, or a URL of KIE's.")


async def get_download_url(app: App, _: Asked, wanted: GetDownloadUrl) -> CallToolResult:
    """Make a link that a browser saves."""
    runner = await app.runner()
    url = await runner.client.download_url(await runner.publisher.address(wanted.file))
    text = answers.one_line(f"{url} (for {LINK_MINUTES} minutes)")
    return answers.result({"url": url, "minutes": LINK_MINUTES}, text)


UPLOAD_FILE = Tool(
    "upload_file",
    "Put a file at KIE for about a day, at a public URL. Rarely needed: file arguments upload local files themselves.",
    UploadFile,
    upload_file,
    read_only=False,
)
GET_DOWNLOAD_URL = Tool(
    "get_download_url",
    "A link for a person to save a result, good for 20 minutes.",
    GetDownloadUrl,
    get_download_url,
)
