"""What KIE's status answers mean: one reader, and one table row per family of answers.

No two families agree: 2 is a failure for Veo and means "generating" for album covers, a 4K clip is ready under
code 422; and null, nothing, garbage or an unheard-of word all mean that the task goes on.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

State = Literal["running", "succeeded", "failed", "missing"]

LONGEST_ERROR = 500
EXPIRED = "KIE has deleted this file: it keeps results for 14 days."

NO_ERROR = (None, 0, 200)
TASK_ENDED = (408, 451, 501, 531)
"""Envelope codes that speak of the task."""


@dataclass(frozen=True, slots=True)
class Media:
    """A file that a task made."""

    url: str
    id: str = ""
    """KIE's id of a track or stem, which follow-up tasks ask for."""
    label: str = ""
    """The title of a song, the name of a stem, or which of several clips or frames this is."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where a task stands."""

    state: State
    """`missing` when KIE does not know the task, which it also says for some seconds after a create."""
    media: tuple[Media, ...] = ()
    texts: tuple[str, ...] = ()
    """Lyrics under their title, a phrase, an id, or JSON such as the notes of a MIDI result."""
    error: str = ""
    """KIE's message on one line; beside a success it is a warning."""
    code: int | None = None
    """KIE's code for what went wrong; None when it named none."""
    credits: float | None = None
    progress: float | None = None
    """From 0 to 1."""


Files = Callable[[Any], list[Media]]
Texts = Callable[[Any], list[str]]


@dataclass(frozen=True, slots=True)
class Shape:
    """How one family of answers tells where its task stands and what it made. Words are joined by spaces."""

    state: str = ""
    """The fields of `data` that hold the state, best first; where there are none, the results tell."""
    done: str = ""
    failed: str = ""
    done_with_results: str = ""
    """Words for done when there are results, for failed when there are none."""
    failed_with_error: str = ""
    """Words for failed when `data` names an error, for running when it names none."""
    at: tuple[str, ...] = ("data",)
    """The places that may hold the results, best first."""
    media: tuple[Files, ...] = ()
    texts: tuple[Texts, ...] = ()
    full_progress: float = 1
    """What `data.progress` counts up to."""
    at_once: bool = False
    """Whether the answer to the request is all there is, without a task to ask after."""


def read(shape: str, answer: Any) -> Status:
    """What a status answer says of its task.

    Args:
        shape: One of the names in `SHAPES`.
        answer: What the body parsed to: an envelope, None when it was empty, text when it was not JSON.
    """
    row = SHAPES[shape]
    envelope = answer if isinstance(answer, dict) else {}
    data = envelope.get("data")
    record = data if isinstance(data, dict) else {}
    code, message = whole(envelope.get("code")), line(envelope.get("msg"))
    if code in NO_ERROR:
        code, message = None, ""
    media, texts = results(row, envelope)

    task_codes = (whole(record.get(name)) for name in ("failCode", "errorCode"))
    task_code = next((each for each in task_codes if each not in NO_ERROR), None)
    task_message = line(next(iter(words("failMsg", "errorMessage", "response.errorMessage")(record)), ""))

    said = next(filter(None, (word(record.get(field)) for field in row.state.split())), "")
    if said:
        state = by_word(row, said, made=bool(media or texts), erred=bool(task_code or task_message))
    else:
        state = by_code(row, code, message, made=bool(media or texts), recorded=bool(data))

    done = state == "succeeded"
    if done:
        # A 4K clip is ready under 422.
        code, message = None, EXPIRED if whole(record.get("expireFlag")) == 1 else ""
    progress = number(record.get("progress"))
    return Status(
        state,
        # What a task shows before it is done is not final.
        media=media if done else (),
        texts=texts if done else (),
        error=task_message or message,
        code=task_code or code,
        credits=number(record.get("creditsConsumed")),
        progress=None if progress is None else min(max(progress / row.full_progress, 0), 1),
    )


def by_word(row: Shape, said: str, *, made: bool, erred: bool) -> State:
    """The state that a word of the record's stands for."""
    if said in row.done.split() or (made and said in row.done_with_results.split()):
        return "succeeded"
    if said in f"{row.failed} {row.done_with_results}".split() or (erred and said in row.failed_with_error.split()):
        return "failed"
    return "running"


def by_code(row: Shape, code: int | None, message: str, *, made: bool, recorded: bool) -> State:
    """The state where the record has no word for it, or is not there."""
    if row.at_once and code is not None:
        return "failed"
    if not row.state and (made or (row.at_once and recorded)):
        return "succeeded"
    # A larger version of a Veo clip is refused with 400 or 422 until it is ready.
    if code == 404 or (code == 422 and not recorded and "processing" not in message.lower()):
        return "missing"
    # 500 speaks of the task only when its record comes along.
    if code in TASK_ENDED or (code == 500 and recorded):
        return "failed"
    return "running"


def results(row: Shape, envelope: dict[str, Any]) -> tuple[tuple[Media, ...], tuple[str, ...]]:
    """What the first place that holds any results holds."""
    for place in row.at:
        holders = [item for leaf in follow(envelope, place) for item in items(leaf) if isinstance(item, dict)]
        media = tuple(each for made in holders for files_in in row.media for each in files_in(made))
        texts = tuple(each for made in holders for texts_in in row.texts for each in texts_in(made))
        if media or texts:
            return media, texts
    return (), ()


def follow(value: Any, path: str) -> list[Any]:
    """What lies at the end of a path of names joined by dots; lists on the way are gone through."""
    found = [value]
    for name in path.split(".") if path else ():
        found = [item[name] for each in found for item in items(each) if isinstance(item, dict) and name in item]
    return found


def items(value: Any) -> list[Any]:
    """The items of a list, else the value itself; JSON inside a string is opened first."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return [value]
    return value if isinstance(value, list) else [value]


def number(value: Any) -> float | None:
    """A finite number, also when it came as a string."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        figure = float(value)
    except (ValueError, OverflowError):
        return None
    return figure if math.isfinite(figure) else None


def whole(value: Any) -> int | None:
    """A code or a flag; KIE's have three digits at most."""
    figure = number(value)
    return int(figure) if figure is not None and figure.is_integer() and abs(figure) < 10_000 else None


def word(value: Any) -> str:
    """A state in the table's spelling: 1, 1.0 and "1" are "1"; "SUCCESS" is "success"; true is "true"."""
    figure = whole(value)
    if figure is not None:
        return str(figure)
    return str(value).strip().lower() if isinstance(value, str | bool) else ""


def text(value: Any) -> str:
    """A string, or any other value as JSON; nothing for what is empty or no JSON."""
    if value in (None, [], {}):
        return ""
    try:
        written = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return ""
    # PostgreSQL takes no NUL, and UTF-8 no half of a surrogate pair.
    return written.replace("\0", "").encode(errors="replace").decode().strip()


def line(value: Any) -> str:
    """A text short enough to show, on one line."""
    return " ".join(text(value).split())[:LONGEST_ERROR]


def url(value: Any) -> str:
    """A URL, else nothing."""
    return text(value) if isinstance(value, str) and value.strip().startswith(("https://", "http://")) else ""


def files(*paths: str, label: str = "") -> Files:
    """The URLs at the first path that leads to any."""

    def read_files(made: Any) -> list[Media]:
        each = (
            [found for leaf in follow(made, path) for item in items(leaf) if (found := url(item))] for path in paths
        )
        return [Media(found, label=label) for found in next(filter(None, each), [])]

    return read_files


def words(*paths: str) -> Texts:
    """The texts at all of the paths."""
    return lambda made: [found for path in paths for leaf in follow(made, path) if (found := text(leaf))]


def lyrics(path: str) -> Texts:
    """Every variant of the lyrics that did not fail, under its title."""

    def read_lyrics(made: Any) -> list[str]:
        variants = (item for leaf in follow(made, path) for item in items(leaf) if isinstance(item, dict))
        return [
            "\n\n".join(filter(None, [line(variant.get("title")), verses]))
            for variant in variants
            if (verses := text(variant.get("text"))) and word(variant.get("status")) != "failed"
        ]

    return read_lyrics


def timed(path: str) -> Texts:
    """Sung words, a line for each line of the song, after the second that it begins at."""

    def read_timed(made: Any) -> list[str]:
        lines: list[str] = []
        fresh = True
        for sung in (item for leaf in follow(made, path) for item in items(leaf) if isinstance(item, dict)):
            sung_word = sung.get("word")
            if not line(sung_word):
                continue
            if fresh:
                lines.append(f"{number(sung.get('startS')) or 0:.2f}")
            lines[-1] += f" {line(sung_word)}"
            # The last word of a line brings the break along.
            fresh = str(sung_word).rstrip(" ").endswith("\n")
        return ["\n".join(lines)] if lines else []

    return read_timed


def tracks(path: str) -> Files:
    """The audio of each song; its stream only where the file is not there."""
    spellings = ("audioUrl", "audio_url", "streamAudioUrl", "stream_audio_url")

    def read_tracks(made: Any) -> list[Media]:
        songs = (item for leaf in follow(made, path) for item in items(leaf) if isinstance(item, dict))
        return [
            Media(found, id=line(song.get("id")), label=line(song.get("title")))
            for song in songs
            if (found := next(filter(None, (url(song.get(name)) for name in spellings)), ""))
        ]

    return read_tracks


def clips(made: Any) -> list[Media]:
    """Veo's clips, and the whole film where this one extended another."""
    own = files("resultUrls", "originUrls")(made)
    known = {clip.url for clip in own}
    return own + [film for film in files("fullResultUrls", label="whole film")(made) if film.url not in known]


def stems(made: Any) -> list[Media]:
    """Every `…Url` that is not null, with the ids of the list beside them, which spells the stems its own way."""
    urls = {
        key.removesuffix("Url"): found for key, value in made.items() if key.endswith("Url") and (found := url(value))
    }
    ids: dict[str, str] = {}
    more = []
    for part in (item for item in items(made.get("originData")) if isinstance(item, dict)):
        id_, name, found = line(part.get("id")), line(part.get("stem_type_group_name")), url(part.get("audio_url"))
        same = [stem for stem in urls if bare(stem) == bare(name)] or [stem for stem in urls if urls[stem] == found]
        if same:
            ids[same[0]] = id_
        elif found:
            more.append(Media(found, id=id_, label=name.lower()))
    return [Media(found, id=ids.get(stem, ""), label=stem) for stem, found in urls.items()] + more


def bare(name: str) -> str:
    """One spelling of `Backing Vocals` and `backingVocals`, and of `Vocals` and `vocal`."""
    return re.sub("[^a-z]", "", name.lower()).removesuffix("s")


def result_object(made: Any) -> list[str]:
    """What a job made that is no file: lyrics, notes, or all of it."""
    if follow(made, "resultObject.lyricsData"):
        return lyrics("resultObject.lyricsData")(made)
    if follow(made, "resultObject.instruments"):
        return words("resultObject.instruments")(made)
    return words("resultObject")(made)


FLAG = Shape("successFlag", done="1", failed="2 3", at=("data.response",))
SUNO = Shape(
    "status successFlag",
    done="success",
    failed="create_task_failed generate_audio_failed generate_lyrics_failed generate_wav_failed generate_mp4_failed "
    "sensitive_word_error",
    # KIE could not deliver its callback; what the task made may be there all the same.
    done_with_results="callback_exception",
    at=("data.response",),
)
VOICE = Shape("status", done="success", failed="processing_validate_fail fail")

SHAPES = {
    "jobs": Shape(
        "state",
        done="success",
        failed="fail",
        at=("data.response", "data.resultJson"),
        media=(
            files("resultUrls"),
            tracks("data"),
            files("firstFrameUrl", label="first frame"),
            files("lastFrameUrl", label="last frame"),
        ),
        texts=(result_object,),
        full_progress=100,
    ),
    "veo": replace(FLAG, at=("data.response", "data"), media=(clips,)),
    "veo-1080p": Shape(media=(files("resultUrl"),)),
    "veo-4k": Shape(media=(files("resultUrls"),)),
    "runway": Shape("state", done="success", failed="fail", media=(files("videoInfo.videoUrl"),)),
    "aleph": replace(FLAG, failed_with_error="0", media=(files("resultVideoUrl"),)),
    # 4: made, and only KIE's callback failed.
    "luma": replace(FLAG, done="1 4", media=(files("resultUrls", "originUrls"),)),
    "gpt4o-image": Shape(
        "status successFlag",
        done="success 1",
        failed="create_task_failed generate_failed 2",
        at=("data.response",),
        media=(files("resultUrls", "result_urls"),),
    ),
    "flux-kontext": replace(FLAG, media=(files("resultImageUrl", "originImageUrl"),)),
    "midjourney": replace(FLAG, at=("data.resultInfoJson",), media=(files("resultUrls.resultUrl"),)),
    "suno-music": replace(SUNO, media=(tracks("sunoData"),)),
    "suno-lyrics": replace(SUNO, texts=(lyrics("data"),)),
    "suno-wav": replace(SUNO, media=(files("audioWavUrl"),)),
    "suno-mp4": replace(SUNO, media=(files("videoUrl"),)),
    "suno-vocal-removal": replace(SUNO, media=(stems,)),
    "suno-midi": replace(FLAG, at=("data.midiData",), texts=(words("instruments"),)),
    # 2: generating.
    "suno-cover": replace(
        FLAG, done="1 success", failed="3 create_task_failed generate_cover_failed", media=(files("images"),)
    ),
    # The phrase to sing is ready once KIE waits for its recording.
    "suno-voice-validate": replace(VOICE, done="wait_validating success", texts=(words("validateInfo"),)),
    "suno-voice": replace(VOICE, texts=(words("voiceId"),)),
    "suno-voice-check": Shape("isAvailable", done="true", failed="false", at_once=True),
    "timestamped-lyrics": Shape(texts=(timed("alignedWords"),), at_once=True),
    # The page has digits, the live API Chinese words.
    "style": Shape("successFlag", done="1 成功", failed="2 失败", texts=(words("result"),), at_once=True),
    "persona": Shape(texts=(words("personaId"),), at_once=True),
    "omni": Shape(
        media=(files("imageUrl", label="face"), files("bodyImageUrl", label="body")),
        texts=(words("kieAudioId", "characterId"),),
        at_once=True,
    ),
    "credits": Shape(at=("",), texts=(words("data"),), at_once=True),
    # The model list's own pattern.
    "service": Shape("status", done="1", failed="2", media=(files("resultUrls"),)),
}
