"""What a file looks like, small enough for an agent to look at."""

import io
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import anyio
import PIL.Image
import PIL.ImageChops
import PIL.ImageDraw
import pytest
from support import films
from support.cases import for_each
from support.effort import Effort
from support.media_files import picture, tone
from support.programs import needs_ffmpeg

from kie_mcp import disk
from kie_mcp.errors import InvalidCall
from kie_mcp.media import ffmpeg, preview
from kie_mcp.media.preview import Preview, SheetFile
from kie_mcp.sandbox.fake_media import MediaContent, render_file

pytestmark = pytest.mark.anyio

WORK = MediaContent("a fox", "1", "16:9")


def write_file(folder: Path, name: str, content: bytes | PIL.Image.Image, **how: Any) -> Path:
    path = folder / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        content.save(path, **how)
    return path


async def render(path: Path, **how: int) -> Preview:
    with disk.open_file(path) as file:
        return await preview.render_preview(file, path, **how)


async def render_sheet(files: Sequence[tuple[Path | None, str]], **how: int) -> Preview:
    with ExitStack() as stack:
        opened = [(stack.enter_context(disk.open_file(path)) if path else None, path, label) for path, label in files]
        return await preview.render_contact_sheet(
            [SheetFile(file, path or Path(), label) for file, path, label in opened], **how
        )


def open_preview(rendered: Preview) -> PIL.Image.Image:
    assert rendered.mime_type == "image/jpeg"
    image = PIL.Image.open(io.BytesIO(rendered.content))
    image.load()
    assert (image.format, image.mode) == ("JPEG", "RGB")
    return image


def colour(image: PIL.Image.Image, x: float, y: float) -> tuple[int, ...]:
    """The colour at a place given in parts of the width and height, rounded to sixteen steps."""
    found = image.getpixel((round(x * (image.width - 1)), round(y * (image.height - 1))))
    assert isinstance(found, tuple)
    return tuple(round(each / 17) for each in found)


async def test_a_large_picture_becomes_small_and_says_how_large_it_is(tmp_path: Path) -> None:
    rendered = await render(write_file(tmp_path, "a.png", picture(3000, 1500)))
    assert open_preview(rendered).size == (1024, 512)
    assert rendered.note == "3000 x 1500 px."


async def test_a_small_picture_does_not_grow(tmp_path: Path) -> None:
    assert open_preview(await render(write_file(tmp_path, "a.png", picture(40, 30)))).size == (40, 30)


@pytest.mark.parametrize("size", [(20_000, 3), (3, 20_000), (1, 1)])
async def test_a_picture_of_any_shape_is_shown(size: tuple[int, int], tmp_path: Path) -> None:
    image = open_preview(await render(write_file(tmp_path, "a.png", picture(*size))))
    assert max(image.size) <= 1024


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """A picture that is hard to pack."""
    image = PIL.Image.merge("RGB", [PIL.Image.effect_noise((500, 500), 200) for _ in range(3)])
    return write_file(tmp_path, "noise.png", image, compress_level=0)


@for_each("budget", [200_000, 45_000, 20_000, 2_000, 800])
async def test_what_is_hard_to_pack_still_fits_into_its_budget(noise: Path, budget: int) -> None:
    rendered = await render(noise, max_bytes=budget)
    assert len(rendered.content) <= budget
    open_preview(rendered)
    sheet = await render_sheet([(noise, "")] * 4, max_bytes=budget)
    assert len(sheet.content) <= budget
    open_preview(sheet)


async def test_a_budget_that_nothing_fits_into_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="100 bytes"):
        await render(write_file(tmp_path, "a.png", picture()), max_bytes=100)


async def test_a_picture_that_lies_on_its_side_is_put_upright(tmp_path: Path) -> None:
    image = PIL.Image.new("RGB", (400, 200), "blue")
    image.paste("red", (0, 0, 200, 200))
    exif = PIL.Image.Exif()
    # The left side belongs on top.
    exif[0x0112] = 6
    rendered = await render(write_file(tmp_path, "a.jpg", image, exif=exif))
    assert rendered.note == "200 x 400 px."
    shown = open_preview(rendered)
    assert shown.size == (200, 400)
    assert (colour(shown, 0.5, 0.1), colour(shown, 0.5, 0.9)) == ((15, 0, 0), (0, 0, 15))


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P", "RGB with a transparent colour"])
async def test_transparency_is_seen_as_a_chequered_ground(kind: str, tmp_path: Path) -> None:
    image = PIL.Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    PIL.ImageDraw.Draw(image).rectangle((200, 0, 399, 399), fill=(255, 255, 255, 255))
    how: dict[str, Any] = {}
    match kind:
        case "P":
            image = image.quantize(4)
        case "LA":
            image = image.convert("LA")
        case "RGB with a transparent colour":
            image, how = image.convert("RGB"), {"transparency": (0, 0, 0)}
    rendered = await render(write_file(tmp_path, "a.png", image, **how))
    assert rendered.note == "400 x 400 px, transparent where chequered."
    shown = open_preview(rendered)
    tiles = {colour(shown, (8 + 16 * n) / 400, 8 / 400) for n in range(4)}
    assert tiles == {(12, 12, 12), (15, 15, 15)}
    assert colour(shown, 0.9, 0.9) == (15, 15, 15)


async def test_an_opaque_picture_with_an_alpha_channel_is_not_called_transparent(tmp_path: Path) -> None:
    rendered = await render(write_file(tmp_path, "a.png", PIL.Image.new("RGBA", (40, 40), (255, 0, 0, 255))))
    assert rendered.note == "40 x 40 px."
    assert colour(open_preview(rendered), 0.5, 0.5) == (15, 0, 0)


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png"])
async def test_of_an_animation_the_first_frame_is_shown(name: str, tmp_path: Path) -> None:
    first, *others = (PIL.Image.new("RGB", (60, 60), each) for each in ("red", "lime", "blue"))
    rendered = await render(write_file(tmp_path, name, first, save_all=True, append_images=others))
    assert "the first frame is shown" in rendered.note
    assert colour(open_preview(rendered), 0.5, 0.5) == (15, 0, 0)


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
async def test_sixteen_bits_are_shown_as_bright_as_they_are(mode: str, tmp_path: Path) -> None:
    image = PIL.Image.new(mode, (60, 60), 0x4444)
    rendered = await render(write_file(tmp_path, "a.png" if mode == "I;16" else "a.tiff", image))
    assert colour(open_preview(rendered), 0.5, 0.5) == (4, 4, 4)


@pytest.mark.parametrize(
    ("mode", "given", "name", "shown"),
    [
        ("CMYK", (0, 255, 255, 0), "a.jpg", (15, 0, 0)),
        ("CMYK", (0, 255, 255, 0), "a.tiff", (15, 0, 0)),
        ("L", 136, "a.png", (8, 8, 8)),
        ("1", 1, "a.png", (15, 15, 15)),
        ("RGB", (0, 255, 0), "a.bmp", (0, 15, 0)),
        ("RGB", (0, 255, 0), "a.webp", (0, 15, 0)),
    ],
)
async def test_colours_of_every_kind_come_out_right(
    mode: str, given: tuple[int, ...] | int, name: str, shown: tuple[int, ...], tmp_path: Path
) -> None:
    path = write_file(tmp_path, name, PIL.Image.new(mode, (60, 60), given))
    assert colour(open_preview(await render(path)), 0.5, 0.5) == shown


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # As prepare_pillow() does, once a process.
@pytest.mark.parametrize("pixels", [9_500, 14_000])
async def test_a_picture_that_would_fill_the_memory_is_refused(pixels: int, tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    PIL.Image.new("1", (pixels, pixels)).save(path)
    with pytest.raises(InvalidCall, match=r"megapixels|more pixels") as refused:
        await render(path)
    assert str(path) in refused.value.next_step


@pytest.mark.parametrize(
    "content", [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0 noise", b"GIF89a", picture()[:40], b"", b"<html>"]
)
async def test_a_broken_picture_is_an_error_that_says_what_to_do(content: bytes, tmp_path: Path) -> None:
    path = write_file(tmp_path, "broken.png", content)
    with pytest.raises(InvalidCall, match=r"broken\.png is (broken or cut off|no picture)") as refused:
        await render(path)
    assert str(path) in refused.value.next_step


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.png", "a.mp4", "a.mp3", "a.wav"])
async def test_the_file_that_was_opened_is_shown_whatever_is_at_its_path_now(name: str, tmp_path: Path) -> None:
    path = write_file(tmp_path, name, render_file(name, WORK))
    shown = await render(path)
    with disk.open_file(path) as file:
        path.unlink()
        write_file(tmp_path, name, render_file(name, MediaContent("a secret", "2", "9:16")))
        assert await preview.render_preview(file, path) == shown
        path.unlink()
        assert await preview.render_preview(file, path) == shown
    assert shown.content


@pytest.mark.parametrize("content", [b"root:x:0:0", b"", b"{}", b"\xef\xbb\xbflyrics", b"#EXTM3U\nfile:///etc/passwd"])
async def test_what_is_no_media_is_not_shown(content: bytes, tmp_path: Path) -> None:
    rendered = await render(write_file(tmp_path, "a.txt", content))
    assert rendered.content == b""
    assert "cannot be shown" in rendered.note


async def test_notes_have_no_look(tmp_path: Path) -> None:
    rendered = await render(write_file(tmp_path, "a.mid", b"MThd\0\0\0\6\0\1\0\0\1\xe0"))
    assert (rendered.content, rendered.note) == (b"", "MIDI notes cannot be shown as a picture.")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("width", [1, 2, 3, 4])
@pytest.mark.usefixtures("without_ffmpeg")
async def test_a_wav_file_is_drawn_without_ffmpeg(width: int, channels: int, tmp_path: Path) -> None:
    rendered = await render(write_file(tmp_path, "a.wav", tone(width, channels)))
    shown = open_preview(rendered)
    assert shown.size == (1024, 256)
    assert rendered.note == f"1.0 s, 8000 Hz, {'mono' if channels == 1 else 'stereo'}, peak -6 dB."
    paper, blue = (14, 14, 14), (2, 6, 10)
    # Silence first; then half of the room above and below the middle, 116 px each.
    heights = [116 - 70, 116 - 50, 116 + 50, 116 + 70]
    assert [colour(shown, 0.27, each / 255) for each in heights] == [paper] * 4
    assert [colour(shown, 0.77, each / 255) for each in heights] == [paper, blue, blue, paper]


@pytest.mark.usefixtures("without_ffmpeg")
async def test_silence_is_said_to_be_silent(tmp_path: Path) -> None:
    rendered = await render(write_file(tmp_path, "a.wav", tone(1, peak=0, seconds=3.2)))
    assert rendered.note == "3.2 s, 8000 Hz, mono, silent."
    open_preview(rendered)


@pytest.mark.usefixtures("without_ffmpeg")
async def test_a_wav_file_that_says_it_is_endless_is_drawn_as_long_as_it_is(tmp_path: Path) -> None:
    content = tone(2)
    endless = content.replace((len(content) - 44).to_bytes(4, "little"), b"\xff" * 4)
    assert endless != content
    shown = open_preview(await render(write_file(tmp_path, "a.wav", endless)))
    assert colour(shown, 0.27, 66 / 255) != colour(shown, 0.77, 66 / 255)


@pytest.mark.parametrize("cut", [13, 30, 43])
@pytest.mark.usefixtures("without_ffmpeg")
async def test_a_wav_file_that_ends_in_its_head_is_not_shown(cut: int, tmp_path: Path) -> None:
    rendered = await render(write_file(tmp_path, "a.wav", tone(2)[:cut]))
    assert rendered.content == b""


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("a.mp4", "2.0 s. There is no ffmpeg here, so its frames cannot be shown."),
        ("a.mp3", "3.1 s, 22050 Hz, mono. There is no ffmpeg here, so its waveform cannot be shown."),
    ],
)
@pytest.mark.usefixtures("without_ffmpeg")
async def test_without_ffmpeg_it_is_said_what_is_missing(name: str, note: str, tmp_path: Path) -> None:
    rendered = await render(write_file(tmp_path, name, render_file(name, WORK)))
    assert (rendered.content, rendered.note) == (b"", note)


@needs_ffmpeg
async def test_of_a_clip_a_frame_is_shown(tmp_path: Path) -> None:
    rendered = await render(write_file(tmp_path, "a.mp4", render_file("a.mp4", WORK)))
    assert open_preview(rendered).size == (320, 180)
    assert rendered.note == "320 x 180 px, 2.0 s, the frame at 0.2 s is shown."


@needs_ffmpeg
@pytest.mark.parametrize(
    ("pixel", "shown", "small"),
    [
        ("2/1", (640, 180), (320, 90)),
        ("1/2", (160, 180), (160, 180)),
        ("16/15", (341, 180), (320, 169)),
        ("1/1", (320, 180), (320, 180)),
        ("0/1", (320, 180), (320, 180)),
        ("100/1", (32000, 180), (320, 2)),
    ],
)
async def test_a_clip_with_pixels_that_are_not_square_keeps_the_shape_that_players_show(
    pixel: str, shown: tuple[int, int], small: tuple[int, int], tmp_path: Path
) -> None:
    program = ffmpeg.find_ffmpeg()
    assert program
    path, clip = tmp_path / "a.mkv", write_file(tmp_path, "a.mp4", render_file("a.mp4", WORK))
    assert await ffmpeg.convert(program, clip, path, ("-vf", f"setsar={pixel}", "-c:v", "mpeg4"))
    with path.open("rb") as file:
        frame = await ffmpeg.extract_frame(program, file, path, 0, 320)
    assert frame.size == shown
    assert PIL.Image.open(io.BytesIO(frame.ppm)).size == small


@needs_ffmpeg
async def test_of_a_song_the_waveform_is_shown(tmp_path: Path) -> None:
    rendered = await render(write_file(tmp_path, "a.mp3", render_file("a.mp3", WORK)))
    assert open_preview(rendered).size == (1024, 256)
    assert rendered.note.startswith("3.1 s, 22050 Hz, mono, peak -")


@needs_ffmpeg
@pytest.mark.parametrize("name", ["-y.mp3", "concat:a|b.mp3", "http:%0a ünïcode '$(touch x)' 🦊.mp3", "%03d.mp3"])
async def test_a_name_is_nothing_but_a_name(name: str, tmp_path: Path) -> None:
    open_preview(await render(write_file(tmp_path, name, render_file("a.mp3", WORK))))
    assert [each.name async for each in anyio.Path(tmp_path).iterdir()] == [name]


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.mp4", "a.mp3", "a.wav"])
async def test_a_broken_clip_or_sound_is_an_error_that_says_what_to_do(name: str, tmp_path: Path) -> None:
    path = write_file(tmp_path, name, render_file(name, WORK)[:40])
    with pytest.raises(InvalidCall, match="Neither a frame nor sound") as refused:
        await render(path)
    assert str(path) in refused.value.next_step


@pytest.mark.usefixtures("without_ffmpeg")
async def test_a_sheet_shows_every_file_beside_its_number(tmp_path: Path) -> None:
    colours = ("red", "lime", "blue", "yellow")
    paths = [write_file(tmp_path, f"{each}.png", PIL.Image.new("RGB", (1000, 1000), each)) for each in colours]
    rendered = await render_sheet(
        [(path, label) for path, label in zip(paths, ("", "Vocals", "a\nb", ""), strict=True)]
    )
    shown = open_preview(rendered)
    assert max(shown.size) <= 1024
    places = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)]
    assert [colour(shown, *place) for place in places] == [(15, 0, 0), (0, 15, 0), (0, 0, 15), (15, 15, 0)]
    assert rendered.note.splitlines() == [
        "1. 1000 x 1000 px.",
        "2. Vocals: 1000 x 1000 px.",
        "3. a b: 1000 x 1000 px.",
        "4. 1000 x 1000 px.",
    ]


@pytest.mark.usefixtures("without_ffmpeg")
async def test_a_file_that_cannot_be_shown_keeps_its_place_in_a_sheet(tmp_path: Path) -> None:
    files = [
        (write_file(tmp_path, "broken.png", picture()[:40]), ""),
        (None, "Drums"),
        (write_file(tmp_path, "a.mp4", render_file("a.mp4", WORK)), ""),
        (write_file(tmp_path, "a.png", PIL.Image.new("RGB", (500, 500), "red")), ""),
        (write_file(tmp_path, "a.wav", tone(2)), ""),
    ]
    rendered = await render_sheet(files)
    words = ("is no picture", "Drums: Not saved.", "no ffmpeg", "500 x 500 px", "peak -6 dB")
    for number, (line, said) in enumerate(zip(rendered.note.splitlines(), words, strict=True), start=1):
        assert line.startswith(f"{number}. ")
        assert said in line
    open_preview(rendered)


@pytest.mark.usefixtures("without_ffmpeg")
async def test_a_sheet_of_nothing_that_can_be_shown_is_no_picture(tmp_path: Path) -> None:
    path = write_file(tmp_path, "a.mp3", render_file("a.mp3", WORK))
    rendered = await render_sheet([(path, ""), (None, "")])
    assert rendered.content == b""
    assert "1. 3.1 s, 22050 Hz, mono. There is no ffmpeg here" in rendered.note
    assert "2. Not saved." in rendered.note


SHEETS = list(product((2, 7, 20), (1024, 300))) if Effort.is_thorough else [(2, 1024), (7, 300), (20, 1024)]
"""Numbers of files on a sheet, each with the longest side that the sheet may have."""


@for_each("size", [(160, 90), (550, 300), (300, 550), (2000, 20), (20, 2000), (1, 1)])
@for_each("count, side", SHEETS)
async def test_a_sheet_is_no_larger_than_it_may_be(
    tmp_path: Path, size: tuple[int, int], count: int, side: int
) -> None:
    path = write_file(tmp_path, "a.png", picture(*size))
    shown = open_preview(await render_sheet([(path, "a long name of a part " * 3)] * count, max_side_px=side))
    assert max(shown.size) <= side


async def test_what_has_no_room_on_a_sheet_is_counted(tmp_path: Path) -> None:
    path = write_file(tmp_path, "a.png", picture())
    rendered = await render_sheet([(path, "")] * 53)
    assert rendered.note.splitlines()[-2:] == ["50. 40 x 30 px.", "3 more have no room here."]


@needs_ffmpeg
@pytest.mark.parametrize(("seconds", "sound", "count"), [(6, 20, preview.CLIP_FRAMES), (2, None, 1)])
async def test_a_clip_is_shown_by_frames_of_its_whole_picture_unless_it_is_short(
    tmp_path: Path, seconds: int, sound: int | None, count: int
) -> None:
    path = write_file(tmp_path, "a.mp4", films.clip("red", seconds, "-vf", "hue=h='if(gt(t,3),120,0)'", sound=sound))
    with disk.open_file(path) as file:
        shown = await preview.render_clip(file, path)
    red, green, _ = open_preview(shown).split()
    is_green = max(PIL.ImageChops.subtract(green, red).tobytes()) > 100
    assert (f"{preview.CLIP_FRAMES} frames of it" in shown.note, is_green) == (count > 1, count > 1)
    assert shown.note.startswith(f"160 x 90 px, {sound or seconds}.0 s")


@needs_ffmpeg
@pytest.mark.parametrize(("ending", "encoder"), [("webm", "libvpx"), ("mkv", "libx264"), ("avi", "mpeg4")])
async def test_a_clip_of_a_format_that_only_ffmpeg_measures_is_shown_by_several_frames_too(
    ending: str, encoder: str, tmp_path: Path
) -> None:
    clip = films.clip("red", 6, "-c:v", encoder, sound=None, ending=ending)
    path = write_file(tmp_path, f"a.{ending}", clip)
    with disk.open_file(path) as file:
        shown = await preview.render_clip(file, path)
    assert f"{preview.CLIP_FRAMES} frames of it" in shown.note
