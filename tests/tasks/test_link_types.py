"""What a URL without an extension leads to is looked at before anything is paid, on public hosts only."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send
from support.cases import for_each
from support.clock import JumpingClock
from support.encoded_media import encode
from support.media_files import picture, sound

from kie_mcp.catalog.fields import Audio, Image, MediaRef, Video
from kie_mcp.errors import InvalidCall
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.link_types import HEAD_BYTES, LinkTypes
from kie_mcp.tasks.references import References
from kie_mcp.tasks.storage import FolderStorage
from kie_mcp.tasks.uploads import Uploader

pytestmark = pytest.mark.anyio

ANSWERS = {
    "/picture": Response(picture(), media_type="application/octet-stream"),
    "/sound": Response(sound(1), media_type="binary/octet-stream"),
    "/named-only": Response(b"\0\1\2 not known here", media_type="video/x-new"),
    "/page": Response("<!doctype html><p>Sign in", media_type="text/html"),
    "/moved": RedirectResponse("https://other.example/sound"),
    "/circle": RedirectResponse("https://files.example/circle"),
    "/gone": Response("<p>Not here", 404, media_type="text/html"),
    "/blocked": Response("<p>No robots", 403, media_type="text/html"),
    "/says-audio": Response(encode("a.mp4"), media_type="audio/mp4"),
    "/nothing": Response(b""),
}


class Host:
    """A host of files, which counts what it is asked."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests.append(Request(scope))
        await ANSWERS[scope["path"]](scope, receive, send)


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
async def far_client(host: Host, clock: JumpingClock) -> AsyncIterator[KieClient]:
    async with KieClient("secret", transport=httpx2.ASGITransport(app=host), clock=clock) as client:
        yield client


@pytest.fixture
async def references(tmp_path: Path, far_client: KieClient, clock: JumpingClock) -> AsyncIterator[References]:
    ledger = await Ledger.open(tmp_path / "data")
    uploader = Uploader(far_client, ledger, folders=AllowedFolders(), clock=clock, guarded=False)
    yield References(uploader, ledger, clock, FolderStorage(tmp_path))
    await ledger.close()


@pytest.mark.parametrize(
    ("path", "field", "said"),
    [
        ("sound", Image, "is a sound; this field takes a picture"),
        ("moved", Image, "is a sound; this field takes a picture"),
        ("picture", Video, "is a picture; this field takes a clip"),
        ("picture", Audio, "is a picture; this field takes a sound"),
        ("named-only", Image, "is a clip; this field takes a picture"),
        ("page", Image, "leads to a web page, and no file"),
    ],
)
async def test_a_file_of_another_kind_is_refused(
    references: References, path: str, field: type[MediaRef], said: str
) -> None:
    with pytest.raises(InvalidCall, match=said):
        await references.identify([field(f"https://files.example/{path}")])


@for_each(
    "path, field",
    [
        *(("picture", Image), ("sound", Audio), ("moved", Audio), ("named-only", Video)),
        *((path, Image) for path in ("circle", "gone", "blocked", "nothing")),
        *(("says-audio", Audio), ("says-audio", Video)),
    ],
)
async def test_the_right_kind_is_sent_and_so_is_what_the_host_does_not_tell(
    references: References, path: str, field: type[MediaRef]
) -> None:
    url = field(f"https://files.example/{path}")
    assert list((await references.resolve([url])).values()) == [url]


async def test_a_host_is_asked_once_for_the_start_of_a_file_and_not_told_the_key(
    references: References, host: Host
) -> None:
    url = Image("https://files.example/picture")
    for _ in range(2):
        await references.identify([url])
        await references.resolve([url])
    (request,) = host.requests
    assert request.headers["range"] == f"bytes=0-{HEAD_BYTES - 1}"
    assert "secret" not in str(request.headers)


async def test_calls_at_the_same_time_share_one_request_and_all_get_its_answer(
    far_client: KieClient, host: Host
) -> None:
    types, found = LinkTypes(far_client, guarded=False), []

    async def find() -> None:
        found.append(await types.find("https://files.example/picture"))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(find)
    assert found == ["image/png"] * 3
    assert len(host.requests) == 1


async def test_a_call_that_was_cancelled_leaves_the_next_one_to_look(far_client: KieClient) -> None:
    types = LinkTypes(far_client, guarded=False)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await types.find("https://files.example/picture")
    assert await types.find("https://files.example/picture") == "image/png"


@pytest.mark.parametrize("before", ["/page", "/nothing"])
async def test_a_link_that_led_to_no_file_is_looked_at_again_a_minute_later(
    far_client: KieClient, host: Host, clock: JumpingClock, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    types, url = LinkTypes(far_client, guarded=False), "https://files.example/shared"
    monkeypatch.setitem(ANSWERS, "/shared", ANSWERS[before])
    first = await types.find(url)
    monkeypatch.setitem(ANSWERS, "/shared", ANSWERS["/picture"])
    assert await types.find(url) == first
    await clock.sleep(61)
    assert await types.find(url) == "image/png"
    await clock.sleep(86_400)
    assert await types.find(url) == "image/png"
    assert len(host.requests) == 2


async def test_a_name_that_tells_the_kind_is_believed(references: References, host: Host) -> None:
    await references.resolve([Image("https://files.example/sound.png?a=1")])
    assert host.requests == []


@pytest.mark.parametrize("address", ["10.0.0.1", "[::1]", "169.254.169.254", "printer.local", "http://93.184.216.34"])
async def test_no_private_address_is_asked(far_client: KieClient, host: Host, address: str) -> None:
    types = LinkTypes(far_client)
    url = address if address.startswith("http") else f"https://{address}"
    assert await types.find(f"{url}/sound") == ""
    assert host.requests == []
