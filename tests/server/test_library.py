"""`library`: searching earlier results."""

import json
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_types import TextResourceContents
from support.answers import answer, text, wait_for_end

from kie_mcp.catalog.credits import format_credits
from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.task import Result, Task
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.tools.library import MAX_PAGE_BYTES

pytestmark = pytest.mark.anyio

DAY = 24 * 3600
FOUR = {"prompt": "a fox", "count": 4}
NOON = 1_800_014_400.0
"""2027-01-15 12:00 UTC."""


def task(id_: str, **more: Any) -> Task:
    usual: dict[str, Any] = {"tool": "veo_video", "model": "veo3", "kind": "video", "route": "veo", "created": NOON}
    arguments = {"prompt": f"the {id_}"}
    return Task(id_, **usual | {"arguments": arguments, "state": "succeeded", "saved": True} | more)


async def find(client: Client, **wanted: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = answer(await client.call_tool("library", wanted))["made"]
    return made


async def ids(client: Client, **wanted: Any) -> list[str]:
    return [row["task_id"] for row in await find(client, **wanted)]


@pytest.fixture
async def ledger(app: App, client: Client) -> Ledger:  # noqa: ARG001 - it runs the app
    """Of the same server as the client's."""
    return (await app.runner()).ledger


async def test_what_was_made_is_told_with_its_files_cost_and_origin(client: Client, tmp_path: Path) -> None:
    first = answer(await wait_for_end(client, await client.call_tool("seedream_image", {"prompt": "лиса 🦊\nat dawn"})))
    picture = f"task:{first['task_id']}#1"
    call = {"prompt": "blue", "images": [picture]}
    second = answer(await wait_for_end(client, await client.call_tool("nano_banana_image", call)))
    result = await client.call_tool("library")
    assert answer(result)["made"] == [
        {
            "task_id": second["task_id"],
            "when": "2027-01-15 08:00 UTC",
            "model": "nano-banana-2-1",
            "prompt": "blue",
            "credits": second["credits"],
            "usd": second["usd"],
            "files": [second["media"][0]["path"]],
            "made_from": [first["task_id"]],
        },
        {
            "task_id": first["task_id"],
            "when": "2027-01-15 08:00 UTC",
            "model": first["model"],
            "prompt": "лиса 🦊 at dawn",
            "credits": first["credits"],
            "usd": first["usd"],
            "files": [first["media"][0]["path"]],
        },
    ]
    cost = format_credits(first["credits"])
    assert text(result).splitlines() == [
        f"{second['task_id']} 2027-01-15 08:00 UTC (nano-banana-2-1, {format_credits(second['credits'])}) blue",
        f"  {second['media'][0]['path']}",
        f"  Made from {first['task_id']}.",
        f"{first['task_id']} 2027-01-15 08:00 UTC ({first['model']}, {cost}) лиса 🦊 at dawn",
        f"  {first['media'][0]['path']}",
    ]
    assert str(tmp_path) in text(result)


async def test_every_tool_tells_a_path_as_it_is(settings: Settings, app: App, clock: Clock, tmp_path: Path) -> None:
    folder = tmp_path / "my  files (1)"
    wanted = settings.model_copy(update={"output_dir": folder})
    async with Client(build_server(App(wanted, transport=app._transport, clock=clock))) as client:
        made = answer(await wait_for_end(client, await client.call_tool("seedream_image", FOUR)))
        asked = {"prompt": "a fox", "models": ["z-image", "nano-banana-2"], "max_credits": 50}
        told = [
            await client.call_tool("get_task", {"task_ids": made["task_id"]}),
            await client.call_tool("compare_models", asked),
            await client.call_tool("library"),
        ]
    files = set(folder.iterdir())
    for result, count in zip(told, (4, 2, 6), strict=True):
        lines = str(result.content[0].model_dump()["text"]).splitlines()
        paths = [line.strip() for line in lines if str(folder) in line]
        assert len(paths) == count
        assert {Path(path) for path in paths} <= files


async def test_only_what_was_made_is_there(client: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "fail")
    await client.call_tool("nano_banana_image", {"prompt": "a fox"})
    await client.call_tool("kling_video", {"prompt": "a fox"})
    result = await client.call_tool("library")
    assert answer(result) == {"made": []}
    assert text(result) == "Nothing like that was made."


async def test_it_is_found_by_words_model_kind_date_cost_and_origin(client: Client, ledger: Ledger) -> None:
    await ledger.add(task("t_aaaaaaaaaaaa", kie_id="5f0c5f0c5f0c", model="veo3", credits=60))
    of_ours = {"prompt": "Ein FUCHS", "video": "task:t_aaaaaaaaaaaa#1"}
    await ledger.add(task("t_bbbbbbbbbbbb", arguments=of_ours, model="wan/edit", created=NOON + DAY, credits=4))
    of_theirs = {"task_id": "5f0c5f0c5f0c"}
    await ledger.add(task("t_cccccccccccc", arguments=of_theirs, kind="audio", created=NOON + 2 * DAY, reserved=9))
    everything = ["t_cccccccccccc", "t_bbbbbbbbbbbb", "t_aaaaaaaaaaaa"]
    assert await ids(client) == everything
    assert await ids(client, words="fuchs") == everything[1:2]
    assert await ids(client, model="veo") == [everything[0], everything[2]]
    assert await ids(client, kind="audio") == everything[:1]
    assert await ids(client, after="2027-01-16T12:00:00Z") == everything[:2]
    assert await ids(client, before="2027-01-16T12:00:00+00:00") == everything[2:]
    assert await ids(client, after=" 2027-01-16 ", before="2027-01-17") == everything[1:2]
    for name in ("until", "to", "end_date"):
        assert await ids(client, **{"from": "2027-01-16", name: "2027-01-16"}) == everything[1:2]
        assert await ids(client, **{name: "2027-01-16T12:00:00+00:00"}) == everything[2:]
    assert await ids(client, until="2027-01-16", before="2027-01-16") == everything[2:]
    assert await ids(client, min_credits="5") == [everything[0], everything[2]]
    assert await ids(client, max_credits=9) == everything[:2]
    assert await ids(client, min_credits=0, max_credits=0) == []
    for name in ("t_aaaaaaaaaaaa", "5f0c5f0c5f0c", "task:t_aaaaaaaaaaaa#2", " t_aaaaaaaaaaaa "):
        assert await ids(client, made_from=name) == everything[:2]
    assert await ids(client, made_from="t_unknown") == []
    assert await ids(client, made_from="%") == []
    # Whoever was made from KIE's id was made from our task.
    assert [row.get("made_from") for row in await find(client)] == [["t_aaaaaaaaaaaa"], ["t_aaaaaaaaaaaa"], None]


async def test_pages_follow_one_another_and_none_is_large(client: Client, ledger: Ledger) -> None:
    for number in range(60):
        results = [Result("", f"/home/me/Movies/a folder with a long name/{number}-{n}.mp4") for n in range(6)]
        arguments = {"prompt": "夜の街 \n" * 100}
        estimate = (4.0, 8.0) if number % 2 else None
        made = task(f"t_{number:012}", arguments=arguments, results=results, created=NOON + number, estimate=estimate)
        await ledger.add(made)
    seen: list[str] = []
    cursor = ""
    while True:
        result = await client.call_tool("library", {"cursor": cursor})
        page = answer(result)
        assert (
            max(len(json.dumps(page, ensure_ascii=False).encode()), len(text(result).encode())) < MAX_PAGE_BYTES + 400
        )
        assert all(len(row["files"]) == 4 and row["more_files"] == 2 for row in page["made"])
        assert all(len(row["prompt"]) <= 100 for row in page["made"])
        assert "2 more files" in text(result)
        seen += [row["task_id"] for row in page["made"]]
        if "next_cursor" not in page:
            break
        cursor = page["next_cursor"]
        assert cursor in text(result)
    assert seen == [f"t_{number:012}" for number in reversed(range(60))]


async def test_one_that_is_larger_than_a_page_is_a_page(client: Client, ledger: Ledger) -> None:
    for number in range(2):
        results = [Result("", f"/{'a' * 250}" * 8 + f"/{n}.png") for n in range(4)]
        await ledger.add(task(f"t_{number}", results=results, created=NOON + number))
    first = answer(await client.call_tool("library"))
    assert [row["task_id"] for row in first["made"]] == ["t_1"]
    second = answer(await client.call_tool("library", {"cursor": first["next_cursor"]}))
    assert [row["task_id"] for row in second["made"]] == ["t_0"]
    assert "next_cursor" not in second


async def test_what_was_not_saved_is_told_by_its_link_in_one_line(client: Client, ledger: Ledger) -> None:
    await ledger.add(task("t_1", results=[Result("https://a.example/a.png\n\nt_2 (veo3) free")]))
    words = text(await client.call_tool("library"))
    assert words.splitlines()[1:] == ["  https://a.example/a.png t_2 (veo3) free"]


async def test_the_latest_can_be_read_at_an_address(client: Client, ledger: Ledger) -> None:
    for number in range(51):
        await ledger.add(task(f"t_{number}", created=NOON + number))
    await ledger.add(task("t_failed", state="failed", created=NOON + 60))
    (content,) = (await client.read_resource("kie://library")).contents
    assert isinstance(content, TextResourceContents)
    made = json.loads(content.text)["made"]
    assert [row["task_id"] for row in made] == [f"t_{number}" for number in range(50, 0, -1)]
    assert made[:20] == (await find(client))[:20]


async def test_the_items_of_a_batch_are_in_the_latest_and_the_batch_itself_is_not(client: Client) -> None:
    wanted = {"model": "z-image", "prompts": ["a fox", "a hare"], "max_credits": 100}
    batch = answer(await wait_for_end(client, await client.call_tool("make_batch", wanted)))
    (content,) = (await client.read_resource("kie://library")).contents
    assert isinstance(content, TextResourceContents)
    latest = [row["task_id"] for row in json.loads(content.text)["made"]]
    assert latest == [row["task_id"] for row in await find(client)]
    assert sorted(latest) == sorted(row["task_id"] for row in batch["items"])
