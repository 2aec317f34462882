"""A bucket that has to be waited for, and credentials of a role that have to be had from a service."""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
import pytest
from anyio.abc import SocketAttribute, SocketStream
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from support.clock import JumpingClock, wait_until
from support.servers import serve_app

from kie_mcp.clock import to_utc
from kie_mcp.ledger.task import Result
from kie_mcp.tasks.bucket import BUCKET_THREADS, SIGNING_PAUSE_SECONDS, BucketStorage

pytestmark = pytest.mark.anyio

RESULTS = [Result(f"https://kie.test/{n}.png", f"s3://media/kie/{n}.png", "image/png") for n in range(4)]
VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL")
LAST_DAY = to_utc(float("inf")).isoformat()


class CredentialsService:
    """The service at which a container gets the credentials of its role, in the event loop of the server itself."""

    def __init__(self) -> None:
        self.is_away = False
        self.asked = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            assert Request(scope).url.path == "/mcp"
            self.asked += 1
            given = {"AccessKeyId": "A", "SecretAccessKey": "B", "Token": "T", "Expiration": LAST_DAY}
            await JSONResponse(given, 404 if self.is_away else 200)(scope, receive, send)


@pytest.fixture
async def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[CredentialsService]:
    service = CredentialsService()
    (tmp_path / "token").write_text("x")
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    async with serve_app(service) as url:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(tmp_path / "token"))
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        yield service


async def test_links_are_signed_while_the_server_goes_on(
    service: CredentialsService, tmp_path: Path, clock: JumpingClock
) -> None:
    storage = BucketStorage("s3://media/kie", tmp_path / "cache", link_seconds=60, clock=clock)
    # The address of the bucket needs no credentials, so that nothing waits for them.
    assert storage.find_host() == "https://s3.us-east-1.amazonaws.com"
    assert storage.find_reference("https://kie.test/1.png") == "https://kie.test/1.png"
    assert service.asked == 0
    find_link = await storage.sign_links(RESULTS)
    assert [find_link(each).partition("?")[0] for each in RESULTS] == [
        f"https://s3.us-east-1.amazonaws.com/media/kie/{n}.png" for n in range(4)
    ]
    assert all("X-Amz-Signature=" in find_link(each) for each in RESULTS)


async def test_answers_wait_only_now_and_then_for_credentials_that_cannot_be_had(
    service: CredentialsService, tmp_path: Path, clock: JumpingClock
) -> None:
    storage = BucketStorage("s3://media/kie", tmp_path / "cache", link_seconds=60, clock=clock)
    service.is_away = True
    for _ in range(3):
        find_link = await storage.sign_links(RESULTS)
        assert [find_link(each) for each in RESULTS] == [each.link for each in RESULTS]
    asked = service.asked
    assert asked <= 2, "each attempt asks at most twice"
    service.is_away = False
    assert (await storage.sign_links(RESULTS))(RESULTS[0]) == RESULTS[0].link
    assert service.asked == asked
    clock.now += SIGNING_PAUSE_SECONDS
    assert "X-Amz-Signature=" in (await storage.sign_links(RESULTS))(RESULTS[0])


async def test_a_bucket_that_hangs_takes_few_threads_and_none_of_those_for_other_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting, goes_on, opened = [0], anyio.Event(), list[object]()

    async def keep_waiting(stream: SocketStream) -> None:
        async with stream:
            waiting[0] += 1
            await goes_on.wait()

    async def load(storage: BucketStorage, number: int) -> None:
        async with storage.open_if_there(Result("", f"{storage.address}/{number}.png", "image/png")) as file:
            opened.append(file)

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1") as listener,
        anyio.create_task_group() as bucket,
    ):
        bucket.start_soon(listener.serve, keep_waiting)
        for name in VARIABLES:
            monkeypatch.setenv(name, "x")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listener.extra(SocketAttribute.local_port)}")
        ann, bob = (BucketStorage(f"s3://media/{name}", tmp_path / name, link_seconds=60) for name in ("ann", "bob"))
        async with anyio.create_task_group() as tiles:
            for number in range(20):
                tiles.start_soon(load, ann, number)
                tiles.start_soon(load, bob, number)
            await wait_until(lambda: waiting[0] >= BUCKET_THREADS)
            assert waiting[0] == BUCKET_THREADS
            assert anyio.to_thread.current_default_thread_limiter().borrowed_tokens == 0
            goes_on.set()
        assert opened == [None] * 40
        bucket.cancel_scope.cancel()
