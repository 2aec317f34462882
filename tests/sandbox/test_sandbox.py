import io
import itertools
import json
import wave
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx2
import mutagen
import pytest
from PIL import Image
from support.cases import for_each
from support.sandbox_caller import PICTURE, Kie

from kie_mcp.catalog.registry import MODELS
from kie_mcp.kie import routes, status
from kie_mcp.sandbox.fake_media import MediaContent, render_file
from kie_mcp.sandbox.faults import FaultTarget
from kie_mcp.sandbox.offers import OFFERS

pytestmark = pytest.mark.anyio

CLIP = "kling/v2-1-standard"
OFFERED = {id_: [offer for offers in OFFERS.values() for offer in offers if offer.model.id == id_] for id_ in MODELS}
every_model = for_each("model", MODELS)
FIRST_OFFERS = {offer.route.shape: offer for offers in OFFERS.values() for offer in reversed(offers)}
"""For each shape of a status, one offer whose status has it."""
CREDITS = 1_000_000


@pytest.fixture
async def kie() -> AsyncIterator[Kie]:
    kie = Kie()
    async with kie.http:
        yield kie


@pytest.fixture
async def old_kie() -> AsyncIterator[Kie]:
    """It still runs what KIE documents no more."""
    kie = Kie(legacy=True, window=(1000, 1.0), credits=CREDITS)
    async with kie.http:
        yield kie


def opens(url: str, content: bytes) -> bool:
    match url.rpartition(".")[2]:
        case "wav":
            with wave.open(io.BytesIO(content)) as sound:
                return bool(sound.getnframes())
        case "mp3" | "mp4":
            return bool(mutagen.File(io.BytesIO(content)).info.length > 1)
        case "txt" | "json":
            return bool(content.decode())
        case _:
            with Image.open(io.BytesIO(content)) as image:
                image.load()
                return image.width >= 64


@every_model
async def test_every_model_runs_every_way_to_media_that_open(old_kie: Kie, model: str) -> None:
    for number, offer in enumerate(OFFERED[model], start=len(old_kie.sandbox.accepted) + 1):
        ask = await old_kie.begin(offer)
        questions = 3 if offer is FIRST_OFFERS[offer.route.shape] else 1
        for _ in range(0 if offer.route.at_once else questions):
            assert status.parse_status(offer.route.shape, await ask()).state == "running"
            old_kie.wait(0.5)
        old_kie.wait(2)

        done = status.parse_status(offer.route.shape, await ask())

        assert done.state == "succeeded"
        # A voice can be used or not: there is no more to it.
        assert done.media or done.texts or offer.route.shape == "suno-voice-check"
        assert len(old_kie.sandbox.accepted) == number
        for media in done.media:
            file = await old_kie.http.get(media.url)
            assert opens(media.url, file.content)


@every_model
async def test_a_task_told_to_fail_does_so_in_its_familys_words_and_costs_nothing(old_kie: Kie, model: str) -> None:
    for offer in OFFERED[model]:
        old_kie.sandbox.inject_fault("create", "fail")
        ask = await old_kie.begin(offer)
        old_kie.wait()

        assert status.parse_status(offer.route.shape, await ask()).state == "failed"
        assert old_kie.sandbox.balance == CREDITS


@every_model
async def test_a_success_can_come_without_urls(old_kie: Kie, model: str) -> None:
    for offer in OFFERED[model]:
        old_kie.sandbox.inject_fault("create", "no-urls")
        ask = await old_kie.begin(offer)
        old_kie.wait()

        record = await ask()

        assert not status.parse_status(offer.route.shape, record).media
        assert "/sandbox/media/" not in json.dumps(record)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer guess"}, {"Authorization": "sandbox"}])
async def test_a_wrong_key_is_refused(kie: Kie, headers: dict[str, str]) -> None:
    kie.http.headers.pop("Authorization")
    for method, path in (("POST", routes.JOBS.create), ("GET", routes.JOBS.status), ("GET", "/api/v1/chat/credit")):
        refused = await kie.http.request(method, path, headers=headers)
        assert refused.status_code == 401
        assert refused.json() == {"code": 401, "msg": "You do not have access permissions", "data": None}


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        (routes.JOBS.create, {"model": "kling/v9", "input": {}}, "kling/v9"),
        (routes.JOBS.create, {"model": "veo3_fast", "input": {"prompt": "rain"}}, "veo3_fast"),
        (routes.JOBS.create, {"input": {}}, "None"),
        ("/api/v1/veo/generate", {"model": "veo9", "prompt": "rain"}, "veo9"),
        ("/api/v1/generate", {"model": "V9", "prompt": "rain", "customMode": False, "callBackUrl": "https://a"}, "V9"),
        ("/api/v1/kling/generate", {"prompt": "rain"}, "None"),
        (routes.JOBS.create, {"model": PICTURE, "input": {"aspect_ratio": "1:1"}}, "prompt"),
        (routes.JOBS.create, {"model": PICTURE}, "prompt"),
        (routes.JOBS.create, {"model": CLIP, "input": {"prompt": "rain"}}, "image_url"),
        ("/api/v1/lyrics", {"prompt": "rain"}, "callBackUrl"),
        ("/api/v1/mj/generate", {"prompt": "rain", "taskType": "mj_img2img"}, "mj_img2img is no longer available"),
        (routes.JOBS.create, {"model": "sora-2-text-to-video", "input": {"prompt": "rain"}}, "no longer available"),
    ],
)
async def test_a_create_that_is_wrong_is_refused_by_name(kie: Kie, path: str, body: dict[str, Any], named: str) -> None:
    refused = await kie.post(path, body)
    assert (refused["code"], refused["data"]) == (422, None)
    assert named in refused["msg"]
    assert not kie.sandbox.accepted


async def test_what_is_no_json_object_is_a_bad_request(kie: Kie) -> None:
    for content in (b"", b"{", b"[]", b'"x"'):
        refused = await kie.http.post(routes.JOBS.create, content=content)
        assert (refused.status_code, refused.json()["code"]) == (400, 400)
        assert refused.json()["msg"] == "The body is no JSON object"


async def test_an_unknown_route_is_answered_as_kie_does(kie: Kie) -> None:
    refused = await kie.http.post("/api/v1/nobody/generate", json={})
    assert (refused.status_code, refused.json()["code"]) == (404, 404)
    assert refused.json()["msg"] == "No POST /api/v1/nobody/generate"
    assert (await kie.http.get(routes.JOBS.create)).json()["code"] == 405


async def test_unknown_tasks_and_wrong_status_routes_look_alike(kie: Kie) -> None:
    task = await kie.picture()
    unknown = {"code": 422, "msg": "recordInfo is null", "data": None}
    assert await kie.get(routes.JOBS.status, taskId="nobody") == unknown
    assert await kie.get("/api/v1/veo/record-info", taskId=task) == unknown
    assert (await kie.get(routes.JOBS.status))["code"] == 400


async def test_no_more_creates_than_the_window_allows(kie: Kie) -> None:
    codes = [(await kie.job(PICTURE, prompt=f"{n}"))["code"] for n in range(21)]
    kie.wait(10)
    later = await kie.job(PICTURE, prompt="later")
    assert codes == [200] * 20 + [429]
    assert later["code"] == 200
    assert len(kie.sandbox.accepted) == 21


async def test_a_clock_that_is_set_back_holds_up_nothing(kie: Kie) -> None:
    for _ in range(20):
        await kie.picture()
    await kie.get("/api/v1/models")
    kie.wait(-3600)
    assert (await kie.job(PICTURE, prompt="later"))["code"] == 200
    assert (await kie.get("/api/v1/models"))["code"] == 200


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/api/v1/veo/generate", {"model": ["veo3"], "prompt": "rain"}, 422),
        (routes.JOBS.create, {"model": {}, "input": {"prompt": "rain"}}, 422),
        ("/api/file-url-upload", {"fileUrl": "http://[x", "uploadPath": "in"}, 400),
        ("/api/file-base64-upload", {"base64Data": "aGk=", "uploadPath": "in", "fileName": "\ud83d.png"}, 400),
        ("/api/v1/common/download-url", {"url": "https://[x/y"}, 422),
        ("/sandbox/faults", {"on": "create", "how": 502, "times": None}, 400),
    ],
)
async def test_an_odd_request_is_refused_as_kie_refuses(kie: Kie, path: str, body: dict[str, Any], code: int) -> None:
    content = json.dumps(body)
    assert (await kie.http.post(path, content=content)).json()["code"] == code


async def test_a_request_that_failed_a_while_ago_starts_anew(kie: Kie) -> None:
    async def ask(seconds: float) -> int:
        kie.wait(seconds)
        code: int = (await kie.get("/api/v1/veo/get-1080p-video", taskId="t1"))["code"]
        return code

    kie.sandbox.inject_fault("create", "fail")
    assert [await ask(each) for each in (0, 5, 50, 60, 5)] == [400, 501, 501, 400, 200]


@pytest.mark.parametrize(
    ("path", "body", "price"),
    [
        (routes.JOBS.create, {"model": PICTURE, "input": {"prompt": "rain"}}, 4),
        (routes.JOBS.create, {"model": CLIP, "input": {"prompt": "rain", "image_url": "x", "duration": "10"}}, 50),
        (routes.JOBS.create, {"model": "hailuo/02-text-to-video-standard", "input": {"prompt": "a"}}, 30),
        (
            routes.JOBS.create,
            {"model": "bytedance/seedream-v4-text-to-image", "input": {"prompt": "a", "max_images": 3}},
            15,
        ),
        (
            routes.JOBS.create,
            {"model": "elevenlabs/text-to-speech-multilingual-v2", "input": {"text": "x" * 500}},
            6,
        ),
        ("/api/v1/veo/generate", {"model": "veo3", "prompt": "rain", "resolution": "1080p"}, 255),
        ("/api/v1/veo/generate", {"prompt": "rain"}, 60),
        (
            routes.JOBS.create,
            {
                "model": "kling-3.0/video",
                "input": {"prompt": "rain", "multi_shots": False, "multi_prompt": [], "mode": "std", "duration": "3"},
            },
            42,
        ),
        (
            routes.JOBS.create,
            {"model": "bytedance/seedream-v4-text-to-image", "input": {"prompt": "a", "nsfw_checker": False}},
            5,
        ),
    ],
)
async def test_credits_go_down_by_the_models_price(kie: Kie, path: str, body: dict[str, Any], price: float) -> None:
    await kie.post(path, body)
    assert kie.sandbox.balance == 1000 - price
    assert (await kie.get("/api/v1/chat/credit"))["data"] == 1000 - price
    assert (await kie.get("/api/v1/account/credits"))["data"] == 1000 - price


async def test_credits_come_back_when_a_task_fails(kie: Kie) -> None:
    kie.sandbox.inject_fault("create", "fail")
    task = await kie.picture()
    assert kie.sandbox.balance == 996

    kie.wait()
    record = await kie.record(task)

    assert kie.sandbox.balance == 1000
    assert (record["state"], record["failCode"], record["creditsConsumed"]) == ("fail", "500", 0)


async def test_without_credits_nothing_is_created() -> None:
    kie = Kie(credits=3)
    assert (await kie.job(PICTURE, prompt="rain"))["code"] == 402
    assert not kie.sandbox.accepted


async def test_a_job_waits_then_is_made_then_done(kie: Kie) -> None:
    task = await kie.picture()
    states = []
    for _ in range(5):
        states.append((await kie.record(task))["state"])
        kie.wait(0.5)
    record = await kie.record(task)
    assert states == ["waiting", "queuing", "generating", "generating", "success"]
    assert record["creditsConsumed"] == 4
    assert record["completeTime"] - record["createTime"] == 2000
    assert json.loads(json.loads(record["param"])["input"]) == {"prompt": "a lighthouse"}


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "wav", "mp3", "mp4", "txt"])
def test_no_result_is_like_another(ending: str) -> None:
    # More than there are colours; a sound takes longer, and a WEBP differs as its PNG does.
    marks = [f"mark {number}" for number in range(40 if ending in ("wav", "webp") else 400)]
    assert len({render_file(f"1.{ending}", MediaContent("rain", mark, "64:1")) for mark in marks}) == len(marks)


async def test_results_differ_by_task_and_number_and_follow_the_request(kie: Kie) -> None:
    fields = {"prompt": "rain", "max_images": 2, "image_size": "portrait_16_9"}
    series = (await kie.job("bytedance/seedream-v4-text-to-image", **fields))["data"]["taskId"]
    first, second = await kie.picture(output_format="jpeg"), await kie.picture(aspect_ratio="16:9")
    kie.wait()

    urls = [url for task in (series, first, second) for url in await kie.urls(task)]
    contents = [(await kie.http.get(url)).content for url in urls]
    pictures = [Image.open(io.BytesIO(content)) for content in contents]

    assert len(set(contents)) == 4
    assert [picture.format for picture in pictures] == ["PNG", "PNG", "JPEG", "PNG"]
    assert [picture.size for picture in pictures] == [(288, 512), (288, 512), (512, 512), (512, 288)]
    assert contents[0] == (await kie.http.get(urls[0])).content


async def test_two_clips_and_two_songs_are_never_the_same(kie: Kie) -> None:
    fields = {"prompt": "rain", "image_url": "x"}
    clips = [(await kie.job(CLIP, **fields))["data"]["taskId"] for _ in range(2)]
    song = (await kie.job("ai-music-api/generate", custom_mode=False, prompt="rain"))["data"]["taskId"]
    kie.wait()

    urls = [(await kie.urls(clip))[0] for clip in clips]
    tracks = json.loads((await kie.record(song))["resultJson"])["data"]
    urls += [track["audio_url"] for track in tracks]
    contents = {(await kie.http.get(url)).content for url in urls}

    assert len(contents) == 4
    assert len({track["id"] for track in tracks}) == 2


async def test_all_stems_are_listed_where_all_are_asked_for(kie: Kie) -> None:
    body = {"taskId": "t1", "audioId": "a1", "type": "split_stem", "callBackUrl": "https://kie-mcp.invalid/"}
    task = (await kie.post("/api/v1/vocal-removal/generate", body))["data"]["taskId"]
    kie.wait()
    record = await kie.get("/api/v1/vocal-removal/record-info", taskId=task)
    stems = status.parse_status("suno-vocal-removal", record)
    assert len(stems.media) == 13
    assert all(stem.id for stem in stems.media)
    assert record["data"]["response"]["instrumentalUrl"] is None


async def test_a_larger_veo_clip_is_asked_for_until_it_is_there_and_billed_once(kie: Kie) -> None:
    path = "/api/v1/veo/get-1080p-video"
    early = await kie.get(path, taskId="t1")
    kie.wait(1)
    still = await kie.get(path, taskId="t1", index="0")
    kie.wait(1)
    done = await kie.get(path, taskId="t1")
    assert kie.sandbox.balance == 995

    other = await kie.get(path, taskId="t1", index="1")

    assert [answer["code"] for answer in (early, still, done, other)] == [400, 400, 200, 400]
    assert "processing" in early["msg"]
    assert (await kie.http.get(done["data"]["resultUrl"])).status_code == 200
    assert kie.sandbox.balance == 990
    assert (await kie.get(path))["code"] == 422


async def test_a_4k_veo_clip_is_there_under_the_code_of_an_error(kie: Kie) -> None:
    path, body = "/api/v1/veo/get-4k-video", {"taskId": "t1", "index": 0, "callBackUrl": "https://a.example"}
    early = await kie.post(path, body)
    kie.wait(1)
    still = await kie.post(path, {"taskId": "t1"})
    kie.wait(1)
    done = await kie.post(path, body)

    assert (early["code"], early["data"]["resultUrls"]) == (200, None)
    assert (still["code"], still["data"]["resultUrls"]) == (422, None)
    assert "processing" in still["msg"]
    assert done["code"] == 422
    assert early["data"]["taskId"] == done["data"]["taskId"]
    assert len(status.parse_status("veo-4k", done).media) == 1
    assert kie.sandbox.balance == 880


@pytest.mark.parametrize(
    ("path", "body", "found"),
    [
        (
            "/api/v1/generate/generate-persona",
            {"taskId": "t1", "audioId": "a1", "name": "Tom", "description": "hoarse", "vocalStart": 0, "vocalEnd": 30},
            {"name": "Tom", "description": "hoarse"},
        ),
        ("/api/v1/style/generate", {"content": "folk"}, {"param": '{"content": "folk"}', "successFlag": "成功"}),
        (
            "/api/v1/generate/get-timestamped-lyrics",
            {"taskId": "t1", "audioId": "a1"},
            {"isStreamed": False, "hootCer": 0},
        ),
        ("/api/v1/voice/check-voice", {"task_id": "t1"}, {"isAvailable": True}),
        ("/api/v1/omni/audio/create", {"name": "Tom", "audio_id": "kore"}, {"name": "Tom"}),
        (
            "/api/v1/omni/character/create",
            {"descriptions": "a sailor", "image_urls": ["https://a.example/a.png"], "character_name": "Tom"},
            {"characterName": "Tom"},
        ),
    ],
)
async def test_some_requests_are_answered_with_their_result(
    kie: Kie, path: str, body: dict[str, Any], found: dict[str, Any]
) -> None:
    answer = await kie.post(path, body)
    assert answer["code"] == 200
    assert answer["data"].items() >= found.items()


async def test_timestamped_lyrics_last_as_long_as_the_song(kie: Kie) -> None:
    answer = await kie.post("/api/v1/generate/get-timestamped-lyrics", {"taskId": "t1", "audioId": "a1"})
    words = answer["data"]["alignedWords"]
    assert (words[0]["startS"], words[-1]["endS"]) == (0, 3)
    assert all(word["endS"] == after["startS"] for word, after in itertools.pairwise(words))


async def test_a_phrase_waits_for_its_recording_and_a_voice_has_an_id(kie: Kie) -> None:
    singing = {"voiceUrl": "https://a.example/a.mp3", "vocalStartS": 0, "vocalEndS": 9}
    phrase = (await kie.post("/api/v1/voice/validate", singing))["data"]["taskId"]
    words = []
    for _ in range(3):
        words.append((await kie.get("/api/v1/voice/validate-info", taskId=phrase))["data"]["status"])
        kie.wait(1)

    recording = {"taskId": phrase, "verifyUrl": "https://a.example/b.mp3", "singerSkillLevel": "beginner"}
    voice = (await kie.post("/api/v1/voice/generate", recording))["data"]["taskId"]
    kie.wait()
    said = (await kie.get("/api/v1/voice/validate-info", taskId=phrase))["data"]
    made = (await kie.get("/api/v1/voice/record-info", taskId=voice))["data"]

    assert words == ["wait_processing", "processing_validate", "wait_validating"]
    assert said["validateInfo"]
    assert (made["status"], made["voiceId"].startswith("voice_")) == ("success", True)


async def test_another_phrase_is_called_back_under_kies_own_spelling(kie: Kie) -> None:
    refused = await kie.post("/api/v1/voice/regenerate", {"taskId": "t1", "callBackUrl": "https://a.example"})
    taken = await kie.post("/api/v1/voice/regenerate", {"taskId": "t1", "calBackUrl": "https://a.example"})
    assert (refused["code"], taken["code"]) == (422, 200)
    assert "calBackUrl" in refused["msg"]


async def test_one_model_of_the_unified_api_must_be_called_back(kie: Kie) -> None:
    fields = {"input_urls": ["https://a.example/a.png"], "video_urls": ["https://a.example/a.mp4"]}
    body = {"model": "kling-3.0/motion-control", "input": fields}
    refused = await kie.post(routes.JOBS.create, body)
    taken = await kie.post(routes.JOBS.create, {**body, "callBackUrl": "https://a.example"})
    assert (refused["code"], taken["code"]) == (422, 200)
    assert "callBackUrl" in refused["msg"]


async def test_sound_effects_come_in_the_format_asked_for(old_kie: Kie) -> None:
    task = (await old_kie.job("elevenlabs/sound-effect-v2", text="thunder", output_format="pcm_22050"))["data"][
        "taskId"
    ]
    old_kie.wait()
    (url,) = await old_kie.urls(task)
    assert url.endswith(".wav")


async def test_a_request_that_fits_two_ways_is_answered_in_both_shapes(kie: Kie) -> None:
    body = {"model": "flux-kontext-pro", "prompt": "rain"}
    task = (await kie.post("/api/v1/flux/kontext/generate", body))["data"]["taskId"]
    kie.wait()
    record = await kie.get("/api/v1/flux/kontext/record-info", taskId=task)
    product, service = status.parse_status("flux-kontext", record), status.parse_status("service", record)
    assert product.media == service.media != ()


async def test_media_answer_range_requests(kie: Kie) -> None:
    task = await kie.picture()
    kie.wait()
    (url,) = await kie.urls(task)
    whole = await kie.http.get(url)

    rest = await kie.http.get(url, headers={"Range": "bytes=100-"})

    assert whole.headers["content-type"] == "image/png"
    assert (rest.status_code, rest.content) == (206, whole.content[100:])
    assert rest.headers["content-range"] == f"bytes 100-{len(whole.content) - 1}/{len(whole.content)}"


async def test_media_are_there_from_success_on_and_under_their_own_names_only(kie: Kie) -> None:
    task = await kie.picture()
    url = f"https://tempfile.kie-sandbox.invalid/sandbox/media/{task}/1.png"
    early = await kie.http.get(url)
    kie.wait()
    assert (await kie.urls(task)) == [url]
    assert early.status_code == 404
    assert (await kie.http.get(url)).status_code == 200
    assert (await kie.http.get(url.replace("1.png", "2.png"))).status_code == 404
    assert (await kie.http.get(url.replace(task, "nobody"))).status_code == 404


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8799", "http://[::1]:8799", "http://studio.example:8766"])
async def test_media_of_a_served_sandbox_are_on_its_own_address(kie: Kie, origin: str) -> None:
    task = await kie.picture()
    kie.wait()
    record = (await kie.http.get(f"{origin}{routes.JOBS.status}", params={"taskId": task})).json()
    (url,) = json.loads(record["data"]["resultJson"])["resultUrls"]
    assert url.startswith(f"{origin}/sandbox/media/")
    assert (await kie.http.get(url)).status_code == 200


@pytest.mark.parametrize("calls", [routes.DOCUMENTED, routes.SERVICE], ids=["documented", "service"])
async def test_a_download_url_is_given_for_kies_own_files_only(kie: Kie, calls: routes.Endpoints) -> None:
    task = await kie.picture()
    kie.wait()
    (url,) = await kie.urls(task)
    link = (await kie.post(calls.download_url, {"url": url}))["data"]
    kie.wait(20 * 60)
    assert (await kie.http.get(link)).content == (await kie.http.get(url)).content
    kie.wait(1)
    assert [(await kie.http.get(each)).status_code for each in (link, url)] == [404, 200]
    renewed = (await kie.post(calls.download_url, {"url": link}))["data"]
    assert (await kie.http.get(renewed)).status_code == 200
    for other in ("https://example.com/a.png", url.replace(task, "nobody"), ""):
        assert (await kie.post(calls.download_url, {"url": other}))["code"] == 422


async def test_uploads_are_served_back(kie: Kie) -> None:
    host, folder = "https://kieai.redpandaai.co", {"uploadPath": "in/put"}
    large = io.BytesIO(b"0123456789" * 500_000)
    fields = {**folder, "fileName": "große Wäsche.bin"}
    by_stream = await kie.http.post(host + "/api/file-stream-upload", data=fields, files={"file": ("x.bin", large)})
    by_base64 = await kie.post(host + "/api/file-base64-upload", {**folder, "base64Data": "data:image/png;base64,aGk="})
    raw = await kie.post("/api/v1/files/upload-base64", {**folder, "base64Data": "aG8=", "fileName": "ho.txt"})

    for answer, content in ((by_stream.json(), large.getvalue()), (by_base64, b"hi"), (raw, b"ho")):
        data = answer["data"]
        file = await kie.http.get(data["downloadUrl"])
        assert (answer["success"], answer["code"], file.content) == (True, 200, content)
        assert data["fileSize"] == len(content)
        assert data["filePath"] == f"in/put/{data['fileName']}"
        assert (await kie.post("/api/v1/common/download-url", {"url": data["downloadUrl"]}))["code"] == 200
    assert (by_base64["data"]["mimeType"], raw["data"]["mimeType"]) == ("image/png", "text/plain")
    assert by_base64["data"]["fileName"].endswith(".png")


async def test_an_upload_of_the_same_name_overwrites(kie: Kie) -> None:
    body = {"uploadPath": "in", "fileName": "a.txt", "base64Data": "aGk="}
    first = await kie.post("/api/file-base64-upload", body)
    second = await kie.post("/api/file-base64-upload", {**body, "base64Data": "aG8="})
    assert first["data"]["downloadUrl"] == second["data"]["downloadUrl"]
    assert (await kie.http.get(first["data"]["downloadUrl"])).content == b"ho"


async def test_a_create_that_needs_a_lost_upload_is_refused(kie: Kie) -> None:
    body = {"uploadPath": "in/put", "fileName": "große Wäsche.png", "base64Data": "aGk="}
    url = (await kie.post("/api/file-base64-upload", body))["data"]["downloadUrl"]
    edit = {"prompt": "rain", "image_urls": ["https://files.example/a.png", url]}
    taken = await kie.job("google/nano-banana-edit", **edit)
    kie.sandbox.drop_uploads()

    refused = await kie.job("google/nano-banana-edit", **edit)

    assert (taken["code"], refused["code"]) == (200, 451)
    assert url in refused["msg"]
    assert len(kie.sandbox.accepted) == 1
    assert (await kie.http.get(url)).status_code == 404
    # Other people's files are no concern of it.
    assert (await kie.job("google/nano-banana-edit", prompt="rain", image_urls=edit["image_urls"][:1]))["code"] == 200


@pytest.mark.parametrize("url", ["https://example.com/cat.jpg?size=1", "https://example.com/cat"])
async def test_an_upload_by_url_gives_a_picture_that_opens_without_fetching(kie: Kie, url: str) -> None:
    answer = await kie.post("/api/file-url-upload", {"uploadPath": "in", "fileUrl": url})
    file = await kie.http.get(answer["data"]["downloadUrl"])
    assert opens(url, file.content)


async def test_an_upload_by_url_of_the_sandboxs_own_file_copies_it(kie: Kie) -> None:
    task = await kie.picture()
    kie.wait()
    (url,) = await kie.urls(task)
    answer = await kie.post("/api/v1/files/upload-url", {"uploadPath": "in", "fileUrl": url})
    copy, original = await kie.http.get(answer["data"]["downloadUrl"]), await kie.http.get(url)
    assert copy.content == original.content


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/api/file-base64-upload", {"uploadPath": "in"}, "base64Data"),
        ("/api/file-base64-upload", {"uploadPath": "in", "base64Data": "?"}, "base64Data"),
        ("/api/file-base64-upload", {"uploadPath": "/in", "base64Data": "aGk="}, "uploadPath"),
        ("/api/file-base64-upload", {"base64Data": "aGk="}, "uploadPath"),
        ("/api/file-url-upload", {"uploadPath": "in", "fileUrl": "ftp://example.com/a"}, "fileUrl"),
        ("/api/file-stream-upload", {"uploadPath": "in"}, "file"),
    ],
)
async def test_an_upload_that_is_wrong_is_refused_by_name(
    kie: Kie, path: str, body: dict[str, str], named: str
) -> None:
    refused = await kie.post(path, body)
    assert (refused["success"], refused["code"]) == (False, 400)
    assert named in refused["msg"]
    assert (await kie.http.get("/sandbox/media/uploads/in/nothing")).status_code == 404


async def test_discovery_lists_what_is_offered(kie: Kie) -> None:
    everything = (await kie.get("/api/v1/models"))["data"]
    kie.wait(1)
    few = (await kie.get("/api/v1/models", taskType="Image to Video,", provider="Kling", q="2.6"))["data"]
    listed = {each["model"] for each in everything["models"]}
    assert {PICTURE, CLIP, "veo-3-1", "ai-music-api/generate"} <= listed
    assert not any(model.startswith("sora") for model in listed)
    assert everything["total"] == len(listed)
    assert [each["model"] for each in few["models"]] == ["kling-2.6/image-to-video"]


async def test_discovery_describes_a_model_in_kies_own_spelling(kie: Kie) -> None:
    async def read(of: str, model: str) -> Any:
        kie.wait(1)
        return (await kie.get(f"/api/v1/models/{model}/{of}"))["data"]

    schema = await read("schema", "kling-2.6/image-to-video")
    operation = schema["openapi"]["paths"][routes.JOBS.create]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]["properties"]
    kling3 = await read("schema", "kling-3.0/video")
    unified = await read("schema", "veo-3-1")
    called_back = await read("schema", "kling-3.0/motion-control")
    success = await read("success-rate", CLIP)

    assert body["model"]["enum"] == ["kling-2.6/image-to-video"]
    assert body["input"]["required"] == ["image_urls", "prompt"]
    assert body["input"]["properties"]["image_urls"]["type"] == "array"
    assert body["input"]["properties"]["duration"]["enum"] == ["5", "10"]
    assert body["input"]["properties"]["duration"]["default"] == "5"
    assert '"image_urls": {"type": "array"' in json.dumps(kling3)
    assert '"duration": {"default": "5", "type": "string"}' in json.dumps(kling3)
    assert "enable_translation" in json.dumps(unified)
    assert '"required": ["input_urls", "video_urls"]' in json.dumps(called_back)
    assert await read("price", CLIP) == {
        "model": CLIP,
        "pricingDesc": "25 credits per video (duration 5); 50 credits per video (duration 10)",
    }
    assert len(success["points"]) == 144
    assert await read("price", "nobody/nothing") is None
    assert await read("popularity", CLIP) is None


async def test_what_discovery_tells_can_be_shaped(kie: Kie) -> None:
    discovery = kie.sandbox.discovery
    discovery.add_model("vendor/new", {"properties": {"prompt": {"type": "string"}}, "required": ["prompt"]})
    discovery.add_model("vendor/odd", None)
    discovery.removed.add(PICTURE)
    discovery.success_rates[CLIP] = 20
    discovery.prices[CLIP] = "7 credits"

    async def read(path: str) -> Any:
        kie.wait(1)
        return (await kie.get(f"/api/v1/models{path}"))["data"]

    listed = {each["model"] for each in (await read(""))["models"]}
    assert {"vendor/new", "vendor/odd"} <= listed
    assert PICTURE not in listed
    assert (await read("/vendor/odd/schema"))["openapi"] is None
    assert (await read(f"/{CLIP}/success-rate"))["points"][-1]["successRate"] == 20
    assert (await read(f"/{CLIP}/price"))["pricingDesc"] == "7 credits"
    assert (await kie.job("vendor/new"))["msg"] == "prompt is required"
    assert (await kie.job("vendor/new", prompt="rain"))["code"] == 200
    assert (await kie.job("vendor/odd", any=1))["code"] == 200
    assert (await kie.job(PICTURE, prompt="rain"))["msg"] == f"The model {PICTURE} is no longer available"


async def test_discovery_answers_once_a_second(kie: Kie) -> None:
    codes = []
    for pause in (0, 0.5, 0.5):
        kie.wait(pause)
        codes.append((await kie.get("/api/v1/models"))["code"])
    assert codes == [200, 429, 200]


@pytest.mark.parametrize(
    ("how", "http", "code"),
    [(503, 503, 503), ("404", 404, 404), ("code:429", 200, 429), ("code:500", 200, 500), ("null-record", 200, 422)],
)
async def test_a_fault_answers_with_the_code_it_was_given(kie: Kie, how: int | str, http: int, code: int) -> None:
    kie.sandbox.inject_fault("credit", how, times=2)
    for _ in range(2):
        answer = await kie.http.get("/api/v1/chat/credit")
        assert (answer.status_code, answer.json()["code"]) == (http, code)
    assert (await kie.get("/api/v1/chat/credit"))["code"] == 200


@pytest.mark.parametrize(("how", "accepted"), [("garbage", 0), ("empty", 0), ("truncated", 1)])
async def test_an_answer_can_be_no_json(kie: Kie, how: str, accepted: int) -> None:
    kie.sandbox.inject_fault("create", how)
    answer = await kie.http.post(routes.JOBS.create, json={"model": PICTURE, "input": {"prompt": "rain"}})
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["content-length"])
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        answer.json()
    assert len(kie.sandbox.accepted) == accepted


@pytest.mark.parametrize(("how", "accepted"), [("reset-before", 0), ("reset-after", 1)])
async def test_a_connection_can_break_before_or_after_a_task_is_accepted(kie: Kie, how: str, accepted: int) -> None:
    kie.sandbox.inject_fault("create", how)
    with pytest.raises(httpx2.ReadError):
        await kie.picture()
    assert len(kie.sandbox.accepted) == accepted


@pytest.mark.parametrize(("how", "accepted"), [("hang-before", 0), ("hang-after", 1)])
async def test_a_connection_can_stay_silent_before_or_after_a_task_is_accepted(
    kie: Kie, how: str, accepted: int
) -> None:
    kie.sandbox.inject_fault("create", how)
    answered = anyio.Event()

    async def ask() -> None:
        await kie.picture()
        answered.set()

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert not answered.is_set()
        group.cancel_scope.cancel()
    assert len(kie.sandbox.accepted) == accepted
    await kie.picture()
    assert len(kie.sandbox.accepted) == accepted + 1


@pytest.mark.parametrize("how", ["after:502", "after:code:500", "after:garbage", "after:empty"])
async def test_an_answer_can_be_lost_after_a_task_is_accepted(kie: Kie, how: str) -> None:
    kie.sandbox.inject_fault("create", how)
    answer = await kie.http.post(routes.JOBS.create, json={"model": PICTURE, "input": {"prompt": "rain"}})
    assert kie.sandbox.accepted[0].id not in answer.text
    assert kie.sandbox.balance == 996
    assert answer.status_code == (502 if how == "after:502" else 200)


async def test_a_task_can_stall(kie: Kie) -> None:
    kie.sandbox.inject_fault("create", "stall")
    task = await kie.picture()
    kie.wait(10_000)
    assert (await kie.record(task))["state"] == "generating"


async def test_a_fault_of_a_status_read_befalls_its_task(kie: Kie) -> None:
    task = await kie.picture()
    kie.sandbox.inject_fault("status", "fail")
    kie.wait()
    states = [(await kie.record(task))["state"] for _ in range(2)]
    assert states == ["fail", "fail"]


async def test_media_can_be_cut_short(kie: Kie) -> None:
    task = await kie.picture()
    kie.wait()
    (url,) = await kie.urls(task)
    whole = await kie.http.get(url)
    kie.sandbox.inject_fault("media", "cut")

    part = await kie.http.get(url)

    assert part.headers["content-length"] == str(len(whole.content))
    assert part.content == whole.content[: len(whole.content) // 2]


async def test_uploads_can_fail(kie: Kie) -> None:
    kie.sandbox.inject_fault("upload", 500)
    assert (await kie.post("/api/file-base64-upload", {"uploadPath": "in", "base64Data": "aGk="}))["code"] == 500


async def test_faults_are_set_and_tasks_are_listed_over_http_too(kie: Kie) -> None:
    key = kie.http.headers.pop("Authorization")
    assert (await kie.post("/sandbox/faults", {"on": "create", "how": "code:455"}))["code"] == 200
    kie.http.headers["Authorization"] = key
    assert (await kie.job(PICTURE, prompt="rain"))["code"] == 455
    task = await kie.picture()
    assert (await kie.get("/sandbox/accepted"))["data"] == [
        {
            "id": task,
            "path": routes.JOBS.create,
            "model": PICTURE,
            "body": {"model": PICTURE, "input": {"prompt": "a lighthouse"}},
            "credits": 4,
        }
    ]


@pytest.mark.parametrize(
    ("on", "how"), [("nothing", "fail"), ("create", "sulk"), ("create", "after:fail"), ("create", "")]
)
async def test_a_fault_nobody_knows_is_refused(kie: Kie, on: FaultTarget, how: str) -> None:
    with pytest.raises(ValueError, match="one of"):
        kie.sandbox.inject_fault(on, how)
    assert (await kie.post("/sandbox/faults", {"on": on, "how": how}))["code"] == 400


async def test_a_task_may_take_no_time_at_all() -> None:
    kie = Kie(seconds=0)
    assert (await kie.record(await kie.picture()))["state"] == "success"


async def test_every_model_of_the_catalogue_is_offered(kie: Kie) -> None:
    assert all(OFFERED.values())
    assert kie.sandbox.balance == 1000
