"""How each of KIE's families tells where a task stands; the shapes are those of its documentation."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.media import SONG_SECONDS, Work, lyrics, notes
from kie_mcp.sandbox.task import BANDS, FAILURE, Record, Task, iso, milliseconds, plain
from kie_mcp.sandbox.texts import TEXTS, Answer


def answer(record: Record) -> Answer:
    """The `data` of a status answer."""
    data: Answer = {}
    # A request that fits two ways is answered in both shapes; where they clash, the likelier way's holds.
    for offer in reversed(record.task.offers):
        data |= SHAPES[offer.route.shape](record)
    return data


def jobs(record: Record) -> Answer:
    """Every model of the unified API; the results are JSON in a string."""
    task = record.task
    code, reason = FAILURE if record.failed else ("", "") if record.succeeded else (None, None)
    result = UNIFIED.get(task.offers[0].makes, _urls)(record) if record.succeeded else None
    data: Answer = {
        "taskId": task.id,
        "model": task.model,
        "state": record.state,
        "param": _param(task),
        "resultJson": json.dumps(result) if result else "",
        "failCode": code if code is None else str(code),
        "failMsg": reason,
        "costTime": milliseconds(task.seconds) if record.ended else None,
        "completeTime": milliseconds(record.ended),
        "createTime": milliseconds(task.created),
        "updateTime": milliseconds(record.ended or record.now),
        "creditsConsumed": task.charged(record.now) if record.ended else 0,
    }
    if task.offers[0].makes == "suno-music":
        data["successFlag"] = 1 if record.succeeded else 3 if record.failed else 0
        data["response"] = result
    return data


def veo(record: Record) -> Answer:
    """Veo's product API."""
    urls = list(record.urls.values())
    return {
        "taskId": record.task.id,
        "paramJson": _param(record.task),
        "completeTime": plain(record.ended),
        "response": _response(
            record,
            resultUrls=urls,
            originUrls=urls,
            fullResultUrls=urls,
            resolution=record.task.said.get("resolution"),
        ),
        "successFlag": _flag(record),
        **_error(record, message=""),
        "createTime": plain(record.task.created),
        "fallbackFlag": False,
    }


def runway(record: Record) -> Answer:
    """Runway's product API, whose words differ from those of `jobs`."""
    task = record.task
    words = {"waiting": "wait", "queuing": "queueing"}
    video = {"videoId": task.id, "taskId": task.id, "videoUrl": record.first, "imageUrl": record.cover}
    return {
        "taskId": task.id,
        "parentTaskId": "",
        "generateParam": task.body,
        "state": words.get(record.state, record.state),
        "generateTime": plain(record.ended or task.created),
        "videoInfo": video if record.succeeded else None,
        "failCode": 400 if record.failed else 0,
        "failMsg": FAILURE[1] if record.failed else "",
        "expireFlag": 0,
    }


def aleph(record: Record) -> Answer:
    """Aleph's product API: 0 is running, and failed as well."""
    return {
        "taskId": record.task.id,
        "paramJson": _param(record.task),
        "response": _response(record, resultVideoUrl=record.first, resultImageUrl=record.cover),
        "completeTime": iso(record.ended) if record.succeeded else None,
        "createTime": iso(record.task.created),
        "successFlag": int(record.succeeded),
        **_error(record, code=0, message=""),
    }


def luma(record: Record) -> Answer:
    """Luma's product API."""
    urls, param = list(record.urls.values()), _param(record.task)
    return {
        "taskId": record.task.id,
        "promptJson": param,
        "completeTime": milliseconds(record.ended),
        "response": _response(record, promptJson=param, resultUrls=urls, originUrls=urls),
        "successFlag": _flag(record),
        **_error(record),
        "createTime": milliseconds(record.task.created),
    }


def gpt4o_image(record: Record) -> Answer:
    """4o Image's product API; its progress is text."""
    words = {"success": "SUCCESS", "fail": "GENERATE_FAILED"}
    return {
        "taskId": record.task.id,
        "paramJson": _param(record.task),
        "completeTime": milliseconds(record.ended),
        "response": {"resultUrls": list(record.urls.values())} if record.ended else None,
        "successFlag": 2 if record.failed else _flag(record),
        "status": words.get(record.state, "GENERATING"),
        **_error(record, message="" if record.ended else None),
        "createTime": milliseconds(record.task.created),
        "progress": f"{record.task.progress(record.now):.2f}",
    }


def flux_kontext(record: Record) -> Answer:
    """Flux Kontext's product API."""
    return {
        "taskId": record.task.id,
        "paramJson": _param(record.task),
        "completeTime": iso(record.ended),
        "response": {"originImageUrl": record.first, "resultImageUrl": record.first} if record.succeeded else None,
        "successFlag": _flag(record),
        **_error(record, message=""),
        "createTime": iso(record.task.created),
    }


def midjourney(record: Record) -> Answer:
    """Midjourney's product API: an object in `resultInfoJson`, objects in its list."""
    results = {"resultUrls": [{"resultUrl": url} for url in record.urls.values()]}
    return {
        "taskId": record.task.id,
        "taskType": record.task.body.get("taskType"),
        "successFlag": _flag(record),
        "createTime": iso(record.task.created),
        "completeTime": iso(record.ended),
        "resultInfoJson": results if record.succeeded else None,
        **_error(record),
    }


def suno_music(record: Record) -> Answer:
    """Songs, by Suno's product API."""
    songs = [
        {
            "id": track["id"],
            "audioUrl": track["url"],
            "streamAudioUrl": track["url"],
            "imageUrl": record.cover,
            "prompt": record.task.prompt,
            "modelName": track["version"],
            "title": track["title"],
            "tags": track["tags"],
            "createTime": plain(record.ended),
            "duration": SONG_SECONDS,
        }
        for track in record.tracks
    ]
    response: Answer = {"taskId": record.task.id, "sunoData": songs}
    if record.failed:
        response["errorMessage"] = FAILURE[1]
    return {
        "taskId": record.task.id,
        "parentMusicId": "",
        "param": _param(record.task),
        "response": response,
        "status": _word(record, failed="GENERATE_AUDIO_FAILED", generating="TEXT_SUCCESS"),
        "type": "GENERATE",
        **_error(record),
    }


def suno_lyrics(record: Record) -> Answer:
    """Lyrics, by Suno's product API."""
    return {
        "taskId": record.task.id,
        "param": _param(record.task),
        "response": _response(record, data=_verses(record, failure="errorMessage")),
        "status": _word(record, failed="GENERATE_LYRICS_FAILED"),
        "type": "LYRICS",
        **_error(record),
    }


def suno_wav(record: Record) -> Answer:
    """A WAV, by Suno's product API."""
    return {
        **_of_track(record, {"audioWavUrl": record.first}, failed="GENERATE_WAV_FAILED"),
        "completeTime": plain(record.ended),
        "createTime": plain(record.task.created),
    }


def suno_mp4(record: Record) -> Answer:
    """A music video, by Suno's product API."""
    return {
        **_of_track(record, {"videoUrl": record.first}, failed="GENERATE_MP4_FAILED"),
        "completeTime": plain(record.ended),
        "createTime": plain(record.task.created),
    }


def suno_vocal_removal(record: Record) -> Answer:
    """Stems, by Suno's product API: one key each, null where there is none."""
    parts = {name.removesuffix(".mp3"): url for name, url in record.urls.items()}
    origin = [
        {"duration": SONG_SECONDS, "audio_url": track["url"], "stem_type_group_name": part.title(), "id": track["id"]}
        for part, track in zip(parts, record.tracks, strict=True)
    ]
    stems = {f"{part}Url": parts.get(part) for part in ("instrumental", "vocal", *BANDS)}
    response = {"id": None, "originUrl": None, "originData": origin, **stems}
    return {
        **_of_track(record, response, failed="GENERATE_AUDIO_FAILED"),
        "completeTime": milliseconds(record.ended),
        "createTime": milliseconds(record.task.created),
    }


def suno_midi(record: Record) -> Answer:
    """Notes, by Suno's product API: there is no file."""
    code, reason = FAILURE if record.failed else (None, None)
    return {
        "taskId": record.task.id,
        "recordTaskId": -1,
        "audioId": record.task.body.get("audioId"),
        "callbackUrl": record.task.body.get("callBackUrl"),
        "completeTime": milliseconds(record.ended),
        "midiData": notes(_work(record)) if record.urls else None,
        "successFlag": _flag(record),
        "createTime": milliseconds(record.task.created),
        "errorCode": code and str(code),
        "errorMessage": reason,
    }


def suno_cover(record: Record) -> Answer:
    """Album covers, by Suno's product API: 2 is running here."""
    return {
        "taskId": record.task.id,
        "parentTaskId": record.task.body.get("taskId"),
        "callbackUrl": record.task.body.get("callBackUrl"),
        "completeTime": iso(record.ended),
        "response": {"images": list(record.urls.values())} if record.succeeded else None,
        "successFlag": 2 if record.state == "generating" else _flag(record),
        "createTime": iso(record.task.created),
        **_error(record, code=200 if record.succeeded else None, message=""),
    }


def suno_phrase(record: Record) -> Answer:
    """The words to sing, by Suno's product API: it goes on to wait for the recording."""
    return _voice(record, "suno-voice-validate", done="wait_validating", failed="processing_validate_fail")


def suno_voice(record: Record) -> Answer:
    """A voice, by Suno's product API."""
    return _voice(record, "suno-voice", done="success", failed="fail")


def service(record: Record) -> Answer:
    """The pattern of the model list."""
    return {
        "taskId": record.task.id,
        "status": 2 if record.failed else int(record.succeeded),
        "progress": record.task.progress(record.now),
        "resultUrls": list(record.urls.values()),
    }


def _songs(record: Record) -> Answer:
    songs = [
        {
            "id": track["id"],
            "title": track["title"],
            "duration": SONG_SECONDS,
            "audio_url": track["url"],
            "stream_audio_url": track["url"],
            "image_url": record.cover,
            "model_name": track["version"],
            "prompt": record.task.prompt,
            "tags": track["tags"],
        }
        for track in record.tracks
    ]
    return {"data": songs}


def _urls(record: Record) -> Answer:
    return {"resultUrls": list(record.urls.values())}


def _as_object(made: Callable[[Record], Answer], record: Record) -> Answer:
    return {"resultObject": made(record)}


SHAPES: dict[str, Callable[[Record], Answer]] = {
    **TEXTS,
    "jobs": jobs,
    "veo": veo,
    "runway": runway,
    "aleph": aleph,
    "luma": luma,
    "gpt4o-image": gpt4o_image,
    "flux-kontext": flux_kontext,
    "midjourney": midjourney,
    "suno-music": suno_music,
    "suno-lyrics": suno_lyrics,
    "suno-wav": suno_wav,
    "suno-mp4": suno_mp4,
    "suno-vocal-removal": suno_vocal_removal,
    "suno-midi": suno_midi,
    "suno-cover": suno_cover,
    "suno-voice-validate": suno_phrase,
    "suno-voice": suno_voice,
    "service": service,
}
"""By the name that a route gives its shape."""

UNIFIED: dict[str, Callable[[Record], Answer]] = {
    **{shape: partial(_as_object, made) for shape, made in TEXTS.items()},
    "suno-music": _songs,
    "suno-lyrics": lambda record: {"resultObject": {"lyricsData": _verses(record, failure="error_message")}},
    "suno-midi": lambda record: {"resultObject": notes(_work(record)) if record.urls else None},
}
"""What `jobs` puts into `resultJson` instead of URLs, by what the model makes."""


def _param(task: Task) -> str:
    if task.path != JOBS.create:
        return json.dumps(task.body)
    # KIE writes JSON into JSON here.
    return json.dumps({**task.body, "input": json.dumps(task.body.get("input"))})


def _flag(record: Record) -> int:
    return 3 if record.failed else int(record.succeeded)


def _word(record: Record, *, failed: str, generating: str = "PENDING") -> str:
    words = {"success": "SUCCESS", "fail": failed, "generating": generating}
    return words.get(record.state, "PENDING")


def _error(record: Record, *, code: int | None = None, message: str | None = None) -> Answer:
    code, message = FAILURE if record.failed else (code, message)
    return {"errorCode": code, "errorMessage": message}


def _response(record: Record, **results: Any) -> Answer | None:
    return {"taskId": record.task.id, **results} if record.succeeded else None


def _of_track(record: Record, response: Answer, *, failed: str) -> Answer:
    return {
        "taskId": record.task.id,
        "musicId": record.task.body.get("audioId"),
        "callbackUrl": record.task.body.get("callBackUrl"),
        "musicIndex": 0,
        "response": response if record.succeeded else None,
        "successFlag": _word(record, failed=failed),
        **_error(record),
    }


def _voice(record: Record, makes: str, *, done: str, failed: str) -> Answer:
    words = {"waiting": "wait_processing", "success": done, "fail": failed}
    return {
        "taskId": record.task.id,
        "status": words.get(record.state, "processing_validate"),
        **TEXTS[makes](record),
        **_error(record),
    }


def _work(record: Record) -> Work:
    return record.task.work(record.task.files[0])


def _verses(record: Record, *, failure: str) -> list[Answer]:
    if not record.urls:
        return []
    works = [Work(record.task.prompt, f"{record.task.id}/{n}") for n in (1, 2)]
    title = record.task.prompt[:40]
    return [{"text": lyrics(work), "title": title, "status": "complete", failure: ""} for work in works]
