"""KIE keys that people store: unreadable in the database, found with the server's keys, and encrypted anew."""

import sqlite3
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from functools import partial

import httpx2
import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from support.clock import JumpingClock
from support.commands import run_command

from kie_mcp.config import Settings
from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.server.accounts.caller import SCOPE, Caller
from kie_mcp.server.accounts.common_ledger import CommonLedger
from kie_mcp.server.accounts.needs_key import NONE_STORED, UNREADABLE
from kie_mcp.server.accounts.resource_server import ResourceServer
from kie_mcp.server.accounts.stored_keys import FILE, StoredKeys, UnreadableKey
from kie_mcp.server.app import App

pytestmark = pytest.mark.anyio

OLD, NEW = (Fernet.generate_key().decode() for _ in range(2))
KEY = "kie-0123456789abcdef"


@asynccontextmanager
async def opened(settings: Settings, *keys: str) -> AsyncIterator[StoredKeys]:
    """The keys as a server with these keys of its own stores and finds them."""
    changed = settings.model_copy(update={"encryption_keys": SecretStr(", ".join(keys))} if keys else {})
    common = CommonLedger(changed)
    try:
        yield StoredKeys(changed, JumpingClock(), common.open)
    finally:
        await common.close()


async def reveal(stored: StoredKeys, tenant: str) -> str | None:
    key = await stored.find(tenant)
    return key.get_secret_value() if key else None


@pytest.mark.on_postgresql
async def test_a_key_is_found_until_it_is_replaced_or_deleted(settings: Settings) -> None:
    async with opened(settings) as stored:
        assert await reveal(stored, "ann") is None
        await stored.save("ann", KEY)
        await stored.save("bob", "another")
        assert (await reveal(stored, "ann"), await reveal(stored, "bob")) == (KEY, "another")
        await stored.save("ann", "new")
    async with opened(settings) as stored:
        assert await reveal(stored, "ann") == "new"
        await stored.delete("ann")
        assert (await reveal(stored, "ann"), await reveal(stored, "bob")) == (None, "another")


async def test_the_database_holds_no_key_and_only_the_owner_reads_that_of_the_server(settings: Settings) -> None:
    async with opened(settings) as stored:
        await stored.save("ann", KEY)
    for file in settings.state_dir.glob(f"{FILE_NAME}*"):
        assert KEY.encode() not in file.read_bytes()
    assert stat.S_IMODE((settings.data_dir / FILE).stat().st_mode) == 0o600


async def test_a_row_of_another_tenant_is_not_taken(settings: Settings) -> None:
    async with opened(settings) as stored:
        await stored.save("ann", KEY)
    with closing(sqlite3.connect(settings.state_dir / FILE_NAME)) as file:
        file.execute("UPDATE keys SET tenant = 'bob'")
        file.commit()
    async with opened(settings) as stored:
        with pytest.raises(UnreadableKey):
            await stored.find("bob")


async def test_rotation_encrypts_with_the_first_key_and_reads_with_all(settings: Settings) -> None:
    async with opened(settings, OLD) as stored:
        await stored.save("ann", KEY)
    async with opened(settings, NEW) as stored:
        with pytest.raises(UnreadableKey) as refused:
            await stored.find("ann")
        assert KEY not in str(refused.value)
        assert await stored.rotate() == (0, 1)
    async with opened(settings, NEW, OLD) as stored:
        assert await reveal(stored, "ann") == KEY
        await stored.save("bob", "another")
        assert await stored.rotate() == (2, 0)
    async with opened(settings, NEW) as stored:
        assert (await reveal(stored, "ann"), await reveal(stored, "bob")) == (KEY, "another")


async def test_a_person_whose_key_cannot_be_read_is_told_to_store_it_again(settings: Settings) -> None:
    async with opened(settings, NEW) as stored:
        await stored.save("ann", KEY)
    people = {"public_url": "https://kie.example", "oidc_issuer": "https://login.example", "oidc_client_id": "kie"}
    more = {"account_keys": "person", "encryption_keys": SecretStr(OLD)}
    changed = settings.model_copy(update={**people, **more})
    app, common = App(changed, local_files=False), CommonLedger(changed)
    server = ResourceServer(changed, "/mcp", JumpingClock(), app.build_client_of, common.open)
    assert await server.find_caller("ann") is None
    callers = []

    async def note_caller(scope: Scope, receive: Receive, send: Send) -> None:
        callers.append(scope[SCOPE])
        await Response()(scope, receive, send)

    for person, text in (("ann", "cannot be read any more"), ("bob", "stored no KIE key")):
        transport = httpx2.ASGITransport(app=server._answer_known(note_caller, Caller(person)))
        async with httpx2.AsyncClient(transport=transport, base_url="https://kie.example") as http:
            assert text in (await http.get("/library/api/items")).text
            assert (await http.post("/mcp")).status_code == 200
    assert [caller.key for caller in callers] == [UNREADABLE, NONE_STORED]
    await common.close()


async def test_the_command_encrypts_all_keys_anew(settings: Settings) -> None:
    async with opened(settings, OLD) as stored:
        await stored.save("ann", KEY)
    rotate = partial(run_command, "rotate-keys", KIE_MCP_DATA_DIR=str(settings.data_dir), KIE_MCP_SANDBOX="1")
    ran = rotate(KIE_MCP_ENCRYPTION_KEYS=f"{NEW},{OLD}")
    assert (ran.returncode, ran.stdout) == (0, "1 keys are encrypted with the first key now; 0 could not be read.\n")
    async with opened(settings, NEW) as stored:
        assert await reveal(stored, "ann") == KEY
    ran = rotate(KIE_MCP_ENCRYPTION_KEYS=OLD)
    assert ran.returncode == 1


@pytest.mark.parametrize("text", ["short", "x" * 42, "-" * 44, "ü" * 43, " , "])
async def test_a_text_that_is_no_key_is_refused_without_being_told(settings: Settings, text: str) -> None:
    with pytest.raises(ConfigurationError, match="no key") as refused:
        StoredKeys(
            settings.model_copy(update={"encryption_keys": SecretStr(text)}),
            JumpingClock(),
            CommonLedger(settings).open,
        )
    assert text.strip(" ,") not in str(refused.value) or not text.strip(" ,")
