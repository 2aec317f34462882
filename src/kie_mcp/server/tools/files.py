"""The tools `upload_file`, which uploads a file to KIE, and `get_download_url`, which asks KIE for a download link."""

from typing import Annotated

from mcp_types import CallToolResult
from pydantic import BeforeValidator, Field

from kie_mcp.catalog.reference_spellings import read_reference, unpack_block
from kie_mcp.errors import InvalidCall
from kie_mcp.server import answers, formatting
from kie_mcp.server.app import App, ToolCall
from kie_mcp.server.tools.tool import Arguments, Tool
from kie_mcp.tasks.permission import check_permission
from kie_mcp.text import one_line

LINK_MINUTES = 20
"""Minutes after which a download link from KIE stops working."""


Reference = Annotated[str, BeforeValidator(unpack_block)]
"""A text that names a file; if a client sends a content block instead, the file's reference is taken from the block."""


class UploadFile(Arguments):
    """Arguments of upload_file: exactly one of path, url and base64."""

    path: Reference | None = None
    url: Reference | None = None
    base64: Reference | None = Field(None, description="Small files only.")
    name: str = Field("", description="File name.")


async def upload_file(app: App, _: ToolCall, arguments: UploadFile) -> CallToolResult:
    """Upload one file to KIE, and return a result with its public URL, its resource URI and the time when they expire.

    Raises:
        NotAllowed: When the caller is allowed only to read.
        InvalidCall: When the call does not name exactly one file.
    """
    check_permission()
    given = [name for name in ("path", "url", "base64") if getattr(arguments, name)]
    if len(given) != 1:
        raise InvalidCall("upload_file takes exactly one of path, url and base64.", "Give one of them.")
    runner = await app.runner()
    uploader, reference = runner.uploader, arguments.path or arguments.url or ""
    if arguments.base64:
        upload = await uploader.upload_base64(arguments.base64, arguments.name)
    elif made_here := await runner.references.upload_result(read_reference(reference), arguments.name):
        upload = made_here
    else:
        upload = await uploader.upload_reference(reference, arguments.name)
    answer = {
        "upload_id": upload.id,
        "resource": f"kie://uploads/{upload.id}",
        "url": upload.url,
        "name": upload.name,
        "expires": formatting.format_time(upload.expires),
    }
    text = f"{upload.name} is at {upload.url} until {answer['expires']}: pass the URL, or {answer['resource']}."
    result = answers.build_result(answer, one_line(text))
    return answers.add_note(result, f"{changes}.") if (changes := uploader.changes.get(upload.id)) else result


class GetDownloadUrl(Arguments):
    """Arguments of get_download_url."""

    file: str = Field(description="task:id#n, or a URL of KIE's.")


async def get_download_url(app: App, _: ToolCall, arguments: GetDownloadUrl) -> CallToolResult:
    """Ask KIE for a link with which a person can download a file, and return a result with the link."""
    runner = await app.runner()
    url = await runner.client.request_download_url(await runner.references.find_url(read_reference(arguments.file)))
    text = one_line(f"{url} (for {LINK_MINUTES} minutes)")
    return answers.build_result({"url": url, "minutes": LINK_MINUTES}, text)


UPLOAD_FILE = Tool(
    "upload_file",
    "Put a file at a public URL for about a day. Rarely needed: file arguments upload local files themselves.",
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
