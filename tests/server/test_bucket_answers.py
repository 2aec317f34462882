"""What callers get of results in a bucket: links that are signed anew, and the files through all other ways."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from mcp import Client
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from mcp_types import TextResourceContents
from support.answers import answer, wait_for_end
from support.clock import JumpingClock
from support.programs import needs_ffmpeg
from support.s3_server import BUCKET, S3Server, needs_s3, run_s3_server
from support.servers import serve_app
from support.tenants import connect, serve_tenants

from kie_mcp.config import Settings
from kie_mcp.library_page.serving import build_local_page
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.extensions import gallery

pytestmark = [pytest.mark.anyio, needs_s3]

TOKEN = "a-long-random-text"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with run_s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def prefix(tmp_path: Path) -> str:
    return tmp_path.name


@pytest.fixture
def settings(settings: Settings, s3: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    return settings.model_copy(update={"storage": f"s3://{BUCKET}/{prefix}", "link_hours": 2.5})


@pytest.fixture
async def page(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with (
        serve_app(build_local_page(settings, TOKEN)) as url,
        httpx2.AsyncClient(base_url=url.removesuffix("/mcp")) as visitor,
    ):
        yield visitor


async def make(client: Client, tool: str = "nano_banana_image", **more: Any) -> dict[str, Any]:
    return answer(await wait_for_end(client, await client.call_tool(tool, {"prompt": "a heron", **more})))


async def test_answers_have_signed_links_and_no_paths(client: Client, s3: S3Server, prefix: str) -> None:
    made = await make(client)
    (file,) = made["media"]
    (name,) = (each for each in s3.read_objects(prefix) if not each.endswith(".json"))
    assert "path" not in file
    assert f"/{BUCKET}/{prefix}/{name}?" in file["url"]
    assert "X-Amz-Expires=9000" in file["url"]
    assert httpx2.get(file["url"]).content == s3.read_objects(prefix)[name]
    assert made["next_step"].startswith("view_media")
    id_ = made["task_id"]
    shown = await client.call_tool("view_media", {"task_id": id_})
    assert shown.content[0].type == "image"
    assert f"/{prefix}/{name}?" in repr(shown.content[1:])
    listed = answer(await client.call_tool("library", {}))["made"]
    assert [f"/{prefix}/{name}?" in each for each in listed[0]["files"]] == [True]
    resource = await client.read_resource(f"kie://tasks/{id_}/media/1")
    assert resource.contents[0].mime_type == "image/jpeg" or name.endswith("png")
    assert f"s3://{BUCKET}" not in repr((made, shown.content[1:], listed))


async def test_the_gallery_has_previews_from_the_bucket(app: App) -> None:
    async with Client(build_server(app), extensions=[advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})]) as host:
        made = await make(host, "kling_video")
        told = answer(await host.call_tool("gallery_task", {"task_id": made["task_id"], "preview": [1]}))
    assert told["previews"]["1"].startswith("data:video/mp4")
    assert "X-Amz-Signature" in told["media"][0]["url"]


@needs_ffmpeg
async def test_a_film_of_results_in_the_bucket_is_there_as_well(client: Client, s3: S3Server, prefix: str) -> None:
    made = await make(client, "kling_video")
    clips = [{"source": f"task:{made['task_id']}#1", "end": 1}, {"source": made["media"][0]["url"], "end": 1}]
    film = answer(await wait_for_end(client, await client.call_tool("edit_media", {"clips": clips})))
    assert film["status"] == "succeeded", film
    assert len(s3.read_objects(prefix)) == 4
    assert httpx2.get(film["media"][0]["url"]).content in s3.read_objects(prefix).values()


async def test_a_repeated_call_with_a_newer_link_is_the_same_call(app: App, settings: Settings) -> None:
    app._settings = settings.model_copy(update={"repeat_window": 600})
    async with Client(build_server(app)) as client:
        made = await make(client)
        older = made["media"][0]["url"]
        first = await make(client, "kling_video", image=older)
        again = await make(client, "kling_video", image=re.sub(r"X-Amz-Signature=\w+", "X-Amz-Signature=0", older))
    assert again["task_id"] == first["task_id"]


async def test_the_library_page_shows_thumbnails_and_sends_files(
    client: Client, page: httpx2.AsyncClient, settings: Settings, s3: S3Server, prefix: str
) -> None:
    await make(client)
    (item,) = (await page.get("/library/api/items", headers=WITH_TOKEN)).json()["items"]
    whole = (await page.get(f"/library/api/tasks/{item['id']}", headers=WITH_TOKEN)).json()
    (file,) = whole["files"]
    assert (await page.get(file["url"])).content in s3.read_objects(prefix).values()
    thumbnail = await page.get(file["thumbnail"])
    assert thumbnail.headers["content-type"] == "image/jpeg"
    # A thumbnail that was made needs the object no more.
    for each in (settings.state_dir / "media" / "cache").iterdir():
        each.unlink()
    for each in (s3.folder / BUCKET / prefix).iterdir():
        each.unlink()
    assert (await page.get(file["thumbnail"])).content == thumbnail.content
    assert (await page.get(file["url"])).status_code == 400


async def test_the_card_in_the_chat_may_load_from_the_bucket(app: App, s3: S3Server) -> None:
    shows = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})
    async with Client(build_server(app), raise_exceptions=True, extensions=[shows]) as client:
        made = await make(client)
        (content,) = (await client.read_resource(gallery.URI)).contents
        (listed,) = (each for each in (await client.list_resources()).resources if each.uri == gallery.URI)
    link = urlsplit(made["media"][0]["url"])
    assert link.netloc == f"127.0.0.1:{s3.port}"
    assert isinstance(content, TextResourceContents)
    assert content.meta == listed.meta
    assert content.meta
    hosts = content.meta["ui"]["csp"]["resourceDomains"]
    assert hosts == [*gallery.MEDIA_HOSTS, f"{link.scheme}://{link.netloc}"]
    assert f"const mediaHosts = {json.dumps([urlsplit(each).netloc for each in hosts])};" in content.text


async def test_without_credentials_the_card_still_shows(
    app: App, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    shows = advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})
    async with Client(build_server(app), raise_exceptions=True, extensions=[shows]) as client:
        (content,) = (await client.read_resource(gallery.URI)).contents
    # The credentials may come later, and the card may load from the bucket then.
    hosts = [*gallery.MEDIA_HOSTS, f"http://127.0.0.1:{s3.port}"]
    assert content.meta == {"ui": {"csp": {"resourceDomains": hosts}, "prefersBorder": True}}


async def test_each_tenant_has_names_of_its_own_in_the_bucket(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, s3: S3Server, prefix: str
) -> None:
    async with (
        serve_tenants(settings, transport, clock) as url,
        connect(url, "ann") as ann,
        connect(url, "bob") as bob,
    ):
        made = await make(ann)
        names = list(s3.read_objects(prefix))
        assert [name.startswith("ann/") for name in names] == [True, True]
        for given in (*(f"s3://{BUCKET}/{prefix}/{name}" for name in names), f"task:{made['task_id']}#1"):
            told = answer(await bob.call_tool("nano_banana_image", {"prompt": "a heron", "images": [given]}))
            assert told["error"]["category"] in ("invalid_call", "not_allowed"), told
