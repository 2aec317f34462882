"""One file, named in every way that people, editors and clients do: what is sent, and what is refused for nothing."""

import json
import re
import unicodedata
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any
from urllib.parse import quote, quote_plus

import httpx2
import pytest
from mcp import Client
from support.answers import answer, assert_refused, text, wait_for_end
from support.cases import for_each
from support.media_files import picture, sound

from kie_mcp.catalog.fields import Image, Limits
from kie_mcp.catalog.reference_spellings import read_reference, unwrap
from kie_mcp.errors import InvalidCall
from kie_mcp.media import formats
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.tasks.allowed_folders import AllowedFolders
from kie_mcp.tasks.base64_text import decode_base64_text
from kie_mcp.tasks.elsewhere import explain_elsewhere
from kie_mcp.tasks.media_inputs import decode_data_uri, prepare_url
from kie_mcp.tasks.share_pages import find_direct_url
from kie_mcp.tasks.stray_references import refuse_stray_references

pytestmark = pytest.mark.anyio

PICTURE = picture(64, 48)
BASE64 = b64encode(PICTURE).decode()
URL_SAFE = urlsafe_b64encode(PICTURE).decode()
MOST_IMAGES = 14
"""Images that one call of the tool takes."""
SCREENSHOT = "Screenshot 2026-11-28 at 9.41.00\u202fAM.png"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working and home folder, with one picture under many names."""
    for name in (
        *("fox.png", "My photo (1).png", SCREENSHOT, "Snímek\u00a01.png", "Ann’s “best”.png", "100%.png", "a–b.png"),
        *("Café.png", unicodedata.normalize("NFD", "Über.png"), "UPPER.PNG", "@2x.png", "写真 1.png", "no extension"),
        *("it's.png", "a#1?.png", "two  blanks.png", "back\\slash.png", "a, b.png", "final.png."),
        *("~x.png", "~nobody.png"),
    ):
        (tmp_path / name).write_bytes(PICTURE)
    deep = tmp_path / "Bilder\u00a02026"
    deep.mkdir()
    (deep / "fox.png").write_bytes(PICTURE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
async def browser(transport: httpx2.ASGITransport) -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(transport=transport) as browser:
        yield browser


async def edit(client: Client, *images: Any) -> Any:
    return await client.call_tool("nano_banana_image", {"prompt": "a hat on the fox", "images": list(images)})


async def find_sent(client: Client, sandbox: Sandbox, written: Sequence[Any]) -> list[str]:
    """Give images to the tool, as many in a call as it takes, and return the URLs that KIE got for them."""
    before = len(sandbox.accepted)
    for at in range(0, len(written), MOST_IMAGES):
        result = await edit(client, *written[at : at + MOST_IMAGES])
        assert not result.is_error, text(result)
        assert "note" not in answer(result), text(result)
    return [url for task in sandbox.accepted[before:] for url in task.body["input"]["image_input"]]


async def assert_picture_sent(
    client: Client, sandbox: Sandbox, browser: httpx2.AsyncClient, written: Mapping[str, Any]
) -> None:
    """Check that the picture arrives at KIE as it is in each of these named forms."""
    for name, url in zip(written, await find_sent(client, sandbox, [*written.values()]), strict=True):
        received = (await browser.get(url)).raise_for_status().content
        assert received == PICTURE, name
        assert formats.detect_mime_type(received) == "image/png", name


PATHS = [
    "fox.png",
    "./fox.png",
    "~/fox.png",
    "$HOME/fox.png",
    "${HOME}/fox.png",
    "{folder}/fox.png",
    "  {folder}/fox.png\n",
    "'{folder}/fox.png'",
    '"{folder}/fox.png"',
    "`{folder}/fox.png`",
    "<{folder}/fox.png>",
    "“{folder}/fox.png”",
    "„fox.png“",
    "«fox.png»",
    "(fox.png)",
    "@fox.png",
    "@{folder}/fox.png",
    '@"My photo (1).png"',
    "[fox]({folder}/fox.png)",
    "![](fox.png)",
    '![a fox](<{folder}/fox.png> "title")',
    "[my photo](<My photo (1).png>)",
    "[my photo](My%20photo%20(1).png)",
    "![[fox.png]]",
    "![[fox.png|300]]",
    "fox.png.",
    "fox.png,",
    "'fox.png'.",
    '"fox.png",',
    "My photo (1).png",
    "My\\ photo\\ \\(1\\).png",
    "'My photo (1).png'",
    "My%20photo%20%281%29.png",
    "My\u00a0photo\u202f(1).png",
    "my photo (1).PNG",
    "file:{folder}/fox.png",
    "file://{folder}/fox.png",
    "file://localhost{folder}/fox.png",
    "file://127.0.0.1{folder}/fox.png",
    "file://[::1]{folder}/fox.png",
    "FILE://{folder}/fox.png",
    "File://LOCALHOST{folder}/fox.png",
    "file://{folder}/My%20photo%20(1).png",
    "file://{folder}/My photo (1).png",
    "file:fox.png",
    "file://fox.png",
    "file://{quoted}/Caf%C3%A9.png",
    "<file://{folder}/My%20photo%20(1).png>",
    "Screenshot 2026-11-28 at 9.41.00 AM.png",
    "Screenshot 2026-11-28 at 9.41.00\u00a0AM.png",
    SCREENSHOT,
    "{folder}/Screenshot\\ 2026-11-28\\ at\\ 9.41.00\\ AM.png",
    "file://{folder}/Screenshot%202026-11-28%20at%209.41.00%20AM.png",
    "Snímek 1.png",
    'Ann\'s "best".png',
    "Ann\\'s\\ “best”.png",
    "a-b.png",
    "100%.png",
    "Cafe\u0301.png",
    "Über.png",
    "upper.png",
    "@2x.png",
    "写真 1.png",
    "写真\u30001.png",
    "no extension",
    "it's.png",
    "it’s.png",
    "a#1?.png",
    "two blanks.png",
    "back\\slash.png",
    "final.png.",
    "{folder}/Bilder 2026/fox.png",
    "{folder}/../{name}/Bilder 2026/Fox.png",
    "{folder}//fox.png",
    "~x.png",
    "./~x.png",
    "~/~x.png",
    "{folder}/~x.png",
    "'~nobody.png'",
]


async def test_a_path_is_found_however_it_is_written(
    client: Client, sandbox: Sandbox, browser: httpx2.AsyncClient, folder: Path
) -> None:
    filled = {"{folder}": str(folder), "{name}": folder.name, "{quoted}": quote(str(folder))}
    written = {path: re.sub(r"\{(folder|name|quoted)\}", lambda found: filled[found[0]], path) for path in PATHS}
    await assert_picture_sent(client, sandbox, browser, written)


INLINE = {
    "a data URI": f"data:image/png;base64,{BASE64}",
    "no prefix": BASE64,
    "no prefix and no padding": BASE64.rstrip("="),
    "no padding": f"data:image/png;base64,{BASE64.rstrip('=')}",
    "the URL alphabet": f"data:image/png;base64,{URL_SAFE.rstrip('=')}",
    "the URL alphabet without prefix": URL_SAFE,
    "a doubled prefix": f"data:image/png;base64,data:image/png;base64,{BASE64}",
    "a tripled prefix": f"data:image/png;base64,data:;base64,data:image/jpeg;base64,{BASE64}",
    "a prefix without base64": f"data:image/png,{BASE64}",
    "the wrong type": f"data:video/mp4;base64,{BASE64}",
    "a parameter": f"data:image/png;charset=utf-8;base64,{BASE64}",
    "no type": f"data:;base64,{BASE64}",
    "no data:": f"image/png;base64,{BASE64}",
    "base64 alone": f"base64,{BASE64}",
    "capitals": f"DATA:IMAGE/PNG;BASE64,{BASE64}",
    "lines": "data:image/png;base64," + "\n".join(wrap(BASE64, 76)),
    "lines of a mail": "\r\n".join(wrap(BASE64, 64)) + "\r\n",
    "escaped lines": "data:image/png;base64," + "\\n".join(wrap(BASE64, 76)),
    "escaped slashes": f"data:image\\/png;base64,{BASE64}".replace("/", "\\/").replace("\\\\/", "\\/"),
    "a blank behind the comma": f"data:image/png;base64, {BASE64}",
    "quotes": f'"data:image/png;base64,{BASE64}"',
    "backquotes": f"`{BASE64}`",
    "percent escapes": f"data:image/png;base64,{quote(BASE64, safe='')}",
    "percent escapes everywhere": quote(f"data:image/png;base64,{BASE64}", safe=""),
    "percent escapes of the content": f"data:image/png,{quote(PICTURE)}",
    "a form's blanks": f"data:image/png;base64,{BASE64}".replace("+", " "),
    "a Markdown picture": f"![fox](data:image/png;base64,{BASE64})",
    "an MCP block": {"type": "image", "data": BASE64, "mimeType": "image/png"},
    "an MCP block as text": json.dumps({"type": "image", "data": BASE64, "mimeType": "image/png"}),
    "an embedded resource": {"type": "resource", "resource": {"uri": "x://y", "blob": BASE64}},
    "OpenAI's block": {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{BASE64}"}},
    "OpenAI's newer block": {"type": "input_image", "image_url": f"data:image/png;base64,{BASE64}"},
    "Anthropic's block": {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": BASE64}},
    "Gemini's block": {"inlineData": {"mimeType": "image/png", "data": BASE64}},
    "a block with a path": {"path": "fox.png"},
    "a block with a path as text": '{"path": "fox.png"}',
    "a block with a file URL": {"type": "resource_link", "uri": "file:fox.png", "name": "fox"},
}


@pytest.mark.usefixtures("folder")
async def test_content_in_the_call_is_read_in_every_form(
    client: Client, sandbox: Sandbox, browser: httpx2.AsyncClient
) -> None:
    await assert_picture_sent(client, sandbox, browser, INLINE)


@pytest.mark.parametrize("argument", ["path", "url", "base64"])
async def test_upload_file_reads_content_in_every_form(
    client: Client, browser: httpx2.AsyncClient, argument: str
) -> None:
    for form, given in INLINE.items():
        if "path" in form or "file" in form:
            continue
        result = await client.call_tool("upload_file", {argument: given})
        assert not result.is_error, f"{form}: {text(result)}"
        assert (await browser.get(answer(result)["url"])).content == PICTURE


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("argument", ["path", "url"])
async def test_upload_file_reads_paths_in_every_form(
    client: Client, browser: httpx2.AsyncClient, argument: str
) -> None:
    for written in ("'fox.png'", "file:fox.png", "[a](fox.png)", {"path": "fox.png"}, "FOX.png"):
        result = await client.call_tool("upload_file", {argument: written})
        assert not result.is_error, f"{written}: {text(result)}"
        assert (await browser.get(answer(result)["url"])).content == PICTURE, written


@pytest.mark.usefixtures("folder")
async def test_several_names_in_one_text_are_several_files(client: Client, sandbox: Sandbox) -> None:
    for number, written in enumerate(
        (
            '"fox.png", "My photo (1).png"',
            "'fox.png', 'My photo (1).png'",
            "fox.png\nMy photo (1).png",
            '["fox.png", "My photo (1).png"]',
            [{"path": "fox.png"}, "file:My%20photo%20(1).png"],
        )
    ):
        result = await client.call_tool("nano_banana_image", {"prompt": "x", "images": written})
        assert not result.is_error, f"{written}: {text(result)}"
        assert len(sandbox.accepted[number].body["input"]["image_input"]) == 2, written


RESULTS = [
    "task:{id}#1",
    "task:{id}",
    "TASK:{id}#1",
    "task: {id} # 1",
    "{id}#1",
    "{id}",
    "'{id}#1'",
    "`task:{id}#1`",
    "kie://tasks/{id}/media/1",
    "KIE://tasks/{id}/media/1",
    "kie://tasks/{id}",
    "<kie://tasks/{id}/media/1>",
    "[the fox](kie://tasks/{id}/media/1)",
    '{{"resource": "kie://tasks/{id}/media/1"}}',
]


async def test_an_earlier_result_is_found_however_it_is_written(client: Client, sandbox: Sandbox) -> None:
    made = answer(await wait_for_end(client, await client.call_tool("nano_banana_image", {"prompt": "a fox"})))
    # The last one is the entry of the result in an answer.
    written = [*(each.format(id=made["task_id"]) for each in RESULTS), made["media"][0]]
    sent = await find_sent(client, sandbox, written)
    assert sent == [made["media"][0]["url"]] * len(written)


async def test_an_upload_is_found_however_it_is_written(client: Client, sandbox: Sandbox, folder: Path) -> None:
    upload = answer(await client.call_tool("upload_file", {"path": str(folder / "fox.png")}))
    ways = ("kie://uploads/{upload_id}", "{upload_id}", "KIE://Uploads/{upload_id}", "<{url}>")
    sent = await find_sent(client, sandbox, [way.format_map(upload) for way in ways])
    assert sent == [upload["url"]] * len(ways)


URLS = {
    "HTTPS://a.example/x.png": "https://a.example/x.png",
    "Http://a.example/x.png": "http://a.example/x.png",
    "  https://a.example/x.png \n": "https://a.example/x.png",
    "<https://a.example/x.png>": "https://a.example/x.png",
    '"https://a.example/x.png"': "https://a.example/x.png",
    "[x](https://a.example/x.png)": "https://a.example/x.png",
    '![x](https://a.example/x_(1).png "a title")': "https://a.example/x_(1).png",
    "https://a.example/x.png.": "https://a.example/x.png",
    "(https://a.example/x.png),": "https://a.example/x.png",
    "https://a.example/my photo.png": "https://a.example/my%20photo.png",
    "https://a.example/x.png?a=b c": "https://a.example/x.png?a=b%20c",
    "https://a.example/very-\n  long.png": "https://a.example/very-long.png",
    "https://a.example:8443/x.png?sig=a%2Bb": "https://a.example:8443/x.png?sig=a%2Bb",
    "https://8.8.8.8/x.png": "https://8.8.8.8/x.png",
    "https://[2606:4700::1111]/x.png": "https://[2606:4700::1111]/x.png",
    '{"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}': "https://a.example/x.png",
}


async def test_a_url_is_sent_in_its_plain_form(client: Client, sandbox: Sandbox) -> None:
    assert await find_sent(client, sandbox, [*URLS]) == [*URLS.values()]


@for_each(
    "written",
    [
        *("https://a.example/x.png\nKeep her face.", "https://a.example/x\nKeep her face.", "https://a.example/x\n~/b"),
        *("https://a.example/x.png, make it snow", "https://a.example/x.png\nsnow", "https://a.example/x\n/home/me/b"),
        "https://a.example/x?sig=1\n'/home/me/b'",
    ],
)
def test_words_or_paths_behind_a_url_are_not_sent_as_its_end(written: str) -> None:
    with pytest.raises(InvalidCall, match="is no web address") as caught:
        prepare_url(Image(written), Limits())
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("before", ["\u202a", "\ufeff", "\u200b\u200e", "'\u202a"])
def test_invisible_characters_around_a_path_or_url_are_ignored(folder: Path, before: str) -> None:
    written = f"{before}{folder}/fox.png\u202c" + "'" * before.count("'")
    with AllowedFolders([folder]).open(written) as content:
        assert content.file.read() == PICTURE
    assert Image(f"{before}https://a.example/x.png\u200b".replace("'", "")) == "https://a.example/x.png"


@pytest.mark.parametrize(
    "written", ["https:\\/\\/a.example\\/x.png", "https%3A%2F%2Fa.example%2Fx.png", "'HTTPS%3a//a.example/x.png'"]
)
def test_a_url_with_escaped_slashes_is_read(written: str) -> None:
    assert Image(written) == "https://a.example/x.png"
    assert explain_elsewhere(written) == ""


MARKUP = {
    **{
        f"https://a.example/x.png{rest}": "https://a.example/x.png"
        for rest in ('"', ">", "]", "}", "**", "\\", "。", "…")
    },
    "https://a.example/x.png！\u200b": "https://a.example/x.png",
    "https://a.ex\u200bample/x.png": "https://a.example/x.png",
    "https://a.example/می\u200cخواهم.png": "https://a.example/می\u200cخواهم.png",
    "**https://a.example/x.png**": "https://a.example/x.png",
    "[https://a.example/x.png]": "https://a.example/x.png",
    "<https://a.example/x.png|x.png>": "https://a.example/x.png",
    "[![fox](https://a.example/x.png)](https://a.example)": "https://a.example/x.png",
    "https://a.example/x.png?date=1&amp;sig=2&#38;a=3": "https://a.example/x.png?date=1&sig=2&a=3",
    "https://a.example/x?b[]=1&copy=2'": "https://a.example/x?b[]=1&copy=2'",
    "https://a.example/x?src=is{a/b}": "https://a.example/x?src=is{a/b}",
    "https://a.example/{3F25-89}/x.png": "https://a.example/{3F25-89}/x.png",
}


def test_markup_around_a_url_is_removed() -> None:
    assert {written: prepare_url(Image(written), Limits()) for written in MARKUP} == MARKUP


@for_each(
    "url",
    [
        *("https://a.example/{{image}}.jpg", "https://a.example/${name}.jpg", "https://a.example/<id>.png"),
        *("https://a.example/{width}x{height}.jpg", 'https://a"b/c'),
    ],
)
def test_a_url_with_a_placeholder_or_markup_in_it_is_refused(url: str) -> None:
    with pytest.raises(InvalidCall, match="which is in no URL") as caught:
        prepare_url(Image(url), Limits())
    assert "Fill in all placeholders" in caught.value.next_step


@pytest.mark.parametrize("port", [0, 99999])
def test_a_url_with_an_impossible_port_is_refused(port: int) -> None:
    with pytest.raises(InvalidCall, match="is no web address"):
        prepare_url(Image(f"https://a.example:{port}/x.png"), Limits())


@for_each(
    "host",
    [
        *("nas.fritz.box", "pc.mshome.net", "web.shop.svc", "192.0.0.9", "192.88.99.1"),
        *("[fec0::1]", "[64:ff9b:1::1]", "[::10.0.0.1]"),
    ],
)
def test_a_url_of_a_host_that_is_not_public_is_refused(host: str) -> None:
    with pytest.raises(InvalidCall, match="KIE cannot open http"):
        prepare_url(f"http://{host}/x.png", Limits())


FORGES = {
    "https://codeberg.org/o/r/src/branch/main/a%20b.png": "https://codeberg.org/o/r/raw/branch/main/a%20b.png",
    "http://git.a.example:3000/o/r/src/commit/5f0c/x.png?x=1": "http://git.a.example:3000/o/r/raw/commit/5f0c/x.png",
    "https://git.a.example/g/s/r/-/blob/main/x.png": "https://git.a.example/g/s/r/-/raw/main/x.png",
    "https://tmpfiles.org/123/fox.png": "https://tmpfiles.org/dl/123/fox.png",
    "https://tmpfiles.org/dl/123/fox.png": "https://tmpfiles.org/dl/123/fox.png",
    "https://i.imgur.com/aBc12.gifv": "https://i.imgur.com/aBc12.mp4",
}


def test_a_page_whose_address_ends_as_a_file_s_name_is_the_file_s_own_url() -> None:
    assert {page: find_direct_url(page, page) for page in FORGES} == FORGES


DRIVE = "https://drive.usercontent.google.com/download?export=download&confirm=t"
PAGES = {
    "https://drive.google.com/file/d/1aB_c-D/view?usp=sharing": DRIVE + "&id=1aB_c-D",
    "https://drive.google.com/open?id=1aB&usp=drive_fs": DRIVE + "&id=1aB",
    "https://drive.google.com/file/d/1aB/view?resourcekey=0-x_Y&usp=sharing": (DRIVE + "&id=1aB&resourcekey=0-x_Y"),
    "https://drive.google.com/open?resourcekey=0-xY&id=1aB": (DRIVE + "&id=1aB&resourcekey=0-xY"),
    "https://docs.google.com/uc?export=download&id=1aB": DRIVE + "&id=1aB",
    "https://drive.google.com/uc?id=1aB": DRIVE + "&id=1aB",
    "https://www.dropbox.com/scl/fi/a1/fox.png?rlkey=k1&st=s&dl=0": (
        "https://www.dropbox.com/scl/fi/a1/fox.png?rlkey=k1&st=s&dl=1"
    ),
    "https://www.dropbox.com/s/a1/fox.png": "https://www.dropbox.com/s/a1/fox.png?dl=1",
    "https://github.com/o/r/blob/main/docs/a%20fox.png?raw=true": ("https://github.com/o/r/raw/main/docs/a%20fox.png"),
    "https://github.com/o/r/blob/main/a%20b%23c.png": "https://github.com/o/r/raw/main/a%20b%23c.png",
    "https://github.com/o/r/blob/main/what%3F%2B%25.png": ("https://github.com/o/r/raw/main/what%3F%2B%25.png"),
    "https://github.com/o/r/blob/main/100%/ü.png": "https://github.com/o/r/raw/main/100%25/%C3%BC.png",
    "https://gitlab.com/g/r/-/blob/a%23b/c%3Fd.png?ref_type=heads": (
        "https://gitlab.com/g/r/-/raw/a%23b/c%3Fd.png?ref_type=heads"
    ),
    "https://bitbucket.org/o/r/src/main/a%23b.png": "https://bitbucket.org/o/r/raw/main/a%23b.png",
    "https://huggingface.co/o/r/blob/main/a%23b.png": "https://huggingface.co/o/r/resolve/main/a%23b.png",
    "https://commons.wikimedia.org/wiki/File%3AWhat%3F.jpg": (
        "https://commons.wikimedia.org/wiki/Special:FilePath/What%3F.jpg"
    ),
    "https://gitlab.com/g/s/r/-/blob/main/fox.png": "https://gitlab.com/g/s/r/-/raw/main/fox.png",
    "https://bitbucket.org/o/r/src/main/fox.png": "https://bitbucket.org/o/r/raw/main/fox.png",
    "https://huggingface.co/datasets/o/r/blob/main/fox.png": (
        "https://huggingface.co/datasets/o/r/resolve/main/fox.png"
    ),
    "https://commons.wikimedia.org/wiki/File:Red_fox_(1).jpg": (
        "https://commons.wikimedia.org/wiki/Special:FilePath/Red_fox_(1).jpg"
    ),
    "https://de.wikipedia.org/wiki/Datei:Fuchs.jpg": "https://de.wikipedia.org/wiki/Special:FilePath/Fuchs.jpg",
    "https://imgur.com/aBc12.png": "https://i.imgur.com/aBc12.png",
    "https://pixeldrain.com/u/aBc12": "https://pixeldrain.com/api/file/aBc12",
}


async def test_a_share_page_is_sent_as_the_file_s_own_url_and_the_answer_says_so(
    client: Client, sandbox: Sandbox
) -> None:
    for page, direct in PAGES.items():
        result = await edit(client, page)
        assert not result.is_error, text(result)
        assert sandbox.accepted[-1].body["input"]["image_input"] == [direct], page
        assert f"sent as {direct}, the file's own URL" in answer(result)["note"]
        uploaded = await client.call_tool("upload_file", {"url": page})
        assert f"taken from {direct}, the file's own URL" in text(uploaded)


OWN_URLS = [
    "https://i.imgur.com/aBc12.png",
    DRIVE + "&id=1aB",
    "https://raw.githubusercontent.com/o/r/main/fox.png",
    "https://dl.dropboxusercontent.com/s/a1/fox.png",
    "https://github.com/user-attachments/assets/5f0c",
    "https://github.com/o/r/raw/main/fox.png",
    "https://huggingface.co/o/r/resolve/main/fox.png",
    "https://lh3.googleusercontent.com/d/1aB",
    "https://cdn.discordapp.com/attachments/1/2/fox.png?ex=1",
    "https://pbs.twimg.com/media/aB?format=jpg",
    "https://i.redd.it/fox.png",
    "https://commons.wikimedia.org/wiki/Special:FilePath/Fox.jpg",
    "https://upload.wikimedia.org/wikipedia/commons/1/12/Fox.jpg",
    "https://images.unsplash.com/photo-1?w=800",
    "https://o-my.sharepoint.com/:i:/g/aB?e=1&download=1",
    "https://send.company.io/files/x.png",
    "https://send.a.example/download/x.png",
    "https://docs.google.com/drawings/d/1aB/export/png",
    "https://docs.google.com/presentation/d/1aB/export/png?pageid=p1",
    "https://gist.github.com/o/5f0c/raw/fox.png",
    "https://unsplash.com/photos/aB/download?force=true",
    "https://www.pexels.com/video/1/download/",
    "https://cdna.artstation.com/p/assets/images/fox.jpg",
    "https://cdn.dribbble.com/users/1/fox.png",
    "https://mir-s3-cdn-cf.behance.net/projects/404/fox.png",
    "https://files.slack.com/files-pri/T1-F1/fox.png?pub_secret=5f0c",
    "https://www.notion.so/image/https%3A%2F%2Fa.example%2Ffox.png?table=block",
    "https://file.notion.so/f/f/5f0c/fox.png?signature=1",
    "https://gyazo.com/5f0c/raw",
    "https://youtube.com.a.example/x.png",
    "https://www.notyoutube.com/x.png",
    "https://a.example/www.youtube.com/watch.png",
]


async def test_a_file_s_own_url_is_sent_as_it_is(client: Client, sandbox: Sandbox) -> None:
    assert await find_sent(client, sandbox, OWN_URLS) == OWN_URLS


@for_each(
    "url",
    [
        "https://player.vimeo.com/external/1.hd.mp4?s=5f0c",
        "https://player.vimeo.com/progressive_redirect/playback/1/rendition/720p/file.mp4?loc=external",
        "https://pixabay.com/videos/download/fox-1_large.mp4",
        "https://v.redd.it/aB/DASH_720.mp4",
        "https://cdn.loom.com/sessions/thumbnails/5f0c.gif",
        "https://cdn-cf-east.streamable.com/video/mp4/aB.mp4?Signature=1",
        "https://a.example/acme/site/src/branch/hero.png",
        "https://a.example/x?u=o/r/src/branch/main/x.png",
        "https://a.example/x/y?u=https://git.a.example/o/r/-/blob/main/x.png",
        "https://raw.githubusercontent.com/o/r/src/branch/main/x.png",
    ],
)
def test_a_file_s_own_url_that_resembles_a_page_is_kept(url: str) -> None:
    assert find_direct_url(url, url) == url


@pytest.mark.parametrize("page", ["gifs/fox-snow-2rj8VysAig8QE", "embed/2rj8VysAig8QE?a=1", "stickers/2rj8VysAig8QE/"])
def test_a_page_of_giphy_is_its_gif(page: str) -> None:
    own = "https://media.giphy.com/media/2rj8VysAig8QE/giphy.gif"
    assert find_direct_url(f"https://giphy.com/{page}", page) == own


async def assert_nothing_sent(client: Client, sandbox: Sandbox, written: Any, said: str) -> None:
    for result in (
        await edit(client, "https://a.example/first.png", written),
        await client.call_tool("upload_file", {"path": written}),
    ):
        assert re.search(said, text(result)), f"{written}: {text(result)}"
        assert_refused(result, sandbox)
        assert len(text(result)) < 600
    assert not list(sandbox._files._uploads.glob("*")), written


PRIVATE_URLS = [
    "http://localhost/x.png",
    "http://localhost:3000/x.png",
    "http://LOCALHOST./x.png",
    "http://app.localhost/x.png",
    "http://127.0.0.1:8188/view?filename=x.png",
    "http://127.1/x.png",
    "http://2130706433/x.png",
    "http://0x7f000001/x.png",
    "http://0177.0.0.1/x.png",
    "http://0/x.png",
    "http://0.0.0.0:7860/file=x.png",
    "http://[::1]/x.png",
    "http://[::]/x.png",
    "http://[::ffff:192.168.2.3]/x.png",
    "http://[fd00::1]/x.png",
    "http://[fe80::1]/x.png",
    "http://[64:ff9b::a00:1]/x.png",
    "http://10.0.0.1/x.png",
    "http://172.16.0.9/x.png",
    "http://192.168.2.3:8188/view?filename=x.png",
    "http://169.254.169.254/latest/meta-data/",
    "http://100.64.1.1/x.png",
    "http://198.18.0.1/x.png",
    "http://224.0.0.1/x.png",
    "http://255.255.255.255/x.png",
    "http://host.docker.internal:3000/x.png",
    "http://metadata.google.internal/x.png",
    "http://nas/x.png",
    "http://comfyui:8188/x.png",
    "http://printer.local/x.png",
    "http://box.lan/x.png",
    "http://fritz.box.home.arpa/x.png",
    "http://site.test/x.png",
    "http://192-168-1-5.nip.io/x.png",
    "http://１２７.0.0.1/x.png",
    "http://%6cocalhost/x.png",
]


async def test_a_url_of_this_machine_or_network_is_refused(client: Client, sandbox: Sandbox) -> None:
    for url in PRIVATE_URLS:
        await assert_nothing_sent(client, sandbox, url, r"KIE cannot open http.* Give the file's path instead")


@pytest.mark.parametrize("url", ["https://ann:secret@a.example/x.png", "https://secret@a.example/x.png"])
async def test_a_password_in_a_url_is_neither_sent_nor_repeated(client: Client, sandbox: Sandbox, url: str) -> None:
    await assert_nothing_sent(client, sandbox, url, r"https://…@a\.example/x\.png: it has a user name or password")
    assert "secret" not in text(await edit(client, url))


PAGES_OF_NO_FILE = [
    "https://drive.google.com/file/u/0/d/1aB/edit",
    "https://www.youtube.com/watch?v=aB",
    "https://youtu.be/aB?t=1",
    "https://m.youtube.com/shorts/aB",
    "https://music.youtube.com/watch?v=aB",
    "https://vimeo.com/123",
    "https://www.tiktok.com/@ann/video/1",
    "https://vm.tiktok.com/aB",
    "https://www.instagram.com/reel/aB/",
    "https://x.com/ann/status/1",
    "https://twitter.com/ann/status/1",
    "https://www.facebook.com/watch?v=1",
    "https://www.reddit.com/r/foxes/comments/1",
    "https://www.twitch.tv/videos/1",
    "https://open.spotify.com/track/1",
    "https://soundcloud.com/ann/song",
    "https://drive.google.com/drive/folders/1aB",
    "https://docs.google.com/document/d/1aB/edit",
    "https://photos.app.goo.gl/aB",
    "https://photos.google.com/share/aB",
    "https://www.dropbox.com/scl/fo/a1/aB?rlkey=k",
    "https://1drv.ms/i/s!aB",
    "https://onedrive.live.com/?id=1",
    "https://contoso-my.sharepoint.com/:i:/g/personal/aB",
    "https://www.icloud.com/iclouddrive/aB",
    "https://share.icloud.com/photos/aB",
    "https://we.tl/t-aB",
    "https://wetransfer.com/downloads/aB",
    "https://imgur.com/a/aB",
    "https://imgur.com/aBc12",
    "https://unsplash.com/photos/aB",
    "https://pin.it/aB",
    "https://www.pinterest.de/pin/1",
    "https://t.me/foxes/1",
    "https://chatgpt.com/share/aB",
    "https://suno.com/song/aB",
    "https://github.com/o/r/tree/main/docs",
    "https://gist.github.com/o/5f0c",
    "https://send.vis.ee/download/5f0c5f0c5f0c/",
    "https://player.vimeo.com/video/1",
    "https://clips.twitch.tv/aB",
    "https://v.redd.it/aB",
    "https://ann.artstation.com/projects/aB",
    "https://www.behance.net/gallery/1/fox",
    "https://ann.notion.site/fox-5f0c",
    "https://team.slack.com/files/U1/F1/fox.png",
    "https://files.slack.com/files-pri/T1-F1/fox.png",
    "https://gyazo.com/5f0c",
]


async def test_a_page_is_refused_with_what_to_do(client: Client, sandbox: Sandbox) -> None:
    for url in PAGES_OF_NO_FILE:
        await assert_nothing_sent(client, sandbox, url, r"is a (page|folder).* Download the file and give its path")


ELSEWHERE = {
    "/mnt/user-data/uploads/IMG_1.jpg": "container of the chat",
    "`/mnt/user-data/uploads/IMG 1.jpg`": "container of the chat",
    "/mnt/data/fox.png": "container of the chat",
    "sandbox:/mnt/data/fox.png": "container of the chat",
    "[fox](sandbox:/mnt/data/fox.png)": "container of the chat",
    "file-8Vn3kQ2bXfQ6dS9Zw1aTgYpL": "inside a chat",
    "file:///mnt/data/fox.png": "container of the chat",
    "attachment://fox.png": "inside a chat",
    "attachment:0": "inside a chat",
    "[Image #1]": "inside a chat",
    "image 1": "inside a chat",
    "cid:ii_18c": "inside a chat",
    "/api/v1/files/5f0c/content": "inside a chat",
    "blob:https://chat.example/5f0c": "browser's tab",
    "content://media/external/images/media/31": "on a phone",
    "ph://5F0C-1/L0/001": "on a phone",
    "/storage/emulated/0/DCIM/Camera/IMG_1.jpg": "on a phone",
    "s3://bucket/fox.png": "cloud store",
    "gs://bucket/fox.png": "cloud store",
    "ftp://a.example/fox.png": "only http and https",
    "smb://nas/fox.png": "only http and https",
    "C:\\Users\\ann\\fox.png": "Windows computer",
    "C:/Users/ann/fox.png": "Windows computer",
    "file:///C:/Users/ann/fox.png": "Windows computer",
    "/content/drive/fox.png": "notebook",
    "/Volumes-of-nobody/ann/Desktop/fox.png": "path of another one",
    "foo://x/fox.png": "opens foo: addresses",
    "www.a.example/fox.png": "write",
}


@pytest.mark.usefixtures("folder")
async def test_an_address_of_another_place_is_refused_with_how_to_bring_the_file(
    client: Client, sandbox: Sandbox
) -> None:
    for written, place in ELSEWHERE.items():
        said = f"There is no file .*{place}.*(saved to Downloads|https:// before it)"
        await assert_nothing_sent(client, sandbox, written, said)


CUT = [
    (f"data:image/png;base64,{BASE64[:-40]}", "breaks off.* Hosts cut long arguments"),
    (f"data:image/png;base64,{BASE64[: len(BASE64) // 4 * 2 + 1]}", "breaks off|ends inside a character"),
    (BASE64[:81], "ends inside a character after 81 characters: it was cut"),
    (f"data:image/png;base64,{BASE64[:60]}...", r"shortened: after 60 characters it has '\.\.\.'"),
    (f"data:image/png;base64,{BASE64[:60]}[truncated]", "shortened: after 60 characters"),
    (f"data:image/png;base64,{BASE64[:60]}…", "shortened"),
    ("data:image/png;base64,<base64 of the image>", "shortened: after 0 characters"),
    ("data:image/png;base64,@@@@", "is not base64: character 1 is '@'"),
    ("data:image/png;base64", "has no comma"),
    (b64encode(sound(1)).decode(), "is a sound; this field takes a picture|breaks off"),
]
"""Content that does not arrive whole, and what is said of it."""


async def test_content_that_was_cut_or_shortened_is_told(client: Client, sandbox: Sandbox) -> None:
    for written, said in CUT:
        result = await edit(client, written)
        assert re.search(said, text(result)), f"{written}: {text(result)}"
        assert_refused(result, sandbox)
        assert not list(sandbox._files._uploads.glob("*")), written


PLUSES = ((), (3,), (152,), (75, 76), (3, 20, 71), (1, 2, 76, 227), (303, 304, 350))
"""Places of plus signs in base64 text, also at the beginnings and ends of its lines."""


WHOLE_BASE64 = {
    "a semicolon for the comma": f"data:image/png;base64;{BASE64}",
    "a byte-order mark": f"\ufeff{BASE64}",
    "a zero-width space behind the comma": f"data:image/png;base64,\u200b{BASE64}",
    "a zero-width space in it": f"data:image/png;base64,{BASE64[:50]}\u200b{BASE64[50:]}",
    "CSS": f"url(data:image/png;base64,{BASE64})",
    "CSS with quotes": f"url('data:image/png;base64,{BASE64}');",
    "HTML": f'<img alt="a fox" src="data:image/png;base64,{BASE64}" />',
    "HTML without quotes": f"<img src=data:image/png;base64,{BASE64}>",
}


def test_whole_base64_is_read_with_markup_or_invisible_characters() -> None:
    for form, written in WHOLE_BASE64.items():
        assert decode_data_uri(Image(written)).file.read() == PICTURE, form


@for_each("written", ['<img src="{}">', "<video controls src='{}'></video>", "url({})", "<img src={} alt=x>"])
def test_the_target_of_markup_is_the_file(written: str) -> None:
    assert Image(written.format("https://a.example/x.png")) == "https://a.example/x.png"
    assert list(unwrap(written.format("in/x.png")))[-1] == "in/x.png"


@for_each("places", PLUSES)
def test_plus_signs_that_a_form_took_away_are_put_back(places: tuple[int, ...]) -> None:
    for length in (300, 299, 298, 280):
        content = b64decode("".join("+" if at in places else "A" for at in range(400)))[:length]
        written = b64encode(content).decode()
        lines = [written[at : at + 76] for at in range(0, len(written), 76)]
        for each in (written, "\n".join(lines), "\r\n".join(lines)):
            assert decode_base64_text(each.replace("+", " ")) == content
            assert decode_base64_text(each) == content
        for blank in (" ", "  ", " \n", "\n    "):
            assert decode_base64_text(blank.join(lines)) == content


async def test_whole_content_is_never_called_cut(client: Client) -> None:
    """Contents of every length from 0 to 2 characters of padding, in both alphabets."""
    for width in range(20, 32):
        for encode in (b64encode, urlsafe_b64encode):
            result = await client.call_tool("upload_file", {"base64": encode(picture(width)).decode().rstrip("=")})
            assert not result.is_error, text(result)


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("IMG_1234.jpg", ["IMG_1234.HEIC"]),
        ("img_1234.png", ["IMG_1234.HEIC"]),
        ("IMG_1243.HEIC", ["IMG_1234.HEIC"]),
        ("{folder}/in/sunset", ["sunset.jpg", "sunset.mov"]),
        ("sunset.png", ["sunset.jpg", "sunset.mov"]),
        ("{folder}/in/holyday-beach.png", ["holiday-beach.png"]),
    ],
)
async def test_a_near_miss_names_the_files_that_are_there(
    client: Client, sandbox: Sandbox, folder: Path, written: str, names: list[str]
) -> None:
    (folder / "in").mkdir()
    for name in ("IMG_1234.HEIC", "in/sunset.jpg", "in/sunset.mov", "in/holiday-beach.png", "sunset.jpg", "sunset.mov"):
        (folder / name).write_bytes(PICTURE)
    result = await edit(client, written.replace("{folder}", str(folder)))
    assert_refused(result, sandbox)
    assert "There is no file" in text(result)
    place = folder / "in" if "/in/" in written else folder
    assert f"Similar: {', '.join(str(place / name) for name in names)}." in text(result)


async def test_a_name_that_fits_several_files_is_refused_with_all(
    client: Client, sandbox: Sandbox, folder: Path
) -> None:
    (folder / "Fox 1.png").write_bytes(PICTURE)
    (folder / "fox\u00a01.png").write_bytes(picture(10))
    result = await edit(client, "FOX 1.png")
    assert sandbox.accepted == []
    assert "FOX 1.png fits several files." in text(result)
    assert "Give one of them: " in text(result)
    assert all(str(folder / name) in text(result) for name in ("Fox 1.png", "fox 1.png"))
    for name in ("Fox 1.png", "fox 1.png"):
        assert not (await edit(client, name)).is_error


def test_nobody_learns_of_files_outside_the_allowed_folders(tmp_path: Path) -> None:
    inside, outside = tmp_path / "Inside", tmp_path / "Outside"
    for folder in (inside, outside):
        folder.mkdir()
        (folder / "My Photo.png").write_bytes(PICTURE)
    folders = AllowedFolders([inside])
    with folders.open(f"{tmp_path}/inside/my photo.png") as content:
        assert content.file.read() == PICTURE
    for written in (
        "outside/my photo.png",
        "Outside/my photo.png",
        "Outside/My Photo.jpg",
        "Inside/../Outside/my photo",
        "Outside/My Photo.png",
        "Inside/../Outside/My Photo.png",
    ):
        with pytest.raises(InvalidCall) as caught, folders.open(f"{tmp_path}/{written}"):
            pass
        assert "lies outside the folders" in caught.value.message
        assert "Photo" not in caught.value.next_step
        # A full path is refused whether there is a file or not; a relative one says nothing of other folders.
        refuse_stray_references({"note": written}, folders)


@for_each(
    "written",
    [
        *("'{folder}/fox.png'", "file:{folder}/fox.png", "FILE://localhost{folder}/fox.png", "[x]({folder}/fox.png)"),
        *("@{folder}/fox.png", "{folder}/My\\ photo\\ (1).png", "{folder}/My%20photo%20(1).png", "{folder}/FOX.png"),
        *("Screenshot 2026-11-28 at 9.41.00 AM.png", "`fox.png`", "fox.png, 'a–b.png'", "t_ab12cd#1", "TASK:t_ab12"),
        *("kie://tasks/t_ab12/media/1", "![](kie://uploads/u_ab12)", '["{folder}/fox.png"]', "fox.png.", "a-b.png"),
    ],
)
def test_a_path_in_a_field_for_words_is_noticed_in_every_form(folder: Path, written: str) -> None:
    with pytest.raises(InvalidCall, match="is known only on this machine"):
        refuse_stray_references({"note": written.replace("{folder}", str(folder))}, AllowedFolders([folder]))


@pytest.mark.parametrize("written", ["t_lomapshevi", "task:t_lomapshevi", "t_lomapshevi#1", "`t_lomapshevi`"])
def test_a_task_of_this_server_is_no_id_of_kies(written: str) -> None:
    for fields in ({"character_id_list": [written]}, {"input": {"voiceId": written}}, {"parts": [{"ids": written}]}):
        with pytest.raises(InvalidCall, match="names a task of this server") as caught:
            refuse_stray_references(fields, AllowedFolders())
        assert "KIE's id, such as the one that the text of the task shows" in caught.value.next_step
    refuse_stray_references({"title": "t_lomapshevi", "voice_id": "t_5", "task_ids": ["5f0c"]}, AllowedFolders())


@for_each(
    "written",
    [
        *(
            "~/nobody/a.jpg",
            "C:\\nobody\\a b.png",
            "\\\\nas\\share\\a.png",
            "/mnt/user-data/uploads/a 1.jpg",
            "/x/a.mp4",
        ),
        *("/home/nobody/lora.safetensors", "'/Users/nobody/a.pdf'", "file:a.png", "$HOME/a.png", "~/a.png, ~/b.png"),
        *("%USERPROFILE%\\a.png", "data:image/png;base64,iVBORw0KGgo=", "data:application/pdf;base64,\nAAAA"),
        *(
            "http://localhost:3000/a.png",
            "http://192.168.1.5/a.png",
            "<http://nas/a>",
            "https://a.example/x.png,/x/a.png",
        ),
    ],
)
def test_what_only_this_machine_could_open_is_no_word(tmp_path: Path, written: str) -> None:
    """KIE would get it as it is, in a field whose name does not suggest a file."""
    for folders in (AllowedFolders([tmp_path]), AllowedFolders()):
        with pytest.raises(InvalidCall, match="is known only on this machine"):
            refuse_stray_references({"input": {"subject": [written]}}, folders)


def test_a_url_of_the_sandbox_on_this_machine_is_no_stray_reference() -> None:
    own = "http://127.0.0.1:8900"
    refuse_stray_references({"link": f"{own}/files/a.png"}, AllowedFolders(), (own,))


@pytest.mark.usefixtures("folder")
@for_each(
    "words",
    [
        *("a fox in the snow", "use fox.png as the first frame", "see [the page](https://a.example)", "@ann says hi."),
        *("fox", "'quoted words'", "task: draw a fox", "(a fox)", "What? (really)", "no file.png there"),
        *(
            "/imagine a fox, style.raw",
            "~ a fox ~",
            "C: a minor, D: it ends.",
            "data: a fox",
            "file: a red fox",
            "http://[",
        ),
        *(
            "https://a.example/x.png",
            "https://a.example/x.png, https://a.example/y.png",
            "/r/foxes",
            "home/a.png",
            "a fox at /home/nobody/a.png",
        ),
    ],
)
def test_words_are_no_files(folder: Path, words: str) -> None:
    refuse_stray_references({"prompt": words}, AllowedFolders([folder]))


@for_each(
    "around",
    [
        "[a]({})",
        "![a]( {}",
        "({}",
        "[[{}",
        "data:{}",
        "task:{}",
        "https://a.example/{}",
        "https://a.example/{}x",
        "<img {}",
        "url({}",
        "<img src={}",
    ],
)
def test_a_very_long_text_is_read_at_once(around: str) -> None:
    """Regular expressions that try every way to match would take minutes."""
    for inner in (" " * 200_000, '" ' * 100_000, "](" * 100_000, "/blob" * 40_000, "." * 200_000):
        assert read_reference(around.format(inner)) is not None


@pytest.mark.parametrize("between", ["", "\n", '"', " '"])
def test_many_prefixes_of_a_data_uri_are_read_at_once(between: str) -> None:
    """A copy of the rest for each prefix would take a minute."""
    prefix = "data:image/png;base64,"
    assert read_reference(f"{prefix}{between}" * 200_000 + f"{prefix}{BASE64}") == f"{prefix}{BASE64}"


@for_each("text_given", ["a.png", "My photo.png", "'a.png'", "https://a.example/x.png", "task:t_ab#1"])
def test_what_is_read_once_stays_the_same_when_it_is_read_again(text_given: str) -> None:
    once = Image(text_given)
    assert Image(once) == once
    assert Image(quote_plus("a b")) == "a+b"
