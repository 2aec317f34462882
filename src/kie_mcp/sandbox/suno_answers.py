"""Build status answers of Suno's product API, and Suno's results in status answers of the unified `jobs` API."""

from collections.abc import Callable

from kie_mcp.sandbox.answer_fields import Answer, error_fields, request_json, result_response, success_flag
from kie_mcp.sandbox.fake_media import SONG_SECONDS, MediaContent, write_lyrics, write_notes
from kie_mcp.sandbox.fake_task import FAILURE, STEMS, StatusRecord, to_iso, to_milliseconds, to_plain_time
from kie_mcp.sandbox.text_results import TEXT_RESULTS


def suno_music(record: StatusRecord) -> Answer:
    """Build the status answer of Suno's product API for songs."""
    songs = [
        {
            "id": track["id"],
            "audioUrl": track["url"],
            "streamAudioUrl": track["url"],
            "imageUrl": record.cover_url,
            "prompt": record.task.prompt,
            "modelName": track["version"],
            "title": track["title"],
            "tags": track["tags"],
            "createTime": to_plain_time(record.ended_at),
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
        "param": request_json(record.task),
        "response": response,
        "status": _suno_status(record, failed="GENERATE_AUDIO_FAILED", generating="TEXT_SUCCESS"),
        "type": "GENERATE",
        **error_fields(record),
    }


def suno_lyrics(record: StatusRecord) -> Answer:
    """Build the status answer of Suno's product API for lyrics."""
    return {
        "taskId": record.task.id,
        "param": request_json(record.task),
        "response": result_response(record, data=_lyrics_variants(record, failure="errorMessage")),
        "status": _suno_status(record, failed="GENERATE_LYRICS_FAILED"),
        "type": "LYRICS",
        **error_fields(record),
    }


def suno_wav(record: StatusRecord) -> Answer:
    """Build the status answer of Suno's product API for a WAV file."""
    return {
        **_track_answer(record, {"audioWavUrl": record.first_url}, failed="GENERATE_WAV_FAILED"),
        "completeTime": to_plain_time(record.ended_at),
        "createTime": to_plain_time(record.task.created_at),
    }


def suno_mp4(record: StatusRecord) -> Answer:
    """Build the status answer of Suno's product API for a music video."""
    return {
        **_track_answer(record, {"videoUrl": record.first_url}, failed="GENERATE_MP4_FAILED"),
        "completeTime": to_plain_time(record.ended_at),
        "createTime": to_plain_time(record.task.created_at),
    }


def suno_vocal_removal(record: StatusRecord) -> Answer:
    """Build the status answer of Suno's product API for stems (the separate parts of a song, such as the vocals).

    The answer has a key for each stem; the value is null if Suno did not make this stem.
    """
    parts = {name.removesuffix(".mp3"): url for name, url in record.urls.items()}
    origin = [
        {"duration": SONG_SECONDS, "audio_url": track["url"], "stem_type_group_name": part.title(), "id": track["id"]}
        for part, track in zip(parts, record.tracks, strict=True)
    ]
    stems = {f"{part}Url": parts.get(part) for part in ("instrumental", "vocal", *STEMS)}
    response = {"id": None, "originUrl": None, "originData": origin, **stems}
    return {
        **_track_answer(record, response, failed="GENERATE_AUDIO_FAILED"),
        "completeTime": to_milliseconds(record.ended_at),
        "createTime": to_milliseconds(record.task.created_at),
    }


def suno_midi(record: StatusRecord) -> Answer:
    """Build the status answer of Suno's product API for MIDI; it contains the notes as JSON, not the URL of a file."""
    code, reason = FAILURE if record.failed else (None, None)
    return {
        "taskId": record.task.id,
        "recordTaskId": -1,
        "audioId": record.task.body.get("audioId"),
        "callbackUrl": record.task.body.get("callBackUrl"),
        "completeTime": to_milliseconds(record.ended_at),
        "midiData": write_notes(_first_content(record)) if record.urls else None,
        "successFlag": success_flag(record),
        "createTime": to_milliseconds(record.task.created_at),
        "errorCode": code and str(code),
        "errorMessage": reason,
    }


def suno_cover(record: StatusRecord) -> Answer:
    """Build the status answer of Suno's product API for album covers; `successFlag` is 2 in the state `generating`."""
    return {
        "taskId": record.task.id,
        "parentTaskId": record.task.body.get("taskId"),
        "callbackUrl": record.task.body.get("callBackUrl"),
        "completeTime": to_iso(record.ended_at),
        "response": {"images": list(record.urls.values())} if record.succeeded else None,
        "successFlag": 2 if record.state == "generating" else success_flag(record),
        "createTime": to_iso(record.task.created_at),
        **error_fields(record, code=200 if record.succeeded else None, message=""),
    }


def suno_phrase(record: StatusRecord) -> Answer:
    """Build the status answer of Suno's product API for the phrase that a user has to sing to make a custom voice.

    After success, the status is `wait_validating`, which means that KIE waits for the recording of the user's voice.
    """
    return _voice_answer(record, "suno-voice-validate", done="wait_validating", failed="processing_validate_fail")


def suno_voice(record: StatusRecord) -> Answer:
    """Build the status answer of Suno's product API for a voice that a user recorded."""
    return _voice_answer(record, "suno-voice", done="success", failed="fail")


def _song_results(record: StatusRecord) -> Answer:
    """Return the songs of a music task, with the JSON keys that the `jobs` API uses."""
    songs = [
        {
            "id": track["id"],
            "title": track["title"],
            "duration": SONG_SECONDS,
            "audio_url": track["url"],
            "stream_audio_url": track["url"],
            "image_url": record.cover_url,
            "model_name": track["version"],
            "prompt": record.task.prompt,
            "tags": track["tags"],
        }
        for track in record.tracks
    ]
    return {"data": songs}


def _suno_status(record: StatusRecord, *, failed: str, generating: str = "PENDING") -> str:
    """Return Suno's word for the task's state.

    Args:
        record: The task.
        failed: Suno's word for a failed task.
        generating: Suno's word for a task in the state `generating`.
    """
    words = {"success": "SUCCESS", "fail": failed, "generating": generating}
    return words.get(record.state, "PENDING")


def _track_answer(record: StatusRecord, response: Answer, *, failed: str) -> Answer:
    """Build the status answer of a task that processes one song; `failed` is Suno's word for a failed task."""
    return {
        "taskId": record.task.id,
        "musicId": record.task.body.get("audioId"),
        "callbackUrl": record.task.body.get("callBackUrl"),
        "musicIndex": 0,
        "response": response if record.succeeded else None,
        "successFlag": _suno_status(record, failed=failed),
        **error_fields(record),
    }


def _voice_answer(record: StatusRecord, makes: str, *, done: str, failed: str) -> Answer:
    """Build the status answer of a task for a custom voice.

    Args:
        record: The task.
        makes: The key in `TEXT_RESULTS` of the function that builds the result.
        done: Suno's word for a task that has succeeded.
        failed: Suno's word for a failed task.
    """
    words = {"waiting": "wait_processing", "success": done, "fail": failed}
    return {
        "taskId": record.task.id,
        "status": words.get(record.state, "processing_validate"),
        **TEXT_RESULTS[makes](record),
        **error_fields(record),
    }


def _first_content(record: StatusRecord) -> MediaContent:
    """Return the text, mark and aspect ratio from which the sandbox renders the task's first result file."""
    return record.task.describe_content(record.task.file_names[0])


def _lyrics_variants(record: StatusRecord, *, failure: str) -> list[Answer]:
    """Return two variants of lyrics as JSON objects; `failure` is the key of the error message in each object."""
    if not record.urls:
        return []
    variants = [MediaContent(record.task.prompt, f"{record.task.id}/{n}") for n in (1, 2)]
    title = record.task.prompt[:40]
    return [{"text": write_lyrics(each), "title": title, "status": "complete", failure: ""} for each in variants]


SUNO_ANSWERS: dict[str, Callable[[StatusRecord], Answer]] = {
    "suno-music": suno_music,
    "suno-lyrics": suno_lyrics,
    "suno-wav": suno_wav,
    "suno-mp4": suno_mp4,
    "suno-vocal-removal": suno_vocal_removal,
    "suno-midi": suno_midi,
    "suno-cover": suno_cover,
    "suno-voice-validate": suno_phrase,
    "suno-voice": suno_voice,
}
"""For each `Route.shape` of Suno's product API, the function that builds the status answer.

`Route.shape` is the name of the JSON structure that a route's answers have.
"""

SUNO_UNIFIED_RESULTS: dict[str, Callable[[StatusRecord], Answer]] = {
    "suno-music": _song_results,
    "suno-lyrics": lambda record: {"resultObject": {"lyricsData": _lyrics_variants(record, failure="error_message")}},
    "suno-midi": lambda record: {"resultObject": write_notes(_first_content(record)) if record.urls else None},
}
"""For each `Offer.result_shape` of a Suno model, the function that builds the field `resultJson` of the `jobs` API."""
