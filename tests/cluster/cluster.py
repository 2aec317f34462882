"""The pieces of compose.yaml as processes of this machine; KIE's sandbox is one more of them."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

import httpx2
from support.accounts import Memory, make_key, register, run_provider
from support.commands import COMMAND, environment
from support.paths import ROOT
from support.postgresql import PostgresqlServer, find_programs
from support.s3_server import BUCKET, S3Server, find_s3_server, run_s3_server

TOKEN = "a long random text"
TEMPLATE = ROOT / "deploy" / "nginx.conf.template"
NO_NGINX = "nginx is not installed here (Debian and Ubuntu: apt install nginx-light)"
START_SECONDS = 60
PREFIX = "kie"

NGINX = """\
daemon off;
pid ${FOLDER}/nginx.pid;
error_log stderr;
events {}
http {
    access_log off;
    client_body_temp_path ${FOLDER}/body;
    proxy_temp_path ${FOLDER}/proxy;
    fastcgi_temp_path ${FOLDER}/fastcgi;
    uwsgi_temp_path ${FOLDER}/uwsgi;
    scgi_temp_path ${FOLDER}/scgi;
    include ${FOLDER}/site.conf;
}
"""


def find_nginx() -> str | None:
    """Return the path of nginx; None if it is not installed."""
    return shutil.which("nginx") or next((path for path in ("/usr/sbin/nginx",) if Path(path).exists()), None)


@dataclass
class Replica:
    """One of the servers."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def watches(self, id_: str) -> bool:
        """Return whether the server has told of a task with this id of the ledger."""
        return id_ in self.log.read_text(encoding="utf-8")

    def is_ready(self) -> bool:
        """Return whether the server can work."""
        return _answers(f"{self.url}/readyz")

    def end(self) -> float:
        """End the server as a container platform does, and return the seconds that this took."""
        begin = time.monotonic()
        self.process.terminate()
        self.process.wait(timeout=30)
        return time.monotonic() - begin


@dataclass
class Cluster:
    """All processes together."""

    url: str
    """The address of MCP at the proxy."""
    kie: str
    """The address of the sandbox."""
    bucket: S3Server | None
    """The server of the bucket with the results; None if they are in a folder."""
    replicas: list[Replica]
    media: Path
    """The folder of saved results."""
    login: Memory | None
    """What a person's client keeps of its login at the provider; None if callers send `TOKEN`."""

    def count_results(self) -> int:
        """Return the number of saved results."""
        names = [str(each) for each in self.media.rglob("*")]
        names += self.bucket.read_objects(PREFIX) if self.bucket else []
        return sum(name.endswith((".jpg", ".jpeg", ".png", ".mp4")) for name in names)

    def read_accepted(self) -> list[dict[str, object]]:
        """Return what the sandbox has accepted."""
        found: list[dict[str, object]] = httpx2.get(f"{self.kie}/sandbox/accepted").json()["data"]
        return found


@contextmanager
def run_cluster(
    folder: Path, *, seconds: float, replicas: int = 2, with_login: bool = False, kie_mcp: Sequence[str] = COMMAND
) -> Iterator[Cluster]:
    """Run all processes until the block ends.

    Args:
        folder: The folder for their files.
        seconds: Seconds that a task takes in the sandbox.
        replicas: Number of servers.
        with_login: Whether people log in at a provider; otherwise, all callers have one token.
        kie_mcp: The command of the sandbox and of the servers.
    """
    kie_port, proxy_port, *ports = _free_ports(2 + replicas)
    kie, proxy = (f"http://127.0.0.1:{port}" for port in (kie_port, proxy_port))
    with ExitStack() as running:
        settings = {
            "KIE_API_KEY": "sandbox",
            "KIE_MCP_BASE_URL": kie,
            "KIE_MCP_UPLOAD_URL": kie,
            "KIE_MCP_DATA_DIR": str(folder / "data"),
            "KIE_MCP_OUTPUT_DIR": str(folder / "media"),
            "KIE_MCP_PUBLIC_URL": proxy,
            "KIE_MCP_LOG_FORMAT": "json",
            "KIE_MCP_CONFIRM_ABOVE": "100000",
            "KIE_MCP_CONFIRM_HOURLY": "0",
            **running.enter_context(_run_database()),
            **(running.enter_context(_run_login(proxy)) if with_login else {"KIE_MCP_HTTP_TOKEN": TOKEN}),
        }
        bucket = running.enter_context(run_s3_server(folder / "bucket")) if find_s3_server() else None
        if bucket:
            settings |= {"KIE_MCP_STORAGE": f"s3://{BUCKET}/{PREFIX}", **bucket.environment()}
        sandbox = {"KIE_MCP_DATA_DIR": str(folder / "kie")}
        arguments = ("sandbox", "--port", str(kie_port), "--seconds", str(seconds), "--credits", "100000")
        running.enter_context(_run([*kie_mcp, *arguments], folder / "kie.log", **sandbox))
        started = []
        for port in ports:
            log = folder / f"replica-{port}.log"
            server = _run([*kie_mcp, "serve", "--http", "--port", str(port)], log, **settings)
            started.append(Replica(f"http://127.0.0.1:{port}", running.enter_context(server), log))
        running.enter_context(_run_nginx(folder / "nginx", proxy_port, ports))
        _wait_for(lambda: all(each.is_ready() for each in started), folder)
        _wait_for(lambda: _answers(f"{proxy}/healthz"), folder)
        yield Cluster(f"{proxy}/mcp", kie, bucket, started, folder / "media", Memory() if with_login else None)


@contextmanager
def _run_database() -> Iterator[dict[str, str]]:
    """Run PostgreSQL, and give the setting for it; where it cannot be had, the servers share a file."""
    if not find_programs():
        yield {}
        return
    server = PostgresqlServer.create()
    try:
        server.create_database("cluster")
        yield {"KIE_MCP_DATABASE_URL": server.url("cluster")}
    finally:
        server.remove()


@contextmanager
def _run_login(address: str) -> Iterator[dict[str, str]]:
    """Run an OpenID provider that knows the servers, and give the settings for it."""
    with run_provider(make_key("of the cluster")) as issuer:
        known = register(issuer, address)
        yield {
            "KIE_MCP_OIDC_ISSUER": issuer,
            "KIE_MCP_OIDC_CLIENT_ID": known["oidc_client_id"],
            "KIE_MCP_OIDC_CLIENT_SECRET": known["oidc_client_secret"].get_secret_value(),
        }


@contextmanager
def _run_nginx(folder: Path, port: int, replicas: list[int]) -> Iterator[None]:
    """Run nginx with the configuration that compose.yaml gives it."""
    nginx = find_nginx()
    assert nginx, NO_NGINX
    folder.mkdir(parents=True)
    names = {f"REPLICA_{number}": f"127.0.0.1:{each}" for number, each in enumerate(replicas, start=1)}
    site = Template(TEMPLATE.read_text(encoding="utf-8")).safe_substitute(LISTEN=f"127.0.0.1:{port}", **names)
    (folder / "site.conf").write_text(site, encoding="utf-8")
    (folder / "nginx.conf").write_text(Template(NGINX).substitute(FOLDER=folder), encoding="utf-8")
    # Its workers would run as a user who may not enter this folder.
    user = ["-g", "user root;"] if os.getuid() == 0 else []
    with _run([nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), *user], folder / "log"):
        yield


@contextmanager
def _run(command: list[str], log: Path, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        log.open("wb") as file,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, env=environment(**settings)
        ) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=30)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as opened:
        bound = [opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [int(each.getsockname()[1]) for each in bound]


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=5).status_code == 200
    except httpx2.HTTPError:
        return False


def _wait_for(happened: Callable[[], bool], folder: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while not happened():
        if time.monotonic() > until:
            logs = "\n".join(f"{path}:\n{path.read_text(errors='replace')}" for path in folder.rglob("*log"))
            raise TimeoutError(f"The cluster does not start.\n{logs}")
        time.sleep(0.1)
