"""Each call answers before its client gives it up, with the task's id, and nothing is paid twice."""

import re
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp_types import Implementation
from starlette.responses import Response
from support.answers import answer, text
from support.clients import connect
from support.clock import JumpingClock
from support.effort import Effort
from support.new_model import NEW
from support.runners import InterceptedKie
from support.servers import serve_app

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.http import build_http_app
from kie_mcp.server.time_limits import CLIENTS, MAX_SECONDS, OTHER_SECONDS

pytestmark = pytest.mark.anyio

PICTURE = {"prompt": "a fox"}
LIMITS = [*((client.name, client.seconds) for client in CLIENTS), ("ai-sdk-mcp-client", OTHER_SECONDS), ("MCP", 5)]
ERAS = ["legacy", "2026-07-28"]
SAID_BY = [(*limit, ERAS[n % 2]) for n, limit in enumerate(LIMITS)]
"""Each client with the era in which it says its name; the limit is looked up in the same way in both."""
if Effort.is_thorough:
    SAID_BY = [(*limit, era) for limit in LIMITS for era in ERAS]


@pytest.fixture
def unlimited(settings: Settings) -> Settings:
    """Settings that leave it to the client how long a call may wait."""
    return settings.model_copy(update={"wait_seconds": None})


class SlowKie:
    """A KIE that answers no create before `goes_on` is set."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.goes_on = anyio.Event()
        self.app = InterceptedKie(sandbox.app, post=self._wait)

    async def _wait(self, path: str) -> Response | None:
        if path.endswith("createTask"):
            await self.goes_on.wait()
        return None


async def measure(clock: JumpingClock, client: Client, tool: str, **arguments: Any) -> tuple[float, dict[str, Any]]:
    """Call a tool; return how many seconds it took, and the answer."""
    before = clock.time()
    result = await client.call_tool(tool, arguments)
    return clock.time() - before, answer(result)


@pytest.mark.parametrize(("name", "limit", "era"), SAID_BY)
async def test_a_call_and_get_task_answer_before_the_client_gives_up(
    unlimited: Settings, sandbox: Sandbox, clock: JumpingClock, name: str, limit: float, era: str
) -> None:
    sandbox.inject_fault("create", "stall")
    async with connect(unlimited, sandbox.app, clock, era=era, name=name) as client:
        took, made = await measure(clock, client, "nano_banana_image", **PICTURE)
        assert made["status"] == "running"
        assert 3 < took <= min(limit - 1.5, 41)
        took, again = await measure(clock, client, "get_task", task_ids=made["task_id"], wait_seconds=MAX_SECONDS)
    assert (again["status"], again["task_id"]) == ("running", made["task_id"])
    assert min(limit * 0.7, MAX_SECONDS) <= took <= min(limit - 1.5, MAX_SECONDS)


@pytest.mark.parametrize("seconds", [0, 2, 20, 90])
async def test_the_setting_caps_every_wait_whatever_the_client_is(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock, seconds: float
) -> None:
    for name in ("mcp", "claude-code"):
        sandbox.inject_fault("create", "stall")
        async with connect(settings, sandbox.app, clock, name=name, wait_seconds=seconds) as client:
            took, made = await measure(clock, client, "nano_banana_image", **PICTURE)
            assert took == pytest.approx(seconds, abs=1.1)
            took, again = await measure(clock, client, "get_task", task_ids=made["task_id"], wait_seconds=600)
            assert took == pytest.approx(seconds, abs=1.1)
        assert made["status"] == again["status"] == "running"


async def test_a_comparison_answers_before_the_client_gives_up(
    unlimited: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.inject_fault("create", "stall", 2)
    models = ["nano-banana-pro", "nano-banana-2"]
    async with connect(unlimited, sandbox.app, clock, name="mcp") as client:
        took, compared = await measure(clock, client, "compare_models", models=models, max_credits=100, **PICTURE)
    assert took <= 3.5
    assert [row["status"] for row in compared["models"]] == ["running", "running"]


@pytest.mark.parametrize("wait_seconds", [None, 0])
async def test_a_slow_create_goes_on_after_the_answer_and_is_paid_once(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock, wait_seconds: float | None
) -> None:
    kie = SlowKie(sandbox)
    patient = settings.model_copy(update={"wait_seconds": wait_seconds, "repeat_window": 600})
    async with connect(patient, kie.app, clock, name="mcp") as client:
        took, made = await measure(clock, client, "nano_banana_image", **PICTURE)
        assert 3 < took <= 3.6
        assert made["status"] == "submitting"
        assert "do not repeat the call" in made["next_step"]
        assert "not said yet whether it takes the task" in made["next_step"]
        id_ = made["task_id"]
        took, again = await measure(clock, client, "nano_banana_image", **PICTURE)
        assert took <= 3.6
        assert (again["status"], again["task_id"]) == ("submitting", id_)
        took, again = await measure(clock, client, "get_task", task_ids=id_, wait_seconds=50)
        assert took <= 3.6
        assert again["status"] == "submitting"
        kie.goes_on.set()
        clock.now += 60
        while again["status"] != "succeeded":
            await clock.sleep(1)
            _, again = await measure(clock, client, "get_task", task_ids=id_)
            assert again["status"] in ("running", "succeeded")
    assert len(sandbox.accepted) == 1


QUOTED = PICTURE | {"quote": True}
READS: list[tuple[str, dict[str, Any]]] = [
    ("find_models", {"words": "fox"}),
    ("describe_model", {"model": "z-image"}),
    ("describe_model", {"model": NEW}),
    ("get_credits", {}),
    ("nano_banana_image", QUOTED),
    ("make_batch", {"prompts": ["a fox"], "model": "z-image", "max_credits": 9, "quote": True}),
    ("compare_models", {**QUOTED, "models": ["z-image", "nano-banana-2"], "max_credits": 9}),
    ("run_model", {"model": NEW, "input": PICTURE}),
    ("get_download_url", {"file": "https://tempfile.kie-sandbox.invalid/fox.png"}),
]


@pytest.mark.parametrize(("name", "limit"), [("mcp", 5), ("ai-sdk-mcp-client", OTHER_SECONDS)])
async def test_a_call_that_reads_from_a_slow_kie_answers_before_the_client_gives_up(
    unlimited: Settings, new_model: Sandbox, clock: JumpingClock, name: str, limit: float
) -> None:
    async def wait(_: str) -> None:
        # The time to which the clock jumps next is then that at which the call gives up.
        await anyio.sleep_forever()

    async with connect(unlimited, InterceptedKie(new_model.app, get=wait, post=wait), clock, name=name) as client:
        for tool, given in READS:
            took, told = await measure(clock, client, tool, **given)
            assert took <= limit - 1.5, f"{tool} {given}"
            assert new_model.accepted == [], f"{tool} {given}"
            assert "error" not in told or told["error"]["retryable"], f"{tool} {given}"


async def test_a_balance_that_is_read_as_a_resource_is_told_or_refused_in_time(
    unlimited: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async def wait(_: str) -> None:
        await clock.sleep(9)

    async with connect(unlimited, InterceptedKie(sandbox.app, get=wait), clock, name="mcp") as client:
        before = clock.time()
        with pytest.raises(MCPError, match="KIE has not answered in time"):
            await client.read_resource("kie://credits")
        assert clock.time() - before <= 3.5


async def test_what_kie_says_too_late_about_a_new_model_is_known_to_a_later_call(
    unlimited: Settings, new_model: Sandbox, clock: JumpingClock
) -> None:
    async def wait(path: str) -> None:
        if path.startswith("/api/v1/models"):
            await clock.sleep(9)

    async with connect(unlimited, InterceptedKie(new_model.app, get=wait), clock, name="mcp") as client:
        for part in ("the list", "the schema"):
            _, told = await measure(clock, client, "run_model", model=NEW, input=PICTURE)
            assert told["error"]["retryable"], part
            await clock.sleep(20)
        _, made = await measure(clock, client, "run_model", model=NEW, input=PICTURE)
    assert made["status"] in ("running", "succeeded")
    assert len(new_model.accepted) == 1


async def test_a_task_is_settled_or_left_in_time(unlimited: Settings, sandbox: Sandbox, clock: JumpingClock) -> None:
    slow = False

    async def wait(_: str) -> None:
        await clock.sleep(9 * slow)

    sandbox.inject_fault("create", "after:502")
    async with connect(unlimited, InterceptedKie(sandbox.app, get=wait), clock, name="mcp") as client:
        _, made = await measure(clock, client, "nano_banana_image", **PICTURE)
        (accepted,) = sandbox.accepted
        given = {"task_id": made["task_id"], "outcome": accepted.id}
        slow = True
        took, told = await measure(clock, client, "resolve_task", **given)
        assert took <= 3.5
        assert told["error"]["retryable"]
        slow = False
        _, told = await measure(clock, client, "resolve_task", **given)
    assert told["status"] in ("running", "succeeded")


@pytest.mark.parametrize("name", ["ai-sdk-mcp-client", "claude-code"])
async def test_no_client_waits_longer_than_45_seconds_for_kie_to_take_a_task(
    unlimited: Settings, sandbox: Sandbox, clock: JumpingClock, name: str
) -> None:
    kie = SlowKie(sandbox)
    async with connect(unlimited, kie.app, clock, name=name) as client:
        took, made = await measure(clock, client, "nano_banana_image", **PICTURE)
        assert 44 < took <= 46
        assert made["status"] == "submitting"
        assert "do not repeat the call" in made["next_step"]
        kie.goes_on.set()
        _, again = await measure(clock, client, "get_task", task_ids=made["task_id"], wait_seconds=50)
    assert again["status"] == "succeeded"
    assert len(sandbox.accepted) == 1


async def test_get_task_tells_that_a_slow_create_was_refused_in_the_end(
    unlimited: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    kie = SlowKie(sandbox)
    sandbox.inject_fault("create", "code:402")
    async with connect(unlimited, kie.app, clock, name="mcp") as client:
        _, made = await measure(clock, client, "nano_banana_image", **PICTURE)
        kie.goes_on.set()
        result = await client.call_tool("get_task", {"task_ids": made["task_id"], "wait_seconds": 50})
    assert result.is_error
    assert answer(result)["error"]["category"] == "insufficient_credits"
    assert "Nothing was charged" in text(result)


async def test_an_answer_that_comes_before_the_files_are_saved_says_so(
    unlimited: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    saving = anyio.Event()

    async def wait(path: str) -> None:
        if "/media/" in path:
            await saving.wait()

    async with connect(unlimited, InterceptedKie(sandbox.app, get=wait), clock, name="fastmcp") as client:
        _, made = await measure(clock, client, "nano_banana_image", **PICTURE)
        assert made["status"] == "succeeded"
        assert "being saved" in made["next_step"]
        saving.set()
        _, saved = await measure(clock, client, "get_task", task_ids=made["task_id"], wait_seconds=50)
    assert "path" in saved["media"][0]
    assert "being saved" not in saved.get("next_step", "")


@pytest.mark.parametrize(("agent", "limit"), [("python-httpx/0.28.1", 5), ("node", OTHER_SECONDS)])
async def test_over_http_an_earlier_client_is_known_by_what_sends_its_requests(
    unlimited: Settings,
    transport: httpx2.ASGITransport,
    sandbox: Sandbox,
    clock: JumpingClock,
    agent: str,
    limit: float,
) -> None:
    sandbox.inject_fault("create", "stall")
    app = App(unlimited, local_files=False, transport=transport, clock=clock)
    call = {"name": "nano_banana_image", "arguments": PICTURE}
    headers = {"User-Agent": agent, "Accept": "application/json, text/event-stream"}
    async with serve_app(build_http_app(app, host="127.0.0.1")) as url, httpx2.AsyncClient(timeout=60) as client:
        body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        answered = await client.post(url, json=body, headers={**headers, "MCP-Protocol-Version": "2025-06-18"})
    seconds = re.search(r'"elapsed_seconds":(\d+)', answered.text)
    assert seconds
    assert limit * 0.4 <= int(seconds[1]) <= min(limit, 40)


@pytest.mark.parametrize("era", ["legacy", "auto"])
async def test_over_http_a_client_gets_its_answer_in_time(
    unlimited: Settings, transport: httpx2.ASGITransport, sandbox: Sandbox, clock: JumpingClock, era: Any
) -> None:
    sandbox.inject_fault("create", "stall")
    app = App(unlimited, local_files=False, transport=transport, clock=clock)
    info = Implementation(name="google-adk", version="2.13.0")
    async with (
        serve_app(build_http_app(app, host="127.0.0.1")) as url,
        Client(url, mode=era, client_info=info) as client,
    ):
        made = answer(await client.call_tool("nano_banana_image", PICTURE))
    assert made["status"] == "running"
    assert 2 <= made["elapsed_seconds"] <= 4


def test_every_limit_has_its_source_and_version() -> None:
    assert len({client.name for client in CLIENTS}) == len(CLIENTS)
    assert all(any(letter.isdigit() for letter in client.source) for client in CLIENTS)
