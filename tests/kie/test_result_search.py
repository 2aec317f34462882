"""Results in places where KIE has never put them before."""

import base64
import json
import time
from typing import Any

import pytest

from kie_mcp.kie.result_readers import LONGEST_URL, Media
from kie_mcp.kie.result_search import LONGEST_TEXT, MAX_FILES
from kie_mcp.kie.status import SHAPES, Status, parse_status

CLIP, PICTURE, SONG, COVER = "https://k/1.mp4", "https://k/1.png", "https://k/1.mp3", "https://k/cover.jpg"
STATE: dict[str, dict[str, Any]] = {
    "jobs": {"state": "success"},
    "veo": {"successFlag": 1},
    "suno-music": {"status": "SUCCESS"},
    "omni": {"kieAudioId": "a1"},
}


def read(shape: str, **fields: Any) -> Status:
    return parse_status(shape, {"code": 200, "msg": "success", "data": {"taskId": "t1", **STATE[shape], **fields}})


def urls(status: Status) -> list[str]:
    return [media.url for media in status.media]


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ("veo", {"info": {"resultUrls": [CLIP]}}),
        ("veo", {"info": {"resultUrls": json.dumps([CLIP])}}),
        ("veo", {"response": {"result_urls": [CLIP]}}),
        ("veo", {"result_urls": [CLIP]}),
        ("veo", {"response": {"resultUrl": CLIP}}),
        ("veo", {"response": CLIP}),
        ("veo", {"response": [{"video": {"url": CLIP}}]}),
        ("jobs", {"resultJson": json.dumps({"result_urls": [CLIP]})}),
        ("jobs", {"resultJson": json.dumps({"resultUrl": CLIP})}),
        ("jobs", {"resultJson": json.dumps({"videoUrl": CLIP, "video_duration": 5})}),
        ("jobs", {"resultJson": json.dumps({"videoUrls": [CLIP]})}),
        ("jobs", {"resultJson": json.dumps({"images": [{"url": CLIP}]})}),
        ("jobs", {"resultJson": json.dumps({"resultImageUrl": CLIP})}),
        ("jobs", {"resultJson": json.dumps({"audioWavUrl": CLIP})}),
        ("jobs", {"resultJson": json.dumps([CLIP])}),
        ("jobs", {"resultJson": json.dumps({"resultUrls": [{"url": CLIP}]})}),
        ("jobs", {"resultJson": CLIP}),
        ("jobs", {"resultJson": json.dumps(CLIP)}),
        ("jobs", {"resultJson": json.dumps({"resultUrls": ["//k.example/1.mp4"]})}),
        ("jobs", {"resultJson": json.dumps(json.dumps({"resultUrls": [CLIP]}))}),
        ("jobs", {"resultJson": json.dumps({"output": json.dumps({"files": json.dumps([CLIP])})})}),
        ("jobs", {"message": {"video": CLIP}}),
        ("jobs", {"callbackResult": {"url": CLIP}}),
        ("jobs", {"resultJson": json.dumps({"choices": [{"message": {"images": [{"url": CLIP}]}}]})}),
        ("jobs", {"output_params": {"url": CLIP}}),
        ("jobs", {"failsafeUrl": CLIP}),
        ("jobs", {"taskIdeas": [CLIP]}),
        ("jobs", {"resultJson": json.dumps({"resultUrls": [CLIP, CLIP]})}),
        ("jobs", {"works": [{"resource": {"resource": CLIP}}]}),
        ("suno-music", {"response": {"suno_data": [{"audio_url": CLIP}]}}),
        ("suno-music", {"data": [{"audio_url": CLIP}]}),
    ],
    ids=str,
)
def test_a_link_anywhere_in_the_result_is_the_result(shape: str, fields: dict[str, Any]) -> None:
    status = read(shape, **fields)
    assert status.state == "succeeded"
    assert urls(status) in ([CLIP], ["https://k.example/1.mp4"])
    assert (status.texts, status.unread) == ((), "")


@pytest.mark.parametrize("place", ["resultUrls", "elsewhere"])
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("https://k/my clip.mp4", ["https://k/my clip.mp4"]),
        ("https://k/my clip (1).mp4?a=b", ["https://k/my clip (1).mp4?a=b"]),
        ("https://k/it's{1}|2.mp4", ["https://k/it's{1}|2.mp4"]),
        ("https://k/clip(1)", ["https://k/clip(1)"]),
        ("https://k/a.mp4,https://k/b.mp4", ["https://k/a.mp4", "https://k/b.mp4"]),
        ("https://k/a.mp4; https://k/b.mp4;", ["https://k/a.mp4", "https://k/b.mp4"]),
        ("https://k/a.mp4，https://k/b.mp4", ["https://k/a.mp4", "https://k/b.mp4"]),
        ("https://k/a.mp4|https://k/b.mp4", ["https://k/a.mp4", "https://k/b.mp4"]),
        ("https://k/a.mp4 https://k/b.mp4", ["https://k/a.mp4", "https://k/b.mp4"]),
        ("https://k/a.mp4\nhttps://k/b.mp4", ["https://k/a.mp4", "https://k/b.mp4"]),
        ("https://k/a.mp4https://k/b.mp4", ["https://k/a.mp4", "https://k/b.mp4"]),
        ("[https://k/a.mp4, https://k/b.mp4]", ["https://k/a.mp4", "https://k/b.mp4"]),
        ("['https://k/a.mp4', 'https://k/b.mp4']", ["https://k/a.mp4", "https://k/b.mp4"]),
        ("https://k/w_100,h_100/a.png", ["https://k/w_100,h_100/a.png"]),
        ("https://k/fetch?url=https://other/a.png", ["https://k/fetch?url=https://other/a.png"]),
        ("https://k/fetch/https://other/a.png", ["https://k/fetch/https://other/a.png"]),
        ("https://k/a.png?x=1&amp;y=2", ["https://k/a.png?x=1&y=2"]),
        ("HTTPS://K/a.png", ["HTTPS://K/a.png"]),
        ("//k.example/a.png", ["https://k.example/a.png"]),
        ("https://k/a is ready.", ["https://k/a"]),
        ("https://k/a.mp4, and https://k/b.mp4", ["https://k/a.mp4", "https://k/b.mp4"]),
    ],
)
@pytest.mark.parametrize("as_list", [False, True])
def test_links_are_taken_as_a_whole_and_one_by_one(
    written: str, expected: list[str], place: str, *, as_list: bool
) -> None:
    status = read("jobs", resultJson=json.dumps({place: [written] if as_list else written}))
    assert urls(status) == expected


@pytest.mark.parametrize(
    "said",
    [
        f"The video is at {CLIP}.",
        f"The video ({CLIP}) is ready",
        f"[Watch the video]({CLIP})",
        f"![]({CLIP})",
        '{"url": "https:\\/\\/k\\/1.mp4"',
    ],
)
def test_a_file_that_a_sentence_names_is_a_result_beside_the_sentence(said: str) -> None:
    status = read("jobs", resultJson=said)
    assert urls(status) == [CLIP]
    assert [json.loads(text) for text in status.texts] == [{"resultJson": said}]


CONTENT = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 10
FILE = base64.b64encode(CONTENT).decode()
URL_SAFE = base64.urlsafe_b64encode(CONTENT).decode()
DATA_URI = f"data:image/png;base64,{FILE}"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ({"resultUrls": [DATA_URI]}, DATA_URI),
        ({"image": DATA_URI}, DATA_URI),
        ({"data": [{"b64_json": FILE}]}, f"data:;base64,{FILE}"),
        ({"audio": FILE}, f"data:;base64,{FILE}"),
        ({"audio": URL_SAFE}, f"data:;base64,{URL_SAFE}"),
        (DATA_URI, DATA_URI),
        ({"resultObject": {"image": DATA_URI}}, DATA_URI),
    ],
    ids=range(7),
)
def test_a_file_inside_the_answer_is_the_result(result: Any, expected: str) -> None:
    assert urls(read("jobs", resultJson=json.dumps(result))) == [expected]


@pytest.mark.parametrize("said", ["a" * 300, "la la " * 1000, "line\n\n" * 1000, ".".join(["e" * 90] * 9)])
def test_other_long_texts_are_no_files(said: str) -> None:
    status = read("jobs", resultJson=json.dumps({"answer": said}))
    assert (status.media, status.possible_media) == ((), ())
    assert json.dumps(json.dumps({"answer": said[:50]}))[1:-4] in status.unread


@pytest.mark.parametrize("page", ["https://k", "https://k.example/docs", "https://k/a.html", "https://k/a.php?x=1.png"])
def test_an_answer_in_words_may_name_a_web_page(page: str) -> None:
    status = read("jobs", resultJson=json.dumps({"answer": f"hello; see {page} for more"}))
    assert (status.media, status.possible_media) == ((), ())
    assert "hello; see" in status.unread


@pytest.mark.parametrize("result", [{"video": {"url": CLIP}}, {"bodyImageUrls": [CLIP]}, CLIP], ids=str)
def test_files_are_looked_for_although_there_is_text(result: Any) -> None:
    status = read("jobs", resultJson=json.dumps({"resultObject": result}))
    assert urls(status) == [CLIP]
    assert status.texts


@pytest.mark.parametrize("name", ["referenceUrl", "prompt_image", "input", "coverUrl"])
def test_a_file_with_a_doubtful_name_in_the_result_is_kept_if_it_is_the_only_one(name: str) -> None:
    status = read("jobs", resultJson=json.dumps({name: PICTURE}))
    assert [media.url for media in status.possible_media] == [PICTURE]
    assert urls(read("jobs", resultJson=json.dumps({name: PICTURE, "file": CLIP}))) == [CLIP]


def test_a_picture_beside_an_id_is_kept() -> None:
    status = read("omni", image={"url": PICTURE}, bodyImageUrls=["https://k/2.png"])
    assert (urls(status), status.texts) == ([PICTURE, "https://k/2.png"], ("a1",))


def test_a_link_beside_the_result_that_is_not_taken_is_told() -> None:
    assert PICTURE in read("jobs", prompt_image={"url": PICTURE}).unread


@pytest.mark.parametrize("fields", [{"hasAudio": False}, {"videoDuration": 0}, {"video_mode": "std"}, {"musicId": ""}])
def test_a_flag_about_sound_makes_a_picture_no_cover(fields: dict[str, Any]) -> None:
    assert urls(read("jobs", resultJson=json.dumps({"imageUrl": PICTURE, **fields}))) == [PICTURE]


@pytest.mark.parametrize("name", ["source_audio_url", "sourceAudioUrl", "previewVideo", "source_url"])
def test_a_song_comes_before_its_cover_whatever_its_field_is_called(name: str) -> None:
    status = read("jobs", resultJson=json.dumps({"works": [{name: SONG, "image_url": COVER}]}))
    assert [media.url for media in status.possible_media] == [SONG, COVER]
    other = {"audio_url": "https://k/2.mp3", "image_url": "https://k/2.jpg"}
    both = read("jobs", resultJson=json.dumps({"works": [other, {name: SONG}]}))
    assert urls(both) == ["https://k/2.mp3", SONG, "https://k/2.jpg"]


@pytest.mark.parametrize("name", ["sourceAudioUrl", "source_audio_url"])
def test_the_source_of_a_song_stands_in_for_its_file(name: str) -> None:
    songs = [{"audioUrl": "https://k/2.mp3", name: "https://k/3.mp3"}, {"audioUrl": "", name: SONG, "imageUrl": COVER}]
    assert urls(read("suno-music", response={"sunoData": songs})) == ["https://k/2.mp3", SONG]


@pytest.mark.parametrize("shape", [name for name, row in SHAPES.items() if row.makes_results and name != "credits"])
@pytest.mark.parametrize("as_list", [False, True])
def test_every_route_is_searched_and_a_record_may_be_in_a_list(shape: str, *, as_list: bool) -> None:
    row = SHAPES[shape]
    states = {name: row.done.split()[0] for name in row.state.split()}
    record = {"taskId": "t1", **states, "outcome": {"files": [CLIP]}}
    assert urls(parse_status(shape, {"code": 200, "data": [record] if as_list else json.dumps(record)})) == [CLIP]


def test_a_link_of_the_request_is_no_result() -> None:
    given = "https://k/mine.png"
    request = {"model": "x", "input": {"image_urls": [given], "prompt": "see https://k/prompt.png"}}
    echo = {"resultJson": json.dumps({"inputImage": given, "callBackUrl": "https://me/hook", "files": [given, CLIP]})}
    assert urls(read("jobs", param=json.dumps(request), **echo)) == [CLIP]
    status = read("jobs", param=json.dumps(request), failMsg="look at https://k/logs", resultJson=json.dumps([given]))
    assert (status.media, status.possible_media) == ((), ())


def test_a_picture_beside_a_clip_comes_after_it_and_a_cover_not_at_all() -> None:
    info = {"image": PICTURE, "cover_url": COVER, "streamAudioUrl": "https://k/s", "video": CLIP, "again": CLIP}
    assert urls(read("veo", info=info)) == [CLIP, PICTURE]


def test_files_keep_their_order_and_each_is_there_once() -> None:
    one, two = "https://k/1.png", "https://k/2.png"
    assert urls(read("jobs", resultJson=json.dumps([one, two, one]), response={"all": [two, one]})) == [one, two]


def test_a_song_in_a_new_place_keeps_its_id_and_title() -> None:
    song = {"id": "a1", "title": "Dawn", "audio_url": SONG, "image_url": COVER, "stream_audio_url": "https://k/s"}
    assert read("suno-music", songs=[song]).media == (Media(SONG, "a1", "Dawn"), Media(COVER, "a1", "Dawn"))


@pytest.mark.parametrize(
    "fields",
    [
        {"response": {"sunoData": [{"audioUrl": "", "imageUrl": COVER}]}},
        {"response": {"sunoData": [{"audioUrl": None, "sourceImageUrl": COVER}]}},
        {"thumbnailUrl": COVER},
    ],
    ids=str,
)
def test_a_cover_alone_may_not_be_the_result_yet(fields: dict[str, Any]) -> None:
    status = read("suno-music", **fields)
    assert (status.media, status.unread) == ((), "")
    assert [media.url for media in status.possible_media] == [COVER]


@pytest.mark.parametrize("place", ["resultUrls", "elsewhere"])
def test_an_answer_has_so_many_results_of_so_long_addresses(place: str) -> None:
    many = [f"https://k/{number}.png" for number in range(300)]
    long = f"https://k/{'x' * LONGEST_URL}.png"
    assert urls(read("jobs", resultJson=json.dumps({place: [long, *many]}))) == many[:MAX_FILES]


def test_what_kie_says_instead_of_a_result_is_kept() -> None:
    status = read("jobs", param="{}", createTime=7, creditsConsumed=4, resultJson="Twelve herons were counted.")
    assert (status.media, status.texts) == ((), ())
    assert status.unread == '{"resultJson": "Twelve herons were counted."}'
    assert len(read("jobs", resultJson="x" * 100_000).unread) == LONGEST_TEXT


def test_a_refused_request_has_no_result_whatever_it_names() -> None:
    refused = {"code": 422, "msg": "Processing", "data": {"elsewhere": CLIP}}
    status = parse_status("veo-1080p", refused)
    assert (status.state, status.media) == ("running", ())


@pytest.mark.parametrize("state", ["generating", "fail"])
def test_only_a_success_is_searched(state: str) -> None:
    assert read("jobs", state=state, elsewhere=[CLIP]).media == ()


def test_a_callback_that_failed_is_a_success_when_there_is_a_file_anywhere() -> None:
    for fields, expected in (({"elsewhere": SONG}, "succeeded"), ({}, "failed")):
        assert read("suno-music", status="CALLBACK_EXCEPTION", **fields).state == expected


@pytest.mark.parametrize("state", ["generating", "success"])
@pytest.mark.parametrize("end", ["", ")" * 8000], ids=["links", "brackets"])
def test_a_long_prompt_that_kie_repeats_holds_up_nobody(end: str, state: str) -> None:
    link = f"https://a.example/1{end} "
    prompt = "é " + link * (390_000 // len(link))
    begin = time.process_time()
    assert read("jobs", state=state, param=json.dumps({"input": {"prompt": prompt}})).media == ()
    assert time.process_time() - begin < 60


def test_a_deep_answer_is_searched_only_so_far() -> None:
    deep: Any = [CLIP]
    for _ in range(200):
        deep = [deep]
    assert read("jobs", elsewhere=deep).media == ()
