"""A file on its way to KIE: once while KIE has it, again when KIE has it no more, and nobody is asked."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from starlette.responses import JSONResponse, Response
from support.answers import answer, text
from support.clock import JumpingClock
from support.media_files import picture
from support.runners import InterceptedKie, model_call, run_runner, run_to_end, task_rows

from kie_mcp.errors import ApiError, KieMcpError
from kie_mcp.kie.files import UPLOAD_LIFETIME
from kie_mcp.kie.routes import DOCUMENTED, JOBS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.order import Order
from kie_mcp.tasks.runner import Runner
from kie_mcp.tasks.uploads import TRUSTED_FOR

pytestmark = pytest.mark.anyio

UPLOAD = f"POST {DOCUMENTED.upload_stream}"
CREATE = f"POST {JOBS.create}"


class Gone:
    """A KIE that cannot fetch what it is given, for the first creates."""

    def __init__(self, sandbox: Sandbox, times: int) -> None:
        self.times = 0
        self.gate = InterceptedKie(sandbox.app, post=self._refuse)
        self.start(times)

    def start(self, times: int) -> None:
        """Begin anew."""
        self.times = times
        self.gate.requests.clear()

    async def _refuse(self, path: str) -> Response | None:
        if path != JOBS.create or not self.times:
            return None
        self.times -= 1
        return JSONResponse({"code": 451, "msg": "Failed to fetch the image", "data": None})


def draw(folder: Path, **more: Any) -> Order:
    """A picture made from the one in the folder."""
    return Order("nano_banana_image", model_call("nano_banana_image", images=[f"{folder}/fox.png"], **more))


@pytest.fixture(autouse=True)
def fox(tmp_path: Path) -> None:
    """There is a picture."""
    (tmp_path / "fox.png").write_bytes(picture())


async def test_a_file_is_not_sent_again_while_kie_has_it(sandbox: Sandbox, clock: JumpingClock, tmp_path: Path) -> None:
    gate = InterceptedKie(sandbox.app)
    assert UPLOAD_LIFETIME - TRUSTED_FOR == 3600
    begun = clock.now
    async with run_runner(tmp_path, gate, clock) as runner:
        await run_to_end(runner, await runner.submit(draw(tmp_path)))
        clock.now = begun + TRUSTED_FOR - 60
        await run_to_end(runner, await runner.submit(draw(tmp_path)))
    assert gate.requests.count(UPLOAD) == 1
    clock.now = begun + TRUSTED_FOR + 60
    async with run_runner(tmp_path, gate, clock) as runner:
        await run_to_end(runner, await runner.submit(draw(tmp_path)))
    assert gate.requests.count(UPLOAD) == 2
    urls = [task.body["input"]["image_input"] for task in sandbox.accepted]
    assert urls[0] == urls[1] != urls[2]


async def test_calls_at_once_with_one_new_file_send_it_once(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    (tmp_path / "copy.png").write_bytes(picture())
    gate = InterceptedKie(sandbox.app)
    uri = f"data:image/png;base64,{b64encode(picture()).decode()}"
    async with run_runner(tmp_path, gate, clock) as runner, anyio.create_task_group() as callers:
        for number, name in enumerate((f"{tmp_path}/fox.png", f"{tmp_path}/copy.png", uri, f"{tmp_path}/fox.png")):
            wanted = model_call("nano_banana_image", prompt=f"fox {number}", images=[name])
            callers.start_soon(runner.submit, Order("x", wanted))
    assert gate.requests.count(UPLOAD) == 1
    assert len({str(task.body["input"]["image_input"]) for task in sandbox.accepted}) == 1
    assert len(sandbox.accepted) == 4


async def test_when_the_first_of_several_cannot_send_a_file_the_next_does(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    gate = InterceptedKie(sandbox.app)
    refused: list[ApiError] = []

    async def make(runner: Runner, number: int) -> None:
        try:
            await runner.submit(draw(tmp_path, prompt=f"fox {number}"))
        except ApiError as error:
            refused.append(error)

    sandbox.inject_fault("upload", 500)
    async with run_runner(tmp_path, gate, clock) as runner, anyio.create_task_group() as callers:
        for number in range(3):
            callers.start_soon(make, runner, number)
    assert [error.billed for error in refused] == [False]
    assert gate.requests.count(UPLOAD) == 2
    assert len(sandbox.accepted) == 2


async def test_a_file_that_kie_has_lost_is_sent_again_and_the_task_made_without_asking(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    gone = Gone(sandbox, 0)
    async with run_runner(tmp_path, gone.gate, clock) as runner:
        await run_to_end(runner, await runner.submit(draw(tmp_path)))
        gone.start(1)
        task = await run_to_end(runner, await runner.submit(draw(tmp_path)))
        assert (task.state, task.error) == ("succeeded", None)
        posts = [asked for asked in gone.gate.requests if asked.startswith("POST")]
        assert posts == [CREATE, UPLOAD, CREATE]
        # The new one is trusted from then on.
        gone.start(0)
        await run_to_end(runner, await runner.submit(draw(tmp_path)))
        assert UPLOAD not in gone.gate.requests
    first, second, third = (task.body["input"]["image_input"] for task in sandbox.accepted)
    assert first != second == third
    assert sandbox.balance == 1000 - 3 * 4


@pytest.mark.parametrize("restart", [False, True])
async def test_a_file_that_a_running_task_could_not_fetch_is_sent_again_with_the_next_call(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, *, restart: bool
) -> None:
    failed = {"taskId": "", "state": "fail", "failCode": "451", "failMsg": "Failed to fetch the image"}
    is_gone = False

    async def fail(path: str) -> Response | None:
        body = {"code": 200, "msg": "success", "data": failed}
        return JSONResponse(body) if path == JOBS.status and is_gone else None

    gate = InterceptedKie(sandbox.app, get=fail)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await runner.submit(draw(tmp_path))
        is_gone = True
        if not restart:
            task = await run_to_end(runner, task)
    async with run_runner(tmp_path, gate, clock) as runner:
        task = await run_to_end(runner, await runner.get(task.id))
        assert (task.state, "upload it with upload_file" in (task.error or {})["next_step"]) == ("failed", True)
        is_gone = False
        assert (await run_to_end(runner, await runner.submit(draw(tmp_path)))).state == "succeeded"
    assert gate.requests.count(UPLOAD) == 2


async def test_a_file_that_kie_does_not_find_twice_ends_the_task_at_no_cost(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    gone = Gone(sandbox, 10)
    async with run_runner(tmp_path, gone.gate, clock) as runner:
        with pytest.raises(ApiError, match="KIE says 451") as caught:
            await runner.submit(draw(tmp_path))
    assert caught.value.billed is False
    assert gone.gate.requests.count(CREATE) == 2
    assert gone.gate.requests.count(UPLOAD) == 2
    assert [row[1] for row in task_rows(tmp_path)] == ["failed"]
    assert sandbox.accepted == []


async def test_an_address_of_the_caller_s_that_kie_cannot_fetch_is_not_tried_twice(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path
) -> None:
    gone = Gone(sandbox, 10)
    wanted = model_call("nano_banana_image", images=["https://files.example/fox.png"])
    async with run_runner(tmp_path, gone.gate, clock) as runner:
        with pytest.raises(ApiError, match="KIE says 451"):
            await runner.submit(Order("nano_banana_image", wanted))
    assert gone.gate.requests == [CREATE]


@pytest.mark.parametrize("way", ["kie://uploads/{id}", "{url}"])
async def test_an_upload_that_kie_has_lost_and_nobody_has_any_more_is_told(
    sandbox: Sandbox, clock: JumpingClock, tmp_path: Path, way: str
) -> None:
    gone = Gone(sandbox, 10)
    async with run_runner(tmp_path, gone.gate, clock) as runner:
        upload = await runner.uploader.upload_path(str(tmp_path / "fox.png"))
        wanted = model_call("nano_banana_image", images=[way.format(id=upload.id, url=upload.url)])
        for _ in range(2):
            with pytest.raises(KieMcpError, match=r"KIE says 451|not there any more") as caught:
                await runner.submit(Order("nano_banana_image", wanted))
            assert "upload_file" in caught.value.next_step
    assert sandbox.accepted == []


async def test_the_same_picture_in_base64_is_uploaded_once(client: Client, sandbox: Sandbox, tmp_path: Path) -> None:
    plain = b64encode(picture()).decode()
    ways = ({"base64": plain}, {"base64": f"data:image/png;base64,{plain}"}, {"path": str(tmp_path / "fox.png")})
    made = [await client.call_tool("upload_file", given) for given in ways]
    assert len({answer(each)["url"] for each in made}) == 1
    other = await client.call_tool("upload_file", {"base64": b64encode(picture(31, 30)).decode()})
    assert answer(other)["url"] not in text(made[0])
    assert sandbox.accepted == []
