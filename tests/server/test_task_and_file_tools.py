"""The tools that make nothing, called as a client calls them."""

import json
import sqlite3
from base64 import b64encode
from pathlib import Path
from typing import Any

import anyio.to_thread
import httpx2
import pytest
from mcp import Client
from mcp_types import CallToolResult
from support.answers import same

from kie_mcp.catalog.registry import MODELS
from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.media import Work, render
from kie_mcp.server.app import App
from kie_mcp.server.build import build
from kie_mcp.server.tools.tool_list import tools

pytestmark = pytest.mark.anyio

PICTURE = render("fox.png", Work("a fox", "1"))

READ_ONLY: dict[str, dict[str, Any]] = {
    "get_task": {"task_ids": "{task}"},
    "list_tasks": {},
    "library": {},
    "get_credits": {},
    "spend_report": {},
    "get_download_url": {"file": "task:{task}#1"},
    "view_media": {"task_id": "{task}"},
    "find_models": {},
    "describe_model": {"model": "veo3"},
}


def answer(result: CallToolResult) -> dict[str, Any]:
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def text(result: CallToolResult) -> str:
    content, *links = result.content
    assert content.type == "text"
    assert {link.type for link in links} <= {"resource_link"}
    return content.text


def tokens(result: CallToolResult) -> float:
    """The size of the larger form."""
    structured = json.dumps(result.structured_content, separators=(",", ":"), ensure_ascii=False)
    return max(len(structured.encode()), len(text(result).encode())) / 4


def message(result: CallToolResult) -> str:
    assert result.is_error
    assert answer(result)["error"]["category"] == "invalid_call"
    return str(answer(result)["error"]["message"])


async def make(client: Client, tool: str = "nano_banana_image", **arguments: Any) -> dict[str, Any]:
    return answer(await client.call_tool(tool, {"prompt": "a fox", **arguments}))


def test_the_table_has_every_tool_that_calls_itself_read_only() -> None:
    assert list(READ_ONLY) == [tool["name"] for tool in tools() if tool["annotations"]["readOnlyHint"]]


@pytest.mark.parametrize("tool", READ_ONLY)
async def test_what_is_read_only_creates_nothing(client: Client, sandbox: Sandbox, tool: str) -> None:
    task = (await make(client))["task_id"]
    # There is something to look at once it is saved.
    await client.call_tool("get_task", {"task_ids": task, "wait_seconds": 600})
    before = sandbox.balance
    given = {
        key: str(value).format(task=task) if "{" in str(value) else value for key, value in READ_ONLY[tool].items()
    }
    result = await client.call_tool(tool, given)
    assert not result.is_error, text(result)
    if result.structured_content is not None:
        same(result)
    assert len(sandbox.accepted) == 1
    assert sandbox.balance == before


@pytest.mark.parametrize("tool", [*READ_ONLY, "upload_file"])
async def test_without_a_key_every_tool_says_how_to_set_one(keyless: Settings, clock: Clock, tool: str) -> None:
    async with Client(build(App(keyless, clock=clock)), raise_exceptions=True) as client:
        result = await client.call_tool(tool, READ_ONLY.get(tool, {"path": "fox.png"}))
    assert "KIE_API_KEY" in text(result)
    assert "KIE_API_KEY" in str(answer(result))
    # What needs no key answers all the same.
    assert result.is_error == (tool not in ("find_models", "describe_model"))


@pytest.mark.parametrize("tool", [*READ_ONLY, "upload_file"])
async def test_an_unknown_argument_is_refused(client: Client, tool: str) -> None:
    result = await client.call_tool(tool, {**READ_ONLY.get(tool, {}), "nonsense": 1})
    assert f"{tool}: there is no argument nonsense" in message(result)


@pytest.mark.parametrize(
    ("tool", "given", "says"),
    [
        ("get_task", {}, "task_ids is required"),
        ("get_task", {"task_ids": []}, "task_ids: "),
        ("get_task", {"task_ids": ["t"] * 11}, "task_ids: "),
        ("get_task", {"task_ids": ["t_unknown"]}, "There is no task t_unknown"),
        ("get_task", {"task_ids": ["t"], "wait_seconds": 601}, "wait_seconds: "),
        ("get_task", {"task_ids": ["t"], "wait_seconds": "soon"}, "wait_seconds: "),
        ("list_tasks", {"limit": 21}, "limit: "),
        ("list_tasks", {"limit": 0}, "limit: "),
        ("list_tasks", {"status": "asleep"}, "status: "),
        ("list_tasks", {"cursor": "nonsense"}, "'nonsense' is no cursor"),
        ("library", {"cursor": "nonsense"}, "'nonsense' is no cursor"),
        ("library", {"after": "last week"}, "'last week' is no date"),
        ("library", {"before": "0001-01-01"}, "'0001-01-01' is no date"),
        ("library", {"max_credits": "cheap"}, "max_credits: "),
        ("library", {"kind": "opera"}, "kind: "),
        ("upload_file", {}, "exactly one of path, url and base64"),
        ("upload_file", {"path": "a.png", "url": "https://a.example/a.png"}, "exactly one of path, url and base64"),
        ("upload_file", {"path": "nowhere.png"}, "There is no file nowhere.png"),
        ("upload_file", {"base64": "a"}, "The base64 text is broken"),
        ("upload_file", {"base64": "AAAA"}, "is no picture, clip or sound"),
        ("upload_file", {"url": "https://"}, "is no web address"),
        ("get_download_url", {}, "file is required"),
        ("get_download_url", {"file": "task:t_unknown"}, "there is no task t_unknown"),
        ("view_media", {}, "task_id is required"),
        ("view_media", {"task_id": "t_unknown"}, "There is no task t_unknown"),
        ("view_media", {"task_id": "/etc/hostname"}, "There is no task /etc/hostname"),
        ("view_media", {"task_id": "t", "n": 0}, "n: "),
        ("view_media", {"task_id": "t", "n": "first"}, "n: "),
        ("find_models", {"page": 0}, "page: "),
        ("describe_model", {"model": "veo-33"}, "KIE offers no model 'veo-33'."),
    ],
    ids=str,
)
async def test_a_wrong_call_says_what_is_wrong(client: Client, tool: str, given: dict[str, Any], says: str) -> None:
    result = await client.call_tool(tool, given)
    assert says in message(result)
    assert answer(result)["error"]["next_step"]


async def test_get_task_answers_for_several_at_once(client: Client) -> None:
    ids = [(await make(client, tool))["task_id"] for tool in ("kling_video", "suno_music", "nano_banana_image")]
    result = await client.call_tool("get_task", {"task_ids": ids, "wait_seconds": 60})
    assert [each["task_id"] for each in answer(result)["tasks"]] == ids
    assert [each["status"] for each in answer(result)["tasks"]] == ["succeeded"] * 3
    assert all(f"{id_} succeeded" in text(result) for id_ in ids)
    assert not result.is_error


async def test_as_many_tasks_as_get_task_takes_stay_below_2000_tokens(client: Client) -> None:
    ids = [(await make(client))["task_id"] for _ in range(10)]
    result = await client.call_tool("get_task", {"task_ids": ids})
    assert len(answer(result)["tasks"]) == 10
    assert tokens(result) < 2000


async def test_get_task_knows_a_task_by_every_name_of_it(client: Client, sandbox: Sandbox) -> None:
    id_ = (await make(client))["task_id"]
    for name in (id_, f"task:{id_}", f"task:{id_}#1", sandbox.accepted[0].id):
        for given in (name, [name], f'["{name}"]'):
            assert answer(await client.call_tool("get_task", {"task_ids": given}))["task_id"] == id_


async def test_get_task_answers_at_once_unless_it_is_told_to_wait(
    client: Client, sandbox: Sandbox, clock: Clock
) -> None:
    sandbox.fault("create", "stall")
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


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
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
    ],
    ids=str,
)
async def test_tasks_are_found_by_what_they_are(client: Client, wanted: dict[str, str], found: int) -> None:
    for tool, prompt in (("nano_banana_image", "a red fox"), ("nano_banana_image", "лиса"), ("kling_video", "a fox")):
        await make(client, tool, prompt=prompt)
    result = await client.call_tool("list_tasks", wanted)
    assert len(answer(result)["tasks"]) == found
    assert found or text(result) == "No tasks."


async def test_the_longest_page_of_tasks_stays_below_2000_tokens(client: Client) -> None:
    for _ in range(20):
        await make(client, "seedream_image", prompt="一只狐狸在雪地里" * 30)
    result = await client.call_tool("list_tasks", {"limit": 20})
    assert len(answer(result)["tasks"]) == 20
    assert tokens(result) < 2000


async def test_credits_go_down_with_what_is_made(client: Client, sandbox: Sandbox) -> None:
    before = answer(await client.call_tool("get_credits"))
    assert before == {"credits": 1000, "usd": 5}
    await make(client)
    result = await client.call_tool("get_credits")
    assert answer(result)["credits"] == sandbox.balance < 1000
    assert f"{sandbox.balance:g} credits" in text(result)


@pytest.mark.parametrize("way", ["path", "url", "base64", "data URI"])
async def test_a_file_is_uploaded_from_wherever_it_is(
    client: Client, transport: httpx2.ASGITransport, tmp_path: Path, way: str
) -> None:
    (tmp_path / "fox.png").write_bytes(PICTURE)
    given = {
        "path": {"path": str(tmp_path / "fox.png")},
        "url": {"url": "https://pictures.example/fox.png"},
        "base64": {"base64": b64encode(PICTURE).decode(), "name": "fox"},
        "data URI": {"base64": f"data:image/png;base64,{b64encode(PICTURE).decode()}", "name": "fox.jpg"},
    }[way]
    result = await client.call_tool("upload_file", given)
    upload = answer(result)
    assert not result.is_error, text(result)
    assert upload["name"].endswith(".png")
    assert all(value in text(result) for value in upload.values())
    async with httpx2.AsyncClient(transport=transport) as browser:
        fetched = await browser.get(upload["url"])
    assert fetched.status_code == 200
    assert way == "url" or fetched.content == PICTURE


async def test_a_file_is_uploaded_once_however_often_it_is_needed(
    client: Client, sandbox: Sandbox, tmp_path: Path
) -> None:
    (tmp_path / "fox.png").write_bytes(PICTURE)
    (tmp_path / "copy.png").write_bytes(PICTURE)
    first = answer(await client.call_tool("upload_file", {"path": str(tmp_path / "fox.png")}))
    again = answer(await client.call_tool("upload_file", {"path": str(tmp_path / "copy.png")}))
    assert again == first
    await make(client, images=[str(tmp_path / "fox.png"), f"kie://uploads/{first['upload_id']}"])
    assert sandbox.accepted[0].body["input"]["image_input"] == [first["url"]] * 2


@pytest.mark.parametrize("reference", ["task:{task_id}", "task:{task_id}#1", "{url}"])
async def test_a_result_has_a_link_for_a_person(client: Client, reference: str) -> None:
    made = await make(client)
    result = await client.call_tool(
        "get_download_url", {"file": reference.format(task_id=made["task_id"], url=made["media"][0]["url"])}
    )
    assert answer(result)["minutes"] == 20
    assert answer(result)["url"].startswith("https://")
    assert answer(result)["url"] in text(result)
    assert "20 minutes" in text(result)


async def test_a_link_to_something_else_is_refused_by_kie(client: Client) -> None:
    result = await client.call_tool("get_download_url", {"file": "https://elsewhere.example/fox.png"})
    assert result.is_error
    assert answer(result)["error"]["category"] == "kie"


async def test_the_pages_of_models_are_small_and_together_hold_every_model(client: Client) -> None:
    seen: list[str] = []
    pages = answer(await client.call_tool("find_models"))["pages"]
    for page in range(1, pages + 1):
        result = await client.call_tool("find_models", {"page": page})
        assert tokens(result) <= 1000
        assert f"Page {page} of {pages}." in text(result)
        for row in answer(result)["models"]:
            assert all(value in text(result) for value in row.values())
            seen.append(row["model"])
    assert sorted(seen) == sorted(MODELS)


async def test_models_are_found_by_words_kind_mode_and_price(client: Client) -> None:
    given = {"words": "Kling image", "kind": "VIDEO", "mode": "image-to-video", "max_credits": "30"}
    result = await client.call_tool("find_models", given)
    assert [row["model"] for row in answer(result)["models"]] == ["kling/v2-1-standard"]
    nothing = await client.call_tool("find_models", {"words": "no such thing"})
    assert answer(nothing) == {"models": [], "page": 1, "pages": 0}
    assert text(nothing) == "No model fits. Try fewer words."


@pytest.mark.untraced
async def test_a_model_is_described_in_600_tokens(client: Client) -> None:
    for id_ in MODELS:
        result = await client.call_tool("describe_model", {"model": id_})
        assert answer(result)["model"] == id_
        assert tokens(result) <= 600
        assert answer(result)["price"] in text(result)
        assert answer(result)["price_as_of"] in text(result)


async def test_a_model_is_described_by_its_other_names(client: Client) -> None:
    for name in ("veo3.1-fast", "VEO3_FAST", " veo3_fast "):
        assert answer(await client.call_tool("describe_model", {"model": name}))["model"] == "veo3_fast"


async def test_a_ledger_that_breaks_is_an_answer_and_not_the_end(
    client: Client, settings: Settings, sandbox: Sandbox
) -> None:
    await make(client)

    def drop() -> None:
        with sqlite3.connect(settings.state_dir / "ledger.sqlite3") as ledger:
            ledger.execute("DROP TABLE tasks")
        ledger.close()

    # The server may be writing just now, and goes on only while the test waits.
    await anyio.to_thread.run_sync(drop)
    result = await client.call_tool("list_tasks")
    assert result.is_error
    assert answer(result)["error"]["category"] == "internal"
    assert answer(result)["error"]["billed"] is False
    assert not (await client.call_tool("get_credits")).is_error
    comparison = {"prompt": "a fox", "models": ["z-image", "qwen/text-to-image"], "max_credits": 100}
    for tool, given in (("nano_banana_image", {"prompt": "a hare"}), ("compare_models", comparison)):
        for quote in (False, True):
            result = await client.call_tool(tool, {**given, "quote": quote})
            assert "so KIE was not asked" in text(result)
            assert answer(result)["error"]["billed"] is False
    assert len(sandbox.accepted) == 1


async def test_a_data_folder_that_cannot_be_is_said_by_every_call(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    settings.data_dir.write_text("a file where the folder should be")
    async with Client(build(App(settings, transport=transport, clock=clock)), raise_exceptions=True) as client:
        for _ in range(2):
            result = await client.call_tool("get_credits")
            assert answer(result)["error"]["category"] == "configuration"
            assert "KIE_MCP_DATA_DIR" in text(result)
