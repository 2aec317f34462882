"""An expensive call needs a confirmation by the user: the client asks where it can, else the model does."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx2
import pytest
from mcp import Client
from mcp.client import ClientRequestContext
from mcp_types import (
    CallToolResult,
    ElicitRequestFormParams,
    ElicitRequestParams,
    ElicitResult,
    ErrorData,
    InputRequiredResult,
)
from support.answers import answer, text
from support.clients import connect
from support.clock import JumpingClock
from support.media_files import picture
from support.runners import InterceptedKie, model_call, run_runner, task_rows
from support.servers import serve_app

from kie_mcp.config import Settings
from kie_mcp.errors import ConfirmationNeeded
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.elicitation import FORM_SCHEMA, INPUT_KEY, UNATTENDED_SECONDS
from kie_mcp.server.http import build_http_app
from kie_mcp.tasks.caps import Rules
from kie_mcp.tasks.confirmation import CONFIRMATION_SECONDS
from kie_mcp.tasks.order import Order

pytestmark = pytest.mark.anyio

ERAS = ["legacy", "2026-07-28"]
CLIP: dict[str, Any] = {"prompt": "a fox"}
"""60 credits' worth of Veo."""
ASKED_ABOVE = 50

Reply = ElicitResult | ErrorData | Exception


class User:
    """A user who is asked, and answers what the test wants."""

    def __init__(self, *says: Reply, thinks: Callable[[], Awaitable[object]] = anyio.lowlevel.checkpoint) -> None:
        self.asked: list[str] = []
        self._says = [*says]
        self._thinks = thinks

    async def __call__(
        self,
        context: ClientRequestContext,  # noqa: ARG002 - the SDK's signature
        params: ElicitRequestParams,
    ) -> ElicitResult | ErrorData:
        assert isinstance(params, ElicitRequestFormParams)
        self.asked.append(params.message)
        await self._thinks()
        said = self._says.pop(0) if len(self._says) > 1 else self._says[0]
        if isinstance(said, Exception):
            raise said
        return said


def think_for(clock: JumpingClock, seconds: float) -> Callable[[], Awaitable[object]]:
    async def think() -> None:
        clock.now += seconds

    return think


def accept(**content: Any) -> ElicitResult:
    return ElicitResult(action="accept", content=content)


YES = accept(spend=True)


@pytest.fixture
def careful(settings: Settings) -> Settings:
    """Settings under which a clip needs a confirmation."""
    return settings.model_copy(update={"confirm_above": ASKED_ABOVE, "repeat_window": 600})


@pytest.fixture
def gate(sandbox: Sandbox) -> InterceptedKie:
    return InterceptedKie(sandbox.app)


def sent_requests(gate: InterceptedKie) -> list[str]:
    return [asked for asked in gate.requests if asked.startswith("POST")]


def read_confirmation(result: CallToolResult) -> str:
    """Check an answer that asks for a confirmation, and return the id that it gives for `confirm`."""
    assert result.is_error
    error = answer(result)["error"]
    assert (error["category"], error["billed"], error["retryable"]) == ("confirmation_needed", False, False)
    assert answer(result)["status"] == "confirmation_needed", "a question is no failure"
    assert error["next_step"] in text(result)
    assert f"within {CONFIRMATION_SECONDS // 60} minutes" in text(result)
    assert "Nothing was charged." in text(result)
    id_ = str(error["next_step"]).split("confirm: '")[1].partition("'")[0]
    assert id_.startswith("c_")
    return id_


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("content", [{"spend": True}, {"spend": "true"}], ids=str)
async def test_the_user_is_asked_once_and_the_task_is_made(
    careful: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock, era: str, content: dict[str, Any]
) -> None:
    user = User(accept(**content))
    async with connect(careful, gate, clock, era=era, on_elicitation=user) as client:
        result = await client.call_tool("veo_video", CLIP)
        assert not result.is_error, text(result)
        again = await client.call_tool("veo_video", CLIP)
        assert answer(again)["task_id"] == answer(result)["task_id"]
    (asked,) = user.asked
    assert (
        asked == "veo3_fast may cost 60 credits ($0.30, price list 2026-10-02): so much needs the user's word. "
        "The balance is 1,000 credits ($5.00). Go ahead?"
    )
    assert len(sandbox.accepted) == 1


NO = [
    ElicitResult(action="decline"),
    ElicitResult(action="cancel"),
    accept(),
    accept(spend=False),
    accept(spend="false"),
    accept(spend="no"),
    accept(spend=0),
    accept(spend=None),
    ElicitResult(action="decline", content={"spend": True}),
]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", ["veo_video", "run_model"])
async def test_without_the_user_s_word_nothing_is_sent(
    careful: Settings, gate: InterceptedKie, clock: JumpingClock, tmp_path: Path, era: str, tool: str
) -> None:
    user = User(*NO, YES, thinks=think_for(clock, UNATTENDED_SECONDS))
    (tmp_path / "fox.png").write_bytes(picture())
    given: dict[str, Any] = {"prompt": "a fox", "images": [str(tmp_path / "fox.png")]}
    given = {"model": "veo3_fast", "input": given} if tool == "run_model" else CLIP
    async with connect(careful, gate, clock, era=era, on_elicitation=user) as client:
        for no in NO:
            result = await client.call_tool(tool, given)
            assert result.is_error, no
            error = answer(result)["error"]
            assert (error["category"], error["billed"], error["retryable"]) == ("declined", False, False), no
            said = "The user did not agree to the cost. Nothing was charged. Nothing was sent. Ask what to do instead."
            assert said in text(result), no
            assert sent_requests(gate) == [], no
            assert answer(await client.call_tool("list_tasks"))["tasks"] == [], no
        # They may think again.
        assert not (await client.call_tool(tool, given)).is_error
    assert len(user.asked) == len([*NO, YES])


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    "says",
    [ElicitResult(action="cancel"), ElicitResult(action="decline"), accept(), accept(spend=False)],
    ids=lambda said: f"{said.action} {said.content}",
)
async def test_an_answer_within_a_second_is_told_as_nobody_s(
    careful: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock, era: str, says: ElicitResult
) -> None:
    user = User(says, thinks=think_for(clock, 0.105))
    async with connect(careful, gate, clock, era=era, on_elicitation=user) as client:
        refused = await client.call_tool("veo_video", CLIP)
        id_ = read_confirmation(refused)
        assert "Nobody was asked: the client answered the question by itself." in text(refused)
        assert "KIE_MCP_CONFIRM_ABOVE" in answer(refused)["error"]["next_step"]
        assert sent_requests(gate) == []
        made = await client.call_tool("veo_video", CLIP | {"confirm": id_})
    assert not made.is_error
    assert len(user.asked) == len(sandbox.accepted) == 1


async def test_nobody_is_asked_for_a_comparison_either(
    careful: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock
) -> None:
    models = ["nano-banana-pro", "nano-banana-2"]
    given = {"prompt": "a fox", "models": models, "max_credits": 100}
    user = User(ElicitResult(action="cancel"))
    async with connect(careful, gate, clock, on_elicitation=user, confirm_above=1) as client:
        refused = await client.call_tool("compare_models", given)
        assert "Nobody was asked" in text(refused)
        assert sent_requests(gate) == []
        made = await client.call_tool("compare_models", given | {"confirm": read_confirmation(refused)})
    assert not made.is_error
    assert len(sandbox.accepted) == len(models)


def test_the_form_s_box_is_not_ticked_beforehand() -> None:
    assert FORM_SCHEMA["required"] == ["spend"]
    assert "default" not in FORM_SCHEMA["properties"]["spend"]


async def test_the_question_does_without_a_balance_that_kie_does_not_tell(
    careful: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    user = User(YES)
    sandbox.inject_fault("credit", "code:500", 100)
    async with connect(careful, sandbox.app, clock, on_elicitation=user) as client:
        assert not (await client.call_tool("veo_video", CLIP)).is_error
    assert user.asked[0].endswith("so much needs the user's word. Go ahead?")


@pytest.mark.parametrize(
    "says",
    [
        ErrorData(code=-32603, message="no window"),
        ValueError("broken"),
        ElicitResult.model_construct(action="maybe"),  # type: ignore[arg-type]
        ElicitResult.model_construct(action="accept", content={"spend": {"really": True}}),  # type: ignore[dict-item]
    ],
    ids=["error", "exception", "no such action", "no such answer"],
)
async def test_a_client_that_cannot_ask_after_all_leaves_it_to_the_model(
    careful: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock, says: Reply
) -> None:
    async with connect(careful, gate, clock, era="legacy", on_elicitation=User(says)) as client:
        id_ = read_confirmation(await client.call_tool("veo_video", CLIP))
        assert sent_requests(gate) == []
        result = await client.call_tool("veo_video", CLIP | {"confirm": id_})
    assert not result.is_error
    assert len(sandbox.accepted) == 1


@pytest.mark.parametrize("era", ERAS)
async def test_up_to_the_limit_nobody_is_asked(
    careful: Settings, sandbox: Sandbox, clock: JumpingClock, era: str
) -> None:
    user = User(YES)
    async with connect(careful, sandbox.app, clock, era=era, on_elicitation=user, confirm_above=60) as client:
        assert not (await client.call_tool("veo_video", CLIP)).is_error
        assert not (await client.call_tool("nano_banana_image", CLIP)).is_error
    assert user.asked == []


@pytest.mark.parametrize("era", ERAS)
async def test_at_nothing_everything_is_asked_about_but_what_is_free(
    careful: Settings, sandbox: Sandbox, clock: JumpingClock, era: str
) -> None:
    user = User(YES)
    async with connect(careful, sandbox.app, clock, era=era, on_elicitation=user, confirm_above=0) as client:
        await client.call_tool("nano_banana_image", CLIP)
        song = answer(await client.call_tool("suno_music", CLIP))
        await client.call_tool("get_task", {"task_ids": song["task_id"], "wait_seconds": 60})
        assert not (await client.call_tool("suno_cover_art", {"task_id": song["task_id"]})).is_error
    assert len(user.asked) == 2


@pytest.mark.parametrize("era", ERAS)
async def test_an_unknown_price_is_asked_about_as_the_highest(
    careful: Settings, sandbox: Sandbox, clock: JumpingClock, era: str
) -> None:
    user = User(ElicitResult(action="decline"), thinks=think_for(clock, 5))
    sandbox.discovery.add_model(
        "vendor/new", {"properties": {"prompt": {"type": "string"}}}, kind="video", task_type="x-to-video"
    )
    async with connect(careful, sandbox.app, clock, era=era, on_elicitation=user) as client:
        result = await client.call_tool("run_model", {"model": "vendor/new", "input": {"prompt": "x"}})
    assert answer(result)["error"]["category"] == "declined"
    assert "What vendor/new costs is unknown" in user.asked[0]
    assert sandbox.accepted == []


@pytest.mark.parametrize("era", ERAS)
async def test_while_the_user_thinks_the_same_call_is_not_made_twice(
    careful: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock, era: str
) -> None:
    thinking, goes_on = anyio.Event(), anyio.Event()
    made: list[CallToolResult] = []

    async def think() -> None:
        thinking.set()
        await goes_on.wait()

    async def make(client: Client) -> None:
        made.append(await client.call_tool("veo_video", CLIP))

    async with (
        connect(careful, gate, clock, era=era, on_elicitation=User(YES, thinks=think)) as client,
        anyio.create_task_group() as callers,
    ):
        callers.start_soon(make, client)
        callers.start_soon(make, client)
        await thinking.wait()
        assert sent_requests(gate) == []
        goes_on.set()
    assert len({answer(each)["task_id"] for each in made}) == 1
    assert len(sandbox.accepted) == 1


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("tool", ["veo_video", "run_model"])
async def test_where_the_client_cannot_ask_the_model_does(
    careful: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock, era: str, tool: str
) -> None:
    given = {"model": "veo3_fast", "input": CLIP} if tool == "run_model" else CLIP
    async with connect(careful, gate, clock, era=era) as client:
        id_ = read_confirmation(await client.call_tool(tool, given))
        assert sent_requests(gate) == []
        assert not (await client.call_tool(tool, given | {"confirm": id_})).is_error
        # It was made: there is nothing to agree to.
        for again in (given, given | {"confirm": id_}, given | {"confirm": "c_whatever"}):
            assert "nothing more is paid" in text(await client.call_tool(tool, again))
    assert len(sandbox.accepted) == 1


@pytest.mark.parametrize(
    "other",
    [{"prompt": "a hare"}, {"model": "veo3"}, {"variation": 2}, {"aspect_ratio": "9:16"}],
    ids=str,
)
async def test_a_confirmation_is_for_that_very_call(
    careful: Settings, gate: InterceptedKie, clock: JumpingClock, other: dict[str, Any]
) -> None:
    async with connect(careful, gate, clock) as client:
        id_ = read_confirmation(await client.call_tool("veo_video", CLIP))
        refused = await client.call_tool("veo_video", CLIP | other | {"confirm": id_})
        assert "has expired, was used already, or was for another call" in text(refused)
        new = read_confirmation(refused)
        assert new != id_
        assert sent_requests(gate) == []
        assert not (await client.call_tool("veo_video", CLIP | other | {"confirm": new})).is_error
        assert not (await client.call_tool("veo_video", CLIP | {"confirm": id_})).is_error


async def test_a_confirmation_is_for_the_file_that_was_there(
    careful: Settings, gate: InterceptedKie, clock: JumpingClock, tmp_path: Path
) -> None:
    fox = tmp_path / "fox.png"
    fox.write_bytes(picture(400, 300))
    given = {"prompt": "a fox", "image": str(fox)}
    async with connect(careful, gate, clock) as client:
        id_ = read_confirmation(await client.call_tool("kling_video", given))
        fox.write_bytes(picture(300, 400))
        new = read_confirmation(await client.call_tool("kling_video", given | {"confirm": id_}))
        assert not (await client.call_tool("kling_video", given | {"confirm": new})).is_error


@pytest.mark.parametrize("made_up", ["c_abcdefghjkmn", "yes", "true", "None", "x" * 10_000, "' OR 1=1 --", "да"])
async def test_a_made_up_confirmation_is_none_and_the_answer_goes_on(
    careful: Settings, gate: InterceptedKie, clock: JumpingClock, made_up: str
) -> None:
    async with connect(careful, gate, clock) as client:
        read_confirmation(await client.call_tool("veo_video", CLIP))
        refused = await client.call_tool("veo_video", CLIP | {"confirm": made_up})
        assert sent_requests(gate) == []
        assert len(text(refused)) < 500
        assert not (await client.call_tool("veo_video", CLIP | {"confirm": read_confirmation(refused)})).is_error


@pytest.mark.parametrize(("seconds", "good"), [(CONFIRMATION_SECONDS - 30, True), (CONFIRMATION_SECONDS + 1, False)])
async def test_a_confirmation_is_good_for_a_while(
    careful: Settings, gate: InterceptedKie, clock: JumpingClock, *, seconds: float, good: bool
) -> None:
    async with connect(careful, gate, clock) as client:
        id_ = read_confirmation(await client.call_tool("veo_video", CLIP))
        clock.now += seconds
        result = await client.call_tool("veo_video", CLIP | {"confirm": id_})
        assert result.is_error == (not good)
        if not good:
            assert not (await client.call_tool("veo_video", CLIP | {"confirm": read_confirmation(result)})).is_error


@pytest.mark.parametrize("by", ["veo_video", "run_model"])
async def test_a_confirmation_outlives_the_server_and_the_way_the_call_is_written(
    careful: Settings, gate: InterceptedKie, clock: JumpingClock, by: str
) -> None:
    async with connect(careful, gate, clock) as client:
        id_ = read_confirmation(await client.call_tool("veo_video", CLIP))
    given: dict[str, Any] = {"model": "veo3.1-fast", "input": CLIP} if by == "run_model" else CLIP
    async with connect(careful, gate, clock, era="legacy") as client:
        assert not (await client.call_tool(by, given | {"confirm": f"{id_}"})).is_error


async def test_a_confirmation_lifts_no_cap(careful: Settings, gate: InterceptedKie, clock: JumpingClock) -> None:
    async with connect(careful, gate, clock) as client:
        id_ = read_confirmation(await client.call_tool("veo_video", CLIP))
    async with connect(careful, gate, clock, max_credits_per_task=59) as client:
        result = await client.call_tool("veo_video", CLIP | {"confirm": id_})
    assert answer(result)["error"]["category"] == "cap_reached"
    assert sent_requests(gate) == []


async def test_an_unhealthy_model_is_told_of_before_the_user_is_asked(
    careful: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.discovery.success_rates["veo-3-1"] = 10.0
    user = User(YES)
    async with connect(careful, sandbox.app, clock, on_elicitation=user) as client:
        await client.call_tool("veo_video", CLIP | {"quote": True})
        await clock.sleep(1)
        result = await client.call_tool("veo_video", CLIP)
        assert answer(result)["error"]["category"] == "unhealthy"
        assert user.asked == []
        assert not (await client.call_tool("veo_video", CLIP | {"anyway": True})).is_error
    assert len(user.asked) == 1


async def test_two_servers_on_one_ledger_know_each_other_s_confirmations(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    rules = Rules(confirm_above=ASKED_ABOVE)
    order = Order("veo_video", model_call("veo_video"))
    async with (
        run_runner(tmp_path, sandbox.app, clock, rules=rules) as one,
        run_runner(tmp_path, sandbox.app, clock, rules=rules) as two,
    ):
        with pytest.raises(ConfirmationNeeded) as needed:
            await one.submit(order)
        assert task_rows(tmp_path) == []
        task = await two.submit(Order("veo_video", model_call("veo_video")), confirm=needed.value.confirm)
    assert [row[0] for row in task_rows(tmp_path)] == [task.id]


@pytest.mark.parametrize(
    ("responses", "state"),
    [
        ({INPUT_KEY: YES}, None),
        ({INPUT_KEY: YES}, ""),
        ({INPUT_KEY: YES}, "c_abcdefghjkmn"),
        ({INPUT_KEY: YES}, "true"),
        ({"other": YES}, "c_abcdefghjkmn"),
        (None, "c_abcdefghjkmn"),
        ({}, "c_abcdefghjkmn"),
    ],
    ids=str,
)
async def test_an_answer_to_a_question_that_was_not_asked_counts_for_nothing(
    careful: Settings, gate: InterceptedKie, clock: JumpingClock, responses: Any, state: str | None
) -> None:
    async with connect(careful, gate, clock, on_elicitation=User(YES)) as client:
        result = await client.session.call_tool(
            "veo_video", CLIP, input_responses=responses, request_state=state, allow_input_required=True
        )
    assert isinstance(result, InputRequiredResult)
    assert result.request_state != state
    assert sent_requests(gate) == []


async def test_the_answer_to_another_call_s_question_counts_for_nothing(
    careful: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with connect(careful, gate, clock, on_elicitation=User(YES)) as client:
        asked = await client.session.call_tool("veo_video", CLIP, allow_input_required=True)
        assert isinstance(asked, InputRequiredResult)
        for given, state in (
            ({"prompt": "a hare"}, asked.request_state),
            (CLIP | {"model": "veo3"}, asked.request_state),
        ):
            other = await client.session.call_tool(
                "veo_video", given, input_responses={INPUT_KEY: YES}, request_state=state, allow_input_required=True
            )
            assert isinstance(other, InputRequiredResult)
        no = ElicitResult(action="decline")
        clock.now += 5
        declined = await client.session.call_tool(
            "veo_video",
            CLIP,
            input_responses={INPUT_KEY: no},
            request_state=asked.request_state,
            allow_input_required=True,
        )
        assert isinstance(declined, CallToolResult)
        assert answer(declined)["error"]["category"] == "declined"
        assert sent_requests(gate) == []
        agreed = await client.session.call_tool(
            "veo_video",
            CLIP,
            input_responses={INPUT_KEY: YES},
            request_state=asked.request_state,
            allow_input_required=True,
        )
    assert isinstance(agreed, CallToolResult)
    assert not agreed.is_error
    assert len(sandbox.accepted) == 1


async def test_a_question_that_was_answered_too_late_is_asked_again(
    careful: Settings, gate: InterceptedKie, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async def sleep_over_it() -> None:
        clock.now += CONFIRMATION_SECONDS + 1 if len(user.asked) == 1 else 0

    for era in ERAS:
        user = User(YES, thinks=sleep_over_it)
        given = CLIP | {"prompt": era}
        async with connect(careful, gate, clock, era=era, on_elicitation=user) as client:
            result = await client.call_tool("veo_video", given)
            if era == "legacy":
                result = await client.call_tool("veo_video", given | {"confirm": read_confirmation(result)})
        assert not result.is_error
        assert len(user.asked) == (1 if era == "legacy" else 2)
    assert len(sandbox.accepted) == 2


@pytest.mark.parametrize("era", ["legacy", "auto"])
@pytest.mark.parametrize("asks", [True, False])
async def test_over_http_the_user_is_asked_or_the_model_asks(
    careful: Settings, transport: httpx2.ASGITransport, sandbox: Sandbox, clock: JumpingClock, era: Any, *, asks: bool
) -> None:
    """No connection stays open between two requests, so nothing but the ledger knows the question."""
    user = User(YES)
    app = App(careful, local_files=False, transport=transport, clock=clock)
    async with serve_app(build_http_app(app, host="127.0.0.1")) as url:
        async with Client(url, mode=era, elicitation_callback=user if asks else None) as client:
            result = await client.call_tool("veo_video", CLIP)
            if asks and era == "auto":
                assert len(user.asked) == 1
            else:
                assert user.asked == []
                assert sandbox.accepted == []
        if result.is_error:
            async with Client(url, mode=era) as another:
                result = await another.call_tool("veo_video", CLIP | {"confirm": read_confirmation(result)})
    assert not result.is_error
    assert len(sandbox.accepted) == 1
