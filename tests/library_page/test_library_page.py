"""The library page over HTTP: who gets what, and that only saved results are handed out."""

import re
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, closing
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit
from zipfile import ZipFile

import httpx2
import PIL.Image
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from support.answers import answer
from support.clock import JumpingClock
from support.ledgers import NOW, task
from support.servers import break_off, serve_app

from kie_mcp.clock import Clock, to_local_day
from kie_mcp.config import Settings
from kie_mcp.ledger.ledger import Ledger
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.ledger.task import Result
from kie_mcp.library_page.archive import MISSING, write_archive
from kie_mcp.library_page.changes import PAGE_HEADER
from kie_mcp.library_page.opened_file import find_range
from kie_mcp.library_page.page import LibraryPage
from kie_mcp.library_page.serving import build_local_page
from kie_mcp.library_page.signed_links import DAY, SignedLinks
from kie_mcp.library_page.thumbnails import FOLDER
from kie_mcp.server.app import App
from kie_mcp.server.http import build_http_app
from kie_mcp.tasks.storage import FolderStorage

pytestmark = pytest.mark.anyio

TOKEN = "a-long-random-text"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}
FROM_PAGE = {PAGE_HEADER: "library"}


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A visitor of the page who has no token yet; the server of the fixture `client` has the same ledger."""
    async with (
        serve_app(build_local_page(settings, TOKEN)) as url,
        httpx2.AsyncClient(base_url=url.removesuffix("/mcp")) as visitor,
    ):
        yield visitor


async def make_picture(client: Client, prompt: str = "a fox") -> str:
    return str(answer(await client.call_tool("nano_banana_image", {"prompt": prompt}))["task_id"])


def visit(ledger: Ledger, storage: FolderStorage, links: SignedLinks | None = None) -> httpx2.AsyncClient:
    """Visit a page with this ledger in this process."""

    async def open_ledger() -> Ledger:
        return ledger

    page = LibraryPage(open_ledger, Path, lambda: storage, links=links).build("")
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(page), base_url="http://kie")


def put_link(place: Path, target: Path) -> None:
    target.write_bytes(b"a secret")
    place.unlink()
    place.symlink_to(target)


def plant_in_place(place: Path, plant: Callable[[Path], object]) -> None:
    place.unlink()
    plant(place)


async def ask(http: httpx2.AsyncClient, place: str, **query: str) -> Any:
    response = await http.get(f"/library/api/{place}", params=query, headers=WITH_TOKEN)
    assert response.status_code == 200, response.text
    return response.json()


async def list_files(http: httpx2.AsyncClient) -> list[dict[str, Any]]:
    return [file for item in (await ask(http, "items"))["items"] for file in item["files"]]


async def test_nobody_gets_data_without_the_token(http: httpx2.AsyncClient, client: Client) -> None:
    id_ = await make_picture(client, "a secret fox")
    for place in ("items", "batches", "months", f"tasks/{id_}", f"selection?tasks={id_}"):
        for headers in ({}, {"Authorization": "Bearer another"}, {"Cookie": f"token={TOKEN}"}):
            response = await http.get(f"/library/api/{place}", headers=headers)
            assert response.status_code == 401
            assert "fox" not in response.text


async def test_a_web_page_cannot_reach_the_library_through_a_name_of_its_own(http: httpx2.AsyncClient) -> None:
    for headers, code in (
        ({"Host": "evil.example"}, 421),
        ({"Host": "localhost.evil.example"}, 421),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8765"}, 200),
    ):
        for place in ("/library", "/library/api/items"):
            assert (await http.get(place, headers=WITH_TOKEN | headers)).status_code == code


async def test_only_the_page_itself_changes_something(http: httpx2.AsyncClient, client: Client) -> None:
    id_ = await make_picture(client)
    (file,) = await list_files(http)
    for place in (f"tasks/{id_}/marks", f"tasks/{id_}/trash", "uploads?name=a.png"):
        for headers, code in (
            (WITH_TOKEN, 403),
            (WITH_TOKEN | FROM_PAGE | {"Origin": "http://localhost:1"}, 403),
            (FROM_PAGE, 401),
            (WITH_TOKEN | FROM_PAGE | {"Origin": "https://evil.example"}, 403),
        ):
            response = await http.post(f"/library/api/{place}", json={"favourite": True}, headers=headers)
            assert response.status_code == code
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        for place in ("/library", "/library/api/items", f"/library/api/tasks/{id_}", "/library/api/selection"):
            assert (await http.request(method, place, headers=WITH_TOKEN | FROM_PAGE)).status_code == 405
    assert not (await ask(http, "items"))["items"][0]["favourite"]
    assert (await http.get(file["url"])).status_code == 200


async def change(http: httpx2.AsyncClient, place: str, **given: Any) -> httpx2.Response:
    return await http.post(f"/library/api/{place}", json=given, headers=WITH_TOKEN | FROM_PAGE)


async def test_favourites_and_tags_are_kept_and_found(http: httpx2.AsyncClient, client: Client) -> None:
    fox, owl = [await make_picture(client, prompt) for prompt in ("a fox", "an owl")]
    assert (
        await change(http, f"tasks/{fox}/marks", favourite=True, tags=["winter", " for the, film ", ""])
    ).json() == {
        "favourite": True,
        "trashed": False,
        "tags": ["for the film", "winter"],
    }
    await change(http, f"tasks/{owl}/marks", tags=["winter"])
    assert [each["id"] for each in (await ask(http, "items", only="favourite"))["items"]] == [fox]
    assert [each["id"] for each in (await ask(http, "items", tag="winter"))["items"]] == [owl, fox]
    assert (await ask(http, "items", tag="winter", only="favourite"))["items"][0]["tags"] == ["for the film", "winter"]
    assert (await ask(http, "page"))["tags"] == ["for the film", "winter"]
    await change(http, f"tasks/{fox}/marks", favourite=False)
    assert (await ask(http, "items", only="favourite"))["items"] == []
    assert (await ask(http, "page"))["tags"] == ["for the film", "winter"]


async def test_what_is_no_saved_file_never_goes_to_the_trash(
    http: httpx2.AsyncClient, client: Client, tmp_path: Path
) -> None:
    secret = tmp_path / "a secret"
    plants: list[Callable[[Path], object]] = [
        Path.mkdir,
        lambda path: path.symlink_to(secret),
        lambda path: path.write_bytes(b"a text"),
    ]
    secret.mkdir()
    for number, plant in enumerate(plants):
        made = answer(await client.call_tool("nano_banana_image", {"prompt": f"fox {number}"}))
        path = Path(made["media"][0]["path"])
        plant_in_place(path, plant)
        assert (await change(http, f"tasks/{made['task_id']}/trash")).status_code == 400
        assert path in list(path.parent.iterdir())


async def test_marks_that_make_no_sense_are_refused(http: httpx2.AsyncClient, client: Client) -> None:
    id_ = await make_picture(client)
    for given in (
        {"tags": "winter"},
        {"tags": [1]},
        {"tags": ["x" * 41]},
        {"tags": ["x"] * 21},
        {"tags": ["x" * 30_000]},
    ):
        assert (await change(http, f"tasks/{id_}/marks", **given)).status_code == 400
    assert (await change(http, "tasks/t_unknown/marks", favourite=True)).status_code == 400
    for body in (b"", b"[]", b"{", b"[" * 9000):
        refused = await http.post(f"/library/api/tasks/{id_}/marks", content=body, headers=WITH_TOKEN | FROM_PAGE)
        assert refused.status_code == 400


async def test_a_change_that_is_broken_off_leaves_no_error_in_the_log(
    settings: Settings, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    id_ = await make_picture(client)
    async with serve_app(build_local_page(settings, TOKEN)) as url:
        await break_off(url.removesuffix("/mcp") + f"/library/api/tasks/{id_}/marks", WITH_TOKEN | FROM_PAGE)
    assert not [each for each in caplog.records if each.exc_info]


async def test_a_dropped_file_gets_an_address_to_paste_and_costs_nothing(
    http: httpx2.AsyncClient, client: Client
) -> None:
    PIL.Image.new("RGB", (300, 300), "teal").save(picture := BytesIO(), "PNG")
    before = answer(await client.call_tool("get_credits", {}))["credits"]
    sent = await http.post(
        "/library/api/uploads?name=teal.png", content=picture.getvalue(), headers=WITH_TOKEN | FROM_PAGE
    )
    assert sent.status_code == 201
    assert sent.json()["resource"].startswith("kie://uploads/")
    assert answer(await client.call_tool("get_credits", {}))["credits"] == before
    refused = await http.post("/library/api/uploads", content=b"no media", headers=WITH_TOKEN | FROM_PAGE)
    assert refused.status_code == 400
    assert "error" in refused.json()


async def test_every_answer_forbids_scripts_from_elsewhere_and_frames(http: httpx2.AsyncClient, client: Client) -> None:
    await make_picture(client)
    (file,) = await list_files(http)
    page = await http.get("/library")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r"https?://|<style| style=|\bon\w+=|<script>", page.text)
    picture = await http.get(file["url"])
    assert "sandbox" in picture.headers["content-security-policy"]
    for response in (page, picture, await http.get("/library/api/items")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "no-referrer"
        assert response.headers["cross-origin-resource-policy"] == "same-origin"


async def test_the_page_finds_what_the_tool_finds(http: httpx2.AsyncClient, client: Client) -> None:
    for prompt in ("a red fox", "an owl"):
        await make_picture(client, prompt)
    found = await ask(http, "items", words="FOX", kind="image", min_credits="1")
    assert [item["prompt"] for item in found["items"]] == ["a red fox"]
    assert found["items"][0]["cost"] == "4 credits ($0.02)"
    assert (await ask(http, "items", kind="video"))["items"] == []
    refused = await http.get("/library/api/items", params={"after": "soon"}, headers=WITH_TOKEN)
    assert refused.status_code == 400
    assert "is no date" in refused.json()["error"]


@pytest.fixture
def in_honolulu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose day begins ten hours after that of UTC."""
    monkeypatch.setenv("TZ", "Pacific/Honolulu")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("in_honolulu")
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no tzset")
async def test_the_day_on_a_tile_is_the_day_that_the_filter_finds(ledger: Ledger, tmp_path: Path) -> None:
    evening = datetime(2027, 1, 15, 8, tzinfo=UTC).timestamp()
    await ledger.add(task("t_1", created=evening, state="succeeded", results=(Result("https://files.example/a"),)))

    async with visit(ledger, FolderStorage(tmp_path)) as http:
        (item,) = (await ask(http, "items"))["items"]
        assert (item["day"], item["when"]) == ("2027-01-14", "2027-01-15 08:00 UTC")
        assert (await ask(http, "items", after="2027-01-14", before="2027-01-15"))["items"]
        assert not (await ask(http, "items", after="2027-01-15"))["items"]


async def test_words_from_elsewhere_are_made_visible(http: httpx2.AsyncClient, client: Client) -> None:
    id_ = await make_picture(client, "a fox\u202e\u200b <b>")
    whole = await ask(http, f"tasks/{id_}")
    assert whole["prompt"] == whole["whole_prompt"] == "a fox <b>"
    assert "\\u202e" in whole["call"]


async def test_files_are_handed_out_whole_or_in_part_by_their_links(http: httpx2.AsyncClient, client: Client) -> None:
    await make_picture(client)
    (file,) = await list_files(http)
    whole = await http.get(file["url"])
    assert whole.headers["content-type"] == "image/jpeg"
    PIL.Image.open(BytesIO(whole.content)).verify()
    part = await http.get(file["url"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    head = await http.head(file["url"])
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(whole.content)))
    saved = await http.get(file["download"])
    assert saved.headers["content-disposition"].startswith("attachment;")
    assert saved.headers["content-type"] == "application/octet-stream"


async def test_a_link_that_was_not_signed_opens_nothing(http: httpx2.AsyncClient, client: Client) -> None:
    id_ = await make_picture(client)
    (file,) = await list_files(http)
    place, key = urlsplit(file["url"]).path, urlsplit(file["url"]).query
    forged = (
        place,
        f"{place}?key=",
        f"{place}?{key[:-1]}",
        f"{place}?{key}&download=1",
        f"{place}?{key}&{key}",
        f"/library/files/{id_}/2?{key}",
        f"/library/thumbnails/{id_}/1?{key}",
        f"/library/selected/kie-mcp.zip?tasks={id_}&{key}",
    )
    for each in forged:
        response = await http.get(each, headers=WITH_TOKEN)
        assert response.status_code == 403, each


async def test_no_path_leads_out_of_the_library(http: httpx2.AsyncClient) -> None:
    for place in (
        "/library/page.py",
        "/library/../../etc/passwd",
        "/library/%2e%2e/%2e%2e/etc/passwd",
        "/library/..%2fpage.py",
        "/library//etc/passwd",
        "/library/files/..%2f..%2fetc%2fpasswd/1",
        "/library/files/t_x/-1",
        "/library/api/tasks/..%2f..%2fetc",
        "/libraryx",
    ):
        response = await http.get(place, headers=WITH_TOKEN)
        assert response.status_code in (400, 403, 404), place
        assert "root:" not in response.text


async def test_another_file_in_the_place_of_a_result_is_not_handed_out(
    http: httpx2.AsyncClient, client: Client, tmp_path: Path
) -> None:
    id_ = await make_picture(client)
    (file,) = await list_files(http)
    path = Path((await ask(http, f"tasks/{id_}"))["paths"][0])
    put_link(path, tmp_path / "secret.jpg")
    selection = await ask(http, "selection", tasks=id_)
    assert (await http.get(file["url"])).status_code == 400
    assert (await http.get(file["thumbnail"])).status_code == 404
    assert (await http.get(selection["sheet"])).status_code == 404
    with ZipFile(BytesIO((await http.get(selection["zip"])).content)) as archive:
        assert archive.namelist() == [MISSING]


async def test_a_thumbnail_is_made_once_and_again_when_the_file_changes(
    http: httpx2.AsyncClient, client: Client, settings: Settings
) -> None:
    id_ = await make_picture(client)
    (file,) = await list_files(http)
    first = await http.get(file["thumbnail"])
    assert first.headers["content-type"] == "image/jpeg"
    (kept,) = (settings.state_dir / FOLDER).iterdir()
    assert kept.read_bytes() == first.content == (await http.get(file["thumbnail"])).content
    assert kept.stat().st_mode & 0o077 == 0
    path = Path((await ask(http, f"tasks/{id_}"))["paths"][0])
    PIL.Image.new("RGB", (20, 10), "red").save(path)
    changed = await http.get(file["thumbnail"])
    assert PIL.Image.open(BytesIO(changed.content)).size == (20, 10)


async def test_what_is_selected_becomes_a_sheet_a_zip_and_a_text(http: httpx2.AsyncClient, client: Client) -> None:
    ids = [await make_picture(client, prompt) for prompt in ("a fox", 'an "owl"\nat night')]
    selection = await ask(http, "selection", tasks=",".join(ids))
    assert selection["text"].splitlines()[1:] == [
        f'- task:{ids[0]}#1: image, nano-banana-2-1, "a fox"',
        f"- task:{ids[1]}#1: image, nano-banana-2-1, \"an 'owl' at night\"",
    ]
    sheet = await http.get(selection["sheet"])
    PIL.Image.open(BytesIO(sheet.content)).verify()
    with ZipFile(BytesIO((await http.get(selection["zip"])).content)) as archive:
        assert archive.testzip() is None
        assert [each.file_size > 1000 for each in archive.infolist()] == [True, True]
    refused = await http.get("/library/api/selection", params={"tasks": ""}, headers=WITH_TOKEN)
    assert refused.status_code == 400


async def test_a_zip_has_the_time_at_which_each_file_was_made_and_the_links_of_what_was_not_saved(
    tmp_path: Path,
) -> None:
    (folder := tmp_path / "made").mkdir()
    results = [Result(f"https://files.example/{name}") for name in "ab"]
    (folder / "c.txt").write_text("the sea", encoding="utf-8")
    results.append(Result("https://files.example/c", path=str(folder / "c.txt")))
    made = [task("t_1", results=tuple(results)), task("t_2", results=tuple(results[2:]), created=0.0)]
    with ZipFile(BytesIO(b"".join(write_archive(FolderStorage(folder), made, str)))) as archive:
        assert archive.read(MISSING).decode().splitlines() == [
            f"https://files.example/{name}: This result is not saved." for name in "ab"
        ]
        one, two = archive.infolist()[:-1]
    assert (one.filename, date(*one.date_time[:3])) == ("c.txt", to_local_day(NOW))
    # No ZIP file can store an earlier year.
    assert (two.filename, two.date_time[0]) == ("c-2.txt", 1980)


async def test_no_file_is_read_for_who_asks_only_about_a_zip(ledger: Ledger, tmp_path: Path) -> None:
    class Recorder(FolderStorage):
        def open(self, result: Result) -> IO[bytes]:
            read.append(result)
            return super().open(result)

    read, links = list[Result](), SignedLinks()
    await ledger.add(task("t_1", results=(Result("https://files.example/a"),)))

    async with visit(ledger, Recorder(tmp_path), links) as http:
        for ask_for, times in ((http.head, 0), (http.get, 1)):
            answered = await ask_for(links.sign("/library/selected/kie-mcp.zip", tasks="t_1"))
            assert (answered.headers["content-type"], len(read)) == ("application/zip", times)


async def test_a_task_tells_what_it_was_made_from_and_used_for(http: httpx2.AsyncClient, client: Client) -> None:
    fox = await make_picture(client)
    edit = answer(await client.call_tool("nano_banana_image", {"prompt": "at night", "images": [f"task:{fox}#1"]}))[
        "task_id"
    ]
    film = answer(await client.call_tool("nano_banana_image", {"prompt": "in snow", "images": [f"task:{edit}#1"]}))[
        "task_id"
    ]
    for id_, steps in ((fox, [0, 1, 2]), (edit, [-1, 0, 1]), (film, [-2, -1, 0])):
        lineage = (await ask(http, f"tasks/{id_}"))["lineage"]
        assert [lineage["steps"][each] for each in (fox, edit, film)] == steps
        assert sorted(lineage["edges"]) == sorted([[fox, edit], [edit, film]])
        assert {each["id"] for each in lineage["items"]} == {fox, edit, film}


async def test_a_batch_shows_its_items_and_a_month_its_costs(http: httpx2.AsyncClient, client: Client) -> None:
    given = {"model": "z-image", "prompts": ["a cat", "a dog"], "max_credits": 10}
    batch = answer(await client.call_tool("make_batch", given))["task_id"]
    await client.call_tool("get_task", {"task_ids": batch, "wait_seconds": 60})
    (told,) = (await ask(http, "batches"))["batches"]
    assert (told["id"], told["prompt"], told["progress"]) == (batch, "a cat · a dog", "2 of 2 are made.")
    assert [each["prompt"] for each in (await ask(http, "items", batch=batch))["items"]] == ["a cat", "a dog"]
    month, total = (await ask(http, "months"))["months"]
    assert (month["made"], total["made"], month["cost"]) == (2, 2, total["cost"])
    assert re.fullmatch(r"\d{4}-\d\d", month["month"])


async def test_over_http_the_library_is_behind_the_same_token_and_tells_no_path(
    settings: Settings, transport: httpx2.ASGITransport, clock: Clock
) -> None:
    remote = App(settings, local_files=False, transport=transport, clock=clock)
    async with (
        serve_app(build_http_app(remote, host="0.0.0.0", token=TOKEN)) as url,
        httpx2.AsyncClient(base_url=url.removesuffix("/mcp")) as stranger,
        httpx2.AsyncClient(base_url=url.removesuffix("/mcp"), headers=WITH_TOKEN) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        id_ = await make_picture(client)
        assert (await stranger.get("/library")).status_code == 200
        assert (await stranger.get("/library/api/items")).status_code == 401
        assert (await stranger.get(f"/library/files/{id_}/1")).status_code == 403
        whole = await ask(http, f"tasks/{id_}")
        assert str(settings.output_dir) not in str(whole)
        # The trash of the server's machine is nobody's there.
        assert (await http.post(f"/library/api/tasks/{id_}/trash", headers=FROM_PAGE)).status_code == 404
        assert (await http.post(f"/library/api/tasks/{id_}/marks", headers=FROM_PAGE, json={})).status_code == 200
        # A signed link needs no token, because a browser sends none for a picture.
        picture = await stranger.get(whole["files"][0]["url"])
        assert picture.headers["content-type"] == "image/jpeg"
        next(settings.output_dir.glob("*.jpg")).unlink()
        for name in ("url", "download"):
            gone = await stranger.get(whole["files"][0][name])
            assert (gone.status_code, gone.json()["next_step"]) == (400, "Use the link in get_task's answer.")
            assert str(settings.output_dir) not in gone.text
        selection = await ask(http, "selection", tasks=id_)
        with ZipFile(BytesIO((await stranger.get(selection["zip"])).content)) as archive:
            missing = archive.read(MISSING).decode()
        assert f"kie://tasks/{id_}/media/1 is no file, or not any more." in missing
        assert str(settings.output_dir) not in missing


async def test_a_ledger_that_cannot_be_used_is_told_in_words(
    http: httpx2.AsyncClient, client: Client, settings: Settings
) -> None:
    id_ = await make_picture(client)
    with closing(sqlite3.connect(settings.state_dir / FILE_NAME)) as database:
        database.execute("DROP TABLE marks")
    for response in (
        await http.get("/library/api/items", headers=WITH_TOKEN),
        await change(http, f"tasks/{id_}/marks", favourite=True),
    ):
        assert response.status_code == 503
        assert response.json()["error"].startswith("The ledger cannot be used")


@pytest.mark.parametrize("token", [TOKEN, ""], ids=["with a token", "without a token"])
async def test_replicas_with_one_token_open_each_others_links_for_two_days_at_most(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, client: Client, token: str
) -> None:
    id_ = await make_picture(client)

    def serve(token: str) -> AbstractAsyncContextManager[str]:
        app = App(settings, local_files=False, transport=transport, clock=clock)
        return serve_app(build_http_app(app, host="127.0.0.1", token=token))

    async with (
        serve(token) as one,
        serve(token) as two,
        serve("another-random-text") as stranger,
        httpx2.AsyncClient() as http,
    ):
        whole = await http.get(f"{one.removesuffix('/mcp')}/library/api/tasks/{id_}", headers=WITH_TOKEN)
        link = "/" + whole.json()["files"][0]["url"]
        codes = [(await http.get(each.removesuffix("/mcp") + link)).status_code for each in (one, two, stranger)]
        assert codes == [200, 200, 403]
        clock.now += 2 * DAY
        assert (await http.get(two.removesuffix("/mcp") + link)).status_code == 403
        later = re.sub(r"until=\d+", f"until={clock.now + DAY:.0f}", link)
        assert (await http.get(two.removesuffix("/mcp") + later)).status_code == 403


def test_a_signature_holds_for_one_path_and_one_query() -> None:
    links, others = SignedLinks(), SignedLinks()
    place, _, query = f"/{links.sign('/a', b='1', c='2')}".partition("?")
    assert links.is_signed(place, query)
    assert not others.is_signed(place, query)
    assert not links.is_signed("/b", query)
    assert not links.is_signed(place, query.replace("b=1", "b=2"))
    assert not links.is_signed(place, f"b=1&{query}")


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ("", None),
        ("bytes=0-", (0, 100)),
        ("bytes=10-19", (10, 20)),
        ("bytes=90-500", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-500", (0, 100)),
        ("bytes=100-", None),
        ("bytes=20-10", None),
        ("bytes=-", None),
        ("bytes=0-1,5-6", None),
        ("lines=0-1", None),
        ("bytes=-0", None),
    ],
)
def test_a_range_of_bytes_is_read(wanted: str, part: tuple[int, int] | None) -> None:
    assert find_range(wanted, 100) == part
