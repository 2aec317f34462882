"""People of one server: each logs in, stores a KIE key of their own, and pays with it for what only they see."""

import io
import json
import logging
from collections.abc import AsyncIterator

import httpx2
import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from support.accounts import (
    claims_for,
    connect_account,
    log_in,
    make_key,
    needs_provider,
    read_form,
    serve_accounts,
    serve_people,
    sign,
)
from support.answers import answer
from support.clock import JumpingClock

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.accounts.access_tokens import name_tenant
from kie_mcp.server.app import App
from kie_mcp.server.http import PATH
from kie_mcp.server.operation.audit import write_audit
from kie_mcp.server.operation.logs import build_formatter

pytestmark = [pytest.mark.anyio, needs_provider]
KEY = "kie-0123456789abcdef"
EVENTS = "accepted", "ended"
"""What the audit tells of a task."""


@pytest.fixture
def sandbox(clock: JumpingClock) -> Sandbox:
    """A KIE that knows one key."""
    return Sandbox(key=KEY, clock=clock.time)


@pytest.fixture
async def url(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str
) -> AsyncIterator[str]:
    async with serve_people(settings, transport, clock, issuer) as address:
        yield address


async def store_key(url: str, person: str) -> None:
    page = f"{url.removesuffix(PATH)}/account"
    async with httpx2.AsyncClient() as browser:
        await log_in(browser, f"{page}/login", person, page)
        form = read_form(await browser.get(page))
        assert "Your key is stored" in (await browser.post(page, data={"form": form, "key": KEY})).text


async def test_a_person_pays_with_the_stored_key_and_sees_nothing_of_others(url: str, sandbox: Sandbox) -> None:
    async with connect_account(url, "ann") as ann, connect_account(url, "bob") as bob:
        for client in (ann, bob):
            told = answer(await client.call_tool("nano_banana_image", {"prompt": "a fox"}))
            assert told["error"]["next_step"].count(f"{url.removesuffix(PATH)}/account") == 1
        assert sandbox.accepted == []
        await store_key(url, "ann")
        made = answer(await ann.call_tool("nano_banana_image", {"prompt": "a fox"}))
        assert made["status"] == "succeeded", made
        told = answer(await bob.call_tool("nano_banana_image", {"prompt": "a fox"}))
        assert "error" in told
        await store_key(url, "bob")
        assert answer(await bob.call_tool("list_tasks"))["tasks"] == []
        assert answer(await bob.call_tool("nano_banana_image", {"prompt": "a fox"}))["task_id"] != made["task_id"]
    assert len(sandbox.accepted) == 2


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
async def test_stored_keys_need_no_connections_of_their_own(url: str) -> None:
    pools = set[sa.Pool]()

    def note(connection: sa.Connection, *_: object) -> None:
        pools.add(connection.engine.pool)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    await store_key(url, "ann")
    async with connect_account(url, "ann") as ann:
        assert answer(await ann.call_tool("list_tasks", {})) == {"tasks": []}
    sa.event.remove(sa.Engine, "before_cursor_execute", note)
    assert len(pools) == 1


@pytest.mark.parametrize(("method", "place"), [("GET", "/library/api/items"), ("POST", "/uploads?name=a.png")])
async def test_other_requests_of_a_person_without_a_key_tell_where_to_store_one(
    url: str, issuer: str, method: str, place: str
) -> None:
    token = sign(make_key("one"), **claims_for(issuer, url))
    server = url.removesuffix(PATH)
    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        refused = await http.request(method, server + place)
    assert refused.status_code == 403
    assert f"{server}/account" in refused.json()["error"]["next_step"]


async def test_with_the_key_of_the_operator_each_account_sees_only_what_it_made(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str, sandbox: Sandbox
) -> None:
    known = {"sandbox": False, "api_key": SecretStr(KEY), "save": False}
    app = App(settings.model_copy(update=known), local_files=False, transport=transport, clock=clock)
    async with serve_accounts(app, issuer) as url:
        async with connect_account(url, "ann") as ann:
            made = answer(await ann.call_tool("nano_banana_image", {"prompt": "a fox"}))["task_id"]
            kie_id = sandbox.accepted[0].id
        async with connect_account(url, "bob") as bob:
            assert answer(await bob.call_tool("list_tasks"))["tasks"] == []
            for id_ in (made, kie_id):
                told = answer(await bob.call_tool("get_task", {"task_ids": id_}))
                assert "There is no task" in str(told)
        async with connect_account(url, "ann") as again:
            (task,) = answer(await again.call_tool("list_tasks"))["tasks"]
            assert task["task_id"] == made
    assert len(list((settings.data_dir / "tenants").iterdir())) == 2


@pytest.mark.on_postgresql
async def test_the_audit_names_the_person_and_the_tenant_of_each_paid_call(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, issuer: str
) -> None:
    known = {"sandbox": False, "api_key": SecretStr(KEY), "save": False}
    app = App(settings.model_copy(update=known), local_files=False, transport=transport, clock=clock)
    app.observers.append(write_audit)
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    handler.setFormatter(build_formatter(KEY))
    audit_logger = logging.getLogger(write_audit.__module__)
    audit_logger.addHandler(handler)
    audit_logger.setLevel(logging.INFO)
    try:
        async with serve_accounts(app, issuer) as url:
            for person in ("ann", "bob"):
                async with connect_account(url, person) as client:
                    await client.call_tool("nano_banana_image", {"prompt": f"a secret of {person}"})
    finally:
        audit_logger.removeHandler(handler)
        audit_logger.setLevel(logging.NOTSET)
    told = [json.loads(line) for line in log.getvalue().splitlines()]
    expected = [(event, person, name_tenant(issuer, person)) for person in ("ann", "bob") for event in EVENTS]
    assert [(line["audit"], line["person"], line["tenant"]) for line in told] == expected
    assert "secret" not in log.getvalue()
