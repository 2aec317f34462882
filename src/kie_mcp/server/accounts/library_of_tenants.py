"""The library page of each tenant: data for authenticated callers, and files through signed links."""

from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.errors import ConfigurationError, NotAllowed
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.library_page.descriptions import PREFIX
from kie_mcp.library_page.page import LibraryPage
from kie_mcp.library_page.signed_links import SignedLinks
from kie_mcp.library_page.thumbnails import FOLDER
from kie_mcp.server.accounts.app_of_caller import AppOfCaller, find_app
from kie_mcp.server.accounts.caller import SCOPE
from kie_mcp.server.accounts.tenants import Tenants
from kie_mcp.server.app import App
from kie_mcp.server.path_filter import PathFilter
from kie_mcp.server.upload_receiver import UploadReceiver
from kie_mcp.tasks.storage import FolderStorage

TENANT = "tenant"
"""Name of the query parameter that contains the tenant's name; the link's signature covers this parameter."""


class LibraryOfTenants:
    """Sends each request to the library page of its tenant."""

    def __init__(self, tenants: Tenants, identify: Callable[[ASGIApp], ASGIApp]) -> None:
        """Store the arguments.

        Args:
            tenants: The tenants.
            identify: Function that wraps an application in authentication; the application then gets only requests of
                known callers.
        """
        self._tenants = tenants
        self._pages: dict[str, tuple[App, ASGIApp]] = {}
        """The app and the library page of each tenant, by the tenant's name."""
        self._data = identify(AppOfCaller(self._answer_caller, tenants))
        self._empty = _build_empty_page()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for data with the data of the caller's tenant; send a file only for a signed link."""
        if f"{scope['path']}/".startswith(f"{PREFIX}/api/"):
            await self._data(scope, receive, send)
            return
        (name,) = parse_qs(scope["query_string"].decode("latin-1")).get(TENANT, [""])[:1]
        app = self._tenants.find_open(name)
        # The page of a tenant accepts only links that it has signed itself, so a link into which somebody has written
        # another tenant's name opens nothing.
        await (self._find_page(name, app) if app else self._empty)(scope, receive, send)

    async def _answer_caller(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        try:
            app = find_app(request, spends=request.method not in {"GET", "HEAD"})
        except NotAllowed as error:
            await JSONResponse({"error": error.as_dict()}, 403)(scope, receive, send)
            return
        await self._find_page(scope[SCOPE].tenant, app)(scope, receive, send)

    def _find_page(self, name: str, app: App) -> ASGIApp:
        known, page = self._pages.get(name, (None, None))
        if page and known is app:
            return page
        self._pages = {each: found for each, found in self._pages.items() if self._tenants.find_open(each)}
        page = _build_page(name, app)
        self._pages[name] = app, page
        return page


def _build_page(name: str, app: App) -> ASGIApp:
    async def open_ledger() -> Ledger:
        return (await app.runner()).ledger

    page = LibraryPage(
        open_ledger,
        lambda: app.settings.state_dir / FOLDER,
        lambda: app.storage,
        PathFilter(app).hide,
        links=SignedLinks({TENANT: name}, clock=app.clock),
        uploads=UploadReceiver(find_app).build_routes(),
    )
    return page.build("")


def _build_empty_page() -> ASGIApp:
    """Build a page for requests that name no open tenant; the page sends only HTML without data of any tenant."""

    async def open_ledger() -> Ledger:
        raise ConfigurationError("This link names no tenant.", "Load the library again.")

    return LibraryPage(open_ledger, Path, lambda: FolderStorage(Path()), lambda value: value).build("")
