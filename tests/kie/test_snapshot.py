"""The snapshot of KIE's list: what ships, what replaces it, and when it stands in."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from contract import snapshot as facts
from support.clock import JumpingClock
from support.fake_kie import retry_at_once

from kie_mcp.errors import ApiError
from kie_mcp.kie.client import READ_ATTEMPTS, KieClient
from kie_mcp.kie.discovery import CACHE_SECONDS, FAILURE_SECONDS, Discovery, take_snapshot
from kie_mcp.kie.drift import compare_models
from kie_mcp.kie.snapshot import SHIPPED, SNAPSHOT_FILE, OfferedModel, Snapshot, load_snapshot, read_snapshot
from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

ID = "z-image"
EMPTY = Snapshot("2000-01-01", {}, {})


def discovery(kie: KieClient, clock: JumpingClock, folder: Path, *, cache_seconds: float = CACHE_SECONDS) -> Discovery:
    return Discovery(
        kie, folder / "live", clock=clock, snapshot=lambda: load_snapshot(folder), cache_seconds=cache_seconds
    )


def test_what_ships_is_made_from_the_facts(tmp_path: Path) -> None:
    facts.build().write(tmp_path / "new.json")
    assert (tmp_path / "new.json").read_text("utf-8") == SHIPPED.read_text("utf-8"), (
        "Run python tests/contract/snapshot.py."
    )


async def test_no_built_in_model_differs_from_what_ships() -> None:
    compared = [each async for each in compare_models(read_snapshot(SHIPPED))]
    assert [each for each in compared if each.changes] == []
    assert len(compared) > 180


def test_what_ships_is_small_and_has_no_sentences() -> None:
    assert SHIPPED.stat().st_size < 200_000
    assert '"description":"' not in SHIPPED.read_text("utf-8")


def test_what_ships_knows_the_input_and_the_price_of_most_models() -> None:
    snapshot = read_snapshot(SHIPPED)
    assert len(snapshot.schemas) > 140
    assert sum(bool(model.price) for model in snapshot.models.values()) > 170
    assert snapshot.models["wan/3-0-video"].as_of == snapshot.as_of


def test_a_server_that_starts_does_not_read_it() -> None:
    code = "import sys; from kie_mcp.server.build import build_server; print('kie_mcp.kie.snapshot' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_a_snapshot_is_read_as_it_was_written(tmp_path: Path) -> None:
    model = OfferedModel("a/b", "A", "B", ("text-to-image",), "1 credit", "2030-01-02")
    written = Snapshot("2030-01-02", {"a/b": model}, {"a/b": {"properties": {"prompt": {}}}})
    written.write(tmp_path / "deep" / "x.json")
    assert read_snapshot(tmp_path / "deep" / "x.json") == written


def test_a_snapshot_is_written_beside_a_file_that_another_one_is_writing(tmp_path: Path) -> None:
    partial = tmp_path / "x.part"
    partial.write_text("half of another snapshot")
    Snapshot("2030-01-02", {}, {}).write(tmp_path / "x.json")
    assert partial.read_text() == "half of another snapshot"
    assert {each.name for each in tmp_path.iterdir()} == {"x.json", "x.part"}


@pytest.mark.parametrize(("as_of", "newer"), [("2000-01-01", False), ("2999-01-01", True)])
def test_the_newer_one_of_two_snapshots_counts(tmp_path: Path, as_of: str, *, newer: bool) -> None:
    Snapshot(as_of, {}, {}).write(tmp_path / SNAPSHOT_FILE)
    assert (load_snapshot(tmp_path).as_of == as_of) == newer


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"as_of": "2999-01-01", "models": 5}', '{"as_of":"x","models":{"a":1}}']
)
def test_a_broken_snapshot_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / SNAPSHOT_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"."):
        read_snapshot(tmp_path / SNAPSHOT_FILE)
    assert load_snapshot(tmp_path).as_of == read_snapshot(SHIPPED).as_of


async def test_it_stands_in_when_kie_does_not_answer(
    kie: KieClient, clock: JumpingClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    live, shipped = discovery(kie, clock, tmp_path), read_snapshot(SHIPPED)
    sandbox.inject_fault("discovery", "503", 3 * READ_ATTEMPTS)
    with retry_at_once():
        assert await live.read_models() == shipped.models
        assert await live.read_schema(ID) == shipped.schemas[ID]
        with pytest.raises(ApiError):
            await live.read_schema("vendor/unknown")
    clock.now += FAILURE_SECONDS
    assert (await live.read_models())[ID].as_of == ""


async def test_a_refusal_is_no_reason_to_take_it(
    kie: KieClient, clock: JumpingClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    sandbox.inject_fault("discovery", "401", 1)
    with pytest.raises(ApiError):
        await discovery(kie, clock, tmp_path).read_models()


async def test_the_last_known_schema_is_recalled_without_asking(
    kie: KieClient, clock: JumpingClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    live = discovery(kie, clock, tmp_path)
    assert await live.recall_schema(ID) == read_snapshot(SHIPPED).schemas[ID]
    sandbox.discovery.extra_schemas[ID] = {"properties": {"other": {}}}
    await live.read_schema(ID)
    sandbox.discovery.extra_schemas[ID] = {"properties": {"later": {}}}
    clock.now += 2 * CACHE_SECONDS
    assert await live.recall_schema(ID) == {"properties": {"other": {}}}
    assert await live.recall_schema("vendor/unknown") is None


async def test_the_last_known_list_is_recalled_without_asking(
    kie: KieClient, clock: JumpingClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    live = discovery(kie, clock, tmp_path)
    assert await live.recall_models() == read_snapshot(SHIPPED).models
    sandbox.discovery.prices[ID] = "9 credits"
    await live.read_models()
    assert (await live.recall_models())[ID].price == "9 credits"
    assert await Discovery(kie, tmp_path / "empty").recall_models() == {}


async def test_a_snapshot_is_taken_anew_from_kie(
    kie: KieClient, clock: JumpingClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    live = discovery(kie, clock, tmp_path, cache_seconds=0)
    sandbox.discovery.add_model("vendor/new", {"properties": {"prompt": {"type": "string"}}})
    sandbox.discovery.prices["vendor/new"] = "3 credits"
    snapshot, unread = await take_snapshot(live, EMPTY, "2030-01-02")
    assert unread == []
    assert snapshot.models["vendor/new"].price == "3 credits"
    assert snapshot.schemas["vendor/new"] == {"properties": {"prompt": {"type": "string"}}}
    assert [each.changes async for each in compare_models(snapshot, [ID])] == [()]
    snapshot.write(tmp_path / SNAPSHOT_FILE)
    assert load_snapshot(tmp_path).models["vendor/new"].as_of == "2030-01-02"


async def test_a_schema_that_cannot_be_read_stays_as_it_was(
    kie: KieClient, clock: JumpingClock, sandbox: Sandbox, tmp_path: Path
) -> None:
    earlier = Snapshot("2000-01-01", {}, {ID: {"properties": {"prompt": {}}}})
    live = discovery(kie, clock, tmp_path, cache_seconds=0)
    await live.read_models()
    sandbox.discovery.extra_schemas[ID] = {"properties": {"x": {"enum": json.loads("[" * 50 + "1" + "]" * 50)}}}
    snapshot, unread = await take_snapshot(live, earlier, "2030-01-02", [ID])
    assert unread == [ID]
    assert snapshot.schemas == earlier.schemas
