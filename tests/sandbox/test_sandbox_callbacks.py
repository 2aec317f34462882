"""The sandbox's calls to clients, as KIE documents its callbacks."""

import json
import uuid

import anyio
import httpx2
import pytest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from support.callbacks import Receiver, receive_callbacks
from support.clock import JumpingClock

from kie_mcp.kie.callbacks import is_signed, sign
from kie_mcp.kie.routes import NO_CALLBACK_URL
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.callbacks import ATTEMPTS, build_callback
from kie_mcp.sandbox.fake_task import FakeTask, StatusRecord
from kie_mcp.sandbox.offers import OFFERS, Offer

pytestmark = pytest.mark.anyio
ADDRESS = "https://me.example/callbacks/t_abc/token"
ROUTES = {offer.route_id: offer for offers in OFFERS.values() for offer in offers if offer.route.callback}
PICTURE = {"model": "google/nano-banana", "input": {"prompt": "a heron"}, "callBackUrl": ADDRESS}


def record(offer: Offer, fault: str = "") -> StatusRecord:
    task = FakeTask(
        id=str(uuid.uuid4()),
        path=offer.route.create,
        model=offer.id,
        body={"prompt": "a heron", offer.route.callback: ADDRESS},
        offers=[offer],
        created_at=0,
        seconds=4,
        credits=1,
        fault=fault,
    )
    return StatusRecord(task, 4, "https://kie.test")


@pytest.mark.parametrize("fault", ["", "fail"])
@pytest.mark.parametrize("route", sorted(ROUTES))
def test_the_signature_of_each_call_can_be_checked(route: str, fault: str) -> None:
    ended = record(ROUTES[route], fault)
    body = json.dumps(build_callback(ended, "complete")).encode()
    headers = {"X-Webhook-Timestamp": "100", "X-Webhook-Signature": sign("a key", ended.task.id, "100")}
    assert is_signed(headers, body, "a key", 100)
    assert json.loads(body)["code"] == (500 if fault else 200)


def test_products_have_their_own_fields() -> None:
    aleph, flux, song = (build_callback(record(ROUTES[route]), "first") for route in ("aleph", "flux-kontext", "suno"))
    assert {"taskId", "data"} < set(aleph)
    assert set(aleph["data"]) == {"result_video_url", "result_image_url"}
    assert set(flux["data"]["info"]) == {"originImageUrl", "resultImageUrl"}
    assert song["data"]["callbackType"] == "first"
    assert build_callback(record(ROUTES["aleph"], "fail"), "")["data"] is None
    assert build_callback(record(ROUTES["suno"], "fail"), "complete")["data"]["callbackType"] == "error"


async def create(sandbox: Sandbox, **changed: object) -> None:
    headers = {"Authorization": "Bearer sandbox"}
    transport = httpx2.ASGITransport(sandbox.app)
    async with httpx2.AsyncClient(transport=transport, base_url="https://kie.test", headers=headers) as http:
        answer = await http.post("/api/v1/jobs/createTask", json=PICTURE | changed)
    assert answer.json()["code"] == 200


async def test_a_task_is_told_of_when_it_has_ended(sandbox: Sandbox, clock: JumpingClock) -> None:
    async with receive_callbacks(sandbox, clock) as receiver:
        await create(sandbox)
        await clock.sleep(3.9)
        assert receiver.bodies == []
        await clock.sleep(0.2)
        (body,) = map(json.loads, receiver.bodies)
    assert (body["data"]["taskId"], body["data"]["state"]) == (sandbox.accepted[0].id, "success")


async def test_an_address_that_does_not_answer_is_called_three_times(sandbox: Sandbox, clock: JumpingClock) -> None:
    async with receive_callbacks(sandbox, clock) as receiver:
        receiver.status = 503
        await create(sandbox)
        await clock.sleep(100)
        assert len(receiver.bodies) == ATTEMPTS


@pytest.mark.parametrize("address", [NO_CALLBACK_URL, "", "no address", "https://[", "ftp://me.example"])
async def test_an_address_that_cannot_be_called_does_no_harm(
    sandbox: Sandbox, clock: JumpingClock, address: str
) -> None:
    async with receive_callbacks(sandbox, clock) as receiver:
        await create(sandbox, callBackUrl=address)
        await create(sandbox)
        await clock.sleep(100)
        assert len(receiver.bodies) == 1


@pytest.mark.parametrize(("fault", "calls"), [("lost", 0), ("twice", 2), ("forged", 1)])
async def test_calls_can_go_wrong(sandbox: Sandbox, clock: JumpingClock, fault: str, calls: int) -> None:
    sandbox.inject_fault("callback", fault)
    async with receive_callbacks(sandbox, clock) as receiver:
        await create(sandbox)
        await clock.sleep(100)
        assert len(receiver.bodies) == calls


@pytest.mark.parametrize("fault", ["stall"])
async def test_a_task_that_never_ends_is_not_told_of(sandbox: Sandbox, clock: JumpingClock, fault: str) -> None:
    sandbox.inject_fault("create", fault)
    async with receive_callbacks(sandbox, clock) as receiver:
        await create(sandbox)
        await clock.sleep(100)
        assert receiver.bodies == []


async def test_a_call_is_signed_as_kie_documents(sandbox: Sandbox, clock: JumpingClock) -> None:
    found: list[bool] = []

    class Checking(Receiver):
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            headers = {name.decode().title(): text.decode() for name, text in scope["headers"]}
            body = (await receive())["body"]
            found.append(is_signed(headers, body, "a key", clock.time()))
            await Response()(scope, receive, send)

    sandbox.callbacks.key = "a key"
    sandbox.inject_fault("callback", "forged")
    async with anyio.create_task_group() as group:
        group.start_soon(sandbox.callbacks.run, clock.sleep, httpx2.ASGITransport(Checking()))
        await anyio.lowlevel.checkpoint()
        await create(sandbox)
        await create(sandbox)
        await clock.sleep(5)
        group.cancel_scope.cancel()
    assert sorted(found) == [False, True]


async def test_a_served_sandbox_calls_in_real_time() -> None:
    sandbox = Sandbox(seconds=0.01)
    async with sandbox.callbacks.serve():
        await anyio.lowlevel.checkpoint()
        # Nobody listens there, and nothing comes of it.
        await create(sandbox, callBackUrl="http://127.0.0.1:9/callbacks")
