"""The gallery (MCP Apps): which clients are offered it, with which rights, and what its tool answers."""

import base64
import io
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp_types import TextResourceContents, Tool
from mutagen.id3 import APIC, ID3
from PIL import Image
from support.servers import serve_app

from kie_mcp.catalog.registry import FAMILIES
from kie_mcp.clock import Clock
from kie_mcp.config import Settings
from kie_mcp.errors import InvalidCall
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.extensions import card_facts, gallery
from kie_mcp.server.http import PATH, build_http_app
from kie_mcp.server.selection import Selection
from kie_mcp.server.tools import tool_list

pytestmark = pytest.mark.anyio

PAGE = gallery.build_page()
ERAS = pytest.mark.parametrize("era", ["legacy", "auto"])
make_tags: Any = ID3
make_cover: Any = APIC
HOSTILE = """<img src=x onerror="alert(1)">\n</script>"""


def declare_apps(*mime_types: str) -> Any:
    """Declare that a client can show pages of these types."""
    return advertise(EXTENSION_ID, {"mimeTypes": list(mime_types)})


@asynccontextmanager
async def connect(app: App, era: Any = "auto", **more: Any) -> AsyncIterator[Client]:
    more.setdefault("extensions", [declare_apps(APP_MIME_TYPE)])
    async with Client(build_server(app), mode=era, raise_exceptions=True, **more) as client:
        yield client


@pytest.fixture
async def host(app: App) -> AsyncIterator[Client]:
    """A client that can show the gallery."""
    async with connect(app) as client:
        yield client


async def call_tool(client: Client, tool: str, **given: Any) -> dict[str, Any]:
    result = await client.call_tool(tool, given)
    assert isinstance(result.structured_content, dict)
    return result.structured_content


def saved_path(answer: dict[str, Any], number: int = 1) -> Path:
    return Path(answer["media"][number - 1]["path"])


def ui_meta(tool: Tool) -> dict[str, Any]:
    found: dict[str, Any] = (tool.meta or {}).get("ui", {})
    return found


@ERAS
async def test_a_host_of_either_era_is_told_which_tools_show_the_gallery(app: App, era: Any) -> None:
    async with connect(app, era) as client:
        tools = (await client.list_tools()).tools
        assert any(each.uri == gallery.URI for each in (await client.list_resources()).resources)
    showing = {tool.name for tool in tools if ui_meta(tool) == {"resourceUri": gallery.URI}}
    assert showing == {family.tool for family in FAMILIES} & app.selection.names | gallery.SHOWN_TOOLS
    (own,) = (tool for tool in tools if tool.name not in app.selection.names)
    assert own == gallery.GALLERY_TASK
    assert ui_meta(own) == {"visibility": ["app"]}
    assert own.annotations
    assert own.annotations.read_only_hint


@ERAS
@pytest.mark.parametrize(
    "extensions",
    [
        (),
        (advertise(EXTENSION_ID),),
        (declare_apps("text/html"),),
        (advertise("com.example/other", {"mimeTypes": [APP_MIME_TYPE]}),),
    ],
    ids=["nothing", "no type", "another type", "another extension"],
)
async def test_to_everybody_else_nothing_is_different(app: App, era: Any, extensions: tuple[Any, ...]) -> None:
    async with connect(app, era, extensions=list(extensions)) as client:
        tools = (await client.list_tools()).tools
        resources = (await client.list_resources()).model_dump_json()
    wanted = [tool for tool in tool_list.build_tools() if tool["name"] in app.selection.names]
    assert [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in tools] == wanted
    assert "ui://" not in resources


@pytest.mark.parametrize("words", ["compact", "all", "audio"])
async def test_whichever_tools_are_shown_the_gallery_comes_with_them(settings: Settings, words: str) -> None:
    app = App(settings, selection=Selection(words))
    async with connect(app) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    assert names == [*(tool["name"] for tool in app.selection.tools), gallery.GALLERY_TASK.name]


@ERAS
async def test_over_http_each_client_sees_what_it_can_show(settings: Settings, era: Any) -> None:
    """The server keeps no sessions, and clients of the older era say what they can do only once."""
    app = App(settings, local_files=False)
    async with serve_app(build_http_app(app, host="127.0.0.1")) as url:
        async with Client(url, mode=era, extensions=[declare_apps(APP_MIME_TYPE)]) as client:
            assert any(map(ui_meta, (await client.list_tools()).tools))
            assert any(each.uri == gallery.URI for each in (await client.list_resources()).resources)
        async with Client(url, mode=era, extensions=[declare_apps("text/html")]) as client:
            assert not any(map(ui_meta, (await client.list_tools()).tools))


async def test_what_introduces_nobody_is_answered_as_ever(settings: Settings) -> None:
    bare = build_server(App(settings)).streamable_http_app(streamable_http_path=PATH, stateless_http=True)
    headers = {"Accept": "application/json, text/event-stream", "Content-Type": "application/json"}
    bodies = (
        b"",
        b"{",
        b"[" * 9000,
        b"\xff\xfe",
        b"[]",
        b'{"method": "initialize"}',
        b'{"method": "initialize", "params": {"capabilities": {"extensions": null}}}',
        b"x" * 100_000,
    )
    answers: list[dict[bytes, tuple[int, str]]] = []
    for served in (bare, build_http_app(App(settings), host="127.0.0.1")):
        async with serve_app(served) as url, httpx2.AsyncClient(headers=headers) as http:
            responses = {body: await http.post(url, content=body) for body in bodies}
        answers.append({body: (each.status_code, each.text) for body, each in responses.items()})
        assert not [body for body, each in responses.items() if "mcp-session-id" in each.headers]
    assert answers[0] == answers[1]


async def test_the_server_says_that_it_has_pages(host: Client) -> None:
    assert (host.server_capabilities.extensions or {}).get(EXTENSION_ID) == {}


async def test_the_page_may_load_from_kie_and_from_nowhere_else(host: Client) -> None:
    (content,) = (await host.read_resource(gallery.URI)).contents
    (listed,) = (each for each in (await host.list_resources()).resources if each.uri == gallery.URI)
    assert isinstance(content, TextResourceContents)
    assert content.text == PAGE
    assert content.uri == gallery.URI
    assert content.mime_type == listed.mime_type == APP_MIME_TYPE
    hosts = ["https://tempfile.aiquickdraw.com", "https://file.aiquickdraw.com"]
    # A `domain` of the wrong form keeps some hosts from showing the page at all.
    assert content.meta == listed.meta == {"ui": {"csp": {"resourceDomains": hosts}, "prefersBorder": True}}


def test_the_page_s_own_list_of_media_hosts_is_the_policy_s() -> None:
    (listed,) = re.findall(r"const mediaHosts = (\[.*\]);", PAGE)
    assert tuple(f"https://{host}" for host in json.loads(listed)) == gallery.MEDIA_HOSTS
    # No address reaches an element but through that check.
    assert PAGE.count(".src = ") == 1
    assert 'if (kind === "file" || !mayLoad(source)) throw new Error("not from there");' in PAGE


def test_the_page_is_one_small_file_that_loads_nothing() -> None:
    assert len(PAGE.encode()) < 60_000
    assert not re.findall(r"https?://|<link|@import|<iframe|<object|<base|\bsrc=|\burl\(|\bfetch\(|import\(", PAGE)


def test_the_page_makes_no_code_of_words() -> None:
    forbidden = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|new Function|srcdoc|DOMParser|\son\w+="
    assert not re.findall(forbidden, PAGE)
    assert PAGE.count("<script>") == 1


def test_the_page_calls_no_tool_but_its_own() -> None:
    """Another take costs money: the page asks the agent, whose host asks the user."""
    assert re.findall(r'"tools/call", \{ name: ([^,]+),', PAGE) == [f'"{gallery.GALLERY_TASK.name}"']
    assert PAGE.count("tools/call") == 1


async def test_its_tool_says_how_a_task_is_and_what_was_asked_for(host: Client, sandbox: Sandbox) -> None:
    made = await call_tool(host, "kling_video", prompt="лиса")
    told = await call_tool(host, "gallery_task", task_id=made["task_id"])
    assert (told["status"], told["prompt"], told["kind"]) == ("running", "лиса", "video")
    assert told["usual_seconds"] == 2
    assert "previews" not in told
    await call_tool(host, "get_task", task_ids=made["task_id"], wait_seconds=60)
    told = await call_tool(host, "gallery_task", task_id=made["task_id"])
    assert told["status"] == "succeeded"
    assert saved_path(told).exists()
    assert len(sandbox.accepted) == 1


async def test_a_failed_task_is_an_answer_to_the_page(host: Client, sandbox: Sandbox) -> None:
    sandbox.inject_fault("create", "fail")
    made = await call_tool(host, "nano_banana_image", prompt="a fox")
    result = await host.call_tool("gallery_task", {"task_id": made["task_id"]})
    assert not result.is_error
    assert result.structured_content
    assert result.structured_content["error"] == made["error"]


async def test_words_come_as_they_are_and_in_one_short_line(host: Client) -> None:
    made = await call_tool(host, "kling_video", prompt=HOSTILE + "x" * 900)
    told = await call_tool(host, "gallery_task", task_id=made["task_id"])
    assert told["prompt"] == (HOSTILE.replace("\n", " ") + "x" * 900)[:300]


async def test_small_files_are_sent_along_as_they_are(host: Client) -> None:
    made = await call_tool(host, "seedream_image", prompt="foxes", count=3)
    told = await call_tool(host, "gallery_task", task_id=made["task_id"], preview=[3, 1, 9, 0])
    assert told["previews"].keys() == {"1", "3"}
    for number, uri in told["previews"].items():
        head, _, content = uri.partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(content) == saved_path(told, int(number)).read_bytes()


async def test_a_large_picture_is_sent_small(host: Client) -> None:
    made = await call_tool(host, "nano_banana_image", prompt="a fox")
    # Noise is the worst there is to compress.
    noise = Image.effect_noise((1500, 500), 100)
    for mode in ("RGB", "RGBA", "P", "L", "CMYK"):
        noise.convert(mode).save(saved_path(made), "TIFF")
        told = await call_tool(host, "gallery_task", task_id=made["task_id"], preview=[1])
        uri = told["previews"]["1"]
        assert len(uri) <= 60_000, mode
        head, _, content = uri.partition(",")
        assert head == "data:image/jpeg;base64", mode
        with Image.open(io.BytesIO(base64.b64decode(content))) as small:
            assert small.width <= 640, mode
            assert small.width == pytest.approx(small.height * 3, abs=3), mode


@pytest.mark.parametrize("broken", [b"", b"\x89PNG\r\n\x1a\n" + b"\0" * 60_000, None], ids=["empty", "cut", "gone"])
async def test_a_file_that_cannot_be_read_has_no_preview(host: Client, broken: bytes | None) -> None:
    made = await call_tool(host, "seedream_image", prompt="foxes", count=2)
    path = saved_path(made)
    if broken is None:
        path.unlink()
    else:
        path.write_bytes(broken)
    told = await call_tool(host, "gallery_task", task_id=made["task_id"], preview=[1, 2])
    assert told["status"] == "succeeded"
    assert "2" in told["previews"]
    assert "1" not in told["previews"]


async def test_what_is_not_saved_has_no_preview(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    app = App(settings.model_copy(update={"save": False}), transport=transport, clock=clock)
    async with connect(app) as client:
        made = await call_tool(client, "nano_banana_image", prompt="a fox")
        told = await call_tool(client, "gallery_task", task_id=made["task_id"], preview=[1])
    assert told["previews"] == {}


async def test_an_edit_comes_with_the_picture_that_was_edited(host: Client) -> None:
    fox = await call_tool(host, "seedream_image", prompt="a fox")
    edit = await call_tool(host, "seedream_image", prompt="at night", images=[f"task:{fox['task_id']}#1"])
    told = await call_tool(host, "gallery_task", task_id=edit["task_id"], preview=[0])
    assert told["has_before"]
    head, _, content = told["previews"]["0"].partition(",")
    assert head == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as before, Image.open(saved_path(fox)) as original:
        assert before.width / before.height == pytest.approx(original.width / original.height, abs=0.01)
    told = await call_tool(host, "gallery_task", task_id=fox["task_id"], preview=[0])
    assert "has_before" not in told
    assert told["previews"] == {}


async def test_a_song_comes_with_its_title_and_the_cover_in_its_file(host: Client) -> None:
    made = await call_tool(host, "suno_music", prompt="la la", style="folk", title="The Fox", lyrics="la la")
    await call_tool(host, "get_task", task_ids=made["task_id"], wait_seconds=60)
    told = await call_tool(host, "gallery_task", task_id=made["task_id"])
    assert told["title"] == "The Fox"
    assert not any("cover" in each for each in told["media"])
    Image.new("RGB", (900, 900), "teal").save(picture := io.BytesIO(), "PNG")
    tags = make_tags()
    tags.add(make_cover(mime="image/png", type=3, data=picture.getvalue()))
    tags.save(saved_path(told))
    first, second = (await call_tool(host, "gallery_task", task_id=made["task_id"]))["media"]
    with Image.open(io.BytesIO(base64.b64decode(first["cover"].partition(",")[2]))) as cover:
        assert cover.size == (144, 144)
    assert "cover" not in second


async def test_a_batch_comes_with_what_each_item_has_made(host: Client) -> None:
    made = await call_tool(host, "make_batch", model="z-image", prompts=["a cat", "a dog"], max_credits=9)
    await call_tool(host, "get_task", task_ids=made["task_id"], wait_seconds=60)
    told = await call_tool(host, "gallery_task", task_id=made["task_id"])
    assert told["prompt"] == "a cat · a dog"
    assert [(each["prompt"], len(each["media"])) for each in told["items"]] == [("a cat", 1), ("a dog", 1)]


async def test_a_second_page_is_told_that_a_card_is_there_until_the_user_wants_it_or_it_is_long_ago(
    host: Client, clock: Clock
) -> None:
    made = await call_tool(host, "seedream_image", prompt="a fox")

    async def ask(view: str, **more: Any) -> bool:
        return "shown_elsewhere" in await call_tool(host, "gallery_task", task_id=made["task_id"], view=view, **more)

    assert [await ask(view) for view in ("first", "second", "first", "")] == [False, True, False, False]
    assert not await ask("second", here=True)
    assert await ask("first")
    await clock.sleep(card_facts.CARD_OWNER_SECONDS)
    assert not await ask("first")


async def test_numbers_may_come_as_text(host: Client) -> None:
    made = await call_tool(host, "nano_banana_image", prompt="a fox")
    told = await call_tool(host, "gallery_task", task_id=made["task_id"], preview="[1]")
    assert told["previews"].keys() == {"1"}


async def test_what_makes_no_sense_is_refused_in_words(host: Client) -> None:
    calls: tuple[dict[str, Any], ...] = (
        {},
        {"task_id": None},
        {"task_id": 5},
        {"task_id": "t_unknown"},
        {"task_id": "../../etc/passwd"},
        {"task_id": "t_unknown", "preview": [1, 2, 3, 4, 5]},
        {"task_id": "t_unknown", "preview": {"1": 1}},
    )
    for given in calls:
        result = await host.call_tool("gallery_task", given)
        assert result.is_error, given
        assert result.structured_content, given
        error = result.structured_content["error"]
        assert error["category"] == InvalidCall("", "").as_dict()["category"], given
        assert error["billed"] is False, given
        assert json.dumps(error)
