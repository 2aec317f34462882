"""`upload_file`, `get_download_url`: files at KIE."""

from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from support.answers import answer, text
from support.media_files import picture

from kie_mcp.sandbox.app import Sandbox

pytestmark = pytest.mark.anyio

PICTURE = picture()


async def make(client: Client, tool: str = "nano_banana_image", **arguments: Any) -> dict[str, Any]:
    return answer(await client.call_tool(tool, {"prompt": "a fox", **arguments}))


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


@pytest.mark.parametrize("way", ["path", "url", "data URI"])
async def test_an_upload_gets_the_name_that_is_given(client: Client, tmp_path: Path, way: str) -> None:
    (tmp_path / "fox.png").write_bytes(PICTURE)
    plain = answer(await client.call_tool("upload_file", {"path": str(tmp_path / "fox.png")}))
    given = {
        "path": str(tmp_path / "fox.png"),
        "url": "https://pictures.example/fox.png",
        "data URI": f"data:image/png;base64,{b64encode(PICTURE).decode()}",
    }[way]
    named = answer(await client.call_tool("upload_file", {"path": given, "name": "hero.png"}))
    assert plain["name"].startswith("fox-")
    assert named["name"].startswith("hero-")
    assert named["name"].endswith(".png")


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
