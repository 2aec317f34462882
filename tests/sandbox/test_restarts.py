"""What a sandbox keeps in a folder, over restarts and beside other processes on the same folder."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pytest
from support.sandbox_caller import PICTURE, Clock, Kie

from kie_mcp.kie import routes

pytestmark = pytest.mark.anyio

DAY = 24 * 60 * 60
UPLOAD = {"uploadPath": "in/put", "fileName": "große Wäsche.png", "base64Data": "aGk="}


def names(*folders: Path | str) -> list[str]:
    """The names of what is in a folder."""
    return sorted(path.name for path in Path(*folders).iterdir())


async def test_a_task_ends_in_the_process_after_the_one_that_began_it(tmp_path: Path) -> None:
    first = Kie(folder=tmp_path)
    task = await first.picture(aspect_ratio="16:9")
    second = Kie(folder=tmp_path)
    assert (await second.record(task))["state"] == "waiting"
    second.wait()
    (url,) = await second.urls(task)
    content = (await second.http.get(url)).content

    first.wait()
    third = Kie(folder=tmp_path)
    third.wait()

    assert content == (await first.http.get(url)).content == (await third.http.get(url)).content
    assert await third.record(task) == await first.record(task)


async def test_the_balance_is_that_of_all_processes(tmp_path: Path) -> None:
    first, second = Kie(folder=tmp_path, credits=10), Kie(folder=tmp_path, credits=10)
    await first.picture()
    assert (await second.get("/api/v1/chat/credit"))["data"] == 6
    await second.picture()
    refused = await first.job(PICTURE, prompt="one too many")

    assert (refused["code"], refused["data"]) == (402, None)
    assert "costs 4 credits" in refused["msg"]
    assert "the balance is 2" in refused["msg"]
    assert first.sandbox.balance == second.sandbox.balance == Kie(folder=tmp_path, credits=10).sandbox.balance == 2
    assert Kie(folder=tmp_path, credits=110).sandbox.balance == 102
    assert Kie(folder=tmp_path, credits=1).sandbox.balance == 0


def test_processes_at_the_same_moment_never_spend_more_than_there_is(tmp_path: Path) -> None:
    async def spend() -> list[int]:
        kie = Kie(folder=tmp_path, credits=80, window=(1000, 10.0))
        return [(await kie.job(PICTURE, prompt="rain"))["code"] for _ in range(10)]

    with ThreadPoolExecutor() as threads:
        running = [threads.submit(anyio.run, spend) for _ in range(4)]
        codes = [code for each in running for code in each.result()]

    kie = Kie(folder=tmp_path, credits=80)
    assert set(codes) == {200, 402}
    assert len(kie.sandbox.accepted) == codes.count(200)
    assert 0 <= kie.sandbox.balance == 80 - 4 * codes.count(200)


async def test_creates_of_all_processes_count_in_one_rate_limit(tmp_path: Path) -> None:
    first, second = Kie(folder=tmp_path, window=(2, 10.0)), Kie(folder=tmp_path, window=(2, 10.0))
    codes = [(await kie.job(PICTURE, prompt="rain"))["code"] for kie in (first, second, first, second)]
    assert codes == [200, 200, 429, 429]


async def test_a_failed_task_costs_nothing_in_the_next_process_either(tmp_path: Path) -> None:
    first = Kie(folder=tmp_path)
    first.sandbox.inject_fault("create", "fail")
    at_create = await first.picture()
    at_status = await first.picture()
    first.sandbox.inject_fault("status", "fail")
    await first.record(at_status)
    second = Kie(folder=tmp_path)
    second.wait()
    assert [(await second.record(task))["state"] for task in (at_create, at_status)] == ["fail", "fail"]
    assert second.sandbox.balance == 1000


async def test_every_way_to_the_models_is_kept(tmp_path: Path) -> None:
    """A song's status route, and a clip that is asked for with the same create again."""
    song = {"model": "V5", "prompt": "rain", "customMode": False, "instrumental": False, "callBackUrl": "https://a"}
    task = (await Kie(folder=tmp_path).post("/api/v1/generate", song))["data"]["taskId"]
    await Kie(folder=tmp_path).get("/api/v1/veo/get-1080p-video", taskId="t1")
    later = Kie(folder=tmp_path)
    later.wait()
    assert (await later.get("/api/v1/generate/record-info", taskId=task))["data"]["status"] == "SUCCESS"
    assert (await later.get("/api/v1/veo/get-1080p-video", taskId="t1"))["code"] == 200
    assert len(later.sandbox.accepted) == 2


async def test_an_upload_is_there_for_a_day(tmp_path: Path) -> None:
    url = (await Kie(folder=tmp_path).post("/api/file-base64-upload", UPLOAD))["data"]["downloadUrl"]
    next_day = Kie(folder=tmp_path)
    assert (await next_day.http.get(url)).content == b"hi"

    after = Kie(folder=tmp_path, clock=Clock(next_day.clock.now + DAY + 1))

    edit = {"prompt": "rain", "image_urls": [url]}
    assert (await after.job("google/nano-banana-edit", **edit))["code"] == 451
    assert names(tmp_path, "kie", "uploads") == []


@pytest.mark.parametrize("is_kept", [True, False], ids=["folder", "memory"])
async def test_uploads_and_tasks_also_end_while_the_sandbox_runs(tmp_path: Path, is_kept: bool) -> None:
    kie = Kie(folder=tmp_path if is_kept else None)
    upload = (await kie.post("/api/file-base64-upload", UPLOAD))["data"]["downloadUrl"]
    task = await kie.picture()
    kie.wait(DAY)
    (result,) = await kie.urls(task)
    assert [(await kie.http.get(url)).status_code for url in (upload, result)] == [200, 200]

    kie.wait(1)
    edit = await kie.job("google/nano-banana-edit", prompt="rain", image_urls=[upload])
    assert ((await kie.http.get(upload)).status_code, edit["code"]) == (404, 451)

    kie.wait(13 * DAY)
    assert (await kie.get(routes.JOBS.status, taskId=task))["msg"] == "recordInfo is null"
    assert (await kie.http.get(result)).status_code == 404
    assert kie.sandbox.balance == 996


async def test_old_tasks_are_forgotten_and_stay_paid(tmp_path: Path) -> None:
    old = Kie(folder=tmp_path)
    tasks = [await old.picture(), await old.picture()]
    running = Kie(folder=tmp_path)
    assert running.sandbox.balance == 992
    later = old
    for days in (13, 15, 40):
        later = Kie(folder=tmp_path, clock=Clock(old.clock.now + days * DAY))
        tasks.append(await later.picture())

    assert later.sandbox.balance == running.sandbox.balance == 1000 - 4 * len(tasks)
    assert [task.id for task in later.sandbox.accepted] == tasks[-1:]
    assert (await later.get(routes.JOBS.status, taskId=tasks[0]))["msg"] == "recordInfo is null"
    assert len(names(tmp_path, "kie", "tasks")) == 2


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", json.dumps({"path": "/api/v1/nobody", "offers": []})])
async def test_a_file_that_is_no_task_is_passed_over(tmp_path: Path, content: str) -> None:
    first = Kie(folder=tmp_path)
    task = await first.picture()
    (tmp_path / "kie" / "tasks" / "other.json").write_text(content)
    second = Kie(folder=tmp_path)
    assert [each.id for each in second.sandbox.accepted] == [task]
    assert second.sandbox.balance == 996


async def test_a_folder_that_is_deleted_makes_a_new_sandbox(tmp_path: Path) -> None:
    kie = Kie(folder=tmp_path)
    task = await kie.picture()
    await kie.post("/api/file-base64-upload", UPLOAD)
    shutil.rmtree(tmp_path / "kie")
    assert kie.sandbox.balance == 1000
    assert (await kie.get(routes.JOBS.status, taskId=task))["msg"] == "recordInfo is null"
    assert (await kie.post("/api/file-base64-upload", UPLOAD))["code"] == 200
    await kie.picture()
    assert Kie(folder=tmp_path).sandbox.balance == 996


async def test_no_upload_leaves_the_folder(tmp_path: Path) -> None:
    body = {"uploadPath": "../../in", "fileName": "../../../a.txt", "base64Data": "aGk="}
    assert (await Kie(folder=tmp_path / "data").post("/api/file-base64-upload", body))["code"] == 200
    assert names(tmp_path) == ["data"]
    assert len(names(tmp_path, "data", "kie", "uploads")) == 1


async def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = await Kie().picture()
    assert (await Kie().get(routes.JOBS.status, taskId=task))["msg"] == "recordInfo is null"
    assert names(tmp_path) == []
