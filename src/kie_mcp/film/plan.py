"""Plan: the ffmpeg command that makes a film, computed from the film's timeline and the facts of its sources.

This module only computes: it reads and writes no files and runs no program. ffmpeg runs in a private folder. For
safety, a command names only files in this folder, under names that this package chose. The caller's texts are written
to files, and are never in the command.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kie_mcp.errors import InvalidCall
from kie_mcp.film import texts
from kie_mcp.film.copying import (
    build_join_list,
    can_copy_picture,
    can_copy_sound,
    drop_overlaps,
    is_whole,
    place_index,
)
from kie_mcp.film.facts import Picture
from kie_mcp.film.graph import Graph, format_number
from kie_mcp.film.layout import Layout, Source, Sources
from kie_mcp.film.picture import COLORS, add_picture, fit_picture, seek
from kie_mcp.film.sound import add_sound, has_sound
from kie_mcp.film.timeline import ANIMATION_FORMATS, COVERED_FORMATS, SOUND_FORMATS, STILL_FORMATS, Timeline
from kie_mcp.media.clips import ENCODERS, WITHOUT_METADATA

JOIN_NAME = "join.txt"
USUAL_LOUDNESS = -14.0
"""Default loudness in LUFS of a film with mixed sounds; large video sites play their videos at this loudness."""
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-fps_mode", "passthrough")
AAC = ("-c:a", "aac", "-b:a", "192k")
MIME_TYPES = {
    "mp4": "video/mp4",
    "gif": "image/gif",
    "webp": "image/webp",
    "mp3": "audio/mpeg",
    "m4a": "audio/mp4",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "png": "image/png",
    "jpg": "image/jpeg",
}
COPIED_SOUNDS = {"mp3": "mp3", "m4a": "aac", "flac": "flac"}
"""For each format of a sound file, the codec of streams that can be copied into it without encoding them again."""
SAME_LENGTH_SECONDS = 0.05
"""Maximum difference in seconds between the length of a copied sound and the planned length."""
END_SECONDS = 1.0
"""Number of seconds at the end of a clip that are decoded to find the clip's last frame."""


READ_AS_BT601 = {
    "jpg": ("scale=in_color_matrix=bt709:out_color_matrix=bt601:out_range=pc", "format=yuvj420p"),
    "webp": ("scale=in_color_matrix=bt709:out_color_matrix=bt601:out_range=tv", "format=yuv420p"),
}
"""Filters for the formats whose readers assume BT.601; ffmpeg's encoders for them would write BT.709 unchanged."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of ffmpeg in the private folder, and the properties that its result must have."""

    arguments: tuple[str, ...]
    """Arguments of ffmpeg from the first input to the name of the result."""
    result: str
    """Name of the file that ffmpeg writes."""
    mime_type: str
    seconds: float | None
    """Length of the result in seconds; None if it is a single frame."""
    frames: int | None
    """Number of frames of the result; None if the number is unknown, or if the result has no video."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Contents of the text files that must be written before the run, by file name."""
    is_copied: bool = False
    """Whether the result's video stream (in a sound file, its audio stream) is copied without encoding it again."""


def choose_loudness(timeline: Timeline, layout: Layout) -> float | None:
    """Return the loudness in LUFS that a film should have; None if the loudness stays unchanged."""
    if timeline.loudness is not None:
        return timeline.loudness
    is_mixed = layout.sounds or any(piece.voice for piece in layout.pieces)
    return USUAL_LOUDNESS if is_mixed else None


def plan_measurement(layout: Layout, gain_db: float | None = None) -> tuple[str, ...]:
    """Return ffmpeg's arguments for measuring the loudness of a film; ffmpeg's log ends with the loudness."""
    graph = Graph()
    label = add_sound(graph, layout, gain_db)
    label = graph.add_chain("ebur128=framelog=verbose", of=(label,))
    return *graph.inputs, "-filter_complex", graph.text, "-map", label, "-f", "null", "-"


def plan_film(
    timeline: Timeline,
    layout: Layout,
    sources: Sources,
    *,
    gain_db: float | None = None,
    lyrics: str = "",
    sizes: Mapping[str, int] | None = None,
) -> Plan:
    """Return the plan of a film.

    Args:
        timeline: The timeline.
        layout: The positions of the timeline's pieces and sounds.
        sources: The timeline's files.
        gain_db: Decibels by which the sound is made louder (quieter if below 0); None if it stays unchanged.
        lyrics: Lines of timed lyrics that the film shows as texts; empty if there are no lyrics.
        sizes: Sizes of the sources in bytes, by name.
    """
    if layout.format in STILL_FORMATS:
        return _plan_still(timeline, layout)
    if layout.format in SOUND_FORMATS:
        return _plan_sound(timeline, layout, sources, gain_db)
    shown = texts.collect_texts(timeline, layout, lyrics)
    if layout.format in ANIMATION_FORMATS:
        return _plan_animation(timeline, layout, shown)
    return _plan_mp4(timeline, layout, shown, gain_db, sum((sizes or {}).values()))


def _plan_mp4(
    timeline: Timeline, layout: Layout, shown: Sequence[texts.TimedText], gain_db: float | None, size: int
) -> Plan:
    graph = Graph()
    titles = [each for each in shown if each.style == "title"]
    attached = [each for each in shown if each.style != "title"] if timeline.subtitles == "attach" else []
    burned = titles if timeline.subtitles == "attach" else shown
    files = _write_burned(burned, layout)
    copies_picture = not burned and can_copy_picture(timeline, layout)
    copies_sound = copies_picture and gain_db is None and can_copy_sound(layout)
    options: list[str] = []
    if copies_picture:
        files[JOIN_NAME] = build_join_list(layout)
        # The option `auto_convert` is off, so that the clips are copied unchanged. With this option, ffmpeg would
        # repeat the codec parameters before each frame.
        number = graph.add_input(JOIN_NAME, "-safe", "1", "-auto_convert", "0")
        # `-copyts` keeps the times of the clips' sound. If sound is mixed, every input begins at 0 instead, as without
        # `-copyts`: the times in a sound file may begin later, and would become silence.
        options += ["-copyts"] if copies_sound else ["-copyts", "-start_at_zero"]
        options += ["-map", f"{number}:V:0", "-c:v", "copy"]
        if copies_sound and has_sound(layout):
            options += ["-map", f"{number}:a:0", "-c:a", "copy", *drop_overlaps(layout)]
    else:
        label = add_picture(graph, layout, timeline.fit)
        options += ["-map", _burn(graph, label, burned), *H264]
    if not copies_sound and has_sound(layout):
        options += ["-map", add_sound(graph, layout, gain_db), *AAC]
    if attached:
        files[texts.ATTACHED_NAME] = texts.build_srt(attached)
        number = graph.add_input(texts.ATTACHED_NAME)
        options += ["-map", f"{number}:s:0", "-c:s", "mov_text"]
    complex_ = ("-filter_complex", graph.text) if graph.chains else ()
    frames = sum(piece.picture.frames for piece in layout.pieces if piece.picture) if copies_picture else layout.frames
    place = place_index(layout, size) if copies_picture else ("-movflags", "+faststart")
    return Plan(
        (*graph.inputs, *complex_, *options, *WITHOUT_METADATA, *place, "film.mp4"),
        "film.mp4",
        MIME_TYPES["mp4"],
        layout.seconds,
        frames,
        files,
        copies_picture,
    )


def _write_burned(shown: Sequence[texts.TimedText], layout: Layout) -> dict[str, str]:
    return {texts.BURNED_NAME: texts.build_ass(shown, layout.size)} if shown else {}


def _burn(graph: Graph, label: str, shown: Sequence[texts.TimedText]) -> str:
    if not shown:
        return label
    burned = f"ass=filename={texts.BURNED_NAME}:fontsdir={texts.FONTS_FOLDER}"
    return graph.add_chain(burned, "format=yuv420p", COLORS, of=(label,))


def _plan_animation(timeline: Timeline, layout: Layout, shown: Sequence[texts.TimedText]) -> Plan:
    graph = Graph()
    label = _burn(graph, add_picture(graph, layout, timeline.fit), shown)
    if layout.format == "gif":
        front, back = graph.add_split("split", of=(label,), ends=2)
        colors = graph.add_chain("palettegen", of=(front,))
        label = graph.add_chain("paletteuse=dither=bayer:bayer_scale=3", of=(back, colors))
        options: tuple[str, ...] = ("-loop", "0")
    else:
        label = graph.add_chain(*READ_AS_BT601["webp"], of=(label,))
        options = ("-c:v", "libwebp", "-quality", "80", "-loop", "0", "-fps_mode", "passthrough")
    name = f"film.{layout.format}"
    arguments = (*graph.inputs, "-filter_complex", graph.text, "-map", label, *options, *WITHOUT_METADATA, name)
    # The number of frames is not checked (`frames` is None), because programs count the repeated frames of an
    # animation differently.
    return Plan(arguments, name, MIME_TYPES[layout.format], layout.seconds, None, _write_burned(shown, layout))


def _plan_sound(timeline: Timeline, layout: Layout, sources: Sources, gain_db: float | None) -> Plan:
    graph, name = Graph(), f"film.{layout.format}"
    if not has_sound(layout):
        raise InvalidCall("None of the clips has sound.", "Nothing was made.")
    copied = gain_db is None and _find_copied_sound(timeline, layout)
    if copied:
        number = graph.add_input(copied.name, "-vn")
        options: tuple[str, ...] = ("-map", f"{number}:a:0", "-c:a", "copy")
    else:
        options = ("-map", add_sound(graph, layout, gain_db), *ENCODERS[MIME_TYPES[layout.format]])
    complex_ = ("-filter_complex", graph.text) if graph.chains else ()
    metadata: tuple[str, ...] = WITHOUT_METADATA
    if timeline.cover and layout.format in COVERED_FORMATS:
        cover = graph.add_input(sources[timeline.cover].name)
        options += ("-map", f"{cover}:v:0", "-c:v", "mjpeg", "-q:v", "3", "-pix_fmt", "yuvj420p")
        options += ("-disposition:v:0", "attached_pic")
        # The cover of an MP3 is in an ID3 tag. `WITHOUT_METADATA` ends with an option that forbids ID3 tags, and this
        # option is replaced here.
        metadata = (*WITHOUT_METADATA[: WITHOUT_METADATA.index("-id3v2_version")], "-id3v2_version", "3")
    arguments = (*graph.inputs, *complex_, *options, *metadata, name)
    return Plan(arguments, name, MIME_TYPES[layout.format], layout.seconds, None, is_copied=bool(copied))


def _find_copied_sound(timeline: Timeline, layout: Layout) -> Source | None:
    """Return the film's only source if the sound of this source can be copied unchanged; None otherwise."""
    if len(layout.pieces) != 1 or layout.sounds or timeline.loudness is not None:
        return None
    (piece,) = layout.pieces
    track = piece.source and piece.source.facts.track
    if not track or not is_whole(piece.clip) or track.codec != COPIED_SOUNDS.get(layout.format):
        return None
    is_as_long = abs(track.seconds - layout.seconds) < SAME_LENGTH_SECONDS
    return piece.source if is_as_long else None


def _plan_still(timeline: Timeline, layout: Layout) -> Plan:
    """Return the plan for one picture: the last frame of the last clip, in the clip's size unless a size is given."""
    graph, name = Graph(), f"film.{layout.format}"
    piece, source = layout.pieces[-1], layout.pieces[-1].source
    size, fit = layout.size, piece.clip.fit or timeline.fit
    if not timeline.aspect_ratio and not timeline.height and source:
        picture = source.facts.picture
        size = (picture.width, picture.height) if picture else source.facts.still or size
    if source and piece.picture:
        end = min(piece.clip.source_end or piece.picture.seconds, piece.picture.seconds)
        begin = max(end - END_SECONDS, piece.clip.start, 0)
        options, lead = seek(piece.picture, begin)
        number = graph.add_input(source.name, *options, "-t", format_number(end - begin + lead))
        label = fit_picture(graph, f"[{number}:V:0]", piece.picture, size, fit)
    elif source and source.facts.still:
        number = graph.add_input(source.name)
        label = fit_picture(graph, f"[{number}:v:0]", Picture("png", *source.facts.still, 1, 0, 0, None), size, fit)
    else:
        raise InvalidCall("The last clip has no picture.", "Nothing was made. Name a clip or picture last.")
    label = graph.add_chain("setsar=1", *READ_AS_BT601.get(layout.format, ()), of=(label,))
    quality = ("-q:v", "2") if layout.format == "jpg" else ()
    # Every frame overwrites the same file, so at the end the file has the last frame.
    output = ("-f", "image2", "-update", "1", *quality, "-fps_mode", "passthrough")
    arguments = (*graph.inputs, "-filter_complex", graph.text, "-map", label, *output, *WITHOUT_METADATA, name)
    return Plan(arguments, name, MIME_TYPES[layout.format], None, None)
