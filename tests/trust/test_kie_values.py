"""What a hostile KIE may answer: values that no upload, no task and no account can have."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from starlette.responses import JSONResponse, Response
from support.answers import answer, text
from support.clock import JumpingClock
from support.media_files import picture
from support.runners import InterceptedKie

from kie_mcp.config import Settings
from kie_mcp.kie.routes import DOCUMENTED, JOBS
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio

KIE_ID = "5f0c5f0c5f0c5f0c"


def told(data: object) -> Response:
    """An answer of KIE; Python's JSON also writes numbers that are no JSON."""
    return Response(json.dumps({"code": 200, "msg": "success", "data": data}), media_type="application/json")


async def test_an_upload_of_an_odd_size_is_still_listed(
    sandbox: Sandbox, settings: Settings, clock: JumpingClock, tmp_path: Path
) -> None:
    size: object = None

    async def upload(path: str) -> Response | None:
        url = "https://kie.test/files/1.png"
        return told({"downloadUrl": url, "fileSize": size}) if path == DOCUMENTED.upload_stream else None

    kie = InterceptedKie(sandbox.app, post=upload)
    async with Client(build_server(App(settings, transport=httpx2.ASGITransport(kie), clock=clock))) as client:
        for number, size in enumerate((-1, 2**63, 2**200, 1e308, "many", True, None, {})):
            # A file that was sent before is not sent again.
            (tmp_path / "fox.png").write_bytes(picture(64 + number, 48))
            sent = await client.call_tool("upload_file", {"path": str(tmp_path / "fox.png")})
            assert not sent.is_error, f"{size}: {text(sent)}"
            assert len(kie.requests) > number, size
            assert (await client.read_resource("kie://uploads")).contents, size


@pytest.mark.parametrize("url", [f"https://kie.test/{'x' * 4_096}", 7, ["https://kie.test/1.png"], {"a": 1}])
async def test_a_url_that_is_too_long_or_no_text_is_not_taken(
    sandbox: Sandbox, settings: Settings, clock: JumpingClock, tmp_path: Path, url: object
) -> None:
    async def post(path: str) -> Response | None:
        if path == DOCUMENTED.upload_stream:
            return told({"downloadUrl": url})
        return told(url) if path == DOCUMENTED.download_url else None

    (tmp_path / "fox.png").write_bytes(picture())
    kie = InterceptedKie(sandbox.app, post=post)
    async with Client(build_server(App(settings, transport=httpx2.ASGITransport(kie), clock=clock))) as client:
        for tool, arguments in (
            ("upload_file", {"path": str(tmp_path / "fox.png")}),
            ("get_download_url", {"file": "https://tempfile.aiquickdraw.com/1.png"}),
        ):
            refused = await client.call_tool(tool, arguments)
            assert refused.is_error
            assert "internal" not in text(refused)
            assert len(text(refused)) < 1_000


ODD: dict[str, Any] = {
    "microseconds": {"createTime": 1.8e15},
    "nanoseconds": {"createTime": 1.8e18},
    "no time": {"createTime": "yesterday"},
    "before 2020": {"createTime": 1_500_000_000},
    "tomorrow and a day": {"createTime": 1_800_200_000_000},
    "negative": {"createTime": -1},
    "endless": {"createTime": float("inf")},
    "no number": {"createTime": float("nan")},
    "negative charge": {"creditsConsumed": -8},
    "huge charge": {"creditsConsumed": 1e308},
    "endless charge": {"creditsConsumed": float("inf")},
    "charge that is no number": {"creditsConsumed": float("nan")},
    "300 results": {"resultJson": json.dumps({"resultUrls": [f"https://kie.test/{n}.png" for n in range(300)]})},
    "long link": {"resultJson": json.dumps({"resultUrls": [f"https://kie.test/{'x' * 20_000}.png"]})},
}


async def test_a_task_with_odd_values_is_taken_in_and_listed(
    sandbox: Sandbox, settings: Settings, clock: JumpingClock
) -> None:
    usual = {"model": "studio/heron-9", "state": "success", "createTime": int(clock.now * 1000)}
    usual |= {"resultJson": json.dumps({"resultUrls": ["https://kie.test/1.png"]})}
    record: dict[str, Any] = {}

    async def tell(path: str) -> Response | None:
        if path == JOBS.status:
            return told(record)
        return JSONResponse({}, 404) if path.endswith(".png") else None

    unsaved = settings.model_copy(update={"save": False})
    kie = InterceptedKie(sandbox.app, get=tell)
    async with Client(build_server(App(unsaved, transport=httpx2.ASGITransport(kie), clock=clock))) as client:
        for number, (case, odd) in enumerate(ODD.items()):
            record = usual | odd | {"taskId": f"{KIE_ID}{number:02}"}
            shown = answer(await client.call_tool("get_task", {"task_ids": [record["taskId"]], "wait_seconds": 40}))
            assert shown["model"] == "studio/heron-9", case
            assert 0 <= shown.get("elapsed_seconds", 0) < 3600, case
            assert 0 <= shown.get("credits", 0) <= 1_000_000, case
            assert len(shown.get("media", ())) <= 64, case
            assert all(len(each["url"]) <= 4_096 for each in shown.get("media", ())), case
            for tool in ("list_tasks", "library", "spend_report"):
                assert not (await client.call_tool(tool, {})).is_error, f"{case}: {tool}"
            assert (await client.read_resource("kie://library")).contents, case


async def test_a_balance_that_cannot_be_is_an_error(sandbox: Sandbox, settings: Settings, clock: JumpingClock) -> None:
    balance: object = None

    async def tell(path: str) -> Response | None:
        return told(balance) if path == DOCUMENTED.credits else None

    kie = InterceptedKie(sandbox.app, get=tell)
    async with Client(build_server(App(settings, transport=httpx2.ASGITransport(kie), clock=clock))) as client:
        for balance in (float("nan"), float("inf"), 1e308, "many", None, []):
            refused = await client.call_tool("get_credits", {})
            assert refused.is_error, balance
            assert "internal" not in text(refused), balance
