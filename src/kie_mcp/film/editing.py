"""Make a film: read the facts of the sources, plan one ffmpeg command, run it, report progress, check the result.

All files are in a private folder, under names that this module chooses.
"""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
import PIL.Image
import PIL.ImageFont

from kie_mcp import disk
from kie_mcp.catalog.fields import Ref
from kie_mcp.child_process import Finished, run_program
from kie_mcp.errors import InvalidCall, KieMcpError, TaskFailed
from kie_mcp.film import facts, texts
from kie_mcp.film.copying import LARGE_BYTES
from kie_mcp.film.graph import STILL_ENDING
from kie_mcp.film.layout import Layout, Source, lay_out
from kie_mcp.film.plan import Plan, choose_loudness, plan_film, plan_measurement
from kie_mcp.film.sound import has_sound
from kie_mcp.film.timeline import Timeline
from kie_mcp.media import ffmpeg, pictures
from kie_mcp.text import shorten

EDIT_SECONDS = 3600.0
"""Maximum seconds for one run of ffmpeg."""
EDIT_MEMORY_BYTES = 4_000_000_000
"""Maximum address space of ffmpeg in bytes.

ffmpeg reserves most of this address space for the stacks of its threads, and uses only a small part of it.
"""
MAX_FILTER_THREADS = 60
"""Maximum number of threads of the filters for all clips together; each filter has as many threads as ffmpeg allows."""
MAX_LOG_BYTES = 20_000_000
LOUDNESS_TOLERANCE = 0.4
"""Largest accepted difference from the wanted loudness, in LU."""
MAX_MEASUREMENTS = 4
SILENT_LUFS = -60.0
"""Loudness in LUFS below which a sound is treated as silent and is not made louder."""
SOUND_TOLERANCE = 0.15
"""Maximum difference in seconds between the length of a result's sound and the planned length."""
INSTALL = "Install ffmpeg, or start the server with it: pip install 'kie-mcp[ffmpeg]'."

_LOUDNESS = re.compile(rb"I: +(-?[\d.]+|-?inf|nan) LUFS")
_PROGRESS = re.compile(rb"out_time_(?:us|ms)=(\d+)")
_FRAMES = re.compile(rb"^frame=(\d+)", re.MULTILINE)
_LACKS = re.compile(rb"No such filter: '(\w+)'|Unknown encoder '(\w+)'")
# A thread for which there is no memory is told as a resource that is unavailable.
_OUT_OF_MEMORY = re.compile(ffmpeg.OUT_OF_MEMORY_PATTERN.pattern + rb"|Resource temporarily unavailable")
_DISK_FULL = re.compile(rb"No space left on device|Disk quota exceeded")
_NO_GLYPH = re.compile(rb"Glyph 0x(?!2060)[0-9A-F]+ not found", re.IGNORECASE)

Report = Callable[[float], None]
"""The type of a function that receives the progress of a film, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A timeline that was checked against its sources, with all other values that `make_film()` needs."""

    program: str
    folder: Path
    timeline: Timeline
    layout: Layout
    sources: Mapping[Ref, Source]
    lyrics: str = ""


@dataclass(frozen=True, slots=True)
class Film:
    """A finished film: the path of its file in the private folder, and its MIME type."""

    path: Path
    mime_type: str
    note: str = ""
    """A sentence for the user about a problem with the film; empty if there is no problem."""


def find_program() -> str:
    """Return the path of ffmpeg.

    Raises:
        InvalidCall: When ffmpeg is not installed.
    """
    program = ffmpeg.find_ffmpeg()
    if not program:
        raise InvalidCall("Editing needs ffmpeg, which is not installed here.", f"Nothing was made. {INSTALL}")
    return program


async def prepare(timeline: Timeline, folder: Path, names: Mapping[Ref, str], lyrics: str = "") -> Edit:
    """Read the sources, and check that the timeline fits them.

    Args:
        timeline: The timeline.
        folder: The private folder with the sources.
        names: For each file that the timeline names, its name in the folder.
        lyrics: Lines of timed lyrics that the film shows as texts; empty if there are no lyrics.

    Raises:
        InvalidCall: When ffmpeg is not installed, a source cannot be read, or the timeline does not fit a source.
    """
    program = find_program()
    sources = await _read_sources(program, folder, names)
    edit = Edit(program, folder, timeline, lay_out(timeline, sources), sources, lyrics)
    plan_film(timeline, edit.layout, sources, lyrics=lyrics)
    return edit


async def make_film(edit: Edit, report: Report) -> Film:
    """Make the film of a prepared edit.

    Raises:
        InvalidCall: When ffmpeg cannot be started, lacks a filter or encoder, or needs too much time or memory.
        TaskFailed: When the disk is full.
        KieMcpError: When ffmpeg fails for another reason, or the result differs from the plan.
    """
    gain, difference = await _find_gain(edit)
    sizes = {source.name: (edit.folder / source.name).stat().st_size for source in edit.sources.values()}
    plan = plan_film(edit.timeline, edit.layout, edit.sources, gain_db=gain, lyrics=edit.lyrics, sizes=sizes)
    await anyio.to_thread.run_sync(_write_files, edit.folder, plan)
    run = await _run(edit, ("-y", *plan.arguments), _follow(plan, report))
    path = edit.folder / plan.result
    if plan.is_copied and sum(sizes.values()) >= LARGE_BYTES:
        # Only the number of frames is checked, because reading a large file would take as long as copying it.
        _check_count(plan, run)
    else:
        await _check(edit, plan, path)
    notes = ["No font here has some letters of the texts."] if _NO_GLYPH.search(run.errors) else []
    if abs(difference) > LOUDNESS_TOLERANCE:
        word = "quieter" if difference > 0 else "louder"
        notes.append(f"The sound is {abs(difference):.1f} LU {word} than wanted, because its peaks are limited.")
    return Film(path, plan.mime_type, " ".join(notes))


async def _read_sources(program: str, folder: Path, names: Mapping[Ref, str]) -> dict[Ref, Source]:
    moving = {ref: folder / name for ref, name in names.items() if not name.endswith(STILL_ENDING)}
    read = await _probe(program, moving)
    for ref in moving:
        if not read[ref].picture and not read[ref].track:
            raise InvalidCall(
                f"{shorten(ref, 80)} has neither picture nor sound that ffmpeg here can read.",
                "Nothing was made. Give another file.",
            )
    stills = {ref: await _measure_still(folder / name) for ref, name in names.items() if ref not in moving}
    return {ref: Source(name, (read | stills)[ref]) for ref, name in names.items()}


async def _probe(program: str, paths: Mapping[Ref, Path]) -> dict[Ref, facts.Facts]:
    """Read the facts of clips and sounds.

    To save time, two ffmpeg processes run in parallel, and each reads half of the files: reading a large file takes as
    long as copying it.
    """
    read: dict[Ref, facts.Facts] = {}
    refs = sorted(paths, key=lambda ref: paths[ref].stat().st_size)

    failures: list[InvalidCall] = []

    async def probe(some: Sequence[Ref]) -> None:
        try:
            found = await facts.probe(program, [paths[ref] for ref in some])
            if found is None:
                # At least one file cannot be read. To find out which, ffmpeg reads each file in a separate run.
                found = [each for ref in some for each in await facts.probe(program, [paths[ref]]) or [facts.Facts()]]
        except InvalidCall as error:
            failures.append(error)
        else:
            read.update(zip(some, found, strict=True))

    async with anyio.create_task_group() as group:
        for some in filter(None, (refs[::2], refs[1::2])):
            group.start_soon(probe, some)
    if failures:
        raise failures[0]
    return read


async def _measure_still(path: Path) -> facts.Facts:
    def measure() -> tuple[int, int]:
        with disk.open_file(path) as file:
            return pictures.measure_picture(file)

    return facts.Facts(still=await anyio.to_thread.run_sync(measure))


def _write_files(folder: Path, plan: Plan) -> None:
    for name, content in plan.files.items():
        disk.replace_file(folder / name, content.encode())
    if texts.BURNED_NAME in plan.files:
        fonts = folder / texts.FONTS_FOLDER
        fonts.mkdir(mode=0o700, exist_ok=True)
        font = PIL.ImageFont.load_default(20)
        if isinstance(font, PIL.ImageFont.FreeTypeFont):
            disk.replace_file(fonts / "font.ttf", font.font_bytes)


async def _find_gain(edit: Edit) -> tuple[float | None, float]:
    """Return the gain that brings the sound nearest to the wanted loudness, and the difference that then remains.

    The gain is in decibels; it is None if the loudness is not changed. The difference, in LU, is the wanted loudness
    minus the measured one.
    """
    wanted = choose_loudness(edit.timeline, edit.layout)
    if wanted is None or not has_sound(edit.layout):
        return None, 0
    found = await _measure_loudness(edit, None)
    if found is None:
        return None, 0
    gain, tried = round(wanted - found, 2), list[tuple[float, float]]()
    # After the gain, the limiter lowers the peaks, so the sound is less loud than wanted. Therefore, the loudness is
    # measured again, and the gain is corrected.
    for _ in range(MAX_MEASUREMENTS - 1):
        reached = await _measure_loudness(edit, gain)
        if reached is None:
            return gain, 0
        tried.append((gain, wanted - reached))
        if abs(wanted - reached) <= LOUDNESS_TOLERANCE:
            break
        gain = round(gain + wanted - reached, 2)
    return min(tried, key=lambda each: abs(each[1]))


async def _measure_loudness(edit: Edit, gain: float | None) -> float | None:
    """Return the loudness of a film's sound in LUFS, after a gain in decibels; None if the sound is silent."""
    run = await _run(edit, plan_measurement(edit.layout, gain))
    told = _LOUDNESS.findall(run.errors)
    loudness = float(told[-1]) if told else math.nan
    return loudness if loudness >= SILENT_LUFS else None


def _follow(plan: Plan, report: Report) -> Callable[[bytes], None]:
    def read(piece: bytes) -> None:
        if (found := _PROGRESS.findall(piece)) and plan.seconds:
            report(min(int(found[-1]) / 1e6 / plan.seconds, 1))

    return read


async def _run(edit: Edit, arguments: tuple[str, ...], on_output: Callable[[bytes], None] | None = None) -> Finished:
    threads = ("-filter_complex_threads", str(choose_filter_threads(len(edit.layout.pieces))))
    command = (edit.program, "-nostdin", "-hide_banner", "-nostats", "-progress", "pipe:1", *threads, *arguments)
    try:
        run = await run_program(
            command,
            seconds=EDIT_SECONDS,
            max_output_bytes=MAX_LOG_BYTES,
            memory_bytes=EDIT_MEMORY_BYTES,
            folder=edit.folder,
            on_output=on_output,
        )
    except TimeoutError:
        raise InvalidCall(
            f"ffmpeg did not come to an end in {EDIT_SECONDS / 60:.0f} minutes.", "Make less at once."
        ) from None
    except OSError as error:
        raise InvalidCall(f"ffmpeg does not run: {error.strerror}.", INSTALL) from None
    # If memory is short, ffmpeg may leave out frames and report success.
    if run.exit_code or _OUT_OF_MEMORY.search(run.errors):
        raise _explain(run)
    return run


def choose_filter_threads(clips: int) -> int:
    """Return the number of threads for each filter of a film with this number of clips."""
    return max(min(os.cpu_count() or 1, MAX_FILTER_THREADS // max(clips, 1)), 1)


def _explain(run: Finished) -> KieMcpError:
    if lacks := _LACKS.search(run.errors):
        name = (lacks[1] or lacks[2]).decode()
        return InvalidCall(f"The ffmpeg here has no {name}, which this needs.", f"Use a whole build of it. {INSTALL}")
    if _OUT_OF_MEMORY.search(run.errors):
        step = "Give fewer or smaller clips, or a smaller height."
        return InvalidCall(f"This takes more than {EDIT_MEMORY_BYTES / 1e9:g} GB of memory.", step)
    if _DISK_FULL.search(run.errors):
        return TaskFailed("The disk has no room for the film.", "Make room; then call again.", retryable=True)
    lines = [line for line in run.errors.decode(errors="replace").splitlines() if line.strip()]
    last = " ".join(lines[-3:])[-300:]
    return KieMcpError(f"ffmpeg could not make it (exit code {run.exit_code}): {last}", "Try the clips one by one.")


async def _check(edit: Edit, plan: Plan, path: Path) -> None:
    """Compare a result with its plan, because ffmpeg may report success for a wrong result.

    Raises:
        KieMcpError: When the result differs from the plan.
    """
    if not await anyio.Path(path).is_file():
        raise _differs("there is none")
    if plan.mime_type.startswith("image/"):
        await anyio.to_thread.run_sync(_check_still, path)
        return
    (made,) = await facts.probe(edit.program, [path]) or [facts.Facts()]
    rate, seconds = float(edit.layout.rate), plan.seconds or 0
    if plan.frames is not None:
        if not made.picture or made.picture.frames != plan.frames:
            raise _differs(f"it has {made.picture.frames if made.picture else 0} frames instead of {plan.frames}")
        if abs(made.picture.seconds - seconds) > 1 / rate + 0.01:
            raise _differs(f"it is {made.picture.seconds:.2f} s long instead of {seconds:.2f} s")
        if made.picture.codec != "h264" or made.picture.pixels != "yuv420p":
            raise _differs(f"it is {made.picture.codec} in {made.picture.pixels}")
    if has_sound(edit.layout):
        length = made.track.seconds if made.track else 0
        if abs(length - seconds) > SOUND_TOLERANCE and not plan.is_copied:
            raise _differs(f"its sound is {length:.2f} s long instead of {seconds:.2f} s")


def _check_count(plan: Plan, run: Finished) -> None:
    """Compare the number of written frames, as ffmpeg reports it, with the number in the plan.

    Raises:
        KieMcpError: When the numbers differ.
    """
    told = _FRAMES.findall(run.output)
    if plan.frames is not None and (not told or int(told[-1]) != plan.frames):
        raise _differs(f"it has {told[-1].decode() if told else 'no'} frames instead of {plan.frames}")


def _check_still(path: Path) -> None:
    try:
        with PIL.Image.open(path) as image:
            image.load()
    except (OSError, SyntaxError) as error:
        raise _differs(f"it does not open ({type(error).__name__})") from None


def _differs(fault: str) -> KieMcpError:
    return KieMcpError(f"What ffmpeg made is not what was planned: {fault}.", "Try the clips one by one.")
