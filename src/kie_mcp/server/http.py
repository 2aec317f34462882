"""The streamable HTTP transport: an ASGI application with a bearer token and DNS rebinding protection."""

import gc
import ipaddress
import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from mcp.server.lowlevel import Server
from mcp.server.transport_security import (
    DEFAULT_MAX_REQUEST_BODY_SIZE,
    RequestBodyLimitMiddleware,
    TransportSecuritySettings,
)
from starlette.routing import BaseRoute
from starlette.types import ASGIApp
from uvicorn.config import STARTUP_FAILURE

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import new_id
from kie_mcp.library_page.page import LibraryBeside, LibraryPage
from kie_mcp.library_page.signed_links import SignedLinks
from kie_mcp.library_page.thumbnails import FOLDER
from kie_mcp.server import access_token
from kie_mcp.server.accounts.common_ledger import CommonLedger
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.callback_receiver import CallbackReceiver
from kie_mcp.server.listener import listen
from kie_mcp.server.middleware.bearer_token import BearerToken
from kie_mcp.server.middleware.capability_session import CapabilitySession
from kie_mcp.server.middleware.extra_routes import ExtraRoutes
from kie_mcp.server.middleware.half_characters import WholeCharacters
from kie_mcp.server.middleware.local_names import LocalNames
from kie_mcp.server.operation import start_operation
from kie_mcp.server.operation.probes import Probes
from kie_mcp.server.path_filter import PathFilter
from kie_mcp.server.selection import Selection
from kie_mcp.server.upload_receiver import UploadReceiver

if TYPE_CHECKING:
    from kie_mcp.config import Settings
    from kie_mcp.server.accounts.resource_server import ResourceServer
    from kie_mcp.server.operation.metrics import Metrics

logger = logging.getLogger(__name__)

PATH = "/mcp"

WITH_FILE = """\
Serving MCP at {url} until Ctrl-C. Callers send the token in {file}, which only you can read:
  Authorization: Bearer TOKEN
  claude mcp add --transport http kie {url} --header "Authorization: Bearer $(cat '{file}')"
"""
WITH_SETTING = "Serving MCP at {url} until Ctrl-C. Callers send KIE_MCP_HTTP_TOKEN as a bearer token."
WITH_ACCOUNTS = "Serving MCP at {url} until Ctrl-C. Callers log in at {issuer}."
OPEN_TO_THIS_MACHINE = """\
Serving MCP at {url} until Ctrl-C, without a token: every user of this machine can call it and spend your credits."""

BY_KEYS_ALONE = """\
Serving MCP at {url} until Ctrl-C, without a token: each caller sends a KIE key of its own, which pays:
  Authorization: Bearer KIE_KEY
"""
BY_KEYS_TOO = "  X-KIE-Key: KIE_KEY (each caller's own, beside the token; it pays)\n"


def serve_http(
    selection: Selection, host: str, port: int, announce: Callable[[str], None], *, with_token: bool = True
) -> None:
    """Serve MCP over HTTP until the user stops it.

    Args:
        selection: The tools to list.
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        announce: Function that is called, when the port is open, with a message on how to use the server.
        with_token: Whether callers have to send a token, which is in the settings or in a file of the data folder.

    Raises:
        ConfigurationError: When the settings are wrong, or other machines could connect without a token.
    """
    app = App(selection=selection, local_files=False)
    setting, token, file = app.settings.http_token, "", None
    issuer = app.settings.oidc_issuer
    if issuer and not with_token:
        raise ConfigurationError("--no-token and KIE_MCP_OIDC_ISSUER exclude each other.", "Leave one of them out.")
    if with_token and setting:
        token = setting.get_secret_value()
    elif with_token and not issuer:
        token, file = access_token.read_or_make_token(app.settings.data_dir)
    message = WITH_FILE.replace("{file}", str(file)) if file else WITH_SETTING if token else OPEN_TO_THIS_MACHINE
    if app.settings.caller_keys:
        message = f"{message.rstrip()}\n{BY_KEYS_TOO}" if token else BY_KEYS_ALONE
    message = WITH_ACCOUNTS.replace("{issuer}", issuer) if issuer else message
    tell, workers = lambda url: announce(message.replace("{url}", url + PATH)), app.settings.workers
    if workers == 1:
        listen(_build_observed_app(app, host, token), host, port, tell)
    else:
        # This application is built only to report wrong settings before the port is opened; it answers no request.
        build_http_app(app, host=host, token=token)
        build = partial(build_worker, selection, host, token, new_id("s"))
        listen(build, host, port, tell, workers=workers)


def build_worker(selection: Selection, host: str, token: str, session: str) -> ASGIApp:
    """Build the ASGI application of one of several worker processes, which share settings, ledger and session.

    If a setting is wrong, such as a port for metrics that is taken, log the error and end all processes of the server.
    """
    try:
        app = App(selection=selection, local_files=False)
        app.process = f"{session}-{new_id('w')}"
        return _build_observed_app(app, host, token)
    except ConfigurationError as error:
        logger.critical("%s %s", error, error.next_step)
        # With this exit code, no new worker is started in place of this one, which would fail in the same way.
        sys.exit(STARTUP_FAILURE)


def _build_observed_app(app: App, host: str, token: str) -> ASGIApp:
    asgi = build_http_app(app, host=host, token=token, metrics=start_operation(app, host))
    # As on stdio, `warm_up.warm_up()` turns this on, after the import of objects that are never freed.
    gc.disable()
    if not app.settings.traces:
        return asgi
    from kie_mcp.server.operation.collector import flush_at_end

    return flush_at_end(asgi)


def build_http_app(app: App, *, host: str, token: str = "", metrics: "Metrics | None" = None) -> ASGIApp:
    """Build the ASGI application that serves MCP over HTTP.

    Args:
        app: The parts of the server, such as the settings and the runner of tasks.
        host: The IP address or host name that the server will listen on.
        token: The bearer token that clients must send. The token may be empty only if `host` is a loopback address.
        metrics: Counts calls and callbacks; None if metrics are off.

    Raises:
        ConfigurationError: When other machines can connect, and `token` is empty or so short that it could be guessed.
            Also when the settings of accounts contradict each other.
    """
    settings = app.settings
    common = CommonLedger(settings)
    accounts = _build_resource_server(app, common)
    is_paid_by_callers = settings.caller_keys and not token
    is_open = not (accounts or is_paid_by_callers or _is_loopback(host))
    if is_open and len(token.strip()) < access_token.SHORTEST:
        lacking = f"a token of {len(token)} characters can be guessed" if token else "it needs a token"
        raise ConfigurationError(
            f"{host} can be reached by others, and every call spends your credits: {lacking}.",
            f"Set KIE_MCP_HTTP_TOKEN to a random text of {access_token.SHORTEST} or more characters that callers send "
            "as a bearer token, or use 127.0.0.1.",
        )
    if accounts:
        return build_app_for_tenants(app, host, accounts.protect, metrics, accounts, common=common)
    if settings.caller_keys:
        return build_app_for_tenants(app, host, _identify_by_keys(settings, token), metrics)
    server = build_server(app, sessions=False)
    if metrics:
        server.middleware.append(metrics.count_call)
    asgi = build_streamable_app(server, host, UploadReceiver(lambda _: app).build_routes())
    asgi = BearerToken(asgi, token) if token else asgi
    protected = LibraryBeside(asgi, _build_library(app, host, token))
    # The routes for callbacks and probes check neither token nor host name, because KIE and load balancers send no
    # token, and may use any host name.
    receiver = CallbackReceiver(app, metrics.count_callback if metrics else None)
    return ExtraRoutes(protected, [*receiver.build_routes(), *Probes(app).build_routes()])


def build_app_for_tenants(
    app: App,
    host: str,
    identify: Callable[[ASGIApp], ASGIApp],
    metrics: "Metrics | None" = None,
    accounts: "ResourceServer | None" = None,
    *,
    common: CommonLedger | None = None,
) -> ASGIApp:
    """Build the ASGI application for several tenants; each caller sees only the tasks of its own tenant.

    Args:
        app: The app of the server. This app is not opened, because each tenant has its own app.
        host: The IP address or host name that the server will listen on.
        identify: Function that wraps an application in authentication; the application then gets only requests of known
            callers.
        metrics: Counts calls and callbacks; None if metrics are off.
        accounts: The OAuth resource server. It has the routes for login, and finds the key of a tenant whose process
            has ended, so that the tenant's tasks continue at once. None if the callers send their own KIE keys.
        common: The ledger that all tenants share; None to open the one in the settings of `app`.
    """
    from kie_mcp.server.accounts.app_of_caller import AppOfCaller, find_app
    from kie_mcp.server.accounts.library_of_tenants import LibraryOfTenants
    from kie_mcp.server.accounts.tenants import Tenants

    tenants = Tenants(app, accounts.find_caller if accounts else None, common)
    server = build_server(app, sessions=False, tenants=tenants)
    if metrics:
        metrics.list_apps = tenants.list_open
        server.middleware.append(metrics.count_call)
    uploads, public_url = UploadReceiver(partial(find_app, spends=True)), ""
    if accounts:
        server.middleware += accounts.middleware
        public_url = app.settings.public_url
    asks_for_pages = bool(accounts and accounts.middleware)
    streamable = build_streamable_app(
        server, host, uploads.build_routes(), public_url=public_url, asks_for_pages=asks_for_pages
    )
    asgi = identify(AppOfCaller(streamable, tenants))
    secret = access_token.read_tenant_secret(app.settings)
    library: ASGIApp = LibraryOfTenants(tenants, secret, identify)
    if accounts:
        login = accounts.send_to_login
        library = LibraryOfTenants(tenants, secret, accounts.protect_data, login, accounts.account_page)
    protected = LibraryBeside(asgi, LocalNames(library, host, public_url) if _is_loopback(host) else library)
    receiver = CallbackReceiver(app, metrics.count_callback if metrics else None, tenants)
    routes = [*receiver.build_routes(), *Probes(app, tenants.open_common_ledger, tenants.start_soon).build_routes()]
    return ExtraRoutes(protected, [*routes, *(accounts.routes if accounts else ())])


def _identify_by_keys(settings: "Settings", token: str) -> Callable[[ASGIApp], ASGIApp]:
    """Return a function that wraps an application in a check of the callers' KIE keys.

    If the server has a token, the function also wraps the application in a check of this token.

    Raises:
        ConfigurationError: When the file with the tenant secret cannot be used.
    """
    from kie_mcp.server.accounts.caller_keys import CallerKeys

    secret = access_token.read_tenant_secret(settings)

    def identify(app: ASGIApp) -> ASGIApp:
        known = CallerKeys(app, secret, with_token=bool(token))
        return BearerToken(known, token) if token else known

    return identify


def _build_resource_server(app: App, common: CommonLedger) -> "ResourceServer | None":
    """Return the OAuth resource server, which checks access tokens; None if the settings name no OAuth provider.

    Args:
        app: The app of the server.
        common: The shared ledger, which stores people's own KIE keys.

    Raises:
        ConfigurationError: When the extra `accounts` is not installed, or the settings contradict each other.
    """
    if not app.settings.oidc_issuer:
        return None
    try:
        from kie_mcp.server.accounts.resource_server import ResourceServer
    except ImportError:
        step = "pip install 'kie-mcp[accounts]'"
        raise ConfigurationError("KIE_MCP_OIDC_ISSUER needs packages that are not installed.", step) from None
    return ResourceServer(app.settings, PATH, app.clock, app.build_client_of, common.open)


def build_streamable_app(
    server: Server[Any],
    host: str,
    routes: Sequence[BaseRoute] = (),
    *,
    public_url: str = "",
    asks_for_pages: bool = False,
) -> ASGIApp:
    """Build the ASGI application that serves an MCP server and additional routes over HTTP, without authentication.

    Args:
        server: The MCP server.
        host: The IP address or host name that the server will listen on.
        routes: The additional routes.
        public_url: The URL of the proxy that callers use; empty if callers use `host`.
        asks_for_pages: Whether the server asks clients to open pages in a browser (URL elicitation).
    """
    # A stateless server is used, because only a stateless server of the SDK answers all protocol versions. The SDK's
    # check of `Host` and `Origin` is off, because it accepts `localhost:evil.example`; `LocalNames` is used instead.
    streamable = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    # The size of a body is limited here, because the SDK's own limit comes after `WholeCharacters` has read the body.
    whole = WholeCharacters(CapabilitySession(streamable, asks_for_pages=asks_for_pages))
    asgi = ExtraRoutes(RequestBodyLimitMiddleware(whole, DEFAULT_MAX_REQUEST_BODY_SIZE), routes)
    return LocalNames(asgi, host, public_url) if _is_loopback(host) else asgi


def _build_library(app: App, host: str, token: str) -> ASGIApp:
    async def open_ledger() -> Ledger:
        return (await app.runner()).ledger

    uploads = UploadReceiver(lambda _: app).build_routes()
    find_folder, conceal = lambda: app.settings.state_dir / FOLDER, PathFilter(app).hide
    # Any worker or replica may get a browser's request for a picture. All of them have the same token, so the links are
    # signed with the token; without a token, all workers read the same secret from the data folder.
    secret = token
    # If the data folder cannot be used, there is nothing to link to, and every answer says why.
    with suppress(ConfigurationError):
        secret = token or access_token.read_tenant_secret(app.settings)
    links = SignedLinks(shared_secret=secret, clock=app.clock)
    whole = LibraryPage(open_ledger, find_folder, lambda: app.storage, conceal, links=links, uploads=uploads)
    page = whole.build(token)
    return LocalNames(page, host) if _is_loopback(host) else page


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
