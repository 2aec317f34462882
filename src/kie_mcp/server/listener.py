"""Listen on a port and serve an ASGI application there, with limits on how long a request may take to arrive."""

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.supervisors import Multiprocess

from kie_mcp.errors import ConfigurationError

HEADER_SECONDS = 10
"""Seconds in which a client has to send the headers of a request, from its first byte or from the connection on."""
BODY_SECONDS = 60
"""Seconds in which a client has to send the body of a request, which may have at most 4 MiB."""
SHUTDOWN_SECONDS = 1
"""Seconds that open requests have left when the server ends; then other replicas take over its tasks."""


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP protocol, which ends a connection whose request does not arrive in time.

    uvicorn itself only limits how long a connection may be idle between two requests: a client that sends half of its
    headers would be waited for without end.
    """

    header_seconds: float = HEADER_SECONDS
    body_seconds: float = BODY_SECONDS
    _waits_for: object = None
    _timer: Any = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the headers of the first request."""
        super().connection_made(transport)
        self._set_timer()

    def data_received(self, data: bytes) -> None:
        """Take bytes from the client, and wait for what is still missing of the request."""
        super().data_received(data)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting when the client hangs up."""
        self._stop_timer()
        super().connection_lost(exc)

    def _set_timer(self) -> None:
        """Start the timer for what the client has to send now, headers or a body, unless it runs already."""
        state = self.conn.their_state
        if state is self._waits_for:
            return
        self._stop_timer()
        seconds = {h11.IDLE: self.header_seconds, h11.SEND_BODY: self.body_seconds}.get(state)
        if seconds and not self.transport.is_closing():
            self._waits_for, self._timer = state, self.loop.call_later(seconds, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._waits_for = None


def configure(
    application: ASGIApp | Callable[[], ASGIApp],
    host: str = "127.0.0.1",
    port: int = 0,
    protocol: type[TimedProtocol] = TimedProtocol,
    workers: int = 1,
) -> uvicorn.Config:
    """Return uvicorn's configuration for an application, with the arguments of `listen()`."""
    return uvicorn.Config(
        application,
        factory=workers > 1,
        workers=workers,
        host=host,
        port=port,
        http=protocol,
        ws="none",
        log_level="warning",
        # uvicorn's lines then look like all others.
        log_config=None,
        # Without this timeout, the server would not stop until all clients close their streams.
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


def listen(
    application: ASGIApp | Callable[[], ASGIApp],
    host: str,
    port: int,
    announce: Callable[[str], None],
    *,
    workers: int = 1,
) -> None:
    """Serve HTTP on a port until the user stops it.

    Args:
        application: The ASGI application; with several workers, a function that makes it, which is sent to each.
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        announce: Is called with the server's URL when the port is open.
        workers: Number of processes that answer requests to the port.

    Raises:
        ConfigurationError: When the port cannot be opened, for example because another program uses it.
    """
    config = configure(application, host, port, workers=workers)
    try:
        bound = open_port(host, port, config.backlog)
    except OSError as error:
        raise ConfigurationError(
            f"Port {port} of {host} cannot be opened: {error.strerror}.",
            "Stop the program that uses it, or give another one with --port (0 for any free port) or --host.",
        ) from None
    with bound:
        name = f"[{host}]" if ":" in host else host
        announce(f"http://{name}:{bound.getsockname()[1]}")
        with suppress(KeyboardInterrupt):
            if workers > 1:
                Multiprocess(config, sockets=[bound]).run()
            else:
                uvicorn.Server(config).run(sockets=[bound])


def open_port(host: str, port: int, backlog: int) -> socket.socket:
    """Return a socket that listens on a port; an answer is sent at once, also in several pieces.

    Raises:
        OSError: When the port cannot be opened.
    """
    bound = socket.create_server((host, port), family=_find_family(host), backlog=backlog)
    # asyncio does this only for sockets that name their protocol, which those of `create_server()` do not. The second
    # piece of an answer would wait 40 ms for the client's acknowledgement. Connections inherit the option.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _find_family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
