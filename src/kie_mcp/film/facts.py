"""Read the facts about a source file's streams from ffmpeg's list of packets, not from the file's headers.

ffmpeg's muxer `framecrc` lists every packet without decoding it. The list gives the exact length of the video stream
(which may differ from the length of the file), the exact frame rate, and whether two files can be joined without
encoding. ffprobe is not needed for this.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import anyio.to_thread

from kie_mcp.child_process import Finished, run_program
from kie_mcp.errors import InvalidCall
from kie_mcp.film.graph import choose_input_options

PROBE_SECONDS = 120.0
"""Maximum seconds for one run of ffmpeg that reads packets."""
MAX_PROBE_BYTES = 64_000_000
"""Maximum bytes of a list of packets; the list of an hour of video with sound has about 20 million."""
USUAL_RATES = tuple(
    Fraction(rate) for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50", "60000/1001", "60")
)
RATE_TOLERANCE = 0.002
"""A usual rate (USUAL_RATES) replaces a measured frame rate if their relative difference is not larger than this."""
STEADY_SHARE = 0.95
"""A frame rate is constant if at least this share (0 to 1) of the times between two frames are equal."""
HIGHEST_RATE = 120
UNINDEXED_FORMATS = ("mpegts,", "mpeg,")
"""Beginnings of ffmpeg's log of a file whose format has no index of key frames."""
NO_TIME = str(-(1 << 63))
"""What ffmpeg's muxer `framecrc` writes for a time that a file does not have."""

_INPUT = re.compile(r"^Input #(\d+), (.*?)(?=^Input #|\Z)", re.MULTILINE | re.DOTALL)
_MAPPED = re.compile(r"^  Stream #(\d+):\d+ -> #0:(\d+)", re.MULTILINE)
_STREAM = re.compile(r"^ *Stream #\d+:\d+.*?: (Video|Audio): (\w+)(.*)$", re.MULTILINE)
_ROTATION = re.compile(r"display ?matrix: rotation of (-?[\d.]+) degrees", re.IGNORECASE)
_HEADER = re.compile(r"#(\w+) (\d+): *(.*)")
_PIXELS = re.compile(r", (?P<pixels>[a-z]\w+)(?:\((?P<colors>[^)]*)\))?, \d+x\d+")
_HDR = re.compile(r"smpte2084|arib-std-b67")
MATRICES = {
    **{name: name for name in ("bt709", "fcc", "bt470bg", "smpte170m", "smpte240m")},
    "bt2020nc": "bt2020",
    "bt2020c": "bt2020",
}
"""Names of colour matrices in ffmpeg's log (keys), and the same matrices' names in its filter `scale` (values)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """The video stream of a clip."""

    codec: str
    width: int
    """Width of the video as players show it, after rotation and in square pixels."""
    height: int
    frames: int
    seconds: float
    """Length in seconds, from the beginning of the first frame to the end of the last."""
    starts: float
    """Seconds from the start of the file to the first frame."""
    rate: Fraction | None
    """Frames per second; None if the frame rate is not constant."""
    longest_frame: float = 0.0
    """Longest time in seconds for which one frame is shown."""
    stored_size: tuple[int, int] = (0, 0)
    """Width and height after rotation, in the file's own pixels, which may not be square."""
    pixels: str = ""
    """ffmpeg's name of the pixel format, such as `yuv420p`."""
    is_turned: bool = False
    """Whether players rotate the video."""
    matrix: str = ""
    """The colour matrix, as the filter `scale` names it; empty if the file has no such information."""
    is_full_range: bool = False
    is_hdr: bool = False
    has_index: bool = True
    """False for MPEG-TS (.ts) and MPEG-PS (.mpg).

    There, ffmpeg seeks to the key frame after a second instead of the one before, and if it reads only one stream, the
    times begin with this stream instead of the file.
    """
    copied_form: tuple[str, ...] = ()
    """Codec, codec parameters, size, time base and more; clips with equal values can be joined without encoding."""


@dataclass(frozen=True, slots=True)
class Track:
    """The audio stream of a clip or sound file."""

    codec: str
    seconds: float
    starts: float
    packets: int = 0
    priming_packets: int = 0
    """Number of packets before the start of the sound; the AAC decoder needs these packets (priming)."""
    late_packets: int = 0
    """Number of packets that begin after the end of the video stream."""
    copied_form: tuple[str, ...] = ()
    """Codec, codec parameters, sample rate and more; sounds with equal values can be joined without encoding."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts about a source: a picture file has only `still`, any other readable file `picture`, `track` or both."""

    picture: Picture | None = None
    track: Track | None = None
    still: tuple[int, int] | None = None
    """Width and height in pixels of a picture file."""

    @property
    def seconds(self) -> float:
        """Length in seconds of a clip's video stream or a sound file's audio stream; 0 for a picture file."""
        if self.picture:
            return self.picture.seconds
        return self.track.seconds if self.track else 0


@dataclass(slots=True)
class _Stream:
    """One stream in ffmpeg's list of packets."""

    values: dict[str, str] = field(default_factory=dict)
    times: list[int] = field(default_factory=list)
    """The time of each packet, in units of the time base."""
    delay: int = 0
    """The time from the decoding of the first packet to its showing, in units of the time base.

    AVI and MPEG-PS files do not state when every frame is shown. Then the frame counts as shown by this time after its
    decoding.
    """
    end: int = 0
    """The end of the last packet, in units of the time base."""

    @property
    def time_base(self) -> Fraction:
        return Fraction(self.values.get("tb", "1/1000"))


async def probe(program: str, paths: Sequence[Path]) -> list[Facts] | None:
    """Read the facts of clips and sounds in one run of ffmpeg; return None if ffmpeg cannot read one of the files.

    Args:
        program: The path of ffmpeg.
        paths: The files.

    Raises:
        InvalidCall: When ffmpeg cannot be started, or takes too long.
    """
    command = [program, "-nostdin", "-hide_banner"]
    for path in paths:
        command += [*choose_input_options(path.name), "-i", f"file:{path.absolute()}"]
    for number, _ in enumerate(paths):
        command += ["-map", f"{number}:V:0?", "-map", f"{number}:a:0?"]
    command += ["-c", "copy", "-f", "framecrc", "pipe:1"]
    try:
        run = await run_program(command, seconds=PROBE_SECONDS, max_output_bytes=MAX_PROBE_BYTES)
    except TimeoutError:
        raise InvalidCall(f"The files could not be read within {PROBE_SECONDS:g} s.", "Give shorter ones.") from None
    except OSError as error:
        raise InvalidCall(f"ffmpeg does not run: {error.strerror}.", "Install another build of it.") from None
    return None if run.exit_code else await anyio.to_thread.run_sync(read_facts, run, len(paths))


def read_facts(run: Finished, count: int) -> list[Facts]:
    """Parse the output and the log of ffmpeg for `count` input files, and return the facts of each file."""
    log = run.errors.decode(errors="replace").partition("\nOutput #0")[0]
    logs = dict.fromkeys(map(str, range(count)), "") | {
        number: text for number, text in _INPUT.findall(log) if number.isdecimal()
    }
    streams = _read_packets(run.output.decode(errors="replace"))
    mapped = _MAPPED.findall(run.errors.decode(errors="replace"))
    found = []
    for number in map(str, range(count)):
        mine = [streams[end] for source, end in mapped if source == number and end in streams and streams[end].times]
        picture = next((each for each in mine if each.values.get("media_type") == "video"), None)
        track = next((each for each in mine if each.values.get("media_type") == "audio"), None)
        shown = _read_picture(picture, logs[number]) if picture else None
        found.append(Facts(shown, _read_track(track, shown) if track else None))
    return found


def _read_packets(text: str) -> dict[str, _Stream]:
    streams: dict[str, _Stream] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            if found := _HEADER.match(line):
                streams.setdefault(found[2], _Stream()).values[found[1]] = found[3]
            continue
        number, dts, pts, duration, *_ = (cell.strip() for cell in line.split(",", 4))
        decoded, shown = _parse_time(dts), _parse_time(pts)
        stream = streams.get(number)
        if not stream:
            continue
        if shown is not None and decoded is not None and not stream.times:
            stream.delay = shown - decoded
        if shown is None and decoded is not None:
            shown = decoded + stream.delay
        if shown is not None:
            stream.times.append(shown)
            stream.end = max(stream.end, shown + (int(duration) if duration.isdecimal() else 0))
    return streams


def _parse_time(text: str) -> int | None:
    return int(text) if text.lstrip("-").isdecimal() and text != NO_TIME else None


def _read_picture(stream: _Stream, log: str) -> Picture:
    times, unit = sorted(stream.times), stream.time_base
    rate = find_rate(times, unit)
    end = stream.end
    if end <= times[-1] and len(times) > 1:
        end = times[-1] + round((times[-1] - times[0]) / (len(times) - 1))
    shape = Fraction(stream.values.get("sar", "0/1")) or Fraction(1)
    told = next(
        (found for found in _STREAM.finditer(log) if found[1] == "Video" and "attached pic" not in found[3]), None
    )
    facts = told[3] if told else ""
    pixels = _PIXELS.search(facts)
    turn = _ROTATION.search(log)
    turned = round(float(turn[1])) % 180 == 90 if turn else False
    colors = re.split(r"[,/ ]+", (pixels["colors"] or "") if pixels else "")
    stored_width, height = (int(each) for each in stream.values.get("dimensions", "0x0").split("x"))
    width = max(round(stored_width * shape), 1)
    form = (
        *(stream.values.get(each, "") for each in ("codec_id", "extradata", "dimensions", "sar", "tb")),
        pixels["pixels"] if pixels else "",
        re.sub(r"[, ]*progressive", "", pixels["colors"] or "") if pixels else "",
        turn[1] if turn else "",
        str(rate),
    )
    return Picture(
        codec=stream.values.get("codec_id", ""),
        width=height if turned else width,
        height=width if turned else height,
        frames=len(times),
        seconds=float((end - times[0]) * unit),
        starts=float(times[0] * unit),
        rate=rate,
        longest_frame=float(max(later - earlier for earlier, later in pairwise([*times, max(end, times[-1])])) * unit),
        stored_size=(height, stored_width) if turned else (stored_width, height),
        pixels=pixels["pixels"] if pixels else "",
        is_turned=bool(turn),
        matrix=next((MATRICES[each] for each in colors if each in MATRICES), ""),
        is_full_range="pc" in colors,
        is_hdr=bool(_HDR.search(facts)),
        has_index=not log.startswith(UNINDEXED_FORMATS),
        copied_form=form,
    )


def _read_track(stream: _Stream, picture: Picture | None) -> Track:
    unit = stream.time_base
    end = picture.starts + picture.seconds if picture else math.inf
    first = max(min(stream.times), 0)
    form = ("codec_id", "extradata", "sample_rate", "channel_layout_name", "tb")
    return Track(
        codec=stream.values.get("codec_id", ""),
        seconds=float((stream.end - first) * unit),
        starts=float(first * unit),
        packets=len(stream.times),
        priming_packets=sum(following <= 0 for _, following in pairwise(stream.times)),
        late_packets=sum(time * unit >= end for time in stream.times),
        copied_form=tuple(stream.values.get(each, "") for each in form),
    )


def find_rate(times: list[int], unit: Fraction) -> Fraction | None:
    """Return the constant frame rate for the times of frames; None if the rate is not constant.

    Args:
        times: The times of the frames in order, in units of the time base.
        unit: The time base in seconds.
    """
    gaps = [later - earlier for earlier, later in pairwise(times)]
    usual_gap = Counter(gaps).most_common(1)[0][0] if gaps else 0
    # Gaps that differ a little are treated as equal, because a coarse time base, such as milliseconds, rounds them.
    tolerance = usual_gap / 20
    near = [gap for gap in gaps if abs(gap - usual_gap) <= tolerance]
    if usual_gap <= 0 or len(near) < STEADY_SHARE * len(gaps):
        return None
    rate = 1 / (Fraction(sum(near), len(near)) * unit)
    if not 1 <= rate <= HIGHEST_RATE:
        return None
    usual = min(USUAL_RATES, key=lambda each: abs(each - rate))
    return usual if abs(usual - rate) <= RATE_TOLERANCE * usual else rate.limit_denominator(1001)
