"""An S3 server on this machine that checks signatures, and a gate before it that can cut connections."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream

from support.paths import ROOT

MODULES = ROOT / ".node" / "node_modules"
KEY = "S3RVER"
"""The server's only key, and its secret."""
BUCKET = "media"
START = 'require("@20minutes/s3rver/lib/cli").parseAsync(process.argv)'
STORED, DESCRIBED = "._S3rver_object", "._S3rver_metadata.json"
"""Ends of the names of the two files of an object; what was cut has only the first one, and is none."""
SLOW_DOWN = b"""HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nConnection: close\r\nContent-Length: 40\r
\r\n<Error><Code>SlowDown</Code></Error>    """


def find_s3_server() -> bool:
    """Return whether the server is installed."""
    return (MODULES / "@20minutes" / "s3rver").exists()


needs_s3 = pytest.mark.skipif(not find_s3_server(), reason="The S3 server is not installed; see scripts/node.")


class S3Server:
    """A server whose objects are in a folder."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port

    def environment(self, port: int = 0) -> dict[str, str]:
        """Return the variables of AWS with which a client uses this server, or a gate before it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port or self.port}",
        }

    def read_objects(self, prefix: str) -> dict[str, bytes]:
        """Return the objects whose names begin with a folder, by the rest of their names."""
        place = self.folder / BUCKET / prefix
        names = (str(each).removesuffix(DESCRIBED) for each in place.rglob(f"*{DESCRIBED}"))
        return {str(Path(name).relative_to(place)): Path(f"{name}{STORED}").read_bytes() for name in names}


@contextmanager
def run_s3_server(folder: Path) -> Iterator[S3Server]:
    """Run a server with one bucket."""
    arguments = ["--directory", str(folder), "--address", "127.0.0.1", "--port", "0", "--configure-bucket", BUCKET]
    # The name of a program takes the place that `process.argv` has for a script.
    command = [str(MODULES / ".bin" / "node"), "-e", START, "s3rver", *arguments]
    environment = {"PATH": os.environ["PATH"], "NODE_PATH": str(MODULES), "NODE_ENV": "production"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout
        try:
            line = next(each for each in process.stdout if "listening" in each)
            yield S3Server(folder, int(line.rsplit(":", 1)[1]))
        finally:
            process.terminate()


class Gate:
    """Passes connections on to a server, as long as nothing else is asked for."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self.port = 0
        self.cuts_after: int | None = None
        """Number of bytes after which a request is cut; None for never."""
        self.is_busy = False
        """Whether requests are answered with 503."""

    async def serve(self, client: SocketStream) -> None:
        async with client:
            if self.is_busy:
                await client.receive()
                await client.send(SLOW_DOWN)
                return
            connection = await anyio.connect_tcp("127.0.0.1", self._server_port)
            async with connection as server, anyio.create_task_group() as group:
                group.start_soon(self._pass_on, server, client, None)
                await self._pass_on(client, server, self.cuts_after)
                group.cancel_scope.cancel()

    async def _pass_on(self, source: SocketStream, target: SocketStream, most: int | None) -> None:
        passed = 0
        try:
            async for chunk in source:
                passed += len(chunk)
                if most is not None and passed > most:
                    return
                await target.send(chunk)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            return


@asynccontextmanager
async def run_gate(server: S3Server) -> AsyncIterator[Gate]:
    """Run a gate before a server."""
    gate = Gate(server.port)
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        gate.port = listener.extra(SocketAttribute.local_port)
        group.start_soon(listener.serve, gate.serve)
        yield gate
        group.cancel_scope.cancel()
