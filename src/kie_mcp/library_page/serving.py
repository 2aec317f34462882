"""The command `kie-mcp library`: serve the page on a free port of this machine, and open it in the browser."""

import secrets
import threading
import webbrowser
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from html import escape
from pathlib import Path

from starlette.applications import Starlette
from starlette.types import ASGIApp

from kie_mcp import config, disk
from kie_mcp.catalog.credits import set_worth
from kie_mcp.config import Settings
from kie_mcp.ledger.folder import create_folder
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.library_page.descriptions import PREFIX
from kie_mcp.library_page.page import LibraryPage
from kie_mcp.library_page.thumbnails import FOLDER
from kie_mcp.server.app import App
from kie_mcp.server.listener import listen
from kie_mcp.server.middleware.local_names import LocalNames
from kie_mcp.server.upload_receiver import UploadReceiver

HOST = "127.0.0.1"
OPENER = "open-library.html"
"""Name of the file in the data folder that redirects a browser to the page."""
MESSAGE = """\
Your library is at {url} until Ctrl-C. Whoever has this address can see it, so keep it to yourself."""


def serve_and_open(announce: Callable[[str], None], *, port: int = 0, opens: bool = True) -> None:
    """Serve the library page until the user stops it; showing results needs no API key and spends nothing.

    Args:
        announce: A function that is called when the port is open; its argument is a message with the page's address.
        port: Port to listen on; 0 for any free port.
        opens: Whether to open the page in the user's browser.

    Raises:
        ConfigurationError: When the settings are wrong, or the port or the data folder cannot be used.
    """
    settings, token = config.load(), secrets.token_urlsafe(32)
    opener = create_folder(settings.state_dir) / OPENER

    def tell(url: str) -> None:
        # The part of a URL after `#` stays in the browser, so no request and no log contains the token.
        address = f"{url}{PREFIX}#{token}"
        announce(MESSAGE.replace("{url}", address))
        if opens:
            _open_in_browser(opener, address)

    try:
        listen(build_local_page(settings, token), HOST, port, tell)
    finally:
        delete_opener(opener, token)


def build_local_page(settings: Settings, token: str) -> ASGIApp:
    """Build the page's application for the user of this machine; the application opens the ledger when it starts."""
    set_worth(settings.usd_per_credit)
    opened: list[Ledger] = []
    # This app does not read the API key yet, because only the upload of dropped files needs the key.
    app = App(settings)

    @asynccontextmanager
    async def keep_ledger(_: Starlette) -> AsyncIterator[None]:
        ledger = await Ledger.open(settings.state_dir, url=settings.ledger_url, schema=settings.ledger_schema)
        opened.append(ledger)
        try:
            async with app.run():
                yield
        finally:
            await ledger.close()

    async def get_ledger() -> Ledger:
        return opened[0]

    storage = app.storage
    page = LibraryPage(
        get_ledger,
        lambda: settings.state_dir / FOLDER,
        lambda: storage,
        uploads=UploadReceiver(lambda _: app).build_routes(),
    )
    return LocalNames(page.build(token, keep_ledger), HOST)


def _open_in_browser(opener: Path, address: str) -> None:
    """Open the page through a file that only the user can read, and that redirects the browser to the page.

    Every user of this machine can see the arguments of a browser's process. Therefore, the argument is the file's URL
    and not the page's URL, which contains the token.
    """
    page = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={escape(address)}">'
    disk.replace_file(opener, f'{page}<title>Library</title><p><a href="{escape(address)}">Library</a>'.encode())
    # The browser is opened in another thread, because a text browser in the terminal would block the server until the
    # user closes the browser.
    threading.Thread(target=webbrowser.open, args=(opener.as_uri(),), daemon=True).start()


def delete_opener(opener: Path, token: str) -> None:
    """Delete the file that redirects to this page; keep the file of another `kie-mcp library` that wrote it since."""
    with suppress(FileNotFoundError):
        if token in opener.read_text(encoding="utf-8"):
            opener.unlink()
