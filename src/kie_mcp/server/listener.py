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
"""Maximum seconds for the headers of a request; on a new connection, counted from the start of the connection."""
BODY_SECONDS = 60
"""Maximum seconds for the body of a request, which has at most 4 MiB."""
KEEP_ALIVE_SECONDS = 75
"""Seconds for which an idle connection stays open.

Clients and proxies keep idle connections open for up to 60 s, as nginx does. If the server closed a connection earlier,
a client might send a paid call into the closing connection, and would not know whether the server got the call.
"""
SHUTDOWN_SECONDS = 1
"""Maximum seconds that a stopping server waits for open requests; then other replicas take over the server's tasks."""


class TimedProtocol(H11Protocol):
    """uvicorn's HTTP protocol with time limits: if a request does not arrive in time, its connection is ended.

    uvicorn itself limits only the idle time between two requests. It would wait forever for a client that sends half of
    its headers.
    """

    header_seconds: float = HEADER_SECONDS
    body_seconds: float = BODY_SECONDS
    _waits_for: object = None
    _timer: Any = None

    def connection_made(self, transport: Any) -> None:
        """Start the timer for the headers of the first request."""
        super().connection_made(transport)
        self._set_timer()

    def data_received(self, data: bytes) -> None:
        """Parse bytes from the client, and start the timer for the next part of the request."""
        super().data_received(data)
        self._set_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer when the connection is closed."""
        self._stop_timer()
        super().connection_lost(exc)

    def _set_timer(self) -> None:
        """Start the timer for the part that the client sends now (headers or a body), unless the timer runs already."""
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
    """Return uvicorn's configuration for an application; see `listen()` for the arguments."""
    return uvicorn.Config(
        application,
        factory=workers > 1,
        workers=workers,
        host=host,
        port=port,
        http=protocol,
        ws="none",
        log_level="warning",
        # None, so that uvicorn sets up no logging of its own and logs in the same format as the rest of the server.
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
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
        application: The ASGI application; with several workers, a function that builds it in each worker's process.
        host: Address to listen on.
        port: Port to listen on; 0 for any free port.
        announce: Function that is called with the server's URL when the port is open.
        workers: Number of processes that answer requests to the port.

    Raises:
        ConfigurationError: When the port cannot be opened, for example because another program uses it, or when a
            worker cannot start.
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
                supervisor = Multiprocess(config, sockets=[bound])
                supervisor.run()
                if any(each.exitcode == uvicorn.config.STARTUP_FAILURE for each in supervisor.processes):
                    raise ConfigurationError("A worker of the server cannot start.", "Mend what it says above.")
            else:
                uvicorn.Server(config).run(sockets=[bound])


def open_port(host: str, port: int, backlog: int) -> socket.socket:
    """Return a socket that listens on a port and sends each piece of an answer without delay (TCP_NODELAY).

    Raises:
        OSError: When the port cannot be opened.
    """
    bound = socket.create_server((host, port), family=_find_family(host), backlog=backlog)
    # asyncio sets TCP_NODELAY only on sockets with an explicit protocol, which `create_server()` does not set. Without
    # this option, the second piece of an answer waits 40 ms for the client's acknowledgement. Connections inherit the
    # option from this socket.
    bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return bound


def _find_family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
