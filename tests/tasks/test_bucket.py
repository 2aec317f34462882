"""Results in a bucket, on a real S3 server that checks signatures: also one that is away, refuses or is cut."""

import errno
import logging
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import httpx2
import pytest
from support.clock import JumpingClock
from support.runners import model_call, run_runner, run_to_end
from support.s3_server import BUCKET, KEY, Gate, S3Server, needs_s3, run_gate, run_s3_server

from kie_mcp.catalog.fields import Image
from kie_mcp.errors import InvalidCall
from kie_mcp.ledger.task import Result, Task, new_id
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.bucket import BucketStorage
from kie_mcp.tasks.file_cache import FileCache
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.storage import FolderStorage, Storage

pytestmark = [pytest.mark.anyio, needs_s3]

PREFIX = "kie/results"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(autouse=True)
def variables(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    use(monkeypatch, s3.environment())
    yield
    shutil.rmtree(s3.folder / BUCKET / "kie", ignore_errors=True)


@pytest.fixture
async def gate(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    async with run_gate(s3) as gate:
        use(monkeypatch, s3.environment(gate.port))
        yield gate


def use(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)


def open_bucket(tmp_path: Path, bucket: str = BUCKET, link_seconds: float = 3600) -> BucketStorage:
    return BucketStorage(f"s3://{bucket}/{PREFIX}/", tmp_path / "cache", link_seconds=link_seconds)


async def find_link(storage: Storage, result: Result) -> str:
    return (await storage.sign_links([result]))(result)


def files_here(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


@asynccontextmanager
async def running(
    tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, storage: BucketStorage | None = None
) -> AsyncIterator[Runner]:
    storage = storage or open_bucket(tmp_path)
    async with run_runner(tmp_path, sandbox.app, clock, storage=storage) as runner:
        yield runner


async def make(runner: Runner, tool: str = "nano_banana_image") -> Task:
    return await run_to_end(runner, await runner.submit(Order(tool, model_call(tool))))


async def test_results_and_sidecars_are_in_the_bucket_alone(
    s3: S3Server, tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with running(tmp_path, sandbox, clock) as runner:
        task = await make(runner, "kling_video")
        (result,) = task.results
        objects = s3.read_objects(PREFIX)
        name = result.path.removeprefix(f"s3://{BUCKET}/{PREFIX}/")
        assert set(objects) == {name, f"{name}.json"}
        assert (task.saved, task.note, result.is_in_bucket, result.local_path) == (True, "", True, "")
        assert "MP4" in result.facts
        assert task.id in objects[f"{name}.json"].decode()
        fetched = httpx2.get(await find_link(runner.storage, result))
        assert (fetched.content, fetched.headers["content-type"]) == (objects[name], "video/mp4")
        with runner.storage.open(result) as file:
            assert file.read() == objects[name]
        assert files_here(tmp_path / "cache") == [f"cache/{name}"]
        assert not (tmp_path / "out").exists()


async def test_a_link_works_only_as_it_was_signed_and_for_its_time(tmp_path: Path) -> None:
    storage = open_bucket(tmp_path, link_seconds=7200)
    await storage.keep_sidecar(f"s3://{BUCKET}/{PREFIX}/a", b"{}", Task("t", "", "", "image", "", {}, 0))
    link = await find_link(storage, Result("", f"s3://{BUCKET}/{PREFIX}/a.json"))
    assert "X-Amz-Expires=7200" in link
    assert httpx2.get(link).content == b"{}"
    assert httpx2.get(link.replace("Expires=7200", "Expires=9200")).status_code == 403
    assert httpx2.get(link.replace("a.json", "b.json")).status_code == 403
    assert KEY not in link.replace(f"Credential={KEY}", "")


async def test_a_result_elsewhere_keeps_its_own_link_and_path(tmp_path: Path) -> None:
    storage = open_bucket(tmp_path)
    here, other = tmp_path / "a.txt", Result("https://kie.test/1", f"s3://other/{PREFIX}/1.png", "image/png")
    here.write_bytes(b"a heron")
    with storage.open(Result("", str(here), "text/plain")) as file:
        assert file.read() == b"a heron"
    assert await find_link(storage, other) == "https://kie.test/1"
    for place in (storage, FolderStorage(tmp_path)):
        with pytest.raises(InvalidCall, match="is no file"):
            place.open(other)


async def test_names_that_only_begin_like_its_own_are_another_storage_s(tmp_path: Path) -> None:
    own, other = (
        BucketStorage(f"s3://{BUCKET}/{PREFIX}/{name}", tmp_path / name, link_seconds=60) for name in ("ann", "anna")
    )
    result = Result("https://kie.test/1", f"{other.address}/2027-01-15-z-image-t_abcdefghjkmn-1.png", "image/png")
    link = await find_link(other, result)
    assert other.find_reference(link) == "task:t_abcdefghjkmn#1"
    assert own.find_reference(link) == link
    assert await find_link(own, result) == "https://kie.test/1"
    assert own.find_constant_name(result) == ""


async def test_a_file_is_fetched_again_where_it_is_not_in_the_cache(
    s3: S3Server, tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with running(tmp_path, sandbox, clock) as runner:
        (result,) = (await make(runner)).results
    elsewhere = open_bucket(tmp_path / "another machine")
    with elsewhere.open(result) as file:
        assert file.read() in s3.read_objects(PREFIX).values()
    assert await elsewhere.is_there(result)
    shutil.rmtree(s3.folder / BUCKET / "kie")
    shutil.rmtree(tmp_path / "another machine")
    assert not await elsewhere.is_there(result)
    with pytest.raises(InvalidCall, match="is no file, or not any more"):
        elsewhere.open(result)
    assert files_here(tmp_path / "another machine") == []


async def test_a_link_is_known_also_if_the_prefix_has_other_letters_than_english(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    storage, id_ = BucketStorage("s3://a-bucket/Bücher", tmp_path, link_seconds=60), new_id("t")
    link = await find_link(storage, Result("", f"s3://a-bucket/Bücher/2026-11-30-model-{id_}-1.png"))
    assert "B%C3%BCcher" in link
    assert storage.find_reference(link) == f"task:{id_}#1"


def test_the_cache_drops_what_was_not_used_for_the_longest_time(tmp_path: Path) -> None:
    cache = FileCache(tmp_path / "cache", 25)

    def write(file: IO[bytes]) -> None:
        file.write(b"ten bytes!")

    for age, name in enumerate(("a", "b"), start=1):
        os.utime(cache.add(name, write), (age, age))
    assert cache.find("a")
    cache.add("folder/c", write)
    assert files_here(tmp_path / "cache") == ["a", "c"]
    assert not cache.find("b")

    def fail(file: IO[bytes]) -> None:
        file.write(b"half")
        raise OSError(errno.EIO, "cut")

    with pytest.raises(OSError, match="cut"):
        cache.add("d", fail)
    assert files_here(tmp_path / "cache") == ["a", "c"]


def miss_bucket(s3: S3Server, _: Gate) -> None:
    (s3.folder / BUCKET).rename(s3.folder / "away")


def return_bucket(s3: S3Server, _: Gate) -> None:
    (s3.folder / "away").rename(s3.folder / BUCKET)


def be_busy(_: S3Server, gate: Gate) -> None:
    gate.is_busy = True


def cut(_: S3Server, gate: Gate) -> None:
    gate.cuts_after = 2000


def pass_all(_: S3Server, gate: Gate) -> None:
    gate.is_busy, gate.cuts_after = False, None


FAULTS = {
    "bucket missing": (miss_bucket, return_bucket, "404 NoSuchBucket"),
    "503 slow down": (be_busy, pass_all, "503 SlowDown"),
    "connection lost in the middle": (cut, pass_all, "Error)"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_task_stays_unsaved_while_the_bucket_takes_nothing_and_is_saved_afterwards(
    s3: S3Server, gate: Gate, tmp_path: Path, sandbox: Sandbox, clock: JumpingClock, fault: str
) -> None:
    begin, end, told = FAULTS[fault]
    begin(s3, gate)
    async with running(tmp_path, sandbox, clock) as runner:
        task = await make(runner, "kling_video")
        (result,) = task.results
        assert (task.state, task.saved, result.path, result.is_damaged) == ("succeeded", False, "", False)
        assert "Not saved: The bucket for results cannot be used (" in task.note
        assert told in task.note
        assert result.link == await find_link(runner.storage, result) != ""
        end(s3, gate)
        assert s3.read_objects(PREFIX) == {}
        await runner.get(task.id)
        task = await run_to_end(runner, task)
        assert (task.saved, task.note, len(s3.read_objects(PREFIX))) == (True, "", 2)
        assert len(sandbox.accepted) == 1
    assert [each for each in files_here(tmp_path / "cache") if "part" in each] == []


async def test_a_wrong_key_is_told_and_neither_it_nor_a_signature_is_logged(
    tmp_path: Path,
    sandbox: Sandbox,
    clock: JumpingClock,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="kie_mcp")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-that-is-wrong")
    async with running(tmp_path, sandbox, clock) as runner:
        task = await make(runner)
        assert "403 SignatureDoesNotMatch" in task.note
        assert not task.saved
        with pytest.raises(OSError, match="SignatureDoesNotMatch"):
            await runner.storage.check()
    told = task.note + "".join(each.getMessage() for each in caplog.records if each.name.startswith("kie_mcp"))
    assert "a-secret" not in told
    assert "X-Amz" not in told


async def test_a_server_that_dies_between_upload_and_ledger_leaves_one_object(
    s3: S3Server, tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with running(tmp_path, sandbox, clock) as runner:
        task = await make(runner)
        kept = s3.read_objects(PREFIX)
        # The row is as it was before.
        for each in task.results:
            each.path = each.mime_type = each.facts = ""
        task.saved = False
        await runner.ledger.save(task)
    async with running(tmp_path, sandbox, clock, open_bucket(tmp_path / "another machine")) as runner:
        await runner.get(task.id)
        saved = await run_to_end(runner, task)
        assert saved.saved
        assert s3.read_objects(PREFIX) == kept
        assert len(kept) == 2


async def test_parts_and_their_parent_task_are_in_the_bucket(
    s3: S3Server, tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with running(tmp_path, sandbox, clock) as runner:
        long = Order("elevenlabs_speech", model_call("elevenlabs_speech", prompt="A heron stands still. " * 700))
        parent = await run_to_end(runner, await runner.submit(long))
        assert (parent.state, parent.note, len(parent.results)) == ("succeeded", "", 1)
        names = [name for name in s3.read_objects(PREFIX) if not name.endswith(".json")]
        assert [name for name in names if not name.startswith("parts/")] == [parent.results[0].path.rpartition("/")[2]]
        assert len(names) > 2


async def test_a_link_to_a_result_stands_for_the_result(
    s3: S3Server, tmp_path: Path, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async with running(tmp_path, sandbox, clock) as runner:
        task = await make(runner)
        link = await find_link(runner.storage, task.results[0])
        named, linked = Image(f"task:{task.id}#1"), Image(link)
        contents = await runner.references.identify([named, linked])
        assert contents[named] == contents[linked]
        # KIE still has the file, so that it is not uploaded.
        assert (await runner.references.resolve([linked]))[linked.key] == task.results[0].url
        clock.now += 10 * 24 * 3600
        uploaded = (await runner.references.resolve([linked]))[linked.key]
        assert uploaded not in (link, task.results[0].url)
        async with runner.references.open(Image(link)) as content:
            assert content.file.read() in s3.read_objects(PREFIX).values()
        foreign = link.replace(BUCKET, "another")
        assert runner.storage.find_reference(foreign) == foreign


async def test_a_bucket_that_takes_files_is_said_to_be_good(s3: S3Server, tmp_path: Path) -> None:
    await open_bucket(tmp_path).check()
    assert s3.read_objects(PREFIX) == {}
