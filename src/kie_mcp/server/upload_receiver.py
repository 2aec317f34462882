"""Uploads over HTTP: callers on other machines send files, because the server cannot read those machines' disks."""

import tempfile
from collections.abc import Callable
from typing import IO

import anyio.to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from kie_mcp.errors import ConfigurationError, InvalidCall, KieMcpError, NotAllowed
from kie_mcp.ledger.ledger import LedgerError
from kie_mcp.server import formatting
from kie_mcp.server.app import App
from kie_mcp.server.path_filter import PathFilter
from kie_mcp.tasks.failures import unexpected_error
from kie_mcp.tasks.upload_command import PATH

MAX_BYTES = 100_000_000
"""Maximum bytes of an uploaded file."""


class UploadReceiver:
    """Receives files from callers and uploads them to KIE."""

    def __init__(self, find_app: Callable[[Request], App]) -> None:
        """Store a function that returns the app for a request, or raises an error if the request is not allowed."""
        self._find_app = find_app

    def build_routes(self) -> list[Route]:
        """Return the route to which files are sent."""
        return [Route(PATH, self._receive, methods=["POST"])]

    async def _receive(self, request: Request) -> Response:
        """Receive a file, upload it to KIE, and answer with the file's `kie://` URI and URL, or with an error."""
        app = None
        try:
            app = self._find_app(request)
            app.check_settings()
            uploader = (await app.runner()).uploader
            with tempfile.TemporaryFile() as file:
                await _store_body(request, file)
                upload = await uploader.upload_file(file, request.query_params.get("name") or "The file")
        except KieMcpError as error:
            statuses = {InvalidCall: 400, NotAllowed: 403, ConfigurationError: 503}
            return _refuse(app, error, statuses.get(type(error), 502))
        except LedgerError as error:
            return _refuse(app, unexpected_error(error, billed=False), 503)
        except OSError as error:
            fault = f"The server cannot store the file: {error.strerror or type(error).__name__}."
            step = "Make room in the server's folder for temporary files; then send the file again."
            return _refuse(app, ConfigurationError(fault, step, retryable=True), 503)
        except ClientDisconnect:
            return _refuse(app, InvalidCall("The file did not arrive whole.", "Send it again."), 400)
        expires = formatting.format_time(upload.expires)
        answer = {"resource": f"kie://uploads/{upload.id}", "url": upload.url, "name": upload.name, "expires": expires}
        return JSONResponse(answer, 201)


def _refuse(app: App | None, error: KieMcpError, status: int) -> Response:
    """Answer with an error, without the paths of the server's machine; `app` is None if the caller has no app."""
    told = error.as_dict() if not app or app.local_files else PathFilter(app).hide(error.as_dict())
    return JSONResponse({"error": told}, status)


async def _store_body(request: Request, file: IO[bytes]) -> None:
    """Write the body of a request to a file while it arrives.

    Raises:
        InvalidCall: When the body is empty or too large.
    """
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_BYTES:
            raise InvalidCall(
                f"A file has at most {MAX_BYTES // 1_000_000} MB here.", "Give a URL of the file instead."
            )
        await anyio.to_thread.run_sync(file.write, chunk)
    if not size:
        step = "Send the file as the body of the request. curl sends nothing if no file is at the path after the @."
        raise InvalidCall("No file arrived.", step)
    file.seek(0)
