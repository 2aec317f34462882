"""What a call would cost, what it did cost, and what may be spent: nothing goes over a cap, whoever asks at once."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from starlette.responses import JSONResponse, Response
from support.answers import answer, assert_refused, text, wait_for_end
from support.clients import connect
from support.clock import JumpingClock
from support.ledgers import find_database
from support.media_files import picture
from support.runners import InterceptedKie, model_call, run_runner, run_to_end, task_rows

from kie_mcp.catalog import dynamic_model
from kie_mcp.catalog.arguments import OPTIONS, Options
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import AS_OF
from kie_mcp.catalog.registry import FAMILIES, MODELS
from kie_mcp.config import Settings
from kie_mcp.errors import ApiError, CapReached, UnknownOutcome
from kie_mcp.kie.routes import DOCUMENTED
from kie_mcp.ledger.statistics import CHARGES_READ
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.adoption import NOT_CREATED
from kie_mcp.tasks.caps import Caps, Rules
from kie_mcp.tasks.money import highest_similar_estimate, quote
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner

pytestmark = pytest.mark.anyio

DAY = 24 * 3600
LIST = f"price list {AS_OF}"
NEW = "vendor/new-video"


def capped(**caps: float) -> Rules:
    """Rules that allow so much, and let each call be another."""
    return Rules(Caps(**caps), repeat_window=0)


def draw(**more: Any) -> Order:
    """A picture for 4 credits."""
    return Order("nano_banana_image", model_call("nano_banana_image", **more))


async def charged(runner: Runner, sandbox: Sandbox, order: Order, amount: float) -> Task:
    """A task that KIE charges this for."""
    task = await runner.submit(order)
    sandbox.accepted[-1].credits = amount
    return await run_to_end(runner, task)


@pytest.mark.parametrize("tool", ["nano_banana_image", "run_model"])
async def test_a_quote_tells_the_price_and_sends_nothing(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, tool: str
) -> None:
    gate = InterceptedKie(sandbox.app)
    (tmp_path / "fox.png").write_bytes(picture())
    given: dict[str, Any] = {"prompt": "a fox", "images": [str(tmp_path / "fox.png")]}
    if tool == "run_model":
        given = {"model": "nano-banana-2-1", "input": given}
    async with connect(settings, gate, clock) as client:
        for yes in (True, "true", "True"):
            result = await client.call_tool(tool, given | {"quote": yes})
            assert not result.is_error, yes
            assert answer(result) == {
                "status": "quoted",
                "model": "nano-banana-2-1",
                "estimated_credits": [4, 4],
                "estimated_usd": [0.02, 0.02],
                "basis": LIST,
                "balance": 1000,
                "balance_usd": 5.0,
                "balance_after": 996,
                "next_step": "Nothing was sent. The same call without quote makes it.",
            }
            assert text(result) == (
                f"nano-banana-2-1 would cost about 4 credits ($0.02, {LIST}). The balance is 1,000 credits ($5.00), "
                "and would then be 996. Nothing was sent. The same call without quote makes it."
            )
        assert answer(await client.call_tool("list_tasks"))["tasks"] == []
    assert not [asked for asked in gate.requests if asked.startswith("POST")]


async def test_a_quote_is_no_call_that_another_would_repeat(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with connect(settings, sandbox.app, clock, repeat_window=600) as client:
        await client.call_tool("nano_banana_image", {"prompt": "a fox", "quote": True})
        made = await client.call_tool("nano_banana_image", {"prompt": "a fox", "quote": False})
        assert "note" not in answer(made)
        again = await client.call_tool("nano_banana_image", {"prompt": "a fox", "quote": True})
    assert answer(again)["task_id"] == answer(made)["task_id"]
    assert answer(again)["balance_after"] == answer(again)["balance"] == 996
    assert "costs nothing again" in text(again)
    assert "variation: 2 makes another at this price" in text(again)
    assert len(sandbox.accepted) == 1


async def test_a_quote_tells_also_what_would_be_refused_or_asked_about(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    sandbox.discovery.success_rates["veo-3-1"] = 10.0
    async with connect(settings, sandbox.app, clock, confirm_above=1, max_credits_per_task=1) as client:
        result = await client.call_tool("veo_video", {"prompt": "x", "quote": True})
    assert answer(result)["estimated_credits"] == [60, 60]
    assert sandbox.accepted == []


async def test_a_quote_says_when_the_balance_is_too_low(settings: Settings, clock: JumpingClock) -> None:
    poor = Sandbox(credits=3.5, clock=clock.time)
    async with connect(settings, poor.app, clock) as client:
        result = await client.call_tool("nano_banana_image", {"prompt": "x", "quote": True})
    assert (answer(result)["balance"], answer(result)["balance_after"]) == (3.5, -0.5)
    assert "too little" in text(result)
    assert "KIE_MCP_SANDBOX_CREDITS" in text(result)


async def test_a_large_balance_is_told_in_full(settings: Settings, clock: JumpingClock) -> None:
    rich = Sandbox(credits=1_234_567.5, clock=clock.time)
    async with connect(settings, rich.app, clock) as client:
        assert "1,234,567.5 credits" in text(await client.call_tool("get_credits"))
        quoted = await client.call_tool("nano_banana_image", {"prompt": "x", "quote": True})
    assert "1,234,563.5" in text(quoted)


async def test_a_quote_refuses_what_the_call_would_be_refused_for(
    client: Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    for given in ({}, {"prompt": "x", "sed": 1}, {"prompt": "x", "images": [str(tmp_path / "nowhere.png")]}):
        assert_refused(await client.call_tool("nano_banana_image", given | {"quote": True}), sandbox)


async def test_a_quote_uses_kies_own_words_where_the_list_has_no_figure(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.add_model(NEW, {"properties": {"prompt": {"type": "string"}, "duration": {"type": "integer"}}})
    given = {"model": NEW, "input": {"prompt": "x", "duration": 8}, "quote": True}
    sandbox.discovery.prices[NEW] = "720p: 10 credits/s ($0.05)\n1080p: 20 credits/s ($0.10)"
    result = await client.call_tool("run_model", given)
    assert answer(result)["estimated_credits"] == [80, 160]
    assert answer(result)["basis"] == "live price"
    assert answer(result)["balance_after"] == 840
    assert "about 80 to 160 credits ($0.40 to $0.80, live price)" in text(result)


async def test_a_quote_shows_kies_words_where_they_give_no_figure(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.add_model(NEW, {"properties": {"prompt": {"type": "string"}}})
    sandbox.discovery.prices[NEW] = "Ask sales.\nget_task t_x: " + "paid " * 100
    result = await client.call_tool("run_model", {"model": NEW, "input": {"prompt": "x"}, "quote": True})
    assert "estimated_credits" not in answer(result)
    assert answer(result)["basis"].startswith('KIE says: "Ask sales. get_task t_x: paid')
    assert len(answer(result)["basis"]) < 150
    assert answer(result)["basis"] in text(result)
    assert len(text(result).splitlines()) == 1


async def test_a_quote_says_so_where_nobody_knows_the_price(client: Client, sandbox: Sandbox) -> None:
    sandbox.discovery.add_model(
        NEW, {"properties": {"prompt": {"type": "string"}}}, kind="video", task_type="text-to-video"
    )
    result = await client.call_tool("run_model", {"model": NEW, "input": {"prompt": "x"}, "quote": True})
    assert "estimated_credits" not in answer(result)
    assert "balance_after" not in answer(result)
    assert "unknown number of credits" in text(result)
    assert "KIE publishes no figure" in text(result)


def stranger(**given: Any) -> KieModel:
    """A call of a model that the catalogue does not have."""
    fields = {"duration": {"type": "string"}, "num_images": {"type": "integer"}}
    return dynamic_model.parse_call(
        dynamic_model.model_from_schema(NEW, {"properties": fields}, kind="video", task_type="text-to-video"), given
    )


@pytest.mark.parametrize("duration", ["-1", "0", "auto", "nan"])
def test_a_price_is_never_less_than_nothing(duration: str) -> None:
    cost = quote(stranger(duration=duration), [], "10 credits/s")
    assert cost.known == (10, 3000)
    assert cost.reserve == 3000
    assert cost.basis == "live price; KIE states no length, 300 s count"


def exact_estimate(model: type[KieModel]) -> float:
    """What a call with default arguments costs; 0 where that is open."""
    estimate = model.default_estimate()
    return 0 if estimate.assumed else estimate.high or 0


def test_an_unknown_price_counts_as_the_highest_of_its_family() -> None:
    unknown = [model for model in MODELS.values() if model.default_estimate().high is None and not model.legacy]
    assert unknown
    for model in unknown:
        cost = quote(model.model_construct(), [])
        (family,) = (family for family in FAMILIES if model in family.models)
        known = [exact_estimate(other) for other in family.models]
        alike = [exact_estimate(other) for other in MODELS.values() if other.kind == model.kind]
        assert cost.known is None, model.id
        least = max(known) or max(alike)
        assert cost.reserve == highest_similar_estimate(model.model_construct()) >= least, model.id
        assert cost.reserve > 0 or model.kind == "text", model.id


async def test_the_estimate_learns_from_what_was_charged(client: Client, sandbox: Sandbox) -> None:
    async def make(prompt: str, amount: float) -> None:
        made = await client.call_tool("kling_video", {"prompt": prompt, "duration": 5})
        sandbox.accepted[-1].credits = amount
        assert answer(await wait_for_end(client, made))["credits"] == amount

    async def quoted(**more: Any) -> tuple[list[float], str]:
        result = await client.call_tool("kling_video", {"prompt": "x", "duration": 5, "quote": True, **more})
        return answer(result)["estimated_credits"], answer(result)["basis"]

    before, basis = await quoted()
    assert basis == LIST
    await make("one", 40)
    assert await quoted() == ([40, 40], f"what the last one was charged; caps count 90, {LIST}")
    await make("two", 150)
    await make("three", 1000)
    assert await quoted() == ([150, 150], "median of your last 3")
    # A second costs the same, however many there are; another resolution does not.
    assert await quoted(duration=10) == ([300, 300], "median of your last 3")
    assert (await quoted(resolution="720p"))[1] == LIST
    assert (await quoted(model="kling/v3-turbo-text-to-video"))[1] == LIST
    assert before == [90, 90]


@pytest.mark.parametrize(
    ("tool", "one", "more", "times"),
    [
        ("elevenlabs_speech", {"prompt": "x" * 1000}, {"prompt": "y" * 2500}, 2.5),
        ("seedream_image", {"model": "seedream/4.5-text-to-image"}, {"model": "seedream/4.5-text-to-image"}, 1),
        ("qwen_image", {"model": "qwen2/text-to-image"}, {"model": "qwen2/text-to-image"}, 1),
        ("kling_video", {"duration": 5}, {"duration": 15}, 3),
        ("suno_music", {}, {"prompt": "another"}, 1),
    ],
)
async def test_what_was_charged_holds_for_each_unit(
    sandbox: Sandbox,
    clock: JumpingClock,
    tmp_path: Path,
    tool: str,
    one: dict[str, Any],
    more: dict[str, Any],
    times: float,
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        await runner.ledger.add(learned_from(model_call(tool, **one), 700.0, clock.now))
        cost = await runner.quote(Order(tool, model_call(tool, **more)))
    assert cost.known == (700 * times, 700 * times)
    assert cost.reserve == 700 * times


def learned_from(wanted: Any, amount: float, finished: float) -> Task:
    """A task that was charged this."""
    tariff, units = wanted.tariff()
    return Task(
        id=f"t_{amount}_{finished}",
        tool="x",
        model=wanted.id,
        kind=wanted.kind,
        route="jobs",
        arguments={},
        created=finished - 5,
        finished=finished,
        state="succeeded",
        price_key=tariff,
        units=units,
        credits=amount,
        saved=True,
    )


async def test_only_the_last_charges_count(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        for number in range(CHARGES_READ + 8):
            # The old ones were cheap.
            task = learned_from(model_call("nano_banana_image"), 1 if number < 8 else 9, clock.now - 100 + number)
            await runner.ledger.add(task)
        cost = await runner.quote(draw())
    assert (cost.known, cost.basis) == ((9, 9), f"median of your last {CHARGES_READ}")


async def test_what_teaches_nothing_of_the_price_does_not_change_it(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    """A balance that KIE has not drawn from yet looks like a gift, and no cap would hold that back."""
    changes: list[dict[str, Any]] = [
        *({"state": "failed"}, {"state": "unknown"}, {"credits": None}, {"credits": 0.0}, {"model": "x"})
    ]
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        for number, changed in enumerate(changes):
            task = learned_from(model_call("nano_banana_image"), 9, clock.now - number)
            await runner.ledger.add(replace(task, **changed))
            cost = await runner.quote(draw())
            assert (cost.known, cost.basis) == ((4, 4), LIST), changed


async def test_what_was_charged_beats_every_list_also_for_caps(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=capped(task=5)) as runner:
        await charged(runner, sandbox, draw(), 6)
        with pytest.raises(CapReached, match=r"may cost 6 credits \(\$0.03, what the last one was charged\)"):
            await runner.submit(draw())


async def test_kies_own_figure_goes_before_the_balance(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await runner.submit(draw())
        sandbox.accepted[-1].credits = 3.5
        # What somebody else spends meanwhile.
        sandbox._credits -= 100
        assert (await run_to_end(runner, task)).credits == 3.5


async def test_without_kies_figure_the_fall_of_the_balance_is_the_charge(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    """Runway's record says nothing of credits."""
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await charged(runner, sandbox, Order("runway_video", model_call("runway_video")), 11.5)
        assert task.credits == 11.5
        assert (await runner.quote(Order("runway_video", model_call("runway_video")))).known == (11.5, 11.5)


@pytest.mark.parametrize("what", ["runs", "ended meanwhile", "is unknown", "top-up", "balance cannot be read"])
async def test_where_something_else_may_have_moved_the_balance_nothing_is_recorded(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, what: str
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        if what == "runs":
            sandbox.inject_fault("create", "stall")
            await runner.submit(draw())
        task = await runner.submit(Order("runway_video", model_call("runway_video")))
        if what == "ended meanwhile":
            await runner.submit(draw())
        if what == "is unknown":
            sandbox.inject_fault("create", "reset-after")
            with pytest.raises(UnknownOutcome):
                await runner.submit(draw())
        if what == "top-up":
            sandbox._credits += 500
        if what == "balance cannot be read":
            sandbox.inject_fault("credit", 401)
        assert (await run_to_end(runner, task)).credits is None
        # It counts as estimated, then.
        assert (await runner.ledger.spent(task)).day >= 12


async def test_a_task_that_begins_while_the_balance_is_read_keeps_it_from_telling(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    others: list[Task] = []
    begun = anyio.Event()

    async def draw_meanwhile(path: str) -> None:
        if path == DOCUMENTED.credits and sandbox.accepted and not begun.is_set():
            begun.set()
            others.append(await runner.submit(draw()))

    gate = InterceptedKie(sandbox.app, get=draw_meanwhile)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("runway_video", model_call("runway_video"))))
        assert task.state == "succeeded"
        assert task.credits is None
        assert (await run_to_end(runner, others[0])).credits == 4


async def test_another_server_s_task_keeps_the_balance_from_telling(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as one, run_runner(tmp_path, sandbox.app, clock) as two:
        task = await one.submit(Order("runway_video", model_call("runway_video")))
        other = await two.submit(draw())
        assert (await run_to_end(one, task)).credits is None
        assert (await run_to_end(two, other)).credits == 4


async def at_once(runners: list[Runner], order: Any, times: int) -> tuple[int, list[CapReached]]:
    """How many of so many calls go through, and what the others are told."""
    went, held = 0, []

    async def make(runner: Runner, number: int) -> None:
        nonlocal went
        try:
            await runner.submit(order(prompt=f"fox {number}"))
            went += 1
        except CapReached as error:
            held.append(error)

    async with anyio.create_task_group() as callers:
        for number in range(times):
            callers.start_soon(make, runners[number % len(runners)], number)
    return went, held


@pytest.mark.parametrize("cap", ["day", "session"])
async def test_of_calls_at_once_only_those_go_that_there_is_room_for(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, cap: str
) -> None:
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock, rules=capped(**{cap: 11})) as runner:
        went, held = await at_once([runner], draw, 6)
        assert (went, len(held)) == (2, 4)
        assert len(sandbox.accepted) == 2
        assert len(task_rows(tmp_path)) == 2
        assert all(error.billed is False and not error.retryable for error in held)
        assert "3 of the 11 credits" in held[-1].message
        assert f"KIE_MCP_MAX_CREDITS_PER_{cap.upper()}" in held[-1].message


async def test_servers_on_one_ledger_share_the_day_and_not_the_session(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    for rules, room in ((capped(day=10), 2), (capped(session=10), 4)):
        folder = tmp_path / str(room)
        begun = len(sandbox.accepted)
        async with (
            run_runner(folder, sandbox.app, clock, rules=rules) as one,
            run_runner(folder, sandbox.app, clock, rules=rules) as two,
        ):
            went, held = await at_once([one, two], draw, 8)
        assert (went, len(held)) == (room, 8 - room)
        assert len(sandbox.accepted) - begun == room


async def test_a_session_ends_with_its_server_and_a_day_does_not(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    for _ in range(2):
        async with run_runner(tmp_path, sandbox.app, clock, rules=capped(session=5)) as runner:
            await run_to_end(runner, await runner.submit(draw()))
            with pytest.raises(CapReached, match="of the 5 credits a session are left"):
                await runner.submit(draw())
    async with run_runner(tmp_path, sandbox.app, clock, rules=capped(day=11)) as runner:
        with pytest.raises(CapReached, match="3 of the 11 credits a day are left"):
            await runner.submit(draw())


async def test_all_workers_of_a_server_share_its_session(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    for process, is_capped in (("s_one-w_a", False), ("s_one-w_b", True), ("s_two-w_a", False)):
        async with run_runner(tmp_path, sandbox.app, clock, rules=capped(session=5), process=process) as runner:
            if is_capped:
                with pytest.raises(CapReached, match="1 of the 5 credits a session are left"):
                    await runner.submit(draw())
            else:
                await run_to_end(runner, await runner.submit(draw()))


async def test_the_day_is_the_last_24_hours(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=capped(day=7)) as runner:
        task = await run_to_end(runner, await runner.submit(draw()))
        clock.now = task.created + DAY - 60
        with pytest.raises(CapReached):
            await runner.submit(draw())
        clock.now = task.created + DAY + 60
        await run_to_end(runner, await runner.submit(draw()))
    assert len(sandbox.accepted) == 2


async def test_what_failed_gives_its_reservation_back(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=capped(day=4, session=4)) as runner:
        for how in ("fail", "code:422", "code:402") * 2:
            sandbox.inject_fault("create", how)
            try:
                assert (await run_to_end(runner, await runner.submit(draw()))).state == "failed"
            except ApiError:
                assert how != "fail"
        assert (await run_to_end(runner, await runner.submit(draw()))).state == "succeeded"
        with pytest.raises(CapReached, match="0 of the 4 credits a day"):
            await runner.submit(draw())


async def test_what_was_cheaper_than_reserved_makes_room(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=capped(day=5)) as runner:
        await charged(runner, sandbox, draw(), 1)
        await charged(runner, sandbox, draw(), 4)
        with pytest.raises(CapReached):
            await runner.submit(draw())


async def test_what_nobody_knows_the_end_of_stays_reserved_until_it_is_settled(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=capped(day=5)) as runner:
        sandbox.inject_fault("create", "reset-before")
        with pytest.raises(UnknownOutcome) as caught:
            await runner.submit(draw())
        with pytest.raises(CapReached, match="1 of the 5 credits a day"):
            await runner.submit(draw())
        await runner.resolve(caught.value.task_id, NOT_CREATED)
        await runner.submit(draw())


@pytest.mark.parametrize(
    ("id_", "arguments", "alike"),
    [
        (
            "wan/2-6-flash-image-to-video",
            {"image": "a.png", "duration": "15", "resolution": "1080p"},
            "wan/2-6-image-to-video",
        ),
        ("ideogram/v3-remix", {"image": "a.png", "count": 4}, "ideogram/character"),
    ],
)
def test_an_unknown_price_of_a_long_or_large_call_counts_as_such_a_call_of_another_model(
    id_: str, arguments: dict[str, Any], alike: str
) -> None:
    wanted = MODELS[id_].model_validate({"prompt": "xx", **arguments})
    fields = MODELS[alike].model_fields.keys()
    other = MODELS[alike].model_construct(**{name: value for name, value in wanted if name in fields})
    assert quote(wanted, []).reserve >= (other.estimate().high or 0) > (MODELS[alike].default_estimate().high or 0)


async def test_an_unknown_price_is_held_against_the_caps_as_the_highest_of_its_family(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    wanted = MODELS["wan/2-6-flash-image-to-video"].model_validate(
        {"prompt": "xx", "image": "https://files.example/a.png"}
    )
    dearest = highest_similar_estimate(wanted)
    async with run_runner(tmp_path, sandbox.app, clock, rules=capped(task=dearest - 1)) as runner:
        with pytest.raises(CapReached, match=rf"is unknown \(.*\), so it counts as {dearest:g} credits"):
            await runner.submit(Order("wan_video", wanted))
    async with run_runner(tmp_path, sandbox.app, clock, rules=capped(task=dearest)) as runner:
        await runner.submit(Order("wan_video", wanted))
        assert (await runner.ledger.spent(learned_from(wanted, 0, clock.now))).day == dearest


async def test_a_cap_of_nothing_lets_only_what_is_free_through(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, rules=capped(day=0)) as runner:
        with pytest.raises(CapReached, match="0 of the 0 credits a day"):
            await runner.submit(draw())
        song = await runner.ledger.page()
        assert song == []


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("max_credits_per_task", "KIE_MCP_MAX_CREDITS_PER_TASK is 3."),
        ("max_credits_per_day", "3 of the 3 credits a day are left (KIE_MCP_MAX_CREDITS_PER_DAY"),
        ("max_credits_per_session", "3 of the 3 credits a session are left (KIE_MCP_MAX_CREDITS_PER_SESSION"),
    ],
)
@pytest.mark.parametrize("tool", ["nano_banana_image", "run_model"])
async def test_a_client_is_told_which_cap_holds_it_and_nothing_was_sent(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, tool: str, setting: str, says: str
) -> None:
    gate = InterceptedKie(sandbox.app)
    (tmp_path / "fox.png").write_bytes(picture())
    given: dict[str, Any] = {"prompt": "a fox", "images": [str(tmp_path / "fox.png")]}
    if tool == "run_model":
        given = {"model": "nano-banana-2-1", "input": given}
    settings = settings.model_copy(update={"confirm_above": 0, setting: 3})
    async with connect(settings, gate, clock) as client:
        result = await client.call_tool(tool, given)
        assert answer(await client.call_tool("list_tasks"))["tasks"] == []
    assert result.is_error
    error = answer(result)["error"]
    # Nobody is asked about what would be refused anyway.
    assert (error["category"], error["billed"], error["retryable"]) == ("cap_reached", False, False)
    assert says in error["message"]
    assert "nano-banana-2-1 may cost 4 credits" in error["message"]
    assert "Nothing was charged." in text(result)
    assert error["next_step"] in text(result)
    assert not [asked for asked in gate.requests if asked.startswith("POST")]


async def test_a_balance_that_is_too_low_is_kies_to_tell(settings: Settings, clock: JumpingClock) -> None:
    poor = Sandbox(credits=3, clock=clock.time)
    async with connect(settings, poor.app, clock) as client:
        result = await client.call_tool("nano_banana_image", {"prompt": "x"})
    assert answer(result)["error"]["category"] == "insufficient_credits"
    assert answer(result)["error"]["billed"] is False


def test_no_field_of_any_model_has_the_name_of_an_option() -> None:
    assert OPTIONS.keys() == Options.model_fields.keys()
    for model in MODELS.values():
        wired = {field.serialization_alias for field in model.model_fields.values()}
        assert not OPTIONS.keys() & (model.model_fields.keys() | wired), model.id


def test_every_tool_shows_the_options() -> None:
    for family in FAMILIES:
        assert OPTIONS.items() <= family.input_schema["properties"].items(), family.tool
        assert not OPTIONS.keys() & set(family.input_schema["required"]), family.tool


WRONG: list[dict[str, Any]] = [
    {"variation": "two"},
    {"variation": 0},
    {"variation": "-1"},
    {"variation": 1.5},
    {"variation": [2, 3]},
    {"anyway": "perhaps"},
    {"anyway": 1},
    {"quote": "maybe"},
    {"quote": 2},
    {"quote": {"a": 1}},
    {"confirm": 5},
    {"confirm": ["c_1", "c_2"]},
    {"qoute": True},
]


@pytest.mark.parametrize("tool", ["nano_banana_image", "kling_video", "suno_lyrics", "run_model"])
async def test_a_wrong_option_is_refused_before_anything_is_sent(client: Client, sandbox: Sandbox, tool: str) -> None:
    given: dict[str, Any] = {"prompt": "x"}
    given = {"model": "google/nano-banana", "input": given} if tool == "run_model" else given
    for wrong in WRONG:
        result = await client.call_tool(tool, given | wrong)
        assert result.is_error, wrong
        assert_refused(result, sandbox)
        assert next(iter(wrong)) in text(result), wrong


@pytest.mark.parametrize("model", ["google/nano-banana", "veo3_fast", NEW])
async def test_an_option_inside_run_models_input_is_not_overlooked(
    client: Client, sandbox: Sandbox, model: str
) -> None:
    """Whoever wants a quote must not be sold the picture."""
    sandbox.discovery.add_model(NEW, {"properties": {"prompt": {"type": "string"}}})
    for misplaced in ({"quote": True}, {"variation": 2}, {"confirm": "c_1", "anyway": True}):
        given = {"model": model, "input": {"prompt": "x", **misplaced}}
        result = await client.call_tool("run_model", given)
        assert result.is_error, given
        assert_refused(result, sandbox)


async def test_nothing_is_sent_where_the_ledger_cannot_say_what_was_spent(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async def balance_only(path: str) -> Response | None:
        return None if "credit" in path else JSONResponse({"code": 500, "msg": "no"}, 500)

    gate = InterceptedKie(sandbox.app, post=balance_only)
    found = find_database(settings.data_dir)
    if not found:
        settings.data_dir.write_text("a file where the folder should be")
    with found[0].lose(found[1]) if found else nullcontext():
        async with connect(settings, gate, clock, max_credits_per_day=100) as client:
            result = await client.call_tool("nano_banana_image", {"prompt": "x"})
    assert answer(result)["error"]["category"] == "configuration"
    assert gate.requests == []
