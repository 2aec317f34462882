"""The length of a file is right or unknown, never 0 and never absurd."""

import io
import struct
from pathlib import Path

import pytest
from support.cases import for_each
from support.encoded_media import (
    BOTH,
    CLIPS,
    PATTERN,
    SECONDS,
    SINE,
    SOUNDS,
    encode,
    piped_wav,
    run_ffmpeg,
)
from support.media_files import box, clip, picture, sound
from support.programs import needs_ffmpeg
from support.threads import run_in_thread

from kie_mcp import disk
from kie_mcp.media.lengths import measure_seconds
from kie_mcp.sandbox.fake_media import MediaContent, render_file

BY_HEADERS = (
    "ogg",
    "opus",
    "oga",
    "wav",
    "mp3",
    "mp2",
    "aac",
    "aiff",
    "aifc",
    "flac",
    "m4a",
    "m4b",
    "mkv",
    "mka",
    "mp4",
)
"""Extensions of files whose length is known without ffmpeg."""


def measure(path: Path, content: bytes) -> float | None:
    path.write_bytes(content)
    with disk.open_file(path) as file:
        return run_in_thread(measure_seconds, file)


@needs_ffmpeg
@for_each("name", [*SOUNDS, *CLIPS, "padded.mp3", "covered.mp3", "piped.wav"])
def test_the_length_of_each_kind_of_file_is_known_with_ffmpeg(name: str, tmp_path: Path) -> None:
    # Encoders add up to 0.1 s of silence, or a frame.
    assert measure(tmp_path / name, encode(name)) == pytest.approx(SECONDS, abs=0.15)


@needs_ffmpeg
@pytest.mark.usefixtures("without_ffmpeg")
@for_each("name", [*SOUNDS, *CLIPS, "padded.mp3", "covered.mp3"])
def test_without_ffmpeg_a_length_is_right_or_unknown(name: str, tmp_path: Path) -> None:
    seconds = measure(tmp_path / name, encode(name))
    assert seconds is None or seconds == pytest.approx(SECONDS, abs=0.15)
    if name.endswith(BY_HEADERS) and not name.startswith(("fragmented", "cmaf", "adpcm")):
        assert seconds


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (sound(12.5), 12.5),
        (sound(12.5)[: 44 + 50_000], 6.25),
        (piped_wav(), SECONDS),
        (render_file("1.mp3", MediaContent("a heron", "1")), 3.1),
        (render_file("1.mp4", MediaContent("a heron", "1")), 2),
    ],
    ids=["whole", "cut in half", "written to a pipe", "song", "clip"],
)
def test_a_length_is_measured_by_what_is_there(content: bytes, expected: float) -> None:
    assert measure_seconds(io.BytesIO(content)) == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(
    "header",
    [struct.pack(">5I", 0, 0, 0, 1000, 12_250), struct.pack(">I2QIQ", 1 << 24, 0, 0, 1000, 12_250)],
    ids=["of at most 136 years", "of more than 136 years"],
)
def test_the_index_of_a_clip_tells_its_length(header: bytes) -> None:
    content = clip((b"free", b""), (b"moov", box(b"mvhd", header + bytes(80))), (b"mdat", bytes(400)))
    assert measure_seconds(io.BytesIO(content)) == 12.25
    assert measure_seconds(io.BytesIO(content.replace(b"isom", b"qt  "))) == 12.25


def test_the_longest_track_is_the_length_of_a_clip() -> None:
    """Its sound may be shorter."""
    data = render_file("1.mp4", MediaContent("a heron", "1"))
    place = data.index(b"mvhd") + 4 + 12
    assert data[place - 12] == 0
    longer = data[:place] + struct.pack(">II", 1000, 90_000) + data[place + 8 :]
    assert measure_seconds(io.BytesIO(longer)) == 90


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("edit-list.mp4", (*BOTH, "-ss", "1", "-c:v", "libx264", "-bf", "0"), SECONDS - 1),
        ("late-sound.mp4", (*PATTERN, "-itsoffset", "2", *SINE, "-c:a", "aac"), SECONDS + 2),
        (
            "variable-rate.mp3",
            (
                "-f",
                "lavfi",
                "-i",
                "anoisesrc=d=1",
                "-f",
                "lavfi",
                "-i",
                "anullsrc",
                "-filter_complex",
                "[1]atrim=0:9[q];[0][q]concat=n=2:v=0:a=1",
                "-q:a",
                "2",
                "-write_xing",
                "0",
            ),
            10,
        ),
    ],
)
def test_headers_are_not_believed_where_they_mislead(
    name: str, arguments: tuple[str, ...], expected: float, tmp_path: Path
) -> None:
    assert measure(tmp_path / name, run_ffmpeg(name, *arguments)) == pytest.approx(expected, abs=0.15)


@needs_ffmpeg
def test_flac_without_a_length_is_decoded(tmp_path: Path) -> None:
    unknown = bytearray(encode("a.flac"))
    unknown[21] &= 0xF0
    unknown[22:26] = bytes(4)
    assert measure(tmp_path / "a.flac", bytes(unknown)) == pytest.approx(SECONDS, abs=0.05)
    assert measure_seconds(io.BytesIO(unknown)) is None


@needs_ffmpeg
@pytest.mark.usefixtures("without_ffmpeg")
@pytest.mark.parametrize("name", ["fragmented.mp4", "cmaf.mp4", "live.webm"])
def test_a_length_that_no_header_has_is_unknown(name: str, tmp_path: Path) -> None:
    assert measure(tmp_path / name, encode(name)) is None


@for_each(
    "content",
    [
        b"",
        b"RIFF\0\0\0\0WAVEdata" + bytes(40),
        b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHI", 16, 1, 1, 8000) + bytes(8) + b"data" + bytes(8),
        b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<IHHI", 16, 2, 1, 8000) + bytes(8) + b"data" + bytes(8),
        b"RIFF\0\0\0\0WAVEfmt "
        + struct.pack("<IHHII", 16, 1, 1, 1, 1)
        + bytes(4)
        + b"data\xff\xff\xff\xff"
        + bytes(200),
        b"fLaC\0\0\0\x22" + bytes(400),
        b"OggS" + bytes(400),
        b"\xff\xfb\x90\x64" + bytes(400),
        picture(),
        clip(),
        clip((b"moov", box(b"mvhd", bytes(100)))),
        clip((b"moov", box(b"mvhd", struct.pack(">5I", 0, 0, 0, 0, 5000))), (b"mdat", bytes(400))),
        clip((b"moov", box(b"mvhd", struct.pack(">5I", 0, 0, 0, 1000, 5000))))[:30],
        struct.pack(">I4sI4s", 8, b"ftyp", 0, b"free"),
        struct.pack(">I4s", 8, b"ftyp") + struct.pack(">I4s", 8, b"free") * 5000,
        b"\x1aE\xdf\xa3" + bytes(400),
        b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + b"\xff" * 40,
    ],
)
def test_what_is_broken_has_no_length(content: bytes) -> None:
    assert measure_seconds(io.BytesIO(content), "audio/wav" if content.startswith(b"RIFF") else "") is None


JOINED = {
    "a.mp3": SINE,
    "a.ogg": SINE,
    "a.opus": SINE,
    "a.flac": SINE,
    "a.aac": SINE,
    "a.wav": SINE,
    "a.ts": PATTERN,
    "a.mpg": (*PATTERN, *SINE),
}


@needs_ffmpeg
@pytest.mark.parametrize("name", JOINED)
def test_of_joined_files_not_only_one_is_measured(name: str, tmp_path: Path) -> None:
    """A length of a part would make a task look cheaper than it is."""
    short, long = (run_ffmpeg(name, *JOINED[name], "-t", f"{seconds}") for seconds in (0.5, SECONDS))
    for content in (long + short, short + long):
        for seconds in (measure(tmp_path / name, content), measure_seconds(io.BytesIO(content))):
            assert seconds is None or seconds == pytest.approx(SECONDS + 0.5, abs=0.2)


@needs_ffmpeg
def test_of_a_clip_in_fragments_not_only_the_first_is_measured(tmp_path: Path) -> None:
    content = run_ffmpeg("a.mp4", *PATTERN, "-g", "10", "-movflags", "frag_keyframe")
    assert measure(tmp_path / "a.mp4", content) == pytest.approx(SECONDS, abs=0.05)
    assert measure_seconds(io.BytesIO(content)) is None


def test_frames_behind_a_large_gap_make_a_length_unknown() -> None:
    song = render_file("1.mp3", MediaContent("a heron", "1"))
    assert measure_seconds(io.BytesIO(song + bytes(2_000_000) + song)) is None


def test_the_blocks_in_a_frame_of_aac_all_count() -> None:
    frame = bytes([0xFF, 0xF1, 0x50, 0x80, 400 >> 3, (400 & 7) << 5 | 0x1F, 0xFC])
    single, double = (frame[:6] + bytes([0xFC | more]) + bytes(393) for more in (0, 1))
    seconds = measure_seconds(io.BytesIO(single * 100))
    assert seconds
    assert measure_seconds(io.BytesIO(double * 100)) == pytest.approx(2 * seconds)


def test_wav_whose_header_calls_compressed_samples_plain_is_not_believed() -> None:
    header = struct.pack("<HHIIHH", 0xFFFE, 1, 22_050, 11_025, 1024, 4)
    content = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0" + header + b"data" + struct.pack("<I", 22_050)
    assert measure_seconds(io.BytesIO(content + bytes(22_050))) is None


def test_the_file_can_be_read_from_its_beginning_afterwards() -> None:
    file = io.BytesIO(sound(1))
    measure_seconds(file)
    assert file.read() == sound(1)
