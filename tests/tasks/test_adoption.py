"""Tasks that KIE has and the ledger has not, and those of which nobody knows whether KIE has them."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
import sqlalchemy as sa
from mcp import Client
from starlette.responses import JSONResponse, PlainTextResponse, Response
from support import media_files
from support.answers import answer, text
from support.clients import connect
from support.clock import JumpingClock
from support.errors import raises
from support.fake_kie import envelope
from support.ledgers import open_server_ledger
from support.new_model import SCHEMA
from support.runners import InterceptedKie, model_call, run_runner, run_to_end, saved_files, task_rows

from kie_mcp.catalog.fields import Kind
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import MODELS
from kie_mcp.config import Settings
from kie_mcp.errors import ApiError, AuthError, InvalidCall, UnknownOutcome
from kie_mcp.kie import routes
from kie_mcp.kie.client import KieClient
from kie_mcp.ledger import tables
from kie_mcp.ledger.task import Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.offers import build_minimal_call
from kie_mcp.tasks import money
from kie_mcp.tasks.adoption import LOOKUP_SECONDS, NOT_CREATED, adopt
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.search import KEPT_SECONDS
from kie_mcp.tasks.transitions import GRACE_SECONDS

pytestmark = pytest.mark.anyio

PLACES = routes.status_route_ids(service=False)
DAY = 24 * 3600


NEEDS: dict[str, dict[str, Any]] = {
    "suno-stems": {"track": "task:5f0c#5f0c"},
    "suno-midi": {"task_id": "5f0c"},
    "suno-voice-phrase": {"audio": "https://files.example/a.mp3", "start": 0, "end": 10},
}
"""What is asked for where a little of everything is no call."""


def model_of(way: str) -> type[KieModel]:
    return next(model for model in MODELS.values() if way in model.routes)


async def made_elsewhere(kie: KieClient, way: str, **given: Any) -> str:
    """KIE's id of a task that another client of the account has made."""
    model, given = model_of(way), given or NEEDS.get(way, {})
    wanted = model.model_validate(given) if given else build_minimal_call(model)
    assert wanted
    return await kie.create_task(routes.find(way).create, routes.build_body(wanted, way, str))


@pytest.fixture
def sandbox(clock: JumpingClock) -> Sandbox:
    """It still runs what KIE documents no more."""
    return Sandbox(seconds=4, credits=10_000, clock=clock.time, legacy=True)


@pytest.mark.parametrize("later", [0, DAY], ids=["running", "ended"])
async def test_a_task_of_another_client_is_found_adopted_and_saved(
    kie: KieClient, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, later: float
) -> None:
    gate = InterceptedKie(sandbox.app)
    known: set[Path] = set()
    async with run_runner(tmp_path, gate, clock) as runner:
        for number, way in enumerate(PLACES):
            id_ = await made_elsewhere(kie, way)
            clock.now += later
            begun = clock.now
            task = await runner.get(f" {id_} ")
            assert clock.now - begun <= 3, way
            assert task_rows(tmp_path)[number:] == [(task.id, "running", id_, way)]
            task = await run_to_end(runner, task)
            assert (task.state, task.saved, task.error) == ("succeeded", True, None), way
            assert task.results or task.texts, way
            saved = {*saved_files(tmp_path / "out")} - known
            assert {Path(result.path) for result in task.results} == saved, way
            known |= saved
            assert routes.find(task.route).status == routes.find(way).status
            # From now on it is a task like any other.
            before = len(gate.requests)
            for name in (id_, task.id, f"task:{id_}#1"):
                assert (await runner.get(name)).id == task.id, way
            assert len(gate.requests) == before, way
            # The routes share the reads of a second.
            clock.now += 60
    assert len(task_rows(tmp_path)) == len(sandbox.accepted) == len(PLACES)


async def test_an_adopted_task_keeps_what_kie_knows_of_it(
    client: Client, kie: KieClient, sandbox: Sandbox, clock: JumpingClock
) -> None:
    id_ = await made_elsewhere(kie, "jobs:veo-3-1", prompt="a heron at dawn")
    created = datetime.fromtimestamp(clock.now, UTC)
    clock.now += 3600
    found = await client.call_tool("get_task", {"task_ids": id_, "wait_seconds": 30})
    assert answer(found)["status"] == "succeeded"
    assert answer(found)["credits"] == sandbox.accepted[0].credits
    assert answer(found)["media"][0]["path"]
    (row,) = answer(await client.call_tool("list_tasks"))["tasks"]
    assert row["prompt"] == "a heron at dawn"
    assert row["model"] == "veo-3-1"
    assert row["created"] == f"{created:%Y-%m-%d %H:%M} UTC"


async def test_an_adopted_task_of_a_product_route_is_told_and_counted_as_its_own_model(
    kie: KieClient, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    wanted = MODELS["veo3"].model_validate({"prompt": "x"})
    id_ = await kie.create_task(routes.find("veo").create, routes.build_body(wanted, "veo", str))
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        task = await run_to_end(runner, await runner.get(id_))
        assert (task.model, task.credits) == ("veo3", None)
        # Veo's record has no figure: what it usually costs counts.
        assert (await runner.ledger.spent(task)).day == wanted.default_estimate().high == 250


async def test_a_task_that_failed_elsewhere_says_why(client: Client, kie: KieClient, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "fail")
    id_ = await made_elsewhere(kie, "veo")
    found = await client.call_tool("get_task", {"task_ids": [id_], "wait_seconds": 30})
    assert found.is_error
    assert "injected into the sandbox" in text(found)


async def test_several_tasks_are_adopted_in_one_call(client: Client, kie: KieClient) -> None:
    ids = [await made_elsewhere(kie, way) for way in ("veo", "suno", "jobs:veo-3-1")]
    found = answer(await client.call_tool("get_task", {"task_ids": ids, "wait_seconds": 60}))["tasks"]
    assert [each["status"] for each in found] == ["succeeded"] * 3
    assert len({each["task_id"] for each in found}) == 3


async def test_servers_that_adopt_a_task_at_once_have_one_row_of_it(
    kie: KieClient, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    id_ = await made_elsewhere(kie, "suno")
    found: list[Task] = []

    async def ask(runner: Runner) -> None:
        # The servers share the reads, so one of them may not know it yet after three seconds.
        with suppress(ApiError):
            found.append(await runner.get(id_))
            return
        await clock.sleep(10)
        await ask(runner)

    async with (
        run_runner(tmp_path, sandbox.app, clock) as one,
        run_runner(tmp_path, sandbox.app, clock) as two,
    ):
        async with anyio.create_task_group() as callers:
            for runner in (one, two, one, two, one):
                callers.start_soon(ask, runner)
        assert len({task.id for task in found}) == 1
        assert len(task_rows(tmp_path)) == 1
        (task,) = await one.wait([await one.get(id_)], 600)
    assert (task.state, task.saved) == ("succeeded", True)
    assert len(saved_files(tmp_path / "out")) == 2


async def test_what_was_spent_elsewhere_counts_for_the_day_and_not_for_the_session(
    kie: KieClient, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    id_ = await made_elsewhere(kie, "jobs:veo-3-1", prompt="x")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        await run_to_end(runner, await runner.get(id_))
        own = await run_to_end(runner, await runner.submit(Order("nano_banana_image", model_call("nano_banana_image"))))
        spent = await runner.ledger.spent(own)
    assert (spent.session, spent.day) == (4, 4 + sandbox.accepted[0].credits)


async def test_how_long_an_adopted_task_took_is_nothing_to_go_by(
    kie: KieClient, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    """It ended long before anybody here looked."""
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        ids = [await made_elsewhere(kie, "jobs", prompt="x") for _ in range(6)]
        clock.now += 7 * DAY
        tasks = [await run_to_end(runner, await runner.get(id_)) for id_ in ids]
        assert {task.state for task in tasks} == {"succeeded"}
        task = tasks[0]
        assert (await runner.estimate_duration(task)).seconds == 4


@pytest.mark.parametrize("id_", ["5f0c5f0c5f0c5f0c", "00000000-0000-0000-0000-000000000000", "x" * 100])
async def test_an_id_that_exists_nowhere_is_an_error_within_3_seconds(
    client: Client, sandbox: Sandbox, clock: JumpingClock, id_: str
) -> None:
    begun = clock.now
    result = await client.call_tool("get_task", {"task_ids": id_, "wait_seconds": 60})
    assert clock.now - begun <= 3
    assert result.is_error
    assert answer(result)["error"]["category"] == "invalid_call"
    assert answer(result)["error"]["billed"] is False
    assert f"There is no task {id_}, here or at KIE." in text(result)
    assert "list_tasks" in text(result)
    assert answer(await client.call_tool("list_tasks"))["tasks"] == []
    assert sandbox.accepted == []


async def test_two_servers_find_out_in_time_that_an_id_exists_nowhere(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    """They share what Suno lets an account read."""
    async with run_runner(tmp_path, sandbox.app, clock) as one, run_runner(tmp_path, sandbox.app, clock) as two:
        for runner in (one, two, one):
            await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
            clock.now += 5
        begun = clock.now
        with pytest.raises(InvalidCall, match="here or at KIE"):
            await one.get("5f0c5f0c5f0c5f0c", search_seconds=LOOKUP_SECONDS)
        assert clock.now - begun < LOOKUP_SECONDS


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_search_that_takes_longer_than_the_client_waits_goes_on_and_is_told_later(
    settings: Settings, kie: KieClient, sandbox: Sandbox, clock: JumpingClock, *, is_known: bool
) -> None:
    id_ = await made_elsewhere(kie, PLACES[0]) if is_known else "5f0c5f0c5f0c5f0c"
    goes_on = anyio.Event()

    async def wait(path: str) -> Response | None:
        if "record" in path or "info" in path:
            await goes_on.wait()
        return None

    gate = InterceptedKie(sandbox.app, get=wait)
    async with connect(settings, gate, clock, name="mcp", wait_seconds=None) as client:
        for tool, given in (
            ("get_task", {"task_ids": id_, "wait_seconds": 60}),
            ("view_media", {"task_id": id_}),
            ("resolve_task", {"task_id": id_, "outcome": NOT_CREATED}),
        ):
            begun = clock.now
            error = answer(await client.call_tool(tool, given))["error"]
            assert clock.now - begun <= 3.5
            assert (error["retryable"], error["billed"]) == (True, False)
            assert "Call get_task again with this id" in error["next_step"]
        assert len(gate.requests) == 1
        goes_on.set()
        told = await client.call_tool("get_task", {"task_ids": id_})
        while answer(told).get("error", {}).get("retryable"):
            told = await client.call_tool("get_task", {"task_ids": id_})
        assert (f"There is no task {id_}, here or at KIE." in text(told)) != is_known
        assert ("task_id" in answer(told)) == is_known


async def test_what_a_search_has_found_is_not_told_when_it_may_be_true_no_more(
    tmp_path: Path, kie: KieClient, sandbox: Sandbox, clock: JumpingClock
) -> None:
    id_, is_known = await made_elsewhere(kie, PLACES[0]), False

    async def get(path: str) -> Response | None:
        is_hidden = path == routes.find(PLACES[0]).status and not is_known
        return JSONResponse({"code": 422, "msg": "recordInfo is null", "data": None}) if is_hidden else None

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, get=get), clock) as runner:
        with pytest.raises(ApiError, match="has not said yet"):
            await runner.get(id_, search_seconds=0)
        # The search ends, and nobody asks for its result.
        await clock.sleep(2 * KEPT_SECONDS)
        is_known = True
        task = await run_to_end(runner, await runner.get(id_))
    assert (task.state, task.kie_id) == ("succeeded", id_)


async def test_what_can_be_no_id_of_kies_is_not_asked_about(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    gate = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, gate, clock) as runner:
        for id_ in (
            *("t_abcdefghjkmn", "task:t_abcdefghjkmn#1", "t_", "short", "", "../../etc", "лиса" * 4),
            *("a b c d e f g h", "x" * 101),
        ):
            with raises(InvalidCall, repr(id_), "There is no task"):
                await runner.get(id_)
            assert gate.requests == [], id_


@pytest.mark.parametrize(
    ("how", "error"),
    [("reset-before", ApiError), (500, ApiError), (429, ApiError), ("code:455", ApiError), (401, AuthError)],
)
@pytest.mark.parametrize("times", [1, 100])
async def test_when_kie_cannot_be_asked_that_is_said_and_not_that_there_is_no_task(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, how: int | str, error: type[ApiError], times: int
) -> None:
    sandbox.inject_fault("status", how, times)
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        with pytest.raises(error) as caught:
            await runner.get("5f0c5f0c5f0c5f0c")
        assert "There is no task" not in caught.value.message
        assert caught.value.next_step
        assert task_rows(tmp_path) == []


async def test_a_task_is_found_though_another_route_is_in_trouble(
    kie: KieClient, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    id_ = await made_elsewhere(kie, "veo")

    async def trouble(path: str) -> Response | None:
        return JSONResponse({"code": 500, "msg": "no"}, 500) if "/veo/" not in path and "record" in path else None

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, get=trouble), clock) as runner:
        assert (await run_to_end(runner, await runner.get(id_))).state == "succeeded"


async def test_an_answer_that_names_no_task_adopts_none(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async def tell(path: str) -> Response | None:
        return said if "record" in path else None

    async with run_runner(tmp_path, InterceptedKie(sandbox.app, get=tell), clock) as runner:
        for number, said in enumerate(
            (
                PlainTextResponse("<html>Just a moment...</html>"),
                Response(),
                JSONResponse({"code": 200, "msg": "success", "data": None}),
                JSONResponse({"code": 200, "data": {"state": "waiting"}}),
                JSONResponse({"code": 200, "data": {"taskId": "another", "state": "waiting", "successFlag": 0}}),
                JSONResponse([1, 2]),
            )
        ):
            with raises(InvalidCall, bytes(said.body), "There is no task"):
                await runner.get(f"5f0c5f0c5f0c{number}")
            assert task_rows(tmp_path) == [], said.body
            clock.now += 60


async def lost(runner: Runner, sandbox: Sandbox, tool: str = "veo_video", how: str = "reset-after") -> str:
    """A task of which nobody knows whether KIE has it."""
    sandbox.inject_fault("create", how)
    with pytest.raises(UnknownOutcome) as caught:
        await runner.submit(Order(tool, model_call(tool)))
    return caught.value.task_id


async def test_a_lost_task_is_settled_by_the_id_that_kies_log_shows(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with connect(settings, sandbox.app, clock) as client:
        sandbox.inject_fault("create", "reset-after")
        task = answer(await client.call_tool("veo_video", {"prompt": "x"}))["task_id"]
        settled = await client.call_tool("resolve_task", {"task_id": task, "outcome": f" {sandbox.accepted[0].id}\n"})
        assert not settled.is_error
        assert answer(settled)["task_id"] == task
        assert answer(settled)["status"] == "running"
    async with connect(settings, sandbox.app, clock) as client:
        found = await client.call_tool("get_task", {"task_ids": task, "wait_seconds": 60})
        assert answer(found)["status"] == "succeeded"
        assert answer(found)["media"][0]["path"]
        by_kie = await client.call_tool("get_task", {"task_ids": sandbox.accepted[0].id})
        assert answer(by_kie)["task_id"] == task
    assert len(sandbox.accepted) == 1


def foreign_kie(model: str = "studio/heron-9", created: object = None, **record: Any) -> InterceptedKie:
    """A KIE that has made a task of a model that is not built in."""
    made = {"taskId": FOREIGN, "model": model, "state": "success", "createTime": created, "creditsConsumed": 7}
    made |= {"resultJson": json.dumps({"resultUrls": [f"https://kie.test/files/{FOREIGN}"]}), **record}

    async def tell(path: str) -> Response | None:
        if path == routes.JOBS.status:
            return envelope(200, data=made)
        return Response(media_files.sound(0.1)) if path.startswith("/files/") else None

    return InterceptedKie(envelope(404), get=tell)


FOREIGN = "5f0c5f0c5f0c5f0c"


async def test_a_task_of_a_model_that_is_not_built_in_keeps_its_model_and_is_of_the_kind_that_it_made(
    clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, foreign_kie(), clock) as runner:
        found = await runner.get(FOREIGN)
        assert (found.model, found.reserved) == ("studio/heron-9", money.highest_estimate_of_kind(None))
        task = await run_to_end(runner, found)
    assert (task.state, task.kind, task.credits) == ("succeeded", "audio", 7)
    assert task.results[0].path.endswith(".wav")


async def test_a_task_of_a_new_model_that_made_words_is_of_the_kind_text(clock: JumpingClock, tmp_path: Path) -> None:
    kie = foreign_kie(resultJson=json.dumps({"resultObject": "Twelve herons."}))
    async with run_runner(tmp_path, kie, clock) as runner:
        task = await run_to_end(runner, await runner.get(FOREIGN))
    assert (task.kind, task.texts) == ("text", ["Twelve herons."])


@pytest.mark.parametrize(
    "param",
    [
        {"model": "studio/heron-9", "input": {"prompt": "x"}},
        {"model": "studio/heron-9", "input": json.dumps({"prompt": "x"})},
        {"input": {"prompt": "x", "model": "studio/heron-9"}},
    ],
    ids=str,
)
async def test_the_request_names_the_model_if_nothing_else_does(
    clock: JumpingClock, tmp_path: Path, param: dict[str, Any]
) -> None:
    async with run_runner(tmp_path, foreign_kie(model="", param=json.dumps(param)), clock) as runner:
        found = await runner.get(FOREIGN)
    assert found.model == "studio/heron-9"
    assert found.arguments["prompt"] == "x"


async def test_an_adopted_task_of_an_unknown_price_counts_in_caps(clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, foreign_kie(creditsConsumed="?"), clock) as runner:
        task = await run_to_end(runner, await runner.get(FOREIGN))
        spent = await runner.ledger.spent(task)
    assert task.credits is None
    assert spent.day == task.reserved > 0


@pytest.mark.parametrize("name", ["", None, "sora-3", 'jobs", "x'])
async def test_a_task_of_jobs_is_never_taken_for_one_of_another_model(
    clock: JumpingClock, tmp_path: Path, name: str | None
) -> None:
    async with run_runner(tmp_path, foreign_kie(model=name), clock) as runner:  # type: ignore[arg-type]
        assert (await runner.get(FOREIGN)).model == (name or "jobs")


async def test_the_kind_of_a_task_is_that_of_kies_list(clock: JumpingClock) -> None:
    client = KieClient("key", transport=httpx2.ASGITransport(foreign_kie()), clock=clock)

    async def find_kind(name: str) -> Kind | None:
        return "video" if name == "studio/heron-9" else None

    async with client:
        found = await adopt(client, FOREIGN, now=clock.now, find_kind=find_kind)
    assert (found.model, found.kind) == ("studio/heron-9", "video")


async def test_a_running_task_of_a_new_model_is_of_the_kind_that_kies_list_tells(
    client: Client, kie: KieClient, new_model: Sandbox
) -> None:
    new_model.discovery.add_model("vendor/text-to-video", SCHEMA, kind="video", task_type="text-to-video")
    new_model.inject_fault("create", "stall")
    id_ = await kie.create_task(routes.JOBS.create, {"model": "vendor/text-to-video", "input": {"prompt": "x"}})
    assert answer(await client.call_tool("get_task", {"task_ids": id_}))["model"] == "vendor/text-to-video"
    (found,) = answer(await client.call_tool("list_tasks", {"kind": "video"}))["tasks"]
    assert found["status"] == "running"


AN_HOUR_AGO = 1_800_000_000 - 3600
NO_TIMES: tuple[object, ...] = (None, "", 0, -1, 7, 1e308, "nan", "soon", [], {}, True, "9999-12-31", 10**30)


CREATED: list[tuple[object, float]] = [
    *((form(AN_HOUR_AGO * factor), 3600) for factor in (1, 10**3, 10**6, 10**9) for form in (int, float, str)),
    ("2027-01-15 07:00:00", 3600),
    ("2027-01-15T07:00:00Z", 3600),
    ("2027-01-15T09:00:00+02:00", 3600),
    *((odd, 0.0) for odd in NO_TIMES),
    (1_800_000_000 + 3600, 0),
    (1_800_000_000_000 + 400 * DAY * 1000, 0),
]
"""Creation times as KIE may tell them, and the seconds from then to the beginning of a test; 0 for what is none."""


async def test_the_creation_time_is_read_in_every_unit(clock: JumpingClock) -> None:
    for created, ago in CREATED:
        async with KieClient("key", transport=httpx2.ASGITransport(foreign_kie(created=created)), clock=clock) as kie:
            assert (await adopt(kie, FOREIGN, now=clock.now)).created == clock.now - ago, created


async def test_an_absurd_creation_time_in_the_ledger_does_not_break_the_lists(
    client: Client, settings: Settings
) -> None:
    """Earlier versions took microseconds for milliseconds."""
    made = answer(await client.call_tool("nano_banana_image", {"prompt": "x"}))["task_id"]
    for created in (1.7e12, 1.7e15, -5e10, 0):
        ledger = await open_server_ledger(settings)
        async with ledger.database.writing() as connection:
            await connection.execute(sa.update(tables.tasks).values(created=created))
        await ledger.close()
        for tool in ("list_tasks", "library", "spend_report"):
            assert not (await client.call_tool(tool)).is_error
        (found,) = answer(await client.call_tool("list_tasks"))["tasks"]
        assert found["task_id"] == made
        shown = answer(await client.call_tool("get_task", {"task_ids": made}))
        assert shown["task_id"] == made


async def test_a_task_of_which_kie_named_no_result_is_settled_by_the_link_of_its_result(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with connect(settings, sandbox.app, clock, wait_seconds=200) as client:
        sandbox.inject_fault("create", "no-urls")
        made = answer(await client.call_tool("veo_video", {"prompt": "x", "confirm": ""}))["task_id"]
        found = await client.call_tool("get_task", {"task_ids": made, "wait_seconds": 200})
        assert (answer(found)["status"], answer(found).get("media")) == ("succeeded", None)
        assert "names no result" in answer(found)["note"]
        assert "resolve_task" in answer(found)["note"]
        link = f"{sandbox_media(sandbox)}/1.mp4"
        settled = await client.call_tool("resolve_task", {"task_id": made, "outcome": f"It is {link} ."})
        assert answer(settled)["status"] == "succeeded"
        saved = answer(await client.call_tool("get_task", {"task_ids": made, "wait_seconds": 20}))
        assert saved["media"][0]["url"] == link
        assert saved["media"][0]["path"]
        assert "note" not in saved
        again = await client.call_tool("resolve_task", {"task_id": made, "outcome": link})
        assert "there is nothing to settle" in text(again)


async def test_a_task_of_which_kie_named_no_result_is_settled_by_its_own_id(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    """KIE may name the result at last; in ledgers of earlier versions such a task has failed."""
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        sandbox.inject_fault("create", "no-urls")
        task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
        task.state, task.note, task.texts = "failed", "", []
        task.error = {"message": "KIE says that the task has succeeded, and names no result."}
        await runner.ledger.save(task)
        sandbox.accepted[0].fault = ""
        settled = await run_to_end(runner, await runner.resolve(task.id, task.kie_id or ""))
        assert (settled.state, settled.saved, len(settled.results), settled.error) == ("succeeded", True, 1, None)


async def test_a_task_that_kie_did_not_know_is_settled_by_its_own_id_once_kie_knows_it(
    clock: JumpingClock, tmp_path: Path
) -> None:
    """It was asked with the key of another account, for example."""
    is_known = False

    async def ask_another_account(path: str) -> Response | None:
        is_status = path.endswith("/record-info")
        return envelope(422, "recordInfo is null") if is_status and not is_known else None

    gate = InterceptedKie(Sandbox(seconds=GRACE_SECONDS, clock=clock.time).app, get=ask_another_account)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
        assert task.state == "expired"
        assert "resolve_task" in (task.error or {})["next_step"]
        with pytest.raises(InvalidCall, match="KIE knows no task"):
            await runner.resolve(task.id, task.kie_id or "")
        with pytest.raises(InvalidCall, match="KIE has made task"):
            await runner.resolve(task.id, NOT_CREATED)
        is_known = True
        # An account that several tenants share tells nobody of other tasks, but a task is settled by its own id.
        runner.client.is_shared = True
        settled = await run_to_end(runner, await runner.resolve(task.id, task.kie_id or ""))
        spent = await runner.ledger.spent(settled)
    assert (settled.state, settled.saved, settled.error, spent.day) == ("succeeded", True, None, 60)


async def test_what_settles_no_missing_result_is_refused(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        sandbox.inject_fault("create", "no-urls")
        task = await run_to_end(runner, await runner.submit(Order("veo_video", model_call("veo_video"))))
        for outcome, says in (
            (NOT_CREATED, "KIE has made task"),
            ("http://kie.test/1.png", "is no https link"),
            (f"https://{'x' * 5000}", "is no https link"),
            ("5f0c5f0c5f0c5f0c", "KIE knows no task"),
        ):
            with raises(InvalidCall, outcome, says):
                await runner.resolve(task.id, outcome)
            assert await runner.get(task.id) == task, outcome


LINKS = [
    ("https://kie.test/w_100,h_100/1.png", ["https://kie.test/w_100,h_100/1.png"]),
    ("It is (https://kie.test/1.png).", ["https://kie.test/1.png"]),
    ("[the file](https://kie.test/1.png).", ["https://kie.test/1.png"]),
    ("https://kie.test/1 (2).png", ["https://kie.test/1 (2).png"]),
    ("HTTPS://KIE.TEST/1.png", ["HTTPS://KIE.TEST/1.png"]),
    ("https://kie.test/1.png, https://kie.test/2.png", ["https://kie.test/1.png", "https://kie.test/2.png"]),
    ("https://kie.test/1.png,https://kie.test/1.png", ["https://kie.test/1.png"]),
]


async def test_links_of_a_lost_task_are_taken_as_people_write_them(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock, save=False) as runner:
        for outcome, expected in LINKS:
            settled = await runner.resolve(await lost(runner, sandbox), outcome)
            assert [result.url for result in settled.results] == expected, outcome


async def test_a_lost_task_is_settled_by_the_link_of_its_result(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        id_ = await lost(runner, sandbox)
        clock.now += 60
        settled = await run_to_end(runner, await runner.resolve(id_, f"{sandbox_media(sandbox)}/1.mp4"))
    assert (settled.state, settled.saved, settled.error) == ("succeeded", True, None)
    assert settled.finished


def sandbox_media(sandbox: Sandbox) -> str:
    return f"https://kie.test/sandbox/media/{sandbox.accepted[0].id}"


async def test_a_lost_task_that_kie_never_took_is_settled_in_words(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    gate = InterceptedKie(sandbox.app)
    said = ("not created", "Not created.", "NOT_CREATED", " not-created ", "'not  created'")
    async with connect(settings, gate, clock) as client:
        for words in said:
            sandbox.inject_fault("create", "reset-before")
            task = answer(await client.call_tool("veo_video", {"prompt": "x"}))["task_id"]
            settled = await client.call_tool("resolve_task", {"task_id": f"task:{task}", "outcome": words})
            # That is what was asked for, and no failure of this call.
            assert not settled.is_error, words
            assert answer(settled)["status"] == "failed"
            assert answer(settled)["credits"] == 0
            assert "KIE never accepted this task" in text(settled)
            assert "Nothing was charged." in text(settled)
            again = await client.call_tool("resolve_task", {"task_id": task, "outcome": words})
            assert f"Task {task} is failed: there is nothing to settle." in text(again)
    # The success rate is read beside each call.
    asked = [each for each in gate.requests if not each.endswith("/success-rate")]
    assert asked == ["POST /api/v1/veo/generate"] * len(said)


async def test_an_outcome_that_kie_does_not_know_settles_nothing(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    kie = InterceptedKie(sandbox.app)
    async with run_runner(tmp_path, kie, clock) as runner:
        id_ = await lost(runner, sandbox)
        other = await run_to_end(runner, await runner.submit(Order("suno_music", model_call("suno_music"))))
        asked = len(kie.requests)
        for wrong, says in (
            ("5f0c5f0c5f0c5f0c", "KIE knows no task 5f0c5f0c5f0c5f0c of this kind"),
            # What cannot be an id is not sent to KIE.
            ("yes, it was", "KIE knows no task yes, it was of this kind"),
            ("a" * 70_000, f"KIE knows no task {'a' * 100} of this kind"),
            # That it is of another kind does not matter: it is taken.
            (other.kie_id or "", f"is task {other.id} already"),
            (other.id, f"is task {other.id} already"),
            (id_, f"is task {id_} already"),
        ):
            with pytest.raises(InvalidCall, match=says) as caught:
                await runner.resolve(id_, wrong)
            assert caught.value.next_step
            assert (await runner.get(id_)).state == "unknown"
        assert len(kie.requests) == asked + 1


async def test_a_lost_task_that_was_adopted_in_the_meantime_is_settled_too(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    """Whoever finds its id in KIE's log may ask after that first."""
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        id_ = await lost(runner, sandbox)
        kie_id = sandbox.accepted[0].id
        found = await run_to_end(runner, await runner.get(kie_id))
        with pytest.raises(InvalidCall, match=f"is task {found.id} already") as caught:
            await runner.resolve(id_, kie_id)
        assert f"say {NOT_CREATED!r} of this one" in caught.value.next_step
        await runner.resolve(id_, NOT_CREATED)
        spent = await runner.ledger.spent(found)
    assert found.state == "succeeded"
    assert spent.day == 60


@pytest.mark.on_postgresql
async def test_of_two_who_settle_a_task_at_once_the_later_one_changes_nothing(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    """What KIE makes would be lost and made again if somebody could write `not created` over it."""

    async def say_not_created(path: str) -> None:
        if path.endswith("/record-info") and (await runner.ledger.find(id_) or settled).state == "unknown":
            await runner.resolve(id_, NOT_CREATED)

    kie = InterceptedKie(sandbox.app, get=say_not_created)
    async with run_runner(tmp_path, kie, clock) as runner:
        id_ = await lost(runner, sandbox)
        settled = await runner.get(id_)
        with pytest.raises(InvalidCall, match="has changed meanwhile"):
            await runner.resolve(id_, sandbox.accepted[0].id)
        assert (await runner.get(id_)).state == "failed"


async def test_the_id_of_a_task_of_another_kind_settles_nothing(
    kie: KieClient, sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    elsewhere = await made_elsewhere(kie, "suno")
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        id_ = await lost(runner, sandbox)
        with pytest.raises(InvalidCall, match="of this kind"):
            await runner.resolve(id_, elsewhere)


async def test_an_outcome_is_not_believed_while_kie_cannot_be_asked(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        id_ = await lost(runner, sandbox)
        unknown = await runner.get(id_)
        for how in ("reset-before", 500, 401, "garbage", "empty"):
            sandbox.inject_fault("status", how)
            with raises(ApiError, how):
                await runner.resolve(id_, sandbox.accepted[0].id)
            assert await runner.get(id_) == unknown, how
        assert unknown.state == "unknown"
        settled = await run_to_end(runner, await runner.resolve(id_, sandbox.accepted[0].id))
    assert (settled.state, settled.saved) == ("succeeded", True)


async def test_only_what_is_unknown_is_settled(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "stall")
    for tool, state in (("kling_video", "running"), ("nano_banana_image", "succeeded")):
        made = answer(await client.call_tool(tool, {"prompt": "x"}))
        for outcome in (NOT_CREATED, "5f0c5f0c5f0c5f0c"):
            result = await client.call_tool("resolve_task", {"task_id": made["task_id"], "outcome": outcome})
            assert f"Task {made['task_id']} is {state}: there is nothing to settle." in text(result)
        assert answer(await client.call_tool("get_task", {"task_ids": made["task_id"]}))["status"] == state
    for wrong in (
        {"task_id": "t_none", "outcome": NOT_CREATED},
        {"task_id": "t_none", "outcome": ""},
        {"outcome": "x"},
    ):
        assert (await client.call_tool("resolve_task", wrong)).is_error


async def test_what_kie_gives_no_id_to_is_settled_in_words_only(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    style = MODELS["ai-music-api/boost-music-style"].model_validate({"prompt": "a waltz"})
    async with run_runner(tmp_path, sandbox.app, clock) as runner:
        sandbox.inject_fault("create", "reset-after")
        with pytest.raises(UnknownOutcome) as caught:
            await runner.submit(Order("suno_style", style))
        with pytest.raises(InvalidCall, match="KIE gives no id to what"):
            await runner.resolve(caught.value.task_id, "5f0c5f0c5f0c5f0c")
        assert (await runner.resolve(caught.value.task_id, NOT_CREATED)).state == "failed"


async def test_a_task_in_a_state_with_a_new_name_tells_it_after_long_and_is_settled_by_its_link(
    clock: JumpingClock, tmp_path: Path
) -> None:
    kie = foreign_kie(state="dreaming", resultJson="", creditsConsumed=0)
    async with run_runner(tmp_path, kie, clock) as runner:
        task = await runner.get(FOREIGN)
        link = f"https://kie.test/files/{FOREIGN}"
        (task,) = await runner.wait([task], 60)
        assert (task.state, task.note) == ("running", "")
        with pytest.raises(InvalidCall, match="is running: there is nothing to settle"):
            await runner.resolve(task.id, link)
        clock.now += 3600
        (task,) = await runner.wait([task], 10)
        assert task.state == "running"
        assert 'KIE calls the state of the task "dreaming"' in task.note
        settled = await run_to_end(runner, await runner.resolve(task.id, link))
    assert (settled.state, settled.note, [each.url for each in settled.results]) == ("succeeded", "", [link])
    assert settled.results[0].path


async def test_a_task_that_another_process_settles_by_its_link_ends_here_too(
    clock: JumpingClock, tmp_path: Path
) -> None:
    kie = foreign_kie(state="dreaming", resultJson="", creditsConsumed=0)
    async with run_runner(tmp_path, kie, clock) as one, run_runner(tmp_path, kie, clock) as other:
        task = await one.get(FOREIGN)
        clock.now += 3600
        await one.wait([task], 10)
        await other.resolve(task.id, f"https://kie.test/files/{FOREIGN}")
        settled = await run_to_end(one, await one.get(task.id))
    assert (settled.state, bool(settled.results[0].path)) == ("succeeded", True)


async def test_a_state_that_is_known_again_is_told_no_longer_and_cannot_be_settled(
    clock: JumpingClock, tmp_path: Path
) -> None:
    record = {"taskId": FOREIGN, "model": "studio/heron-9", "state": "dreaming", "resultJson": ""}

    async def tell(path: str) -> Response | None:
        return envelope(200, data=record) if path == routes.JOBS.status else None

    kie = InterceptedKie(envelope(404), get=tell)
    async with run_runner(tmp_path, kie, clock) as runner:
        task = await runner.get(FOREIGN)
        clock.now += 3600
        (task,) = await runner.wait([task], 10)
        assert "dreaming" in task.note
        record["state"] = "generating"
        (task,) = await runner.wait([task], 100)
        assert task.note == ""
        with pytest.raises(InvalidCall, match="there is nothing to settle"):
            await runner.resolve(task.id, f"https://kie.test/files/{FOREIGN}")
