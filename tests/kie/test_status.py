"""Every way in which KIE says where a task stands."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.paths import FACTS

from kie_mcp.kie import routes
from kie_mcp.kie.result_readers import LONGEST_LINE, Media
from kie_mcp.kie.status import SHAPES, Status, parse_status

SHAPES_FACTS = FACTS / "status_shapes.json"

# How KIE's documentation names a family, where our name differs.
NAMES = {
    "jobs:ai-music-api audio (unified Suno)": "jobs",
    "veo-1080p (synchronous fetch)": "veo-1080p",
    "veo-4k (submit that doubles as poll)": "veo-4k",
    "luma (retired)": "luma",
    "midjourney (undocumented now)": "midjourney",
    "sync: timestamped lyrics": "timestamped-lyrics",
    "sync: style boost": "style",
    "sync: persona": "persona",
    "sync: omni audio / character": "omni",
}
# The documents' own notes: these two stand where a failure would, and mean "not yet".
NOT_YET = ("veo-1080p", "veo-4k")

MEANINGS = {"pending": "running", "success": "succeeded", "failed": "failed"}

URLS = {
    "jobs": ["https://tempfile.example/1.jpg"],
    "jobs:ai-music-api audio (unified Suno)": ["https://..mp3"],
    "veo": ["https://..mp4"],
    "veo-1080p (synchronous fetch)": ["https://..1080p.mp4"],
    "veo-4k (submit that doubles as poll)": ["https://..4k.mp4"],
    "runway": ["https://..mp4"],
    "aleph": ["https://..mp4"],
    "luma (retired)": ["https://..mp4"],
    "midjourney (undocumented now)": ["https://..1.jpg", "https://..2.jpg", "https://..3.jpg", "https://..4.jpg"],
    "gpt4o-image": ["https://..png"],
    "flux-kontext": ["https://..jpg"],
    "suno-music": ["https://..mp3"],
    "suno-wav": ["https://..wav"],
    "suno-mp4": ["https://..mp4"],
    "suno-vocal-removal": ["https://..mp3", "https://..mp3"],
    "suno-cover": ["https://..1.png", "https://..2.png"],
    "sync: omni audio / character": ["https://..", "https://.."],
}
TEXTS = {
    "suno-lyrics": ["..\n\n[Verse]\n.."],
    "suno-midi": [
        '[{"name": "Drums", "notes": [{"pitch": 73, "start": 0.036458, "end": 0.1875, "velocity": 1}]}]',
    ],
    "suno-voice-validate": ["<phrase to record>"],
    "suno-voice": ["voice_.."],
    "sync: timestamped lyrics": ["1.36 [Verse] Waggin'"],
    "sync: style boost": ["<expanded style text>"],
    "sync: persona": ["a1b2****"],
    "sync: omni audio / character": ["char_.."],
    "credits": ["100"],
}


def documented() -> dict[str, dict[str, Any]]:
    return {entry["family"]: entry for entry in json.loads(SHAPES_FACTS.read_text(encoding="utf-8"))["endpoints"]}


DOCUMENTED = documented()


def answer(data: Any, code: Any = 200, msg: str = "success") -> dict[str, Any]:
    return {"code": code, "msg": msg, "data": data}


def state(shape: str, body: Any) -> str:
    return parse_status(shape, body).state


def urls(status: Status) -> list[str]:
    return [media.url for media in status.media]


def job(state: str = "success", **fields: Any) -> dict[str, Any]:
    return answer({"taskId": "t1", "state": state, **fields})


def test_every_documented_family_has_a_row_and_every_row_but_the_lists_own_is_documented() -> None:
    assert {NAMES.get(family, family) for family in DOCUMENTED} == set(SHAPES) - {"service"}


def test_every_route_names_a_shape() -> None:
    named = {route.shape for route in [routes.JOBS, routes.find("service:veo/generate"), *routes.PRODUCTS.values()]}
    assert named <= set(SHAPES)


@pytest.mark.parametrize("family", DOCUMENTED)
def test_the_documented_success_is_read_with_all_that_it_made(family: str) -> None:
    status = parse_status(NAMES.get(family, family), DOCUMENTED[family]["example_success_response"])
    assert status.state == "succeeded"
    assert urls(status) == URLS.get(family, [])
    assert list(status.texts) == TEXTS.get(family, [])
    assert (status.error, status.code) == ("", None)


@pytest.mark.parametrize("family", DOCUMENTED)
def test_the_documented_failure_is_read_with_its_reason(family: str) -> None:
    shape = NAMES.get(family, family)
    example = DOCUMENTED[family]["example_failed_response"]
    if shape in NOT_YET:
        # The copy of the documents leaves out the words.
        example = {**example, "msg": "1080P still processing"}
    status = parse_status(shape, example)
    assert status.state == ("running" if shape in NOT_YET else "failed")
    assert (status.media, status.texts) == ((), ())
    if shape != "suno-voice-check":
        assert status.error
        assert status.code


@pytest.mark.parametrize("family", [name for name, entry in DOCUMENTED.items() if "example_pending_response" in entry])
def test_the_documented_answer_of_a_task_under_way_is_running(family: str) -> None:
    assert state(NAMES.get(family, family), DOCUMENTED[family]["example_pending_response"]) == "running"


@pytest.mark.parametrize("family", [name for name, entry in DOCUMENTED.items() if "not_found_envelope" in entry])
def test_the_documented_answer_for_an_unknown_task_is_missing(family: str) -> None:
    assert state(NAMES.get(family, family), DOCUMENTED[family]["not_found_envelope"]) == "missing"


@pytest.mark.parametrize(
    "family", [name for name, entry in DOCUMENTED.items() if entry["state_path"].startswith("data.")]
)
def test_every_documented_word_means_what_the_documents_say(family: str) -> None:
    fields = re.findall(r"data\.(\w+)", DOCUMENTED[family]["state_path"])
    for meaning, words in DOCUMENTED[family]["states"].items():
        for word in words:
            assert state(NAMES.get(family, family), answer(dict.fromkeys(fields, word))) == MEANINGS[meaning], word


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    "body",
    [None, "", "<html>502 Bad Gateway</html>", [], 7, {}, answer(None), answer({}), answer([]), {"data": None}],
    ids=repr,
)
def test_an_answer_that_says_nothing_means_that_the_task_goes_on(shape: str, body: Any) -> None:
    assert parse_status(shape, body) == Status("running")


@pytest.mark.parametrize("shape", [name for name, row in SHAPES.items() if row.state])
@pytest.mark.parametrize("word", ["dreaming", 9, 1.5, ["success"], {"is": "success"}, ""], ids=repr)
def test_an_unknown_word_means_that_the_task_goes_on(shape: str, word: Any) -> None:
    assert state(shape, answer(dict.fromkeys(SHAPES[shape].state.split(), word))) == "running"


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        ("veo", {"successFlag": 2}, "failed"),
        ("suno-cover", {"successFlag": 2}, "running"),
        ("suno-cover", {"successFlag": "GENERATE_COVER_FAILED"}, "failed"),
        ("suno-cover", {"successFlag": "PENDING"}, "running"),
        ("luma", {"successFlag": 4}, "succeeded"),
        ("veo", {"successFlag": 4}, "running"),
        ("veo", {"successFlag": "1"}, "succeeded"),
        ("veo", {"successFlag": 1.0}, "succeeded"),
        ("veo", {"successFlag": True}, "succeeded"),
        ("veo", {"successFlag": "true"}, "succeeded"),
        ("veo", {"successFlag": False}, "running"),
        ("veo", {"successFlag": "SUCCESS"}, "succeeded"),
        ("suno-wav", {"successFlag": 1}, "succeeded"),
        ("suno-wav", {"successFlag": 0}, "running"),
        ("suno-wav", {"successFlag": " Success "}, "succeeded"),
        ("style", {"successFlag": "2"}, "failed"),
        ("style", {"successFlag": "0"}, "running"),
        ("style", {"successFlag": "成功"}, "succeeded"),
        ("style", {"successFlag": "失败"}, "failed"),
        ("jobs", {"state": "queueing"}, "running"),
        ("jobs", {"state": "waiting", "successFlag": 1}, "running"),
        ("jobs", {"successFlag": 1}, "succeeded"),
        ("jobs", {"state": "", "successFlag": 3}, "failed"),
        ("runway", {"state": "wait"}, "running"),
        ("gpt4o-image", {"status": "GENERATING", "successFlag": 1}, "running"),
        ("gpt4o-image", {"status": "", "successFlag": 1}, "succeeded"),
        ("gpt4o-image", {"status": None, "successFlag": 2}, "failed"),
        ("suno-voice-validate", {"status": "wait_validating"}, "succeeded"),
        ("suno-voice", {"status": "wait_validating"}, "running"),
        ("aleph", {"successFlag": 0, "errorCode": 0, "errorMessage": ""}, "running"),
        ("aleph", {"successFlag": 0, "errorCode": None, "errorMessage": None}, "running"),
        ("aleph", {"successFlag": 0, "errorCode": "400"}, "failed"),
        ("aleph", {"successFlag": 0, "errorMessage": "no"}, "failed"),
        ("aleph", {"successFlag": False, "errorMessage": "no"}, "failed"),
        ("service", {"status": 0}, "running"),
        ("service", {"status": 1}, "succeeded"),
        ("service", {"status": "2"}, "failed"),
    ],
)
def test_the_same_word_means_another_thing_elsewhere(shape: str, data: dict[str, Any], expected: str) -> None:
    assert state(shape, answer(data)) == expected


@pytest.mark.parametrize(
    ("shape", "code", "msg", "data", "expected"),
    [
        ("jobs", 422, "recordInfo is null", None, "missing"),
        ("jobs", "422", "recordInfo is null", {}, "missing"),
        ("jobs", 404, "not found", None, "missing"),
        ("jobs", 404, "not found", {"taskId": "t1"}, "missing"),
        ("jobs", 422, "odd", {"taskId": "t1"}, "running"),
        ("jobs", 422, "still processing", None, "running"),
        ("veo", 422, "record status is not success", None, "running"),
        ("veo", 422, "record result data is blank", None, "running"),
        ("veo", 422, "record result data is empty", None, "running"),
        ("veo", 422, "record result data not exist", None, "running"),
        ("veo", 422, "record is null", None, "missing"),
        ("veo", 422, "only the results of the last 14 days can be queried", None, "missing"),
        ("suno-music", 422, "record not found", None, "missing"),
        ("jobs", 400, "taskId is empty", None, "running"),
        ("jobs", 501, "generation failed", None, "failed"),
        ("veo", 451, "cannot load the image", None, "failed"),
        ("suno-music", 531, "failed and refunded", None, "failed"),
        ("suno-music", 408, "upstream is silent", None, "running"),
        ("suno-music", 408, "upstream is silent", {"taskId": "t1"}, "failed"),
        ("veo", 500, "server error", None, "running"),
        ("veo", 500, "server error", {"taskId": "t1"}, "failed"),
        ("veo", 500, "server error", {"successFlag": 0}, "running"),
        ("veo", 501, "failed", {"successFlag": 1}, "succeeded"),
        ("jobs", 200, "success", {"state": "fail"}, "failed"),
        ("veo-1080p", 400, "1080P is processing", None, "running"),
        ("veo-1080p", 422, "1080P is processing", None, "running"),
        ("veo-1080p", 422, "made by the fallback model", None, "missing"),
        ("veo-1080p", 422, "record status is not success", None, "missing"),
        ("veo-1080p", 400, "The prompt violates the content policy", None, "missing"),
        ("veo-4k", 400, "taskId is invalid", None, "missing"),
        ("veo-4k", 422, "Processing", None, "running"),
        ("veo-4k", 422, "Processing", {"taskId": "t1", "resultUrls": None}, "running"),
        ("veo-4k", 200, "success", {"taskId": "t1", "resultUrls": None}, "running"),
        ("veo-4k", 422, "processing is over", {"resultUrls": ["https://k/4.mp4"]}, "succeeded"),
        ("veo-4k", 500, "error", {"taskId": "t1"}, "failed"),
        ("persona", 409, "exists", None, "failed"),
        ("persona", 200, "success", {"name": "no id"}, "succeeded"),
        ("style", 422, "validation", None, "failed"),
        ("suno-voice-check", 404, "not found", None, "failed"),
        ("suno-voice-check", 200, "success", {"isAvailable": "true"}, "succeeded"),
        ("suno-voice-check", 200, "success", {"isAvailable": None}, "running"),
    ],
)
def test_the_envelope_tells_where_the_record_does_not(
    shape: str, code: Any, msg: str, data: Any, expected: str
) -> None:
    assert state(shape, answer(data, code, msg)) == expected


def test_a_character_is_its_id_and_both_pictures_of_it() -> None:
    made = {"characterId": "c1", "imageUrl": "https://k/face.png", "bodyImageUrl": "https://k/body.png"}
    status = parse_status("omni", answer(made))
    assert status.texts == ("c1",)
    assert status.media == (Media("https://k/face.png", label="face"), Media("https://k/body.png", label="body"))
    assert urls(parse_status("omni", answer(made | {"bodyImageUrl": None}))) == ["https://k/face.png"]


@pytest.mark.parametrize("shape", [name for name, row in SHAPES.items() if row.state])
def test_a_success_without_results_is_a_success(shape: str) -> None:
    row = SHAPES[shape]
    status = parse_status(shape, answer({row.state.split()[0]: row.done.split()[0]}))
    assert status == Status("succeeded")


@pytest.mark.parametrize(
    "fields",
    [
        {"resultJson": '{"resultUrls": ["https://k/1.png"]}'},
        {"resultJson": '{"resultUrls": "https://k/1.png"}'},
        {"resultJson": {"resultUrls": ["https://k/1.png"]}},
        {"resultJson": '["not this"', "response": {"resultUrls": ["https://k/1.png"]}},
        {"resultJson": '{"resultUrls": ["https://k/old.png"]}', "response": {"resultUrls": ["https://k/1.png"]}},
        {"resultJson": '{"resultUrls": ["https://k/1.png"]}', "response": {}},
        {"resultJson": '{"resultUrls": ["https://k/1.png"]}', "response": None},
        {"resultJson": '{"resultUrls": ["https://k/1.png", "", null, 7, "not a URL"]}'},
        {"response": '{"resultUrls": [" https://k/1.png "]}'},
    ],
    ids=json.dumps,
)
def test_a_jobs_result_is_found_in_every_form_that_kie_gives_it(fields: dict[str, Any]) -> None:
    assert urls(parse_status("jobs", job(**fields))) == ["https://k/1.png"]


@pytest.mark.parametrize(
    "nothing", ["", None, "{broken", "null", "7", [], {}, "[" * 100_000], ids=lambda nothing: repr(nothing)[:9]
)
def test_a_job_without_a_readable_result_has_none(nothing: Any) -> None:
    status = parse_status("jobs", job(resultJson=nothing))
    assert replace(status, unread="") == Status("succeeded")
    # What is no JSON is kept as KIE's text.
    assert bool(status.unread) == (nothing in ("{broken", "7", "[" * 100_000))


@pytest.mark.parametrize("word", ["waiting", "generating", "fail", "dreaming"])
def test_results_are_no_sign_of_success_and_are_not_handed_over_before_it(word: str) -> None:
    status = parse_status("jobs", job(word, resultJson='{"resultUrls": ["https://k/1.png"]}'))
    assert status.state == ("failed" if word == "fail" else "running")
    assert status.media == ()


def test_a_job_may_give_its_first_and_last_frame() -> None:
    result = {
        "resultUrls": ["https://k/1.mp4"],
        "firstFrameUrl": ["https://k/a.png"],
        "lastFrameUrl": "https://k/z.png",
    }
    assert parse_status("jobs", job(resultJson=json.dumps(result))).media == (
        Media("https://k/1.mp4"),
        Media("https://k/a.png", label="first frame"),
        Media("https://k/z.png", label="last frame"),
    )


def test_a_song_is_its_audio_with_its_id_and_title() -> None:
    songs = [
        {"id": "a1", "title": "One", "audio_url": "https://k/1.mp3", "image_url": "https://k/1.jpeg"},
        {"id": 2, "audio_url": "", "stream_audio_url": "https://k/2"},
        {"id": "a3"},
        "a4",
    ]
    expected = (Media("https://k/1.mp3", "a1", "One"), Media("https://k/2", "2"))
    assert parse_status("jobs", job(resultJson=json.dumps({"data": songs}))).media == expected
    products = [
        {"id": "a1", "title": "One", "audioUrl": "https://k/1.mp3", "streamAudioUrl": "https://k/s"},
        {"id": 2, "audioUrl": None, "streamAudioUrl": "https://k/2", "imageUrl": "https://k/2.jpeg"},
    ]
    answered = answer({"status": "SUCCESS", "response": {"sunoData": products}})
    assert parse_status("suno-music", answered).media == expected


@pytest.mark.parametrize(
    ("result", "texts"),
    [
        ({"lyricsData": [{"title": "Rain", "text": "[Verse]\nIt falls"}]}, ("Rain\n\n[Verse]\nIt falls",)),
        ({"state": "complete", "instruments": [{"name": "Bass"}]}, ('[{"name": "Bass"}]',)),
        ({"state": "complete", "instruments": []}, ()),
        ({"lyricsData": [{"text": "", "status": "failed"}]}, ()),
        ({"elementId": 7}, ('{"elementId": 7}',)),
        ("Transcribed.", ("Transcribed.",)),
        ({}, ()),
    ],
)
def test_a_job_without_a_file_gives_text(result: Any, texts: tuple[str, ...]) -> None:
    assert parse_status("jobs", job(resultJson=json.dumps({"resultObject": result}))).texts == texts


def test_lyrics_leave_out_the_variants_that_failed() -> None:
    variants = [
        {"title": "Rain", "text": "It falls", "status": "complete"},
        {"title": "Snow", "text": "It", "status": "failed", "errorMessage": "cut off"},
        {"title": "Hail", "text": "", "status": "complete"},
        {"text": "No title"},
    ]
    status = parse_status("suno-lyrics", answer({"status": "SUCCESS", "response": {"data": variants}}))
    assert status.texts == ("Rain\n\nIt falls", "No title")


@pytest.mark.parametrize(
    ("shape", "field", "response", "anything"),
    [
        ("suno-music", "status", {"sunoData": [{"audioUrl": "https://k/1.mp3"}]}, ["https://k/1.mp3"]),
        ("suno-lyrics", "status", {"data": [{"text": "It falls"}]}, []),
        ("suno-wav", "successFlag", {"audioWavUrl": "https://k/1.wav"}, ["https://k/1.wav"]),
        ("suno-mp4", "successFlag", {"videoUrl": "https://k/1.mp4"}, ["https://k/1.mp4"]),
        ("suno-vocal-removal", "successFlag", {"drumsUrl": "https://k/1.mp3"}, ["https://k/1.mp3"]),
    ],
)
def test_a_callback_that_kie_could_not_deliver_loses_nothing_that_was_made(
    shape: str, field: str, response: dict[str, Any], anything: list[str]
) -> None:
    fields = {field: "CALLBACK_EXCEPTION", "errorMessage": "callback refused"}
    status = parse_status(shape, answer({**fields, "response": response}))
    assert (status.state, urls(status), status.error) == ("succeeded", anything, "callback refused")
    assert state(shape, answer({**fields, "response": None})) == "failed"


def test_stems_are_named_and_carry_the_ids_that_midi_asks_for() -> None:
    response = {
        "id": None,
        "originUrl": None,
        "vocalUrl": "https://k/v.mp3",
        "backingVocalsUrl": "https://k/b.mp3",
        "drumsUrl": "https://k/d.mp3",
        "fxUrl": "https://k/f.mp3",
        "originData": [
            {"id": "1", "stem_type_group_name": "Vocals", "audio_url": "https://other/v.mp3"},
            {"id": "2", "stem_type_group_name": "Backing Vocals", "audio_url": "https://k/b.mp3"},
            {"id": "3", "stem_type_group_name": "Percussive", "audio_url": "https://k/d.mp3"},
            {"id": "4", "stem_type_group_name": "Harp", "audio_url": "https://k/h.mp3"},
            {"id": "5", "stem_type_group_name": "Nothing", "audio_url": None},
            "garbage",
        ],
    }
    assert parse_status("suno-vocal-removal", answer({"successFlag": "SUCCESS", "response": response})).media == (
        Media("https://k/v.mp3", "1", "vocal"),
        Media("https://k/b.mp3", "2", "backingVocals"),
        Media("https://k/d.mp3", "3", "drums"),
        Media("https://k/f.mp3", "", "fx"),
        Media("https://k/h.mp3", "4", "harp"),
    )


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        ("veo", {"successFlag": 1, "resultUrls": '["https://k/1.mp4"]'}, ["https://k/1.mp4"]),
        ("veo", {"successFlag": 1, "response": {"originUrls": ["https://k/o.mp4"]}}, ["https://k/o.mp4"]),
        (
            "veo",
            {"successFlag": 1, "response": {"resultUrls": ["https://k/2.mp4"], "fullResultUrls": ["https://k/f.mp4"]}},
            ["https://k/2.mp4", "https://k/f.mp4"],
        ),
        ("gpt4o-image", {"successFlag": 1, "response": {"result_urls": ["https://k/1.png"]}}, ["https://k/1.png"]),
        (
            "flux-kontext",
            {"successFlag": 1, "response": {"resultImageUrl": None, "originImageUrl": "https://k/o.png"}},
            ["https://k/o.png"],
        ),
        (
            "midjourney",
            {"successFlag": 1, "resultInfoJson": '{"resultUrls": [{"resultUrl": "https://k/1.png"}, {}, null]}'},
            ["https://k/1.png"],
        ),
        ("service", {"status": 1, "resultUrls": ["https://k/1.png"]}, ["https://k/1.png"]),
    ],
)
def test_results_are_found_where_they_lie_elsewhere(shape: str, data: dict[str, Any], expected: list[str]) -> None:
    assert urls(parse_status(shape, answer(data))) == expected


def test_notes_come_as_json_and_no_notes_as_nothing() -> None:
    notes = [{"name": "Flöte", "notes": [{"pitch": 73}]}]
    status = parse_status(
        "suno-midi", answer({"successFlag": 1, "midiData": {"state": "complete", "instruments": notes}})
    )
    assert [json.loads(each) for each in status.texts] == [notes]
    assert parse_status("suno-midi", answer({"successFlag": 1, "midiData": {"instruments": []}})).texts == ()


def test_sung_words_come_a_line_at_a_time_with_the_second_it_begins_at() -> None:
    sung = [("[Verse]\nIt", 1.5), (" rains\n", 2), (" on", 3), ("the roof", "3.5"), (None, None)]
    words = [{"word": word, "startS": start} for word, start in sung]
    assert parse_status("timestamped-lyrics", answer({"alignedWords": [*words, "odd"]})).texts == (
        "1.50 [Verse] It rains\n3.00 on the roof",
    )


def test_a_file_that_kie_has_deleted_comes_with_a_warning() -> None:
    data = {"state": "success", "videoInfo": {"videoUrl": "https://k/1.mp4"}, "expireFlag": 1}
    assert parse_status("runway", answer(data)) == Status("succeeded", (Media("https://k/1.mp4"),), is_gone=True)


@pytest.mark.parametrize(
    ("body", "error", "code"),
    [
        (job("fail", failCode="400", failMsg="no\n\n  good"), "no good", 400),
        (job("fail", failCode="", failMsg=""), "", None),
        (job("fail", errorCode=501.0, errorMessage="late"), "late", 501),
        (job("fail", failCode=0, errorCode="501"), "", 501),
        (job("fail", failCode="POLICY", failMsg={"why": "policy"}), '{"why": "policy"}', None),
        (job("fail", failCode=True, failMsg="x" * 900), "x" * LONGEST_LINE, None),
        (job("fail", response={"errorMessage": "inner"}), "inner", None),
        (job("fail", failMsg="half \ud800 a\0 pair"), "half a pair", None),
        (answer({"state": "fail"}, 501, "Generation failed"), "Generation failed", 501),
        (answer({"state": "fail", "failCode": 400}, 501, "Generation failed"), "Generation failed", 400),
        (answer(None, 422, "recordInfo is null"), "recordInfo is null", 422),
    ],
)
def test_an_error_is_one_line_with_the_tasks_own_code_before_the_envelopes(
    body: Any, error: str, code: int | None
) -> None:
    status = parse_status("jobs", body)
    assert (status.error, status.code) == (error, code)


@pytest.mark.parametrize(
    ("shape", "progress", "expected"),
    [
        ("gpt4o-image", "0.50", 0.5),
        ("gpt4o-image", "", None),
        ("gpt4o-image", "soon", None),
        ("gpt4o-image", None, None),
        ("gpt4o-image", True, None),
        ("gpt4o-image", "nan", None),
        ("gpt4o-image", 10**400, None),
        ("gpt4o-image", -1, 0),
        ("jobs", 1, 0.01),
        ("jobs", 65, 0.65),
        ("jobs", "100", 1),
        ("jobs", 400, 1),
        ("service", 0.65, 0.65),
    ],
)
def test_progress_runs_from_0_to_1(shape: str, progress: Any, expected: float | None) -> None:
    assert parse_status(shape, answer({"progress": progress})).progress == expected


@pytest.mark.parametrize(("charged", "expected"), [(4, 4), (0.4, 0.4), ("12", 12), (0, 0), ("", None), (None, None)])
def test_what_a_task_cost_is_read_where_kie_tells_it(charged: Any, expected: float | None) -> None:
    assert parse_status("jobs", job(creditsConsumed=charged)).credits == expected


@pytest.mark.parametrize(
    ("charged", "shown"),
    [
        (-5, "-5"),
        ("-0.5", "-0.5"),
        (float("nan"), "NaN"),
        ("nan", "nan"),
        (float("inf"), "Infinity"),
        (1e308, "1e+308"),
        ("a lot\nof money " * 10, "a lot of money a lot of money a lot of m"),
        ({"a": 1}, '{"a": 1}'),
    ],
)
def test_a_charge_that_cannot_be_is_no_charge(charged: Any, shown: str) -> None:
    status = parse_status("jobs", job(creditsConsumed=charged))
    assert (status.credits, status.impossible_credits) == (None, shown)


def nested(depth: int) -> list[Any]:
    value: list[Any] = [1]
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("odd", [nested(100_000), object()], ids=["too deep", "no JSON"])
def test_a_text_that_cannot_be_written_is_left_out(odd: Any) -> None:
    assert parse_status("suno-midi", answer({"successFlag": 1, "midiData": {"instruments": odd}})) == Status(
        "succeeded"
    )


WORDS = st.sampled_from(
    [word for row in SHAPES.values() for word in f"{row.done} {row.failed} {row.done_with_results}".split()]
)
ANSWER_FIELDS = """
code msg data state status successFlag isAvailable response resultJson resultObject lyricsData
instruments midiData resultUrls resultUrl resultInfoJson sunoData audioUrl audio_url id title text
originData vocalUrl stem_type_group_name videoInfo videoUrl images errorCode failCode errorMessage
failMsg progress creditsConsumed expireFlag fullResultUrls originUrls firstFrameUrl personaId voiceId
result
"""
# Arbitrary answers hit on something only when they use KIE's own names.
NAMES_IN_ANSWERS = st.sampled_from(re.findall("[A-Za-z_]+", ANSWER_FIELDS))
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), WORDS, st.just("https://k/1.png"))
JSON = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(NAMES_IN_ANSWERS | st.text(max_size=3), inner, max_size=5),
        inner.map(json.dumps),
    ),
    max_leaves=20,
)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_answer_whatever_raises(shape: str) -> None:
    @given(st.one_of(JSON, st.builds(answer, JSON, st.sampled_from([200, 404, 408, 422, 500, 501]) | JSON, JSON)))
    @settings(max_examples=examples(15), database=None, derandomize=True)
    def any_answer_is_read(body: Any) -> None:
        status = parse_status(shape, body)
        assert len(status.error) <= LONGEST_LINE
        assert status.progress is None or 0 <= status.progress <= 1
        assert status.state == "succeeded" or not (status.media or status.texts)
        "".join([status.error, *status.texts, *(f"{each.url}{each.id}{each.label}" for each in status.media)]).encode()

    any_answer_is_read()


ENDED = {"completeTime": 1698765432000}
PICTURE = {"resultJson": '{"resultUrls": ["https://k/1.png"]}'}


@pytest.mark.parametrize(
    ("shape", "data", "expected"),
    [
        ("jobs", {"state": "gedaan", **PICTURE, **ENDED}, "succeeded"),
        ("jobs", {"state": "gedaan", **PICTURE, "creditsConsumed": 4}, "succeeded"),
        ("jobs", {"state": "finished", **PICTURE}, "succeeded"),
        ("jobs", {"state": "finished", "outcome": {"url": "https://k/1.png"}}, "succeeded"),
        ("veo", {"successFlag": "已完成", "response": {"resultUrls": ["https://k/1.mp4"]}, **ENDED}, "succeeded"),
        ("suno-music", {"status": "COMPLETED", "response": {"sunoData": [{"audioUrl": "https://k/1"}]}}, "succeeded"),
        ("jobs", {"state": "rejected", "failMsg": "no herons"}, "failed"),
        ("jobs", {"state": "afgewezen", "failCode": "500", **ENDED}, "failed"),
        ("jobs", {"state": "gedaan", **PICTURE}, "running"),
        ("jobs", {"state": "gedaan", **ENDED}, "running"),
        ("jobs", {"state": "afgewezen", "failMsg": "no herons", "creditsConsumed": 0}, "running"),
        ("jobs", {"state": "finished"}, "running"),
        ("jobs", {"state": "generating", **PICTURE, **ENDED}, "running"),
        ("suno-music", {"status": "FIRST_SUCCESS", "response": {"sunoData": [{"audioUrl": "https://k/1"}]}}, "running"),
    ],
)
def test_a_new_word_for_the_state_counts_by_what_is_beside_it(shape: str, data: Any, expected: str) -> None:
    status = parse_status(shape, answer({"taskId": "t1", **data}))
    assert status.state == expected
    assert bool(status.media) == (expected == "succeeded")
    is_told = expected == "running" and next(iter(data.values())) not in ("generating", "FIRST_SUCCESS")
    assert bool(status.new_word) == is_told
