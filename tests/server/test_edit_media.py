"""The tool `edit_media`, from the call to the film."""

from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from support import films
from support.answers import answer, text, wait_for_end
from support.clock import JumpingClock
from support.films import clip
from support.programs import needs_ffmpeg

from kie_mcp.catalog.arguments import OPTIONS
from kie_mcp.config import Settings
from kie_mcp.errors import InvalidCall
from kie_mcp.film.timeline import EDIT_MODEL
from kie_mcp.server.app import App
from kie_mcp.server.build import build_server
from kie_mcp.server.prompts.playbooks import find_playbook
from kie_mcp.server.selection import Selection
from kie_mcp.server.tools.edit_media import EDIT_MEDIA, RARE

pytestmark = pytest.mark.anyio


@needs_ffmpeg
async def test_a_film_is_made_of_results_and_files_and_is_shown_by_the_other_tools(
    client: Client, tmp_path: Path
) -> None:
    made = answer(await wait_for_end(client, await client.call_tool("kling_video", {"prompt": "waves"})))
    (tmp_path / "red.mp4").write_bytes(clip("red"))
    clips = [{"source": f"task:{made['task_id']}#1", "end": 1}, {"source": str(tmp_path / "red.mp4"), "fade": 0.2}]
    result = await client.call_tool("edit_media", {"clips": clips, "aspect_ratio": "1:1", "fit": "crop"})
    film = answer(await wait_for_end(client, result))
    assert film["credits"] == 0
    path = Path(film["media"][0]["path"])
    assert path.suffix == ".mp4"
    assert films.see(path)[-1][0] == "red"
    library = text(await client.call_tool("library", {}))
    assert f"Made from {made['task_id']}." in library
    looked = await client.call_tool("view_media", {"task_id": film["task_id"]})
    assert not looked.is_error
    repeated = answer(await client.call_tool("get_task", {"task_ids": [film["task_id"]]}))
    assert repeated["media"] == film["media"]


@needs_ffmpeg
@pytest.mark.parametrize("spelled", [{"path": "task:{id}#1"}, {"url": "kie://tasks/{id}/media/1"}])
async def test_a_caller_elsewhere_gets_a_large_film_by_a_link_that_each_answer_names(
    settings: Settings, transport: httpx2.ASGITransport, clock: JumpingClock, spelled: dict[str, str]
) -> None:
    app = App(settings, local_files=False, transport=transport, clock=clock)
    async with Client(build_server(app)) as client, httpx2.AsyncClient(transport=transport) as browser:
        film = await wait_for_end(
            client, await client.call_tool("edit_media", {"clips": [{"title": "Hi", "seconds": 1}]})
        )
        id_ = answer(film)["task_id"]
        (path,) = settings.output_dir.glob("*.mp4")
        path.write_bytes(path.read_bytes().ljust(4_000_001, b"\0"))
        linked = await client.call_tool("get_download_url", {"file": f"task:{id_}#1"})
        with pytest.raises(MCPError) as too_large:
            await client.read_resource(f"kie://tasks/{id_}/media/1")
        for told in (text(film), answer(film)["next_step"], too_large.value.error.message):
            assert f"upload_file with task:{id_}#1 makes a link" in told
        assert "upload_file" in answer(linked)["error"]["next_step"]
        given = {name: each.format(id=id_) for name, each in spelled.items()}
        url = answer(await client.call_tool("upload_file", given))["url"]
        assert (await browser.get(url)).content == path.read_bytes()


async def test_a_timeline_that_is_wrong_is_refused_by_name_and_costs_nothing(client: Client) -> None:
    result = await client.call_tool("edit_media", {"clips": [{"source": "a.mp4", "speed": 9}]})
    assert result.is_error
    assert "clips.0.speed" in text(result)
    assert "Nothing was charged" in text(result)


async def test_a_quote_tells_that_a_film_is_free_and_makes_none(client: Client) -> None:
    options = {"quote": True, "anyway": False, "confirm": ""}
    told = answer(await client.call_tool("edit_media", {"clips": [{"title": "The end"}], **options}))
    assert told["status"] == "quoted"
    assert told["estimated_credits"] == [0, 0]
    assert told["balance_after"] == told["balance"]
    assert answer(await client.call_tool("library", {}))["made"] == []


@pytest.mark.parametrize(
    ("said", "shape"),
    [("16x9", "16:9"), ("portrait", "9:16"), ("vertical", "9:16"), ("square", "1:1"), ("1080x1920", "9:16")],
)
def test_a_shape_is_read_as_in_every_other_tool(said: str, shape: str) -> None:
    assert EDIT_MEDIA.check({"clips": ["a.mp4"], "aspect_ratio": said}).aspect_ratio == shape


def test_jpeg_is_a_name_of_the_format_jpg() -> None:
    assert EDIT_MEDIA.check({"clips": ["a.mp4"], "format": "JPEG"}).format == "jpg"


def test_times_in_a_film_have_other_names_too() -> None:
    film = EDIT_MEDIA.check(
        {
            "clips": [{"source": "a.png", "duration": 3}, {"source": "a.mp4", "start_time": 1, "end_time": 2}],
            "sounds": [{"source": "a.mp3", "start": 4}],
            "texts": [{"text": "x", "start": 1, "end": 2}],
        }
    )
    assert film.clips[0].seconds == 3
    assert (film.clips[1].start, film.clips[1].end) == (1, 2)
    assert (film.sounds[0].at, film.sounds[0].start) == (0, 4)
    assert (film.texts[0].at, film.texts[0].until) == (1, 2)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"clips": [{"text": "The end"}]}, "there is no argument clips.0.text. It takes title, "),
        ({"sounds": [5]}, "sounds.0: takes an object with source, role, at, "),
    ],
)
def test_a_wrong_piece_is_answered_with_the_fields_that_it_has(given: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidCall) as refused:
        EDIT_MEDIA.check(given)
    assert words in str(refused.value)


@pytest.mark.parametrize("name", ["edit_media", EDIT_MODEL])
async def test_the_fields_that_the_list_leaves_out_are_described(name: str, client: Client) -> None:
    described = text(await client.call_tool("describe_model", {"model": name}))
    listed = next(tool for tool in Selection("standard").tools if tool["name"] == "edit_media")["inputSchema"]
    for path in RARE - OPTIONS.keys():
        owner, _, field = path.rpartition(".")
        assert field in described
        fields = listed["properties"][owner]["items"]["properties"] if owner else listed["properties"]
        assert field not in fields


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("storyboard", {"idea": "x"}),
        ("product_ad", {"product": "x"}),
        ("music_video", {"idea": "x", "clips": "2"}),
        ("narrated_slides", {"topic": "x"}),
    ],
)
def test_the_prompts_for_films_end_with_it(name: str, arguments: dict[str, str]) -> None:
    steps = list(find_playbook(name).from_arguments(arguments).steps(Selection("standard").names))
    assert "edit_media" in steps[-1]
