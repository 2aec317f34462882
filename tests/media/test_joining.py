"""Sounds are joined to one file, which is as long as all of them together."""

import re
import subprocess
import wave
from pathlib import Path
from typing import NamedTuple

import anyio
import anyio.to_thread
import pytest
from support import media_files
from support.encoded_media import run_ffmpeg
from support.programs import PROGRAM, needs_ffmpeg

from kie_mcp.media import formats
from kie_mcp.media.joining import join_sounds
from kie_mcp.media.lengths import measure_seconds

pytestmark = [pytest.mark.anyio, needs_ffmpeg]

MONO = ("-ac", "1")
ALIKE = {
    "constant bit rate": ("mp3", ("-b:a", "128k")),
    "constant bit rate, mono": ("mp3", ("-b:a", "64k", *MONO)),
    "variable bit rate": ("mp3", ("-q:a", "4")),
    "without a header frame": ("mp3", ("-q:a", "4", "-write_xing", "0", "-id3v2_version", "0")),
    "with tags at both ends": ("mp3", ("-metadata", "title=part", "-write_id3v1", "1")),
    "24 kHz": ("mp3", ("-ar", "24000", "-b:a", "32k", *MONO)),
    "8 kHz, lowest bit rate": ("mp3", ("-ar", "8000", "-b:a", "8k", *MONO)),
    "WAV": ("wav", ("-c:a", "pcm_s16le")),
    "WAV, 24 kHz mono": ("wav", ("-ar", "24000", *MONO)),
    "WAV, float": ("wav", ("-c:a", "pcm_f32le")),
    "WAV with more chunks": ("wav", ("-metadata", "title=part")),
    "Ogg": ("ogg", ("-c:a", "libvorbis")),
    "AAC": ("m4a", ()),
    "FLAC": ("flac", ()),
}


def encode(folder: Path, name: str, seconds: float, options: tuple[str, ...], hertz: int = 440) -> Path:
    """Encode a tone."""
    source = ("-f", "lavfi", "-i", f"sine=frequency={hertz}:sample_rate=44100:duration={seconds}")
    return write(folder / name, *source, "-ac", "2", *options)


def write(path: Path, *arguments: str) -> Path:
    """Write what ffmpeg encodes."""
    path.write_bytes(run_ffmpeg(path.name, *arguments))
    return path


class Told(NamedTuple):
    """What ffmpeg says of a sound."""

    codec: str
    channels: str
    seconds: float


def probe(*paths: Path) -> list[Told]:
    """Return what ffmpeg says of sounds; decode the first one, and fail if ffmpeg complains."""
    assert PROGRAM
    inputs = [each for path in paths for each in ("-i", path)]
    command = [PROGRAM, "-nostdin", "-nostats", "-v", "level+info", *inputs, "-map", "0", "-f", "null", "-"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stderr
    assert not re.findall(r".*\[(?:error|fatal)\].*", said)
    found = re.findall(r"Duration: \d+:\d+:([\d.]+).*?Audio: (\w+).*?Hz, (\w+)", said, re.DOTALL)
    return [Told(codec, channels, float(seconds)) for seconds, codec, channels in found]


async def join(paths: list[Path], target: Path) -> str:
    with target.open("w+b") as file:
        return await join_sounds(paths, file)


@pytest.mark.parametrize("kind", ALIKE)
async def test_sounds_of_one_format_are_as_long_as_all_of_them(tmp_path: Path, kind: str) -> None:
    ending, options = ALIKE[kind]
    parts = [encode(tmp_path, f"{n}.{ending}", 2 + n / 3, options, 300 * n) for n in (1, 2, 3)]
    joined = tmp_path / f"joined.{ending}"
    mime_type = await join(parts, joined)
    assert mime_type == formats.detect_mime_type(joined.read_bytes())
    told, first = probe(joined, parts[0])
    # A part of a compressed sound begins and ends with up to two frames of silence.
    assert told.seconds == pytest.approx(sum(2 + n / 3 for n in (1, 2, 3)), abs=0.01 if ending == "wav" else 0.6)
    assert told[:2] == first[:2]
    with joined.open("rb") as file:
        measured = await anyio.to_thread.run_sync(measure_seconds, file)
    assert measured == pytest.approx(told.seconds, abs=0.1)


async def test_mp3_frames_and_samples_are_those_of_the_parts(tmp_path: Path) -> None:
    """Nothing is encoded again, so nothing is lost."""
    parts = [encode(tmp_path, f"{n}.wav", n, ("-c:a", "pcm_s16le"), 300 * n) for n in (1, 2)]
    await join(parts, tmp_path / "joined.wav")
    with wave.open(str(tmp_path / "joined.wav")) as whole:
        samples = whole.readframes(whole.getnframes())
    content = b""
    for part in parts:
        with wave.open(str(part)) as file:
            content += file.readframes(file.getnframes())
    assert samples == content
    sounds = [encode(tmp_path, f"{n}.mp3", n, ("-b:a", "128k"), 300 * n) for n in (1, 2)]
    await join(sounds, tmp_path / "joined.mp3")
    last = sounds[1].read_bytes()
    assert (tmp_path / "joined.mp3").read_bytes().endswith(last[-4000:])


async def test_samples_whose_number_was_unknown_when_the_header_was_written_are_joined(tmp_path: Path) -> None:
    parts = [tmp_path / "1.wav", tmp_path / "2.wav"]
    for part in parts:
        content = bytearray(media_files.sound(0.5))
        content[4:8] = content[40:44] = bytes(4)
        part.write_bytes(content)
    await join(parts, tmp_path / "joined.wav")
    with wave.open(str(tmp_path / "joined.wav")) as whole:
        assert whole.getnframes() == whole.getframerate()


async def test_the_length_of_a_variable_bit_rate_is_told_in_its_header(tmp_path: Path) -> None:
    """A player that only reads the header knows the length."""
    quiet = encode(tmp_path, "quiet.mp3", 5, ("-q:a", "9"))
    source = ("-f", "lavfi", "-i", "anoisesrc=duration=5:sample_rate=44100")
    noise = write(tmp_path / "noise.mp3", *source, "-ac", "2", "-q:a", "0")
    await join([quiet, noise, quiet], tmp_path / "joined.mp3")
    assert probe(tmp_path / "joined.mp3")[0].seconds == pytest.approx(15, abs=0.3)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("mp3", ("-ar", "44100")), ("mp3", ("-ar", "24000"))),
        (("mp3", ("-ac", "2")), ("mp3", ("-ac", "1"))),
        (("mp3", ()), ("wav", ())),
        (("wav", ("-ar", "24000")), ("wav", ("-ar", "48000"))),
    ],
)
async def test_sounds_of_different_formats_are_encoded_again(
    tmp_path: Path, first: tuple[str, tuple[str, ...]], second: tuple[str, tuple[str, ...]]
) -> None:
    parts = [
        encode(tmp_path, f"{n}.{ending}", 2, options) for n, (ending, options) in enumerate((first, second), start=1)
    ]
    joined = tmp_path / f"joined.{first[0]}"
    assert await join(parts, joined) == formats.detect_mime_type(joined.read_bytes())
    assert probe(joined)[0].seconds == pytest.approx(4, abs=0.2)


async def test_without_ffmpeg_only_equal_formats_are_joined(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    mono, stereo = (encode(tmp_path, f"{n}.mp3", 1, ("-ac", str(n))) for n in (1, 2))
    request.getfixturevalue("without_ffmpeg")
    assert await join([mono, mono], tmp_path / "a.mp3") == "audio/mpeg"
    assert await join([mono, stereo], tmp_path / "b.mp3") == ""
    assert not (tmp_path / "b.mp3").read_bytes()


async def test_equal_sounds_give_equal_files(tmp_path: Path) -> None:
    parts = [encode(tmp_path, "1.mp3", 1, ()), encode(tmp_path, "2.ogg", 1, ("-c:a", "libvorbis"))]
    for name in ("a.mp3", "b.mp3"):
        await join(parts, tmp_path / name)
    assert (tmp_path / "a.mp3").read_bytes() == (tmp_path / "b.mp3").read_bytes()
