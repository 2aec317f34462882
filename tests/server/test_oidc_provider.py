"""The OAuth provider: its keys change, it goes away and comes back, and it is asked about unsigned tokens."""

from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream
from support.accounts import (
    Memory,
    claims_for,
    connect_account,
    find_port,
    make_key,
    needs_provider,
    run_provider,
    serve_accounts,
    sign,
)
from support.answers import answer
from support.clock import JumpingClock

from kie_mcp.config import Settings
from kie_mcp.server.accounts.access_tokens import AccessTokens
from kie_mcp.server.accounts.introspection import KEPT_SECONDS as ANSWERS_KEPT_SECONDS
from kie_mcp.server.accounts.provider import (
    FRESH_SECONDS,
    KEPT_SECONDS,
    PAUSE_SECONDS,
    Provider,
    ProviderUnavailable,
)
from kie_mcp.server.app import App

pytestmark = [pytest.mark.anyio, needs_provider]

OLD, NEW = make_key("old"), make_key("new")
AUDIENCE = "https://kie.example/mcp"


async def ping(http: httpx2.AsyncClient, url: str) -> httpx2.Response:
    accept = {"Accept": "application/json, text/event-stream"}
    return await http.post(url, json={"jsonrpc": "2.0", "id": 1, "method": "ping"}, headers=accept)


async def is_taken(tokens: AccessTokens, issuer: str, key: dict[str, object]) -> bool:
    return await tokens.verify_token(sign(key, **claims_for(issuer, AUDIENCE))) is not None


async def test_a_new_key_is_taken_at_once_and_an_old_one_no_more_after_minutes(clock: JumpingClock) -> None:
    port = find_port()
    issuer = f"http://127.0.0.1:{port}"
    tokens = AccessTokens(Provider(issuer, clock), AUDIENCE)
    with run_provider(OLD, port=port):
        assert await is_taken(tokens, issuer, OLD)
    with run_provider(NEW, port=port):
        # One who sends made-up ids of keys must not make this server ask the provider each time.
        assert not await is_taken(tokens, issuer, NEW)
        clock.now += PAUSE_SECONDS
        assert await is_taken(tokens, issuer, NEW)
        assert not await is_taken(tokens, issuer, OLD)
    with run_provider(OLD, port=port):
        clock.now += FRESH_SECONDS - 1
        assert await is_taken(tokens, issuer, NEW)
        clock.now += 1
        assert not await is_taken(tokens, issuer, NEW)


async def test_known_keys_go_on_while_the_provider_is_away_and_others_wait(clock: JumpingClock) -> None:
    port = find_port()
    issuer = f"http://127.0.0.1:{port}"
    tokens = AccessTokens(Provider(issuer, clock), AUDIENCE)
    with pytest.raises(ProviderUnavailable, match="ConnectError at http"):
        await is_taken(tokens, issuer, OLD)
    clock.now += PAUSE_SECONDS
    with run_provider(OLD, port=port):
        assert await is_taken(tokens, issuer, OLD)
    for seconds in (1, FRESH_SECONDS, KEPT_SECONDS - 2 * FRESH_SECONDS):
        clock.now += seconds
        assert await is_taken(tokens, issuer, OLD)
    clock.now += PAUSE_SECONDS
    with pytest.raises(ProviderUnavailable):
        await is_taken(tokens, issuer, NEW)
    clock.now += 2 * FRESH_SECONDS
    with pytest.raises(ProviderUnavailable):
        await is_taken(tokens, issuer, OLD)
    with run_provider(OLD, port=port):
        clock.now += PAUSE_SECONDS
        assert await is_taken(tokens, issuer, OLD)


async def test_a_provider_that_calls_itself_otherwise_is_not_believed(clock: JumpingClock, issuer: str) -> None:
    other = issuer.replace("127.0.0.1", "localhost")
    with pytest.raises(ProviderUnavailable, match=f"ValueError at {other}"):
        await AccessTokens(Provider(other, clock), AUDIENCE).verify_token(sign(OLD, **claims_for(other, AUDIENCE)))


@pytest.fixture
def remote(settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock) -> App:
    return App(settings, local_files=False, transport=transport, clock=clock)


@pytest.fixture
async def url(remote: App, issuer: str) -> AsyncIterator[str]:
    """The endpoint of a server that asks the provider about tokens that are not signed."""
    async with serve_accounts(remote, issuer) as address:
        yield address


async def test_a_provider_that_is_away_is_told_with_when_to_come_again(remote: App) -> None:
    issuer = f"http://127.0.0.1:{find_port()}"
    async with serve_accounts(remote, issuer, oidc_client_id="") as url, httpx2.AsyncClient() as http:
        token = sign(OLD, **claims_for(issuer, url))
        answered = await http.post(url, headers={"Authorization": f"Bearer {token}"})
        assert answered.status_code == 503
        assert answered.headers["retry-after"] == "10"
        assert answered.json()["error"] == "temporarily_unavailable"
        assert issuer not in answered.text
        # Who sends no token is told where to get one all the same.
        assert (await http.post(url)).status_code == 401


async def test_a_token_that_is_not_signed_works_until_it_is_revoked(url: str, issuer: str, clock: JumpingClock) -> None:
    memory = Memory()
    async with connect_account(url, "ann", name="opaque", memory=memory) as client:
        assert memory.tokens
        token = memory.tokens.access_token
        assert "." not in token
        assert answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))["status"] == "succeeded"
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        assert (await ping(http, url)).status_code == 200
        assert memory.client
        who = memory.client.client_id, memory.client.client_secret or ""
        revoked = await http.post(f"{issuer}/token/revocation", data={"token": token}, auth=who)
        assert revoked.status_code == 200
        clock.now += ANSWERS_KEPT_SECONDS
        refused = await ping(http, url)
        assert (refused.status_code, refused.json()["error"]) == (401, "invalid_token")


async def test_a_token_that_is_not_signed_and_for_another_server_is_refused(
    url: str, issuer: str, clock: JumpingClock, settings: Settings
) -> None:
    memory, other = Memory(), App(settings, local_files=False, clock=clock)
    async with connect_account(url, "ann", name="opaque", memory=memory):
        assert memory.tokens
    async with (
        serve_accounts(other, issuer) as elsewhere,
        httpx2.AsyncClient(headers={"Authorization": f"Bearer {memory.tokens.access_token}"}) as http,
    ):
        assert (await ping(http, elsewhere)).status_code == 401
        assert (await ping(http, url)).status_code == 200


async def test_a_provider_that_lets_wait_holds_up_nobody_with_a_known_key(clock: JumpingClock) -> None:
    port = find_port()
    issuer = f"http://127.0.0.1:{port}"
    tokens = AccessTokens(Provider(issuer, clock), AUDIENCE)
    with run_provider(OLD, port=port):
        assert await is_taken(tokens, issuer, OLD)
    clock.now += FRESH_SECONDS
    refused: list[Exception] = []

    async def ask_for_an_unknown_key() -> None:
        try:
            await is_taken(tokens, issuer, NEW)
        except ProviderUnavailable as error:
            refused.append(error)

    reached = anyio.Event()

    async def keep_waiting(stream: SocketStream) -> None:
        async with stream:
            reached.set()
            await anyio.sleep_forever()

    async with (
        await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=port) as listener,
        anyio.create_task_group() as group,
    ):
        group.start_soon(listener.serve, keep_waiting)
        group.start_soon(ask_for_an_unknown_key)
        await reached.wait()
        assert await is_taken(tokens, issuer, OLD)
        assert refused == []
        group.cancel_scope.cancel()
