"""KIE's status answers: one parser, and a table with a row for each shape of answer.

No two shapes agree: state 2 means failure for Veo and "generating" for album covers, and KIE may send a finished 4K
clip with code 422. An answer that is null, empty, garbage or an unknown word means that the task is still running.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from kie_mcp.kie import codes, result_search
from kie_mcp.kie.result_readers import (
    Media,
    MediaReader,
    TextReader,
    as_items,
    clips,
    files,
    lyrics,
    normalize_word,
    one_line,
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

State = Literal["running", "succeeded", "failed", "missing"]

MOST_CREDITS = 1_000_000
"""Largest charge for one task, in credits, that is taken as correct; no task costs so much."""
LONGEST_CHARGE = 40
"""Largest number of characters of an impossible charge that are kept."""
EXPIRED = "KIE has deleted this file: it keeps results for 14 days."


@dataclass(frozen=True, slots=True)
class Status:
    """A status answer, parsed: the state of one task and its results."""

    state: State
    """State of the task; `missing` when KIE does not know the task, as may be for some seconds after its create."""
    media: tuple[Media, ...] = ()
    texts: tuple[str, ...] = ()
    """Results that are text: lyrics under their title, a phrase, an id, or JSON such as the notes of a MIDI file."""
    spare_media: tuple[Media, ...] = ()
    """Files of a succeeded task that may be no results, such as covers; empty when there are results."""
    unread: str = ""
    """KIE's record of a succeeded task as JSON, where no result was found in it."""
    error: str = ""
    """KIE's error message on one line; a warning when the task succeeded."""
    code: int | None = None
    """KIE's code of the error; None when there is none."""
    credits: float | None = None
    """Credits charged; None when KIE states no charge, or a charge that no task can have."""
    impossible_credits: str = ""
    """The charge in KIE's own text, if no task can cost that, such as `-5`; else empty."""
    progress: float | None = None
    """Progress from 0 to 1; None when KIE does not tell."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How one family of status answers shows a task's state and results. Spaces separate the words in a string."""

    state: str = ""
    """Fields of `data` that hold the state, best first; when this is empty, a task with results has succeeded."""
    done: str = ""
    """State words for success."""
    failed: str = ""
    """State words for failure."""
    done_with_results: str = ""
    """State words that mean success when there are results, and failure when there are no results."""
    failed_with_error: str = ""
    """State words that mean failure when `data` holds an error, and running when `data` holds no error."""
    result_paths: tuple[str, ...] = ("data",)
    """Paths to the results object, best first; the first one that leads to a result is used."""
    media: tuple[MediaReader, ...] = ()
    texts: tuple[TextReader, ...] = ()
    full_progress: float = 1
    """Value of `data.progress` when the task is complete."""
    at_once: bool = False
    """Whether the answer to the create is the result, so that there is no task to poll."""

    @property
    def makes_results(self) -> bool:
        """Whether the answer for a succeeded task holds files or texts."""
        return bool(self.media or self.texts)


def parse_status(shape: str, answer: Any) -> Status:
    """Parse a status answer into the state of its task, the results, the error and the charge.

    Args:
        shape: One of the names in `SHAPES`.
        answer: The parsed body: an envelope, None for an empty body, or text for a body that is not JSON.
    """
    row = SHAPES[shape]
    envelope = answer if isinstance(answer, dict) else {}
    data = envelope.get("data")
    record = find_record(envelope)
    code, message = parse_integer(envelope.get("code")), one_line(envelope.get("msg"))
    if code in codes.NO_ERROR:
        code, message = None, ""
    media, texts = collect_results(row, envelope)
    elsewhere = result_search.search(envelope) if row.makes_results and not (media or texts) else Findings()
    if elsewhere.certain:
        media = elsewhere.media
    has_results = bool(media or texts)

    task_codes = (parse_integer(record.get(name)) for name in ("failCode", "errorCode"))
    task_code = next((each for each in task_codes if each not in codes.NO_ERROR), None)
    task_message = one_line(next(iter(words("failMsg", "errorMessage", "response.errorMessage")(record)), ""))

    word = next(filter(None, (normalize_word(record.get(field)) for field in row.state.split())), "")
    if word:
        state = state_from_word(row, word, has_results=has_results, has_error=bool(task_code or task_message))
    else:
        # The answer to a refused request may contain files that are no results.
        has_results = has_results and not (elsewhere.certain and code is not None)
        state = state_from_code(row, code, message, has_results=has_results, has_record=bool(data))

    done = state == "succeeded"
    if done:
        # KIE may send a finished 4K clip with code 422, which is no error then.
        code, message = None, EXPIRED if parse_integer(record.get("expireFlag")) == 1 else ""
    progress = parse_number(record.get("progress"))
    charged, impossible = parse_charge(record.get("creditsConsumed"))
    return Status(
        state,
        # Results that a task shows before it is done are not final.
        media=media if done else (),
        texts=texts if done else (),
        spare_media=elsewhere.media if done and not elsewhere.certain else (),
        unread=elsewhere.text if done else "",
        error=task_message or message,
        code=task_code or code,
        credits=charged,
        impossible_credits=impossible,
        progress=None if progress is None else min(max(progress / row.full_progress, 0), 1),
    )


def parse_charge(value: Any) -> tuple[float | None, str]:
    """Return a charge in credits, and KIE's text of an impossible charge.

    For example, "8" gives (8, ""), "-5" gives (None, "-5"), and no charge gives (None, "").
    """
    figure = parse_number(value)
    if figure is not None and 0 <= figure <= MOST_CREDITS:
        return figure, ""
    return None, one_line(value)[:LONGEST_CHARGE]


def state_from_word(row: Shape, word: str, *, has_results: bool, has_error: bool) -> State:
    """Return the state that a state word of the record stands for."""
    if word in row.done.split() or (has_results and word in row.done_with_results.split()):
        return "succeeded"
    if word in f"{row.failed} {row.done_with_results}".split() or (has_error and word in row.failed_with_error.split()):
        return "failed"
    return "running"


def state_from_code(row: Shape, code: int | None, message: str, *, has_results: bool, has_record: bool) -> State:
    """Return the state of a task when the status answer has no record, or a record without a state word."""
    if row.at_once and code is not None:
        return "failed"
    if not row.state and (has_results or (row.at_once and has_record)):
        return "succeeded"
    meaning = codes.find(code)
    verdict = meaning.verdict(recorded=has_record)
    # A larger version of a Veo clip is refused with 400 or 422 until it is ready.
    if verdict == "missing" and meaning.not_ready and "processing" in message.lower():
        return "running"
    return "running" if verdict == "request" else verdict


def collect_results(row: Shape, envelope: dict[str, Any]) -> tuple[tuple[Media, ...], tuple[str, ...]]:
    """Return the files and texts at the first of the shape's paths that leads to a file or a text."""
    for path in row.result_paths:
        objects = [item for leaf in values_at(envelope, path) for item in as_items(leaf) if isinstance(item, dict)]
        media = tuple(each for result in objects for read_media in row.media for each in read_media(result))
        texts = tuple(each for result in objects for read_texts in row.texts for each in read_texts(result))
        if media or texts:
            return result_search.bound(media), texts
    return (), ()


def find_record(envelope: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the record in a status answer, which may be in a list or in a JSON text; empty when there is none."""
    return next((item for item in as_items(envelope.get("data")) if isinstance(item, dict)), {})


FLAG = Shape("successFlag", done="1 true success 成功", failed="2 3 fail failed 失败", result_paths=("data.response",))
SUNO = Shape(
    "status successFlag",
    done="success 1 true",
    failed="create_task_failed generate_audio_failed generate_lyrics_failed generate_wav_failed generate_mp4_failed "
    "sensitive_word_error",
    # This word means that KIE could not deliver its callback; the task may have results all the same.
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
    # 4 means that the result exists and that only KIE's callback failed.
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
    # For album covers, 2 means that KIE is still generating, so 2 is not among the failures.
    "suno-cover": replace(FLAG, failed="3 create_task_failed generate_cover_failed", media=(files("images"),)),
    # The state `wait_validating` means that KIE waits for a recording of the phrase, so the phrase is ready.
    "suno-voice-validate": replace(VOICE, done="wait_validating success", texts=(words("validateInfo"),)),
    "suno-voice": replace(VOICE, texts=(words("voiceId"),)),
    "suno-voice-check": Shape("isAvailable", done="true", failed="false", at_once=True),
    "timestamped-lyrics": Shape(texts=(timed_lyrics("alignedWords"),), at_once=True),
    # KIE's documentation names digits as states, but the live API answers with Chinese words.
    "style": replace(FLAG, result_paths=("data",), texts=(words("result"),), at_once=True),
    "persona": Shape(texts=(words("personaId"),), at_once=True),
    "omni": Shape(
        media=(files("imageUrl", label="face"), files("bodyImageUrl", label="body")),
        texts=(words("kieAudioId", "characterId"),),
        at_once=True,
    ),
    "credits": Shape(result_paths=("",), texts=(words("data"),), at_once=True),
    # The routes of KIE's model list share this shape.
    "service": Shape("status", done="1", failed="2", media=(files("resultUrls"),)),
}
