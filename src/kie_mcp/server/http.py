"""The streamable HTTP transport: an ASGI application with a bearer token and DNS rebinding protection."""

import ipaddress
from typing import Any

from mcp.server.lowlevel import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from kie_mcp.errors import ConfigurationError
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.middleware.bearer_token import BearerToken
from kie_mcp.server.middleware.capability_session import CapabilitySession
from kie_mcp.server.middleware.half_characters import WholeCharacters

PATH = "/mcp"


def build_http_app(app: App, *, host: str, token: str = "") -> ASGIApp:
    """Build the ASGI application that serves MCP over HTTP.

    Args:
        app: The parts of the server, such as the settings and the runner of tasks.
        host: The IP address or host name that the server will listen on.
        token: The bearer token that clients must send. The token may be empty only if `host` is a loopback address.

    Raises:
        ConfigurationError: When `token` is empty and other machines can connect, because they could spend credits.
    """
    if not token and not _is_loopback(host):
        raise ConfigurationError(
            f"{host} can be reached by others, and every call spends your credits.",
            "Set KIE_MCP_HTTP_TOKEN to a long random text that callers send as a bearer token, or use 127.0.0.1.",
        )
    asgi = build_streamable_app(build_server(app, sessions=False), host)
    return BearerToken(asgi, token) if token else asgi


def build_streamable_app(server: Server[Any], host: str) -> ASGIApp:
    """Build the ASGI application that serves an MCP server over HTTP, without authentication."""
    # A stateless server is used, because only a stateless server of the SDK answers all protocol versions.
    asgi = server.streamable_http_app(
        streamable_http_path=PATH, stateless_http=True, transport_security=_transport_security(host)
    )
    return WholeCharacters(CapabilitySession(asgi))


def _transport_security(host: str) -> TransportSecuritySettings:
    """Return settings that protect against DNS rebinding if the server listens on a loopback address.

    Without this protection, a web page could send requests to the server through a host name that its author controls.
    """
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
