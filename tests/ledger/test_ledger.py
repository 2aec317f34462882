"""Tasks as the ledger keeps and finds them."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy
import sqlalchemy.exc
from support.ledgers import NOW, ids, open_ledger, task

from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.rows import row_from_task
from kie_mcp.ledger.search_index import MAX_WORDS
from kie_mcp.ledger.tables import tasks
from kie_mcp.ledger.task import BATCH, FINAL, TASK_ID, Result, State, Task, new_id

pytestmark = [pytest.mark.anyio, pytest.mark.on_postgresql]


async def test_a_task_is_read_as_it_was_written(ledger: Ledger) -> None:
    whole = task(
        "t_1",
        state="succeeded",
        kie_id="5f0c",
        finished=NOW + 60.25,
        estimate=(60.0, 65.5),
        credits=60.0,
        arguments={"prompt": "Füchse 🦊\n'; DROP TABLE tasks; --", "images": ["~/a.png"], "seed": 2**31},
        results=[Result("https://kie.invalid/1.mp4", "/out/1.mp4", "video/mp4", "id", "Lied"), Result("x")],
        texts=["[Vers]\n\u2028…"],
        error={"message": "no", "billed": None},
        saved=True,
        note="Nicht gespeichert",
        price_key="4K",
        idempotency_key="ab12",
    )
    await ledger.add(whole)
    await ledger.add(bare := task("t_2"))
    assert await ledger.find("t_1") == whole
    assert await ledger.find("t_2") == bare


async def test_a_change_is_saved(ledger: Ledger) -> None:
    await ledger.add(changed := task("t_1"))
    changed.state, changed.kie_id = "running", "5f0c"
    await ledger.save(changed)
    assert await ledger.find("t_1") == changed


async def test_a_process_that_lost_a_task_does_not_write_over_what_its_new_watcher_has_saved(ledger: Ledger) -> None:
    written = task("t_1", session="s_old", state="running")
    await ledger.add(written)
    earlier = dataclasses.replace(written, state="succeeded")
    await ledger.save(earlier, watcher="s_new")
    saved = dataclasses.replace(earlier, saved=True, results=[Result("https://kie.test/1.png", "/out/1.png")])
    await ledger.save(saved, watcher="s_old")
    await ledger.save(earlier, watcher="s_new")
    assert await ledger.find(written.id) == saved
    # Its own watcher may have read KIE's answer before another process saved the files.
    await ledger.save(earlier, watcher="s_old")
    assert await ledger.find(written.id) == saved
    again = dataclasses.replace(saved, results=[Result("https://kie.test/1.png", "/out/2.png")])
    await ledger.save(again, watcher="s_old")
    assert await ledger.find(written.id) == again
    await ledger.save(dataclasses.replace(written, state="unknown", saved=True), watcher="s_old")
    assert await ledger.find(written.id) == again


@pytest.mark.parametrize("state", ["succeeded", "failed"])
async def test_a_batch_that_has_ended_is_not_set_back_by_a_process_that_was_paused(
    ledger: Ledger, state: State
) -> None:
    running = task("t_1", session="s_old", state="running", route=BATCH)
    await ledger.add(running)
    ended = dataclasses.replace(running, state=state, finished=NOW + 60, saved=True)
    assert await ledger.save(ended, watcher="s_old")
    for watcher in ("s_old", "s_new"):
        assert not await ledger.save(running, watcher=watcher)
        assert await ledger.find(running.id) == ended


async def test_a_task_is_found_by_its_own_id_and_by_that_of_kie(ledger: Ledger) -> None:
    await ledger.add(task("t_1", kie_id="5f0c"))
    await ledger.add(task("t_2"))
    for id_ in ("t_1", "5f0c"):
        found = await ledger.find(id_)
        assert found
        assert found.id == "t_1"
    for id_ in ("", "t_3", "%", "t_1' OR '1'='1"):
        assert await ledger.find(id_) is None


@pytest.mark.parametrize("odd", ["\0", "\ud83d", "\0" * 3000], ids=["a NUL", "half a character", "many NULs"])
async def test_a_prompt_is_found_whatever_characters_it_and_the_words_have(ledger: Ledger, odd: str) -> None:
    await ledger.add(task("t_1", arguments={"prompt": f"one{odd} heron at ö"}))
    for words in ("heron", "HERON Ö", "ö", "heron\0", f"\0heron\0 one{odd}", f"one{odd}", f"{odd} ö"):
        assert ids(await ledger.page(words=words)) == ["t_1"]
    assert ids(await ledger.page(words=f"heron{odd}s")) == []


async def test_a_prompt_is_found_by_many_words_and_not_by_too_many_for_one_statement(ledger: Ledger) -> None:
    many = " ".join(f"word{number}" for number in range(2 * MAX_WORDS))
    await ledger.add(task("t_1", arguments={"prompt": many}))
    assert ids(await ledger.page(words=many)) == ["t_1"]
    assert ids(await ledger.page(words=f"{many} x_x")) == []
    assert ids(await ledger.page(words=" ".join(map(chr, range(0x20000, 0x20000 + 70_000))))) == []


async def test_the_same_id_is_not_written_twice(ledger: Ledger) -> None:
    await ledger.add(task("t_1", tool="first"))
    known = await ledger.add(task("t_1", tool="second"))
    assert known
    assert known.tool == "first"
    assert [each.tool for each in await ledger.page(limit=10)] == ["first"]


def test_ids_are_readable_and_differ() -> None:
    created = {new_id("t") for _ in range(1000)}
    assert len(created) == 1000
    assert all(re.fullmatch(TASK_ID, each) and each.removeprefix("t_").isalpha() for each in created)


async def test_pages_follow_one_another_without_gap_or_repetition(ledger: Ledger) -> None:
    for number in range(10):
        # Three tasks at each moment: time alone does not tell them apart.
        await ledger.add(task(f"t_{number}", created=NOW + number // 3))
    listed: list[str] = []
    before = None
    while page := await ledger.page(before=before, limit=4):
        listed += ids(page)
        before = page[-1].created, page[-1].id
    assert listed == [f"t_{number}" for number in reversed(range(10))]


async def test_a_page_is_no_longer_than_its_limit(ledger: Ledger) -> None:
    for number in range(25):
        await ledger.add(task(f"t_{number}", created=NOW + number))
    assert len(await ledger.page()) == 20
    assert len(await ledger.page(limit=1)) == 1


@pytest.fixture
async def mixed(ledger: Ledger) -> Ledger:
    """Four tasks that differ in everything one may ask for."""
    rows: list[tuple[str, State, str, str, str | None]] = [
        ("fox", "running", "video", "veo3_fast", "Ein Fuchs im SCHNEE, 100% weiß"),
        ("city", "succeeded", "image", "qwen/text-to-image", "ÜBER_STADT bei Nacht"),
        ("song", "failed", "audio", "ai-music-api/generate", "夜の街 \\ straße"),
        ("none", "succeeded", "image", "recraft/crisp-upscale", None),
    ]
    for number, (id_, state, kind, model, prompt) in enumerate(rows):
        arguments = {"prompt": prompt} if prompt else {"image": "task:t_foxfoxfoxfox#1"}
        # Nobody knows yet what the first and the last cost.
        cost = {"credits": {"city": 5.5, "song": 0}.get(id_), "reserved": 4.5}
        fields = {"state": state, "kind": kind, "model": model, "arguments": arguments}
        await ledger.add(task(id_, created=NOW - number, **fields, **cost))
    return ledger


PAGES: list[tuple[dict[str, Any], list[str]]] = [
    ({}, ["fox", "city", "song", "none"]),
    ({"states": ["succeeded"]}, ["city", "none"]),
    ({"states": ["running", "failed"]}, ["fox", "song"]),
    ({"states": ["expired"]}, []),
    ({"kind": "image"}, ["city", "none"]),
    ({"model": "veo"}, ["fox"]),
    ({"model": "image"}, ["city"]),
    ({"model": "%"}, []),
    ({"model": "veo3_f"}, ["fox"]),
    ({"model": "veo_fast"}, []),
    ({"words": "fuchs"}, ["fox"]),
    ({"words": "schnee FUCHS"}, ["fox"]),
    ({"words": "fuchs nacht"}, []),
    ({"words": "über"}, ["city"]),
    ({"words": "STRASSE"}, ["song"]),
    ({"words": "夜の"}, ["song"]),
    ({"words": "%"}, ["fox"]),
    ({"words": "_"}, ["city"]),
    ({"words": "\\"}, ["song"]),
    ({"words": "r_s"}, ["city"]),
    ({"words": "'"}, []),
    ({"words": "  "}, ["fox", "city", "song", "none"]),
    ({"words": "nacht", "kind": "video"}, []),
    ({"since": NOW - 1}, ["fox", "city"]),
    ({"until": NOW - 1}, ["song", "none"]),
    ({"since": NOW - 2, "until": NOW}, ["city", "song"]),
    ({"credits_range": (5, None)}, ["city"]),
    ({"credits_range": (None, 0)}, ["song"]),
    ({"credits_range": (0, 4.5)}, ["fox", "song", "none"]),
    ({"made_from": ["t_foxfoxfoxfox", "5f0c"]}, ["none"]),
    ({"made_from": ["foxfoxfoxfox", "t_foxfoxfoxfo"]}, []),
    ({"made_from": ["t%foxfoxfoxfox", "t_foxfoxfox%"]}, []),
    ({"words": "nacht", "kind": "image", "states": ["succeeded"], "model": "qwen"}, ["city"]),
]


async def test_a_page_shows_what_was_asked_for(mixed: Ledger) -> None:
    for wanted, expected in PAGES:
        assert ids(await mixed.page(**wanted)) == expected, wanted


def test_a_task_shows_its_prompt_as_text() -> None:
    assert task("t_1", arguments={"prompt": "ein Fuchs"}).prompt == "ein Fuchs"
    assert task("t_1").prompt == ""
    assert [state for state in FINAL if not dataclasses.replace(task("t_1"), state=state).final] == []
    assert not task("t_1").final


async def test_saving_a_task_does_not_undo_that_another_process_cancelled_it(ledger: Ledger) -> None:
    watched, cancelled = task("t_1"), task("t_1", cancelled=5.0)
    await ledger.add(watched)
    await ledger.cancel(cancelled)
    watched.state = "succeeded"
    await ledger.save(watched)
    found = await ledger.find("t_1")
    assert found
    assert (found.state, found.cancelled) == ("succeeded", 5.0)


async def test_an_id_of_kies_is_not_deleted_by_a_process_that_does_not_know_it(tmp_path: Path) -> None:
    ledger = await open_ledger(tmp_path)
    await ledger.add(task("t_1"))
    early, sender = await ledger.find("t_1"), await ledger.find("t_1")
    assert early
    assert sender
    sender.kie_id, sender.state = "5f0c", "running"
    await ledger.save(sender)
    early.state = "unknown"
    await ledger.save(early)
    found = await ledger.find("t_1")
    await ledger.close()
    assert found
    assert (found.kie_id, found.state) == ("5f0c", "unknown")


async def test_an_error_of_the_database_tells_no_prompt(ledger: Ledger) -> None:
    known = task("t_1", arguments={"prompt": "a secret heron"})
    await ledger.add(known)
    with pytest.raises(sqlalchemy.exc.IntegrityError) as caught:
        async with ledger.database.writing() as connection:
            await connection.execute(sqlalchemy.insert(tasks).values(row_from_task(known)))
    assert "secret" not in str(caught.value)
    assert "INSERT INTO" in str(caught.value)


async def test_changes_of_one_task_at_once_are_made_one_after_the_other(tmp_path: Path) -> None:
    ledgers = [await open_ledger(tmp_path) for _ in range(2)]
    await ledgers[0].add(task("t_1", credits=0.0))
    await ledgers[0].add(task("t_2", parent="t_1", credits=3.0))
    seen: list[list[str]] = []

    def add_one(changed: Task, parts: Sequence[Task]) -> bool:
        seen.append(ids(parts))
        changed.credits = (changed.credits or 0) + 1
        return changed.credits <= 8

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(ledgers[number % 2].change, "t_1", add_one)
    # The last two said that nothing is to be saved.
    found = await ledgers[0].find("t_1")
    assert found
    assert found.credits == 8
    assert seen == [["t_2"]] * 10
    assert await ledgers[0].change("t_none", add_one) is None
    for ledger in ledgers:
        await ledger.close()


async def test_what_changes_soon_is_all_that_has_not_ended_or_not_long_ago_or_has_files_to_save(ledger: Ledger) -> None:
    for id_, state, finished, saved in (
        ("t_runs", "running", None, False),
        ("t_ended", "failed", NOW - 60, True),
        ("t_old", "succeeded", NOW - 7200, True),
        ("t_files", "succeeded", NOW - 7200, False),
    ):
        await ledger.add(task(id_, state=state, finished=finished, saved=saved))
    assert {*await ledger.recent.states(NOW)} == {"t_runs", "t_ended", "t_files"}
