"""Behind a forward proxy, KIE is asked and results are saved through it, and no link leads the proxy astray."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest
from anyio.abc import SocketAttribute, SocketStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from support.cases import for_each
from support.proxies import Proxy, run_proxy, serve_tls, write_certificate

from kie_mcp.errors import ConfigurationError, InvalidCall
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.task import Result, Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.tasks.address_guard import AddressGuard
from kie_mcp.tasks.downloads import Downloader
from kie_mcp.tasks.storage import FolderStorage

pytestmark = pytest.mark.anyio

API, MEDIA = "api.kie-mcp.example", "media.kie-mcp.example"
PICTURE = render_file("1.png", MediaContent("a heron", "1"))
VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")


async def send_picture(_: Request) -> Response:
    return Response(PICTURE)


async def redirect(request: Request) -> Response:
    return RedirectResponse(request.query_params["to"])


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, *map(str.lower, VARIABLES)):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def proxy(
    tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, _no_proxy: None
) -> AsyncIterator[Proxy]:
    """A proxy at a private address, and behind it the only KIE and the only host of results; no DNS knows them."""
    certificate = write_certificate(tmp_path / "certificate.pem", API, MEDIA)
    routes = [Route("/1.png", send_picture), Route("/redirect", redirect), Mount("/", sandbox.app)]
    async with (
        serve_tls(Starlette(routes=routes), certificate) as port,
        run_proxy(port) as (url, opened),
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        monkeypatch.setenv("HTTPS_PROXY", url)
        yield opened


async def download(url: str, folder: Path) -> Result:
    task = Task(
        id="t_1",
        tool="nano_banana_image",
        model="google/nano-banana",
        kind="image",
        route="jobs",
        arguments={},
        created=1_800_000_000.0,
        results=[Result(url)],
    )
    async with KieClient("sandbox", base_url=f"https://{API}") as client:
        await Downloader(client, FolderStorage(folder)).download(task)
    return task.results[0]


async def test_kie_is_asked_through_the_proxy(proxy: Proxy) -> None:
    async with KieClient("sandbox", base_url=f"https://{API}") as client:
        assert await client.read_balance() == 1000
    assert proxy.asked == [f"{API}:443"]


@pytest.mark.parametrize("path", ["1.png", f"redirect?to=https://{MEDIA}/1.png"])
async def test_a_result_is_saved_through_the_proxy(proxy: Proxy, tmp_path: Path, path: str) -> None:
    result = await download(f"https://{MEDIA}/{path}", tmp_path / "out")
    assert await anyio.Path(result.path).read_bytes() == PICTURE
    assert set(proxy.asked) == {f"{MEDIA}:443"}


@pytest.mark.parametrize("variable", ["ALL_PROXY", "https_proxy"])
async def test_the_proxy_may_be_set_in_other_ways(
    proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, os.environ["HTTPS_PROXY"])
    monkeypatch.delenv("HTTPS_PROXY")
    await download(f"https://{MEDIA}/1.png", tmp_path / "out")
    assert proxy.asked == [f"{MEDIA}:443"]


PRIVATE = (
    *("https://127.0.0.1", "https://127.1", "https://2130706433", "https://0x7f.1", "https://10.0.0.1"),
    *("https://169.254.169.254/latest/meta-data", "https://[::1]", "https://[64:ff9b::10.0.0.1]", "https://[fec0::1]"),
    *("https://localhost", "https://localhost.", "https://nas", "https://metadata.google.internal", "https://a.local"),
    *("https://10.0.0.1.", "https://%31%30.0.0.1", "https://media..example"),
    *("http://media.kie-mcp.example", "http://8.8.8.8"),
)


@for_each("url", PRIVATE)
async def test_a_link_that_names_a_private_address_is_not_asked_of_the_proxy(
    proxy: Proxy, tmp_path: Path, url: str
) -> None:
    for asked, link in (([], f"{url}/1.png"), ([f"{MEDIA}:443"], f"https://{MEDIA}/redirect?to={url}/1.png")):
        proxy.asked.clear()
        with pytest.raises(InvalidCall, match=r"private address|is not https"):
            await download(link, tmp_path / "out")
        assert proxy.asked == asked
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize(
    ("address", "host"), [("127.0.0.1", "127.0.0.1"), ("127.0.0.1", "localhost"), ("::1", "[::1]")]
)
async def test_a_host_outside_the_proxy_has_its_address_checked_before_anything_is_sent(
    address: str, host: str
) -> None:
    """What DNS says may change between the check of the link and the connection, so the connection counts."""
    guard = AddressGuard((), proxied=True)
    heard: list[bytes] = []

    async def listen(stream: SocketStream) -> None:
        async with stream:
            heard.extend([chunk async for chunk in stream])

    async with (
        await anyio.create_tcp_listener(local_host=address) as listener,
        anyio.create_task_group() as group,
        httpx2.AsyncClient() as http,
    ):
        group.start_soon(listener.serve, listen)
        url = f"http://{host}:{listener.extra(SocketAttribute.local_port)}/1.png"
        with pytest.raises(InvalidCall, match="private address"):
            await http.get(url, extensions={"trace": guard.watch_connection(url).trace})
        group.cancel_scope.cancel()
    assert heard == []


async def test_a_port_that_does_not_exist_is_no_web_address(tmp_path: Path) -> None:
    for port in (0, 65_536, 99_999):
        with pytest.raises(InvalidCall, match=f"no port {port}"):
            await download(f"https://8.8.8.8:{port}/1.png", tmp_path / "out")


async def test_no_proxy_is_kept(proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", MEDIA)
    with pytest.raises(httpx2.ConnectError):
        await download(f"https://{MEDIA}/1.png", tmp_path / "out")
    assert proxy.asked == []


@pytest.mark.usefixtures("proxy")
async def test_that_only_literal_addresses_can_be_checked_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await download(f"https://{MEDIA}/1.png", tmp_path / "out")
    assert ["proxy" in record.message for record in caplog.records] == [True]


@pytest.mark.parametrize("url", ["socks5://user:secret@127.0.0.1:1", "ftp://user:secret@127.0.0.1", "http://[::1"])
def test_a_proxy_that_cannot_be_used_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("ALL_PROXY", url)
    with pytest.raises(ConfigurationError, match="ALL_PROXY") as refused:
        KieClient("key")
    assert "secret" not in f"{refused.value} {refused.value.next_step}"
