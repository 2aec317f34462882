"""MCP resources: what can be read at kie:// addresses."""

import json
import re
from base64 import b64decode
from pathlib import Path
from typing import Any
from urllib.parse import quote

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp_types import INVALID_PARAMS, BlobResourceContents, ResourceLink, TextResourceContents
from support.answers import answer, wait_for_end
from support.cases import for_each
from support.listed import LISTED

from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.text import make_visible

pytestmark = pytest.mark.anyio


async def read(client: Client, uri: str) -> Any:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.uri == uri
    assert content.mime_type == "application/json"
    return json.loads(content.text)


async def call(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, arguments)
    assert isinstance(result.structured_content, dict)
    return result.structured_content


async def test_the_addresses_are_listed(client: Client) -> None:
    listed = (await client.list_resources()).resources
    assert [each.uri for each in listed] == [
        "kie://credits",
        "kie://library",
        "kie://models",
        "kie://tasks",
        "kie://uploads",
    ]
    templates = (await client.list_resource_templates()).resource_templates
    assert [each.uri_template for each in templates] == [
        "kie://models/{id}",
        "kie://tasks/{id}",
        "kie://tasks/{id}/media/{n}",
        "kie://uploads/{id}",
    ]
    for each in [*listed, *templates]:
        said = each.model_dump(exclude_none=True)
        # A file is of whatever type it is.
        assert said.get("mime_type") == (None if "media" in str(said) else "application/json")
        assert said["name"]
        assert said["description"]


@for_each("uri", ["kie://credits", "kie://library", "kie://models", "kie://tasks", "kie://uploads"])
async def test_every_listed_address_can_be_read(client: Client, uri: str) -> None:
    assert isinstance(await read(client, uri), dict)


async def test_the_balance(client: Client, sandbox: Sandbox) -> None:
    await call(client, "nano_banana_image", prompt="a fox")
    assert await read(client, "kie://credits") == {"credits": sandbox.balance, "usd": sandbox.balance * 0.005}


async def test_all_models(client: Client) -> None:
    rows = (await read(client, "kie://models"))["models"]
    assert sorted(row["model"] for row in rows) == sorted(LISTED)


@for_each("id_", ["veo3", "kling/v2-1-pro", "kling-2.1-pro"])
async def test_one_model_with_its_slash_spelled_either_way(client: Client, id_: str) -> None:
    plain = await read(client, f"kie://models/{id_}")
    assert id_ in (plain["model"], *plain["aliases"])
    assert await read(client, f"kie://models/{quote(id_, safe='')}") == plain
    assert plain == await call(client, "describe_model", model=id_)


async def test_tasks_with_what_was_asked_for(client: Client) -> None:
    made = [await call(client, "nano_banana_image", prompt=f"лиса {n}") for n in (1, 2)]
    rows = (await read(client, "kie://tasks"))["tasks"]
    assert [row["prompt"] for row in rows] == ["лиса 2", "лиса 1"]
    assert rows[1] == {**made[0], "prompt": "лиса 1"}
    assert await read(client, f"kie://tasks/{made[0]['task_id']}") == rows[1]


@pytest.mark.parametrize(("local_files", "prefix"), [(True, ""), (False, ""), (True, "kie")])
async def test_a_prompt_is_read_as_it_was_written_and_hides_nothing(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock, local_files: bool, prefix: str
) -> None:
    prompt = "Donau\xaddampf\u200bschiff \u202eabc\u202c שלום!\u200f\r\n\U0001f3f4\U000e0075\U000e007f \ufeff \x07"
    settings = settings.model_copy(update={"prefix": prefix})
    app = App(settings, local_files=local_files, transport=transport, clock=clock)
    async with Client(build_server(app)) as client:
        made = await call(client, "nano_banana_image", prompt=prompt)
        (content,) = (await client.read_resource(f"kie://tasks/{made['task_id']}")).contents
    assert isinstance(content, TextResourceContents)
    assert make_visible(content.text) == content.text
    assert json.loads(content.text)["prompt"] == prompt


async def test_a_file_that_a_task_made_and_where_its_answer_says_that_it_is(client: Client) -> None:
    made = answer(await wait_for_end(client, await client.call_tool("seedream_image", {"prompt": "a fox", "count": 4})))
    assert len(made["media"]) == 4
    for number, media in enumerate(made["media"], start=1):
        uri, file = media["resource"], await anyio.Path(media["path"]).read_bytes()
        assert uri == f"kie://tasks/{made['task_id']}/media/{number}"
        (content,) = (await client.read_resource(uri)).contents
        assert isinstance(content, BlobResourceContents)
        assert (content.uri, content.mime_type) == (uri, "image/png")
        assert b64decode(content.blob) == file


async def test_a_file_that_is_gone_is_named_by_the_error(client: Client) -> None:
    made = answer(await wait_for_end(client, await client.call_tool("nano_banana_image", {"prompt": "a fox"})))
    await anyio.Path(made["media"][0]["path"]).unlink()
    with pytest.raises(MCPError, match=re.escape(made["media"][0]["path"])):
        await client.read_resource(made["media"][0]["resource"])


async def test_answers_have_links_to_files_only_if_the_setting_asks_for_them(
    settings: Settings, app: App, clock: Clock
) -> None:
    calls: list[tuple[str, dict[str, Any], int]] = [
        ("nano_banana_image", {"prompt": "a fox"}, 1),
        ("seedream_image", {"prompt": "a fox", "count": 4}, 4),
        ("compare_models", {"prompt": "a fox", "models": ["z-image", "nano-banana-2"], "max_credits": 50}, 2),
        ("get_credits", {}, 0),
    ]
    for links in (False, True):
        wanted = settings.model_copy(update={"links": links})
        server = build_server(App(wanted, transport=app._transport, clock=clock))
        async with Client(server, raise_exceptions=True) as client:
            for tool, given, count in calls:
                result = await client.call_tool(tool, given)
                found = [block.uri for block in result.content if isinstance(block, ResourceLink)]
                assert len(found) == (count if links else 0), tool
                assert all(uri in str(result.content[0]) for uri in found)
                assert all(uri in str(answer(result)) for uri in found)


@pytest.mark.parametrize(("size", "given"), [(4_000_000, True), (4_000_001, False)])
async def test_a_file_is_handed_over_up_to_4_mb(client: Client, size: int, given: bool) -> None:
    made = answer(await wait_for_end(client, await client.call_tool("nano_banana_image", {"prompt": "a fox"})))
    path = anyio.Path(made["media"][0]["path"])
    await path.write_bytes((await path.read_bytes()).ljust(size, b"\0"))
    uri = f"kie://tasks/{made['task_id']}/media/1"
    if given:
        (content,) = (await client.read_resource(uri)).contents
        assert isinstance(content, BlobResourceContents)
        assert len(b64decode(content.blob)) == size
    else:
        with pytest.raises(MCPError, match=re.escape(f"more than 4 MB. Open it at {path}")):
            await client.read_resource(uri)


async def test_a_file_that_a_task_has_not_is_not_there(client: Client) -> None:
    made = answer(await wait_for_end(client, await client.call_tool("nano_banana_image", {"prompt": "a fox"})))
    uri = f"kie://tasks/{made['task_id']}/media"
    for number in ("0", "2", "-1", "1.0", "one", "", "1/2", "../1", "9" * 5000):
        with pytest.raises(MCPError) as refused:
            pytest.fail(f"{number}: {await client.read_resource(f'{uri}/{number}')}")
        assert refused.value.code == INVALID_PARAMS, number


async def test_uploads_with_when_they_go(client: Client, tmp_path: Path) -> None:
    (tmp_path / "fox.png").write_bytes(render_file("fox.png", MediaContent("a fox", "1")))
    made = await call(client, "upload_file", path=str(tmp_path / "fox.png"))
    (row,) = (await read(client, "kie://uploads"))["uploads"]
    assert (row["id"], row["url"], row["name"]) == (made["upload_id"], made["url"], made["name"])
    assert row["expires"] > row["created"]
    assert await read(client, f"kie://uploads/{made['upload_id']}") == row


async def test_an_upload_that_is_gone_is_not_shown(client: Client, tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "fox.png").write_bytes(render_file("fox.png", MediaContent("a fox", "1")))
    made = await call(client, "upload_file", path=str(tmp_path / "fox.png"))
    await clock.sleep(24 * 3600)
    assert await read(client, "kie://uploads") == {"uploads": []}
    with pytest.raises(MCPError):
        await read(client, f"kie://uploads/{made['upload_id']}")


@for_each(
    "uri",
    [
        "kie://",
        "kie://nothing",
        "kie://credits/1",
        "kie://models/no-such-model",
        "kie://tasks/t_unknown",
        "kie://tasks/t_unknown/media/1",
        "kie://tasks//media/1",
        "kie://tasks/t_unknown/media/",
        "kie://tasks/t_unknown/media/../../etc/passwd",
        "kie://tasks/t_unknown/files/1",
        "kie://uploads/u_unknown",
        "kie://uploads/%00",
        "kie:credits",
        "credits",
        "file:///etc/passwd",
        "https://kie.ai/credits",
    ],
)
async def test_what_is_not_there_is_an_error_that_names_it(client: Client, uri: str) -> None:
    with pytest.raises(MCPError) as refused:
        await client.read_resource(uri)
    assert refused.value.code == -32602
    assert refused.value.error.data == {"uri": uri}


async def test_without_a_key_the_models_can_be_read_and_the_rest_says_how_to_set_one(
    keyless: Settings, clock: Clock
) -> None:
    async with Client(build_server(App(keyless, clock=clock)), raise_exceptions=True) as client:
        assert await read(client, "kie://models/veo3")
        for uri in ("kie://credits", "kie://tasks", "kie://uploads"):
            with pytest.raises(MCPError, match="KIE_API_KEY"):
                await client.read_resource(uri)
