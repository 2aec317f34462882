"""Clips and sounds are made to fit with ffmpeg: another format where the model needs one, and no metadata."""

import io
from pathlib import Path

import anyio.to_thread
import pytest
from support.cases import for_each
from support.encoded_media import BOTH, CLIPS, PATTERN, SECONDS, SINE, SOUNDS, TYPES, encode, run_ffmpeg
from support.programs import needs_ffmpeg

from kie_mcp.catalog.fields import Limits
from kie_mcp.media import formats
from kie_mcp.media.clips import choose_type, fit_clip
from kie_mcp.media.content import Content
from kie_mcp.media.lengths import measure_seconds

pytestmark = pytest.mark.anyio

CLIP, SOUND = Limits("mp4 quicktime"), Limits("mpeg wav")
HOME = ("-metadata", "location=+52.5+013.4/", "-metadata", "title=SECRET", "-metadata", "comment=SECRET")


def content(data: bytes, mime_type: str = "") -> Content:
    return Content(
        io.BytesIO(data), "a-0123.bin", mime_type or formats.detect_mime_type(io.BytesIO(data)) or "", len(data)
    )


async def fit(given: Content, limits: Limits, *, keep_metadata: bool = False) -> tuple[bytes, Content, str]:
    async with fit_clip(given, limits, keep_metadata=keep_metadata) as fitted:
        data = fitted.content.file.read()
        assert len(data) == fitted.content.size
        return data, fitted.content, fitted.done


@needs_ffmpeg
@for_each("name", [*SOUNDS, *CLIPS, "covered.mp3", "padded.mp3"])
async def test_each_clip_or_sound_becomes_one_that_the_model_takes(name: str, tmp_path: Path) -> None:
    limits = CLIP if TYPES[name].startswith("video") else SOUND
    data, fitted, done = await fit(content(encode(name)), limits)
    assert formats.detect_mime_type(io.BytesIO(data)) == fitted.mime_type
    assert fitted.mime_type.partition("/")[2] in limits.formats.split()
    assert fitted.name == f"a-0123.{formats.EXTENSIONS[fitted.mime_type]}"
    assert ("made" in done) == (TYPES[name] != fitted.mime_type)
    (tmp_path / fitted.name).write_bytes(data)
    with (tmp_path / fitted.name).open("rb") as file:
        assert await anyio.to_thread.run_sync(measure_seconds, file) == pytest.approx(SECONDS, abs=0.15)


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.aiff", "memo.3gp", "sound-only.mov", "sound-only.webm", "a.w64", "a.mkv"])
async def test_a_clip_or_sound_keeps_its_format_if_the_model_takes_it(name: str) -> None:
    data, fitted, done = await fit(content(encode(name)), Limits(TYPES[name].partition("/")[2]))
    assert formats.detect_mime_type(io.BytesIO(data)) == fitted.mime_type == TYPES[name]
    assert done in ("", "metadata removed")


@needs_ffmpeg
async def test_a_clip_of_3840_x_2160_pixels_and_10_bits_is_encoded_again_within_the_limit_of_memory() -> None:
    source = ("-f", "lavfi", "-i", "testsrc2=size=3840x2160:rate=8:duration=1", "-pix_fmt", "yuv420p10")
    given = content(run_ffmpeg("large.mkv", *source, "-c:v", "libx265", "-preset", "ultrafast"))
    _, fitted, done = await fit(given, CLIP)
    assert (fitted.mime_type, done) == ("video/mp4", "MKV made MP4")


@for_each(
    "mime_type, formats, expected",
    [
        ("video/x-matroska", "mp4 quicktime", "video/mp4"),
        ("video/x-matroska", "mp4 quicktime x-matroska", "video/x-matroska"),
        ("video/webm", "quicktime", "video/quicktime"),
        ("video/webm", "", "video/mp4"),
        ("video/quicktime", "", "video/quicktime"),
        ("video/mp4", "jpeg png mp4 quicktime", "video/mp4"),
        ("audio/flac", "mpeg wav", "audio/mpeg"),
        ("audio/flac", "wav", "audio/wav"),
        ("audio/flac", "", "audio/flac"),
        ("audio/x-caf", "", "audio/mpeg"),
        ("audio/x-ms-wma", "mpeg wav ogg mp4 flac aac x-ms-wma", "audio/x-ms-wma"),
        ("audio/aiff", "mpeg wav x-wav aac mp4 ogg", "audio/mpeg"),
        ("audio/aiff", "x-ms-wma", "audio/aiff"),
    ],
)
async def test_the_format_depends_on_what_the_model_takes(mime_type: str, formats: str, expected: str) -> None:
    assert choose_type(mime_type, Limits(formats)) == expected


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "arguments", "limits"),
    [
        ("a.mp4", (*BOTH, *HOME), CLIP),
        ("a.mov", (*BOTH, *HOME), CLIP),
        ("a.mkv", (*BOTH, *HOME), CLIP),
        ("a.mp3", (*SINE, *HOME), SOUND),
        ("a.wav", (*SINE, *HOME, "-write_bext", "1", "-metadata", "description=SECRET"), SOUND),
        ("a.m4a", (*SINE, *HOME), Limits("mp4")),
        ("a.flac", (*SINE, *HOME), Limits("flac")),
        ("a.ogg", (*SINE, *HOME, "-c:a", "libvorbis"), Limits("ogg")),
    ],
)
async def test_metadata_goes_unless_it_is_wanted(name: str, arguments: tuple[str, ...], limits: Limits) -> None:
    data = run_ffmpeg(name, *arguments)
    assert b"SECRET" in data
    sent, _, done = await fit(content(data), limits)
    assert b"SECRET" not in sent
    assert b"+52.5" not in sent
    assert done.endswith("metadata removed")
    kept, _, done = await fit(content(data), limits, keep_metadata=True)
    assert b"SECRET" in kept
    assert "removed" not in done


@needs_ffmpeg
async def test_equal_files_are_fitted_to_equal_files() -> None:
    first, second = [await fit(content(encode("a.mkv")), CLIP) for _ in range(2)]
    assert first[0] == second[0]


@needs_ffmpeg
async def test_streams_are_copied_where_every_model_reads_them() -> None:
    copied, _, done = await fit(content(encode("a.mkv")), CLIP)
    assert done == "MKV made MP4"
    assert len(copied) == pytest.approx(len(encode("a.mp4")), rel=0.05)


@needs_ffmpeg
async def test_flac_in_mp4_is_copied() -> None:
    short = ("-t", "0.2", "-c:v", "mpeg4", "-c:a", "flac", "-strict", "-2")
    _, fitted, done = await fit(content(run_ffmpeg("a.mp4", *PATTERN, *SINE, *short)), CLIP)
    assert (fitted.mime_type, done) == ("video/mp4", "")


@pytest.mark.parametrize("limits", [CLIP, SOUND, Limits()])
@pytest.mark.usefixtures("without_ffmpeg")
async def test_without_ffmpeg_a_file_stays_as_it_is(limits: Limits) -> None:
    given = content(b"any", "audio/flac")
    assert await fit(given, limits) == (b"any", given, "")


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.flac"])
async def test_a_broken_file_is_not_sent(name: str) -> None:
    broken = content(encode(name)[:40] + bytes(4000), TYPES[name])
    with pytest.raises(ValueError, match="is broken or cut off"):
        await fit(broken, CLIP if name != "a.flac" else SOUND)
