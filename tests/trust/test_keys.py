"""A KIE that repeats the key in all that it says: nobody sees it, and nothing keeps it."""

import html
import json
import logging
import tracemalloc
from base64 import b64encode
from html.entities import html5
from pathlib import Path
from textwrap import fill
from urllib.parse import quote

import httpx2
import pytest
from mcp import Client
from support.answers import answer
from support.clock import JumpingClock
from support.echoing_kie import EchoingKie
from support.effort import Effort
from support.media_files import picture
from support.new_model import NEW, SCHEMA

from kie_mcp.config import Settings
from kie_mcp.kie.key_filter import make_key_filter
from kie_mcp.sandbox.app import Sandbox
from kie_mcp.sandbox.requests import MEDIA_ORIGIN
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server

pytestmark = pytest.mark.anyio

KEY = "9f86d081884c7d659a2feaa0c55ad015"
MIXED_KEY = "aB+/=~?9._-xyzXYZ"
"""A key with characters that URLs and base64 write in other ways."""


NAMES = {character: name for name, character in html5.items() if name.endswith(";") and character.isascii()}
UNSEEN = ("\n", "\r\n  ", "\\n", "%0D%0A", "\xad", "\u200b", "%E2%80%8B", "&shy;", "\\u2060", "\ufeff", "\0")
"""What may be between two characters without anybody seeing it, and line ends."""


def escape(text: str) -> str:
    """Write each character of a text as JSON may write it."""
    return "".join(f"\\u{ord(each):04x}" for each in text)


def spellings(key: str) -> dict[str, str]:
    """Return the ways in which a key may be written."""
    return {
        "plain": key,
        "header": f"Authorization: Bearer {key}",
        "capitals": key.upper(),
        "URL": quote(key, safe=""),
        "all of a URL": "".join(f"%{ord(each):02X}" for each in key),
        "URL in a URL": quote(quote("".join(f"%{ord(each):02x}" for each in key), safe=""), safe=""),
        "full width": "".join(chr(ord(each) + 0xFEE0) for each in key),
        "programming languages": "".join(f"\\x{ord(each):02x}" for each in key),
        "code points": "".join(f"\\u{{{ord(each):x}}}" for each in key),
        "32 bits": "".join(f"\\U{ord(each):08x}" for each in key),
        "URL, old": "".join(f"%u{ord(each):04x}" for each in key),
        "JSON in a URL": quote(escape(key), safe=""),
        "HTML in a URL": quote("".join(f"&#{ord(each)};" for each in key), safe=""),
        "HTML in HTML": html.escape("".join(f"&#{ord(each)};" for each in key)),
        "HTML, with zeros": "".join(f"&#{ord(each):04d};" for each in key),
        "HTML, hexadecimal, with zeros": "".join(f"&#x{ord(each):08X};" for each in key),
        "HTML, names": "".join(f"&{NAMES[each]}" if each in NAMES else each for each in key),
        **{f"with {unseen!a}": unseen.join(key) for unseen in UNSEEN},
        "HTML": "".join(f"&#{ord(each)};" for each in key),
        "HTML, hexadecimal": "".join(f"&#x{ord(each):X};" for each in key),
        "HTML, escaped": html.escape(key),
        "hexadecimal": key.encode().hex(),
        **{
            f"base64 after {before!r}": b64encode(f"{before}{key} and more".encode()).decode()
            for before in ("", "B", "Be", "Bearer ")
        },
        **{
            f"base64 in lines after {before!r}": fill(b64encode(f"{before}{key} and more".encode()).decode(), 10)
            for before in ("", "B", "Be", "Bearer ")
        },
        "base64 in lines in JSON": json.dumps(fill(b64encode(key.encode()).decode(), 10))[1:-1],
        "base64 in lines of a message": fill(b64encode(key.encode()).decode(), 10).replace("\n", "\r\n  "),
        **{
            f"base64 after {before!r} in base64 after {outer!r}": b64encode(
                outer.encode() + b64encode(f"{before}{key} or".encode())
            ).decode()
            for before in ("", "B", "Be")
            for outer in ("", "B", "Be")
        },
        **{
            f"base64 of {encoding} after {before!r}": b64encode(before + f"{key} or".encode(encoding)).decode()
            for before in (b"", b"B", b"Be")
            for encoding in ("utf-16-le", "utf-16-be")
        },
        **{f"hexadecimal {encoding}": key.encode(encoding).hex() for encoding in ("utf-16-le", "utf-16-be")},
        "UTF-16": key.encode("utf-16").decode("latin-1"),
        "UTF-16 in a URL": quote(key.encode("utf-16")),
        "base64 of capitals": b64encode(key.upper().encode()).decode(),
        "base64 in a URL": quote(b64encode(key.encode()).decode(), safe=""),
    }


SPELLINGS = spellings(KEY)


@pytest.mark.parametrize("key", [KEY, MIXED_KEY, "/" * 8 + "ab"])
@pytest.mark.parametrize("around", ["{}", "word{}word", "https://x.y/?k={}&z=1", "\\{}", "%{}", '"{}"', "{}{}"])
def test_the_filter_knows_each_spelling(key: str, around: str) -> None:
    hide = make_key_filter(key)
    for name, written in spellings(key).items():
        shown = hide(around.format(written, written))
        # Of base64, a character may stay at either end, which depends on the text around as well.
        longest = max(len(part) for part in shown.replace("[key]", "\n").split("\n"))
        assert "[key]" in shown, name
        assert written not in shown, name
        assert longest < len(around) + 24, name
    assert "[key]" in hide(around.format(escape(key), ""))


@pytest.mark.parametrize("text", ["", "a text", KEY[1:], KEY[:-1], f"{KEY[:16]} {KEY[16:]}", "\\u0039f86", "sandbox"])
def test_the_filter_leaves_other_texts_alone(text: str) -> None:
    assert make_key_filter(KEY)(text) == text
    assert make_key_filter("sandbox")(text) == text


LONG_TEXTS = [
    *("\\" * 200_000, "%25" * 60_000, KEY[:-1] * 6_000, "9" * 200_000, "&#" * 100_000, "\n" * 200_000),
    *(f"%{'25' * 100_000}", f"&{'amp;' * 50_000}", f"&#{'0' * 200_000}", "9\n" * 100_000, "\\u{" * 60_000),
]
"""Texts for which the filter would take minutes if its time grew with the square of their length."""


@pytest.mark.parametrize("text", LONG_TEXTS, ids=lambda text: text[:5])
def test_the_filter_takes_no_text_long(text: str) -> None:
    assert make_key_filter(KEY)(text) == text


def test_a_key_in_a_long_text_takes_little_memory_to_find() -> None:
    tracemalloc.start()
    text = escape(KEY) + "a" * 1_000_000
    assert make_key_filter(KEY)(text) == "[key]" + "a" * 1_000_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30_000_000


def read_files(folder: Path) -> dict[Path, bytes]:
    """Return the content of all files below a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def call_everything(client: Client, sandbox: Sandbox, picture_file: Path) -> list[str]:
    """Call tools so that KIE gives answers of all kinds; return what the client was shown."""
    shown = []

    async def call(tool: str, **arguments: object) -> dict[str, object]:
        result = await client.call_tool(tool, arguments)
        shown.append(result.model_dump_json())
        return answer(result)

    await call("find_models", query="pictures")
    await call("describe_model", model=NEW)
    await call("describe_model", model="nano-banana-2-1")
    await call("run_model", model=NEW, input={"prompt": "x"})
    await call("run_model", model=NEW, input={"prompt": 5}, quote=True)
    made = await call("nano_banana_image", prompt="a heron", images=[str(picture_file)])
    lyrics = await call("suno_lyrics", prompt="a heron")
    for fault in ("fail", "code:422", "code:500", "500", "code:401", "code:402", "garbage", "reset-after"):
        sandbox.inject_fault("create", fault)
        failed = await call("nano_banana_image", prompt=f"a heron {fault}")
        await call("get_task", task_ids=[failed.get("task_id", "?")], wait_seconds=60)
    await call("get_task", task_ids=[made["task_id"], lyrics["task_id"]], wait_seconds=60)
    await call("get_task", task_ids=["5f0c5f0c5f0c5f0c5f0c5f0c5f0c5f0c"])
    await call("get_task", task_ids=[sandbox.accepted[0].id])
    await call("upload_file", file=str(picture_file))
    await call("get_download_url", file=f"task:{made['task_id']}#1")
    sandbox.inject_fault("credit", "code:500", 8)
    for tool in ("get_credits", "list_tasks", "library", "spend_report"):
        await call(tool)
    for path in ("models", f"models/{NEW}", "tasks", f"tasks/{lyrics['task_id']}", "uploads", "library"):
        shown += [(await client.read_resource(f"kie://{path}")).model_dump_json()]
    return shown


REPEATED = ["plain", "all of a URL", "JSON"]
"""Spellings in which KIE repeats the key; the filter is the same for all, and other tests try it with each."""
if Effort.is_thorough:
    REPEATED = [*SPELLINGS, "JSON"]


@pytest.mark.parametrize("spelling", REPEATED)
async def test_the_key_is_nowhere_even_if_kie_repeats_it_everywhere(
    tmp_path: Path,
    clock: JumpingClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    spelling: str,
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("KIE_API_KEY", KEY)
    echo = SPELLINGS.get(spelling, escape(KEY))
    sandbox = Sandbox(key=KEY, seconds=4, clock=clock.time)
    sandbox.discovery.add_model(NEW, SCHEMA)
    (tmp_path / "heron.png").write_bytes(picture())
    settings = Settings(
        # Results are saved only from hosts of KIE here, because no name is looked up.
        base_url=MEDIA_ORIGIN,
        upload_url=MEDIA_ORIGIN,
        repeat_window=0,
        confirm_hourly=0,
        data_dir=tmp_path / "data",
        output_dir=tmp_path / "out",
        read_dirs=(tmp_path,),
    )
    echoing = EchoingKie(sandbox.app, echo, raw=spelling == "JSON")
    app = App(settings, transport=httpx2.ASGITransport(app=echoing), clock=clock)
    async with Client(build_server(app), raise_exceptions=True) as client:
        shown = await call_everything(client, sandbox, tmp_path / "heron.png")
    kept = read_files(tmp_path)
    assert {".sqlite3", ".json", ".jpg"} <= {path.suffix for path in kept}
    assert "[key]" in "".join(shown)
    secrets = {KEY, echo, escape(KEY)}
    everything = {str(path): content.decode(errors="replace") for path, content in kept.items()}
    everything |= {f"answer {number}": text for number, text in enumerate(shown)} | {"log": caplog.text}
    assert [place for place, text in everything.items() if any(each.lower() in text.lower() for each in secrets)] == []
    assert [path for path in kept if any(each in str(path) for each in secrets)] == []
