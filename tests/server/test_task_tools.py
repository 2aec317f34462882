"""`get_task`, `list_tasks`: the tasks of the ledger."""

import re
from dataclasses import replace
from typing import Any

import pytest
from mcp import Client
from mcp_types import CallToolResult
from support.answers import answer, count_tokens, text
from support.clock import JumpingClock
from support.tasks import task

from kie_mcp.clock import Clock
from kie_mcp.ledger.task import Result
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App

pytestmark = pytest.mark.anyio


def message(result: CallToolResult) -> str:
    assert result.is_error
    assert answer(result)["error"]["category"] == "invalid_call"
    return str(answer(result)["error"]["message"])


async def make(client: Client, tool: str = "nano_banana_image", **arguments: Any) -> dict[str, Any]:
    return answer(await client.call_tool(tool, {"prompt": "a fox", **arguments}))


async def test_get_task_answers_for_several_at_once(client: Client) -> None:
    ids = [(await make(client, tool))["task_id"] for tool in ("kling_video", "suno_music", "nano_banana_image")]
    result = await client.call_tool("get_task", {"task_ids": ids, "wait_seconds": 60})
    assert [each["task_id"] for each in answer(result)["tasks"]] == ids
    assert [each["status"] for each in answer(result)["tasks"]] == ["succeeded"] * 3
    assert all(re.search(rf"{id_} \S+ succeeded", text(result)) for id_ in ids)
    assert not result.is_error


async def test_an_unknown_id_does_not_hide_the_tasks_that_there_are(client: Client) -> None:
    id_ = (await make(client))["task_id"]
    result = await client.call_tool("get_task", {"task_ids": [id_, "t_zzzzzzzzzzzz"]})
    assert not result.is_error
    assert [each["task_id"] for each in answer(result)["tasks"]] == [id_]
    (unknown,) = answer(result)["errors"]
    assert unknown["task_id"] == "t_zzzzzzzzzzzz"
    assert unknown["error"]["category"] == "invalid_call"
    assert f"{id_} nano-banana-2-1 succeeded" in text(result)
    assert "\n\nt_zzzzzzzzzzzz: There is no task t_zzzzzzzzzzzz" in text(result)
    assert "There is no task" in message(await client.call_tool("get_task", {"task_ids": ["t_zz", "t_yy"]}))


async def copy_task(app: App, id_: str, count: int) -> list[str]:
    """Add tasks to the ledger that differ from a task only in their ids, so that there are so many; return all ids."""
    ledger = (await app.runner()).ledger
    (made,) = await ledger.page()
    copies = [replace(made, id=f"{id_[:-2]}{number:02}", kie_id=None) for number in range(1, count)]
    for each in copies:
        await ledger.add(each)
    return [id_, *(each.id for each in copies)]


async def test_as_many_tasks_as_get_task_takes_stay_below_2000_tokens(client: Client, app: App) -> None:
    ids = await copy_task(app, (await make(client))["task_id"], 10)
    result = await client.call_tool("get_task", {"task_ids": ids})
    assert len(answer(result)["tasks"]) == 10
    assert count_tokens(result) < 2000


async def test_no_file_is_told_of_a_task_that_still_runs(client: Client, app: App) -> None:
    """KIE's links are known a moment before the charge is, and the task runs until both are."""
    await (await app.runner()).ledger.add(task(results=[Result("https://files.example/a.mp4")], texts=["la"]))
    for tool, given in (("get_task", {"task_ids": "t_1"}), ("list_tasks", {})):
        result = await client.call_tool(tool, given)
        assert "running" in text(result)
        assert "files.example" not in f"{text(result)} {answer(result)}"
        assert "files: 1" not in text(result)


async def test_get_task_knows_a_task_by_every_name_of_it(client: Client, sandbox: Sandbox) -> None:
    id_ = (await make(client))["task_id"]
    for name in (id_, f"task:{id_}", f"task:{id_}#1", sandbox.accepted[0].id):
        for given in (name, [name], f'["{name}"]'):
            assert answer(await client.call_tool("get_task", {"task_ids": given}))["task_id"] == id_


async def test_get_task_answers_at_once_unless_it_is_told_to_wait(
    client: Client, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.inject_fault("create", "stall")
    id_ = (await make(client, "kling_video"))["task_id"]
    before = clock.time()
    told: list[object] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    now = await client.call_tool("get_task", {"task_ids": id_}, progress_callback=listen)
    assert (answer(now)["status"], told) == ("running", [])
    later = {"task_ids": id_, "wait_seconds": "30"}
    assert answer(await client.call_tool("get_task", later, progress_callback=listen))["status"] == "running"
    assert told
    assert clock.time() - before >= 30


async def test_tasks_are_listed_newest_first_page_by_page(client: Client) -> None:
    made = [(await make(client, prompt=f"fox {n}"))["task_id"] for n in range(5)]
    seen: list[str] = []
    cursor: dict[str, str] = {}
    for size in (2, 2, 1):
        result = await client.call_tool("list_tasks", {"limit": "2", **cursor})
        page = answer(result)
        assert len(page["tasks"]) == size
        seen += [row["task_id"] for row in page["tasks"]]
        assert ("next_cursor" in page) == (size == 2)
        assert all(row["task_id"] in text(result) and row["prompt"] in text(result) for row in page["tasks"])
        assert page.get("next_cursor", "") in text(result)
        cursor = {"cursor": page.get("next_cursor", "")}
    assert seen == made[::-1]


async def test_tasks_are_found_by_what_they_are(client: Client) -> None:
    for tool, prompt in (("nano_banana_image", "a red fox"), ("nano_banana_image", "лиса"), ("kling_video", "a fox")):
        await make(client, tool, prompt=prompt)
    wanted: dict[str, str]
    for wanted, found in (
        ({}, 3),
        ({"status": "running"}, 1),
        ({"status": "SUCCEEDED"}, 2),
        ({"status": "failed"}, 0),
        ({"kind": "video"}, 1),
        ({"kind": "audio"}, 0),
        ({"model": "banana"}, 2),
        ({"model": "ban%na"}, 0),
        ({"words": "FOX red"}, 1),
        ({"words": "лиса"}, 1),
        ({"words": "_"}, 0),
        ({"kind": "image", "words": "fox"}, 1),
    ):
        with JumpingClock.hold():
            result = await client.call_tool("list_tasks", wanted)
        assert len(answer(result)["tasks"]) == found, wanted
        assert found or text(result) == "No tasks.", wanted


async def test_the_longest_page_of_tasks_stays_below_2000_tokens(client: Client, app: App) -> None:
    made = await make(client, "seedream_image", prompt="一只狐狸在雪地里" * 30)
    await copy_task(app, made["task_id"], 20)
    result = await client.call_tool("list_tasks", {"limit": 20})
    assert len(answer(result)["tasks"]) == 20
    assert count_tokens(result) < 2000


async def test_get_task_answers_as_soon_as_the_first_has_ended_if_asked_to(client: Client, sandbox: Sandbox) -> None:
    slow = (await make(client, "suno_music"))["task_id"]
    sandbox._seconds = 400
    slower = (await make(client, "kling_video"))["task_id"]
    called = {"task_ids": [slower, slow], "wait_seconds": 600, "first": True}
    told = answer(await client.call_tool("get_task", called))
    assert [each["status"] for each in told["tasks"]] == ["running", "succeeded"]
