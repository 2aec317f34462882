"""Parse KIE's status answers; their shape depends on the route, and `SHAPES` describes each shape.

For example, state 2 means failure for Veo but "generating" for album covers, and KIE may send a finished 4K clip with
code 422. If an answer is empty or not understood, the task is assumed to be running. A state that is not in KIE's
documentation counts by what is beside it: a task with its end or its charge, and with results, has succeeded.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from kie_mcp.kie import codes, result_search
from kie_mcp.kie.result_readers import (
    Media,
    MediaReader,
    TextReader,
    as_items,
    as_line,
    clips,
    files,
    lyrics,
    normalize_word,
    parse_integer,
    parse_number,
    result_texts,
    stems,
    timed_lyrics,
    tracks,
    values_at,
    words,
)
from kie_mcp.kie.result_search import Findings
from kie_mcp.kie.times import parse_time

State = Literal["running", "succeeded", "failed", "missing"]

MAX_CREDITS = 1_000_000
"""Largest plausible charge for one task, in credits; no task costs so much."""
LONGEST_CHARGE = 40
"""Maximum length of `Status.impossible_credits`, in characters; the rest is cut off."""
LONGEST_TASK = 24 * 3600
"""Longest plausible duration of a task, in seconds."""
RUNNING_WORDS = (
    "0 2 false wait waiting queued queuing queueing pending submitted starting running processing in_progress "
    "generating text_success first_success wait_processing processing_validate wait_validating"
)
"""States that mean that a task runs, unless `Shape` says otherwise: those in KIE's documentation, and similar words."""
END_WORDS = (
    "complete completed done finished ok succeed succeeded success error failed failure fail cancelled canceled "
    "timeout rejected"
)
"""States that probably mean that a task has ended, although KIE's documentation does not list them."""
NOT_YET = re.compile(
    r"processing|\bnot (success|ready|finished|completed?)|\bresults?\b.*\b(blank|empty|null|not)\b", re.IGNORECASE
)
"""Matches KIE's message with code 422 if KIE knows the task, and has no results of it yet.

For example, Veo's messages are "record status is not success" and "record result data is blank", while "recordInfo is
null" means that KIE does not know the task.
"""


@dataclass(frozen=True, slots=True)
class Status:
    """A parsed status answer: the state and the results of one task."""

    state: State
    """State of the task; `missing` means that KIE does not know the task, or does not know it yet.

    On a `repeated` route, it means that KIE refuses the request.
    """
    media: tuple[Media, ...] = ()
    texts: tuple[str, ...] = ()
    """The text results: lyrics with their title, a phrase, an id, or JSON such as the notes of a MIDI file."""
    possible_media: tuple[Media, ...] = ()
    """Files that may be results, such as covers; only set if the task succeeded and no other result was found."""
    unread: str = ""
    """KIE's record of the task as JSON; only set if the task succeeded but both `media` and `texts` are empty."""
    error: str = ""
    """KIE's error message on one line; if the task succeeded, this is only a warning."""
    code: int | None = None
    """KIE's code of the error; None when there is no error, or when the error has no code."""
    credits: float | None = None
    """Credits that KIE charged; None when KIE states no charge, or a charge that cannot be correct."""
    impossible_credits: str = ""
    """The charge as KIE wrote it, such as `-5`, if it cannot be correct; otherwise empty."""
    progress: float | None = None
    """Progress of the task from 0 to 1; None when KIE does not state it."""
    seconds: float | None = None
    """Seconds from the task's creation to its end, by KIE's clock; None if KIE does not state both times."""
    is_gone: bool = False
    """Whether the task succeeded, and KIE has deleted its files since."""
    new_word: str = ""
    """KIE's word for the state if its meaning is unknown, so that the task counts as running; otherwise empty."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Description of the status answers of some routes: where they contain the state and the results of a task.

    A field of type `str` may hold several words with spaces between them, such as "fail failed".
    """

    state: str = ""
    """Names of the fields of `data` that may contain the state, best first.

    If there are no names, a task has succeeded when its status answer has results.
    """
    done: str = ""
    """States that mean success."""
    failed: str = ""
    """States that mean failure."""
    done_with_results: str = ""
    """States that mean success if the answer has results; without results, they mean failure."""
    failed_with_error: str = ""
    """States that mean failure if the answer has an error; without an error, they mean that the task is running."""
    result_paths: tuple[str, ...] = ("data",)
    """Paths at which a status answer may contain the result object; the first path with files or texts is used."""
    media: tuple[MediaReader, ...] = ()
    texts: tuple[TextReader, ...] = ()
    full_progress: float = 1
    """Value of `data.progress` when the task is complete, such as 1 or 100."""
    at_once: bool = False
    """Whether the answer to the create request contains the result; then no task has to be polled."""

    @property
    def makes_results(self) -> bool:
        """Whether status answers of succeeded tasks contain files or texts."""
        return bool(self.media or self.texts)

    def knows(self, word: str) -> bool:
        """Tell whether this description says what a state means."""
        return word in f"{self.done} {self.failed} {self.done_with_results} {self.failed_with_error}".split()


def parse_status(shape: str, answer: Any) -> Status:
    """Parse a status answer: find the task's state, its results, its error and its charge.

    Args:
        shape: Key in `SHAPES` that says how to parse the answer.
        answer: The answer's body as a JSON value; a text if the body is not JSON; None if it is empty.
    """
    row = SHAPES[shape]
    envelope = answer if isinstance(answer, dict) else {}
    data = envelope.get("data")
    record = find_record(envelope)
    code, message = parse_integer(envelope.get("code")), as_line(envelope.get("msg"))
    if code in codes.NO_ERROR:
        code, message = None, ""
    media, texts = collect_results(row, envelope)
    has_results = bool(media or texts)
    word = next(filter(None, (normalize_word(record.get(field)) for field in row.state.split())), "")
    charged, impossible = parse_charge(record.get("creditsConsumed"))
    is_new = bool(word) and word not in RUNNING_WORDS.split() and not row.knows(word)
    has_ended = is_new and (word in END_WORDS.split() or bool(charged or parse_time(record.get("completeTime"))))
    # The whole answer, which may repeat a long prompt, is only searched if files may be needed.
    may_be_done = not word or has_ended or word in f"{row.done} {row.done_with_results}".split()
    elsewhere = result_search.search(envelope) if row.makes_results and not media and may_be_done else Findings()
    if elsewhere.certain:
        media, texts = elsewhere.media, texts or tuple(filter(None, [elsewhere.text]))

    task_codes = (parse_integer(record.get(name)) for name in ("failCode", "errorCode"))
    task_code = next((each for each in task_codes if each not in codes.NO_ERROR), None)
    task_message = as_line(next(iter(words("failMsg", "errorMessage", "response.errorMessage")(record)), ""))

    state: State
    has_error = bool(task_code or task_message)
    if has_ended:
        state = "succeeded" if media or texts else "failed" if has_error else "running"
    elif word:
        state = state_from_word(row, word, has_results=bool(media or texts), has_error=has_error)
    else:
        # If KIE sent an error code, files in `elsewhere` do not mean success, because they may not be results.
        has_results = has_results or (elsewhere.certain and code is None)
        state = state_from_code(row, code, message, has_results=has_results, has_record=bool(data))

    done = state == "succeeded"
    if done:
        # A finished 4K clip may come with the code 422. If the task succeeded, the code is no error, so it is removed.
        code, message = None, ""
    progress = parse_number(record.get("progress"))
    return Status(
        state,
        # Results are only returned if the task succeeded, because the results of a running task are not final.
        media=media if done else (),
        texts=texts if done else (),
        possible_media=elsewhere.media if done and not (elsewhere.certain or texts) else (),
        unread=elsewhere.text if done and not (media or texts) else "",
        error=task_message or message,
        code=task_code or code,
        credits=charged,
        impossible_credits=impossible,
        progress=None if progress is None else min(max(progress / row.full_progress, 0), 1),
        seconds=measure_duration(record),
        is_gone=done and parse_integer(record.get("expireFlag")) == 1,
        new_word=as_line(word) if is_new and state == "running" else "",
    )


def measure_duration(record: Mapping[str, Any]) -> float | None:
    """Return the seconds from a task's creation to its end, by KIE's clock; None if the record lacks these times.

    KIE's `costTime` is not used, because it leaves out the time that a task waits in KIE's queue.
    """
    begin, end = parse_time(record.get("createTime")), parse_time(record.get("completeTime"))
    return end - begin if begin and end and 0 < end - begin <= LONGEST_TASK else None


def parse_charge(value: Any) -> tuple[float | None, str]:
    """Return the charge in credits and an empty text, or None and KIE's text if the charge is impossible.

    For example, "8" gives (8, ""), "-5" gives (None, "-5"), and None gives (None, "").
    """
    figure = parse_number(value)
    if figure is not None and 0 <= figure <= MAX_CREDITS:
        return figure, ""
    return None, as_line(value)[:LONGEST_CHARGE]


def state_from_word(row: Shape, word: str, *, has_results: bool, has_error: bool) -> State:
    """Convert the state in KIE's record to the task's `State`, such as "success" to `succeeded`.

    Args:
        row: The shape of the answer.
        word: The state in KIE's record, in lower case.
        has_results: Whether the answer has results.
        has_error: Whether the record has an error.
    """
    if word in row.done.split() or (has_results and word in row.done_with_results.split()):
        return "succeeded"
    if word in f"{row.failed} {row.done_with_results}".split() or (has_error and word in row.failed_with_error.split()):
        return "failed"
    return "running"


def state_from_code(row: Shape, code: int | None, message: str, *, has_results: bool, has_record: bool) -> State:
    """Derive a task's state from the code of a status answer that has no record, or a record without a state.

    Args:
        row: The shape of the answer.
        code: KIE's error code; None if the answer has no error.
        message: KIE's message.
        has_results: Whether the answer has results.
        has_record: Whether the answer has a record of the task.
    """
    if row.at_once and code is not None:
        return "failed"
    if not row.state and (has_results or (row.at_once and has_record)):
        return "succeeded"
    meaning = codes.find(code)
    verdict = meaning.verdict(has_record=has_record)
    if not row.state and meaning.not_ready and message and not has_record:
        # Until the larger version of a Veo clip is ready, KIE says that it is processing. Other words are a refusal.
        return "running" if "processing" in message.lower() else "missing"
    if verdict == "missing" and meaning.not_ready and NOT_YET.search(message):
        return "running"
    return "running" if verdict == "request" else verdict


def collect_results(row: Shape, envelope: dict[str, Any]) -> tuple[tuple[Media, ...], tuple[str, ...]]:
    """Return the files and texts that the readers in `row` find at the first of `row.result_paths` that has any."""
    for path in row.result_paths:
        objects = [item for leaf in values_at(envelope, path) for item in as_items(leaf) if isinstance(item, dict)]
        media = tuple(each for result in objects for read_media in row.media for each in read_media(result))
        texts = tuple(each for result in objects for read_texts in row.texts for each in read_texts(result))
        if media or texts:
            return result_search.bound(media), texts
    return (), ()


def find_record(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return KIE's record of the task from a status answer; empty if there is none.

    The record may be inside a list or a JSON text.
    """
    return next((item for item in as_items(envelope.get("data")) if isinstance(item, dict)), {})


FLAG = Shape("successFlag", done="1 true success 成功", failed="2 3 fail failed 失败", result_paths=("data.response",))
SUNO = Shape(
    "status successFlag",
    done="success 1 true",
    failed="create_task_failed generate_audio_failed generate_lyrics_failed generate_wav_failed generate_mp4_failed "
    "sensitive_word_error",
    # In this state, KIE could not call the callback URL. The task may have results nevertheless.
    done_with_results="callback_exception",
    result_paths=("data.response",),
)
VOICE = Shape("status", done="success", failed="processing_validate_fail fail")

SHAPES = {
    "jobs": Shape(
        "state successFlag",
        done="success succeeded completed 1 true",
        failed="fail failed 2 3",
        result_paths=("data.response", "data.resultJson"),
        media=(
            files("resultUrls"),
            tracks("data"),
            files("firstFrameUrl", label="first frame"),
            files("lastFrameUrl", label="last frame"),
        ),
        texts=(result_texts,),
        full_progress=100,
    ),
    "veo": replace(FLAG, result_paths=("data.response", "data"), media=(clips,)),
    "veo-1080p": Shape(media=(files("resultUrl"),)),
    "veo-4k": Shape(media=(files("resultUrls"),)),
    "runway": Shape("state", done="success", failed="fail", media=(files("videoInfo.videoUrl"),)),
    "aleph": replace(FLAG, failed_with_error="0 false", media=(files("resultVideoUrl"),)),
    # In state 4, the result exists, and only the call of the callback URL failed.
    "luma": replace(FLAG, done=f"{FLAG.done} 4", media=(files("resultUrls", "originUrls"),)),
    "gpt4o-image": Shape(
        "status successFlag",
        done="success 1 true",
        failed="create_task_failed generate_failed 2",
        result_paths=("data.response",),
        media=(files("resultUrls", "result_urls"),),
    ),
    "flux-kontext": replace(FLAG, media=(files("resultImageUrl", "originImageUrl"),)),
    "midjourney": replace(FLAG, result_paths=("data.resultInfoJson",), media=(files("resultUrls.resultUrl"),)),
    "suno-music": replace(SUNO, media=(tracks("sunoData"),)),
    "suno-lyrics": replace(SUNO, texts=(lyrics("data"),)),
    "suno-wav": replace(SUNO, media=(files("audioWavUrl"),)),
    "suno-mp4": replace(SUNO, media=(files("videoUrl"),)),
    "suno-vocal-removal": replace(SUNO, media=(stems,)),
    "suno-midi": replace(FLAG, result_paths=("data.midiData",), texts=(words("instruments"),)),
    # State 2 is not in `failed`: for album covers, it means that KIE is still generating.
    "suno-cover": replace(FLAG, failed="3 create_task_failed generate_cover_failed", media=(files("images"),)),
    # In the state `wait_validating`, KIE waits for a recording of the phrase. So the phrase, which is the result, is
    # ready.
    "suno-voice-validate": replace(VOICE, done="wait_validating success", texts=(words("validateInfo"),)),
    "suno-voice": replace(VOICE, texts=(words("voiceId"),)),
    "suno-voice-check": Shape("isAvailable", done="true", failed="false", at_once=True),
    "timestamped-lyrics": Shape(texts=(timed_lyrics("alignedWords"),), at_once=True),
    # According to KIE's documentation, the states of this route are digits, but the API answers with Chinese words.
    "style": replace(FLAG, result_paths=("data",), texts=(words("result"),), at_once=True),
    "persona": Shape(texts=(words("personaId"),), at_once=True),
    "omni": Shape(
        media=(files("imageUrl", label="face"), files("bodyImageUrl", label="body")),
        texts=(words("kieAudioId", "characterId"),),
        at_once=True,
    ),
    "credits": Shape(result_paths=("",), texts=(words("data"),), at_once=True),
    # All routes from KIE's model list answer in this shape.
    "service": Shape("status", done="1", failed="2", media=(files("resultUrls"),)),
}
