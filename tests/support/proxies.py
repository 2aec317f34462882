"""A forward proxy and TLS on this machine: host names that only the proxy knows, and certificates for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import uvicorn
from anyio.abc import SocketAttribute, SocketStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.types import ASGIApp

from kie_mcp.server.listener import open_port


class Proxy:
    """A proxy that accepts CONNECT (RFC 9110, 9.3.6), and connects every host name to the same server."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.asked: list[str] = []
        """The hosts and ports to which clients asked the proxy to connect."""

    async def serve(self, client: SocketStream) -> None:
        async with client:
            head = b""
            while b"\r\n\r\n" not in head:
                head += await client.receive()
            method, target, _ = head.decode().split(" ", 2)
            self.asked.append(target)
            if method != "CONNECT":
                await client.send(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")
                return
            async with await anyio.connect_tcp("127.0.0.1", self._server_port) as server:
                await client.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
                async with anyio.create_task_group() as group:
                    group.start_soon(_pass_on, client, server)
                    await _pass_on(server, client)
                    group.cancel_scope.cancel()


async def _pass_on(source: SocketStream, target: SocketStream) -> None:
    try:
        async for chunk in source:
            await target.send(chunk)
    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


@asynccontextmanager
async def run_proxy(server_port: int) -> AsyncIterator[tuple[str, Proxy]]:
    """Run a proxy in front of a server on this machine, and yield the proxy's URL and the proxy."""
    proxy = Proxy(server_port)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, proxy.serve)
        yield f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}", proxy
        group.cancel_scope.cancel()


@asynccontextmanager
async def serve_tls(application: ASGIApp, certificate: Path) -> AsyncIterator[int]:
    """Serve an application over TLS with the certificate and key in a file, and yield the port."""
    config = uvicorn.Config(
        application, log_level="warning", lifespan="off", ssl_certfile=certificate, ssl_keyfile=certificate
    )
    server = uvicorn.Server(config)
    with open_port("127.0.0.1", 0, config.backlog) as listener:
        async with anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            try:
                yield listener.getsockname()[1]
            finally:
                server.should_exit = True


def write_certificate(place: Path, *names: str) -> Path:
    """Write a key and a self-signed certificate for some host names; SSL_CERT_FILE can name the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, names[0])])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    place.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return place
