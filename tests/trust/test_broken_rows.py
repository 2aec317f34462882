"""A ledger in which somebody, or a fault of the disk, has broken rows: lists and reports still answer."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import product

import pytest
from mcp import Client
from support.answers import answer, text

from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

BROKEN: list[tuple[str, object]] = [
    ("arguments", "{"),
    ("arguments", "[1]"),
    ("arguments", b"\xff\xfe"),
    ("arguments", "null"),
    ("arguments", "[" * 100_000),
    ("results", "nothing"),
    ("results", '{"url": 1}'),
    ("results", '[{"path": "/etc/hostname"}]'),
    ("results", '[{"url": "https://a.example", "colour": "red"}]'),
    ("texts", "[1]"),
    ("estimate", "[1]"),
    ("estimate", "[NaN, 1]"),
    ("error", '"no"'),
    ("error", '{"message": 1}'),
    ("request", "[]"),
    ("created", "yesterday"),
    ("created", 1.7e18),
    ("created", -5.0),
    ("created", float("inf")),
    ("finished", "later"),
    ("finished", 1e300),
    ("credits", -8.0),
    ("credits", 1e308),
    ("credits", "many"),
    ("reserved", "many"),
    ("reserved", -1e9),
    ("units", "x"),
    ("balance", "x"),
    ("state", "done"),
    ("kind", "smell"),
    ("model", b"\xff"),
    ("note", b"\x80"),
    ("cancelled", "x"),
    ("basis", b"\x00"),
]


def break_row(settings: Settings, id_: str, column: str, value: object) -> None:
    with closing(sqlite3.connect(settings.state_dir / "ledger.sqlite3")) as file, file:
        assert file.execute(f"UPDATE tasks SET {column} = ? WHERE id = ?", (value, id_)).rowcount == 1


@contextmanager
def broken_row(settings: Settings, id_: str, column: str, value: object) -> Iterator[None]:
    """Let a task's row be broken inside the block; afterwards the ledger is as it was before."""
    path = settings.state_dir / "ledger.sqlite3"
    with closing(sqlite3.connect(path)) as ledger, closing(sqlite3.connect(":memory:")) as before:
        ledger.backup(before)
        break_row(settings, id_, column, value)
        yield
        before.backup(ledger)


async def make(client: Client, prompt: str) -> str:
    return str(answer(await client.call_tool("nano_banana_image", {"prompt": prompt}))["task_id"])


async def test_one_broken_row_is_shown_as_broken_and_ends_no_list(client: Client, settings: Settings) -> None:
    whole, broken = await make(client, "a heron at dawn"), await make(client, "a heron at noon")
    for column, value in BROKEN:
        case = f"{column} {value!r:.40}"
        with broken_row(settings, broken, column, value):
            listed = await client.call_tool("list_tasks", {})
            assert not listed.is_error, case
            told = {row["task_id"]: row["broken"] for row in answer(listed)["tasks"] if "broken" in row}
            assert list(told) == [broken], case
            assert f"is broken ({column})" in told[broken], case
            assert f"is broken ({column})" in text(listed), case
            for tool, arguments in (
                ("list_tasks", {"words": "dawn"}),
                ("list_tasks", {"limit": 1}),
                ("library", {}),
                ("library", {"words": "dawn", "min_credits": 0, "made_from": broken}),
                ("spend_report", {"days": 3650}),
                ("spend_report", {"by": "model"}),
                ("nano_banana_image", {"prompt": "a third", "quote": True}),
                ("nano_banana_image", {"prompt": "a third"}),
                ("view_media", {"task_id": whole}),
            ):
                result = await client.call_tool(tool, arguments)
                assert not result.is_error, f"{case}: {text(result)}"
            shown = text(await client.call_tool("get_task", {"task_ids": [broken]}))
            assert "broken_row" in shown, case
            assert "internal" not in shown, case
            for uri in ("kie://library", "kie://tasks", f"kie://tasks/{broken}"):
                assert (await client.read_resource(uri)).contents, case


async def test_a_broken_batch_is_shown_and_its_retry_is_refused_before_anything_is_sent(
    client: Client, settings: Settings, sandbox: Sandbox
) -> None:
    given = {"prompts": ["a heron", "a crow"], "model": "z-image", "max_credits": 9}
    batch = answer(await client.call_tool("make_batch", given))["task_id"]
    for value in ("{", "[]", "{}", '{"items": [{}], "max_credits": 9, "repairs": ""}', None):
        with broken_row(settings, batch, "request", value):
            for tool, arguments in (
                ("get_task", {"task_ids": [batch]}),
                ("gallery_task", {"task_id": batch}),
                ("view_media", {"task_id": batch}),
            ):
                shown = str((await client.call_tool(tool, arguments)).content)
                assert "internal" not in shown, f"{value}: {tool}"
            refused = await client.call_tool("make_batch", {"retry": batch, "max_credits": 9})
            assert answer(refused)["error"]["billed"] is False, value
            assert "is broken (request)" in text(refused), value
            assert len(sandbox.accepted) == 2, value


async def test_pages_go_on_behind_a_broken_row(client: Client, settings: Settings) -> None:
    made = [await make(client, f"heron {number}") for number in range(4)]
    break_row(settings, made[2], "created", "yesterday")
    seen, cursor = [], ""
    while True:
        page = answer(await client.call_tool("list_tasks", {"limit": 1, "cursor": cursor}))
        seen += [row["task_id"] for row in page["tasks"]]
        if not (cursor := page.get("next_cursor", "")):
            break
    assert sorted(seen) == sorted(made)


async def test_a_broken_row_is_not_followed_and_not_written_over(client: Client, settings: Settings) -> None:
    id_ = await make(client, "a heron")
    break_row(settings, id_, "texts", "[1]")
    break_row(settings, id_, "saved", 0)
    await client.call_tool("get_task", {"task_ids": [id_], "wait_seconds": 40})
    with closing(sqlite3.connect(settings.state_dir / "ledger.sqlite3")) as file:
        assert file.execute("SELECT texts FROM tasks WHERE id = ?", (id_,)).fetchone() == ("[1]",)


SEARCHES = [
    {"words": "heron " * 1_500},
    {"words": " ".join(f"word{number}" for number in range(5_000))},
    {"words": "x" * 100_000},
    {"words": "%_\\'\"?*"},
    {"model": "x" * 100_000},
    {"model": "%"},
]


async def test_a_search_of_any_length_is_answered(client: Client) -> None:
    id_ = await make(client, "A HERON, ÉTÉ")
    for tool, arguments in product(("list_tasks", "library"), SEARCHES):
        case = f"{tool} {arguments!s:.40}"
        found = await client.call_tool(tool, arguments)
        assert not found.is_error, case
        assert (id_ in text(found)) == arguments.get("words", "").startswith("heron"), case
        assert id_ in text(await client.call_tool(tool, {"words": "été heron"})), case
    assert not (await client.call_tool("library", {"made_from": "x" * 100_000})).is_error
