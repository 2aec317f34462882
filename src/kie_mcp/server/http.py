"""Streamable HTTP, for clients that do not start a process of their own."""

import ipaddress
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from kie_mcp.errors import ConfigurationError
from kie_mcp.server.app import App
from kie_mcp.server.build import build
from kie_mcp.server.middleware.bearer_token import BearerToken
from kie_mcp.server.middleware.capability_session import CapabilitySession

PATH = "/mcp"


def asgi(app: App, *, host: str, token: str = "") -> ASGIApp:
    """The server as an ASGI application.

    Args:
        app: What it serves.
        host: The address it will listen on.
        token: What callers have to show; needed when others than this machine can connect.

    Raises:
        ConfigurationError: When the address is open to others and there is no token: each call costs credits.
    """
    if not token and not _is_loopback(host):
        raise ConfigurationError(
            f"{host} can be reached by others, and every call spends your credits.",
            "Set KIE_MCP_HTTP_TOKEN to a long random text that callers send as a bearer token, or use 127.0.0.1.",
        )
    served = streamable(build(app, sessions=False), host)
    return BearerToken(served, token) if token else served


def streamable(server: Server[Any], host: str) -> ASGIApp:
    """A server as an ASGI application, open to whoever reaches it."""
    # Clients mix protocol eras on one connection; only a stateless server answers all of them.
    return CapabilitySession(
        server.streamable_http_app(streamable_http_path=PATH, stateless_http=True, transport_security=_security(host))
    )


def _security(host: str) -> TransportSecuritySettings:
    """Where no token is asked for, a web page must not reach the server by a name of its own that leads here."""
    names = [f"{name}{port}" for name in ("localhost", "127.0.0.1", "[::1]", host) for port in ("", ":*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=_is_loopback(host),
        allowed_hosts=names,
        allowed_origins=[f"http://{name}" for name in names],
    )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
