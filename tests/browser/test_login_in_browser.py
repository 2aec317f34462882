"""The login of the library page in a real browser, with a real provider. Screenshots go to test-output/login."""

import json
from pathlib import Path

import anyio
import pytest
from chromium import CHROMIUM, MODULES, NODE, list_scenes, needs_browser
from support.accounts import connect_account, needs_provider
from support.answers import answer
from support.paths import ROOT

from kie_mcp.server.http import PATH

SCRIPT = Path(__file__).with_name("login.mjs")
PICTURES = ROOT / "test-output" / "login"

pytestmark = [pytest.mark.anyio, needs_provider, needs_browser("playwright-core")]


async def test_a_person_logs_in_and_out_in_a_browser(accounts_url: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    assert CHROMIUM
    async with connect_account(accounts_url, "ann") as client:
        made = answer(await client.call_tool("nano_banana_image", {"prompt": "A red fox in fresh snow"}))
        await client.call_tool("get_task", {"task_ids": made["task_id"], "wait_seconds": 60})
    server = accounts_url.removesuffix(PATH)
    with anyio.fail_after(150):
        ran = await anyio.run_process([NODE, SCRIPT, server, PICTURES, CHROMIUM, MODULES], check=False)
    assert ran.returncode == 0, ran.stderr.decode()
    played = json.loads(ran.stdout)
    assert set(played) == set(list_scenes(SCRIPT))
    assert not any(played.values()), "\n".join(played.values())
