"""The library page of each tenant: data for authenticated callers, and files through signed links."""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from kie_mcp.errors import ConfigurationError, NotAllowed
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.library_page.descriptions import PREFIX
from kie_mcp.library_page.page import LibraryPage, OpenLedger
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
MAX_READERS = 1000
"""Maximum number of tenants whose applications for signed links are cached; others are built again when needed."""

Protect = Callable[[ASGIApp], ASGIApp]
"""The type of a function that wraps an application in a check of the caller."""


class LibraryOfTenants:
    """Gives each request to the library page of one tenant: the caller's, or the one that a signed link names."""

    def __init__(
        self,
        tenants: Tenants,
        secret: str,
        protect_data: Protect,
        protect_page: Protect = lambda page: page,
        account: str = "",
    ) -> None:
        """Store the arguments.

        Args:
            tenants: The tenants.
            secret: The secret of the links' signatures, the same for all replicas of the server.
            protect_data: Wraps the application that has the data, so that it gets only requests of known callers.
            protect_page: Wraps the page itself, which has no data, so that people have to log in first.
            account: Path of the page of the caller's account; empty if there is none.
        """
        self._tenants = tenants
        self._secret = secret
        self._account = account
        self._pages: dict[str, tuple[App, ASGIApp]] = {}
        """The app and the library page of each tenant, by the tenant's name."""
        self._data = protect_data(AppOfCaller(self._answer_caller, tenants))
        self._empty = _build_empty_page()
        self._start = protect_page(self._empty)
        self._find_reader = lru_cache(MAX_READERS)(self._build_reader)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for data with the data of the caller's tenant; send a file only for a signed link."""
        if f"{scope['path']}/".startswith(f"{PREFIX}/api/"):
            await self._data(scope, receive, send)
        elif scope["path"] == PREFIX:
            await self._start(scope, receive, send)
        else:
            await self._find_linked(Request(scope))(scope, receive, send)

    def _find_linked(self, request: Request) -> ASGIApp:
        """Return the page of the tenant that a signed link names; for other requests, return the page without data."""
        (name,) = parse_qs(request.url.query).get(TENANT, [""])[:1]
        is_signed = name and self._sign_for(name).is_signed(request.url.path, request.url.query)
        return self._find_reader(name) if is_signed else self._empty

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

        async def open_ledger() -> Ledger:
            return (await app.runner()).ledger

        self._pages = {each: found for each, found in self._pages.items() if self._tenants.find_open(each)}
        page = self._build_page(name, app, open_ledger)
        self._pages[name] = app, page
        return page

    def _build_reader(self, name: str) -> ASGIApp:
        """Build the ASGI application that sends a tenant's files for signed links; it needs no KIE key."""
        return self._build_page(name, self._tenants.build_reader(name), partial(self._tenants.read_ledger, name))

    def _build_page(self, name: str, app: App, open_ledger: OpenLedger) -> ASGIApp:
        page = LibraryPage(
            open_ledger,
            lambda: app.settings.state_dir / FOLDER,
            lambda: app.storage,
            PathFilter(app).hide,
            links=self._sign_for(name),
            uploads=UploadReceiver(find_app).build_routes(),
            account=self._account,
        )
        return page.build("")

    def _sign_for(self, name: str) -> SignedLinks:
        # Each tenant's links are signed with a secret of its own. So if somebody changes the tenant's name in a link,
        # the signature is wrong, and the link opens nothing.
        return SignedLinks({TENANT: name}, shared_secret=f"{self._secret} {name}", clock=self._tenants.clock)


def _build_empty_page() -> ASGIApp:
    """Build a page for requests without a valid signed link; the page sends only the HTML shell, without data."""

    async def open_ledger() -> Ledger:
        raise ConfigurationError("This link names no tenant.", "Load the library again.")

    return LibraryPage(open_ledger, Path, lambda: FolderStorage(Path()), lambda value: value).build("")
