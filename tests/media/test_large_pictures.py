"""Large pictures: decoded a few rows at a time, with the same pixels as at once, or refused before memory is full."""

import io
from pathlib import Path

import PIL.Image
import PIL.ImageChops
import pytest
from support.encoded_media import heic
from support.media_files import photo

from kie_mcp.media import pictures, strips

WIDTH, HEIGHT = 301, 203
"""Not a multiple of the rows of a strip, nor of any factor."""


def encode(image: PIL.Image.Image, image_format: str = "PNG", **options: object) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file


def colourful(mode: str) -> PIL.Image.Image:
    picture = photo(WIDTH, HEIGHT)
    match mode:
        case "I;16":
            return picture.convert("I").point(lambda value: value * 250).convert("I;16")
        case "P":
            return picture.quantize(200, PIL.Image.Quantize.FASTOCTREE)
        case "LA" | "RGBA":
            picture = picture.convert(mode)
            picture.putalpha(PIL.Image.radial_gradient("L").resize(picture.size))
            return picture
        case _:
            return picture.convert(mode)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "I;16"])
def test_rows_of_a_png_are_those_of_the_whole_picture(mode: str) -> None:
    file = encode(colourful(mode))
    with PIL.Image.open(file) as opened:
        rows = strips.find_strips(opened, file)
        assert rows
        joined = strips.join_strips(rows, opened.size, 1, lambda strip: strip)
    with PIL.Image.open(file) as whole:
        assert joined.mode == whole.mode == mode
        assert joined.tobytes() == whole.tobytes()


@pytest.mark.parametrize("transparent", [b"\0\1\2", 7])
def test_a_transparent_colour_or_palette_entry_stays_transparent(transparent: bytes | int) -> None:
    picture = PIL.Image.new("RGB", (WIDTH, HEIGHT), (0, 1, 2)) if isinstance(transparent, bytes) else colourful("P")
    given = (0, 1, 2) if isinstance(transparent, bytes) else transparent
    file = encode(picture, transparency=given)
    with PIL.Image.open(file) as opened:
        rows = strips.find_strips(opened, file)
        assert rows
        joined = strips.join_strips(rows, opened.size, 1, pictures.to_8_bits)
    with PIL.Image.open(file) as whole:
        assert joined.tobytes() == pictures.to_8_bits(whole).tobytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_rows_of_a_heic_are_those_of_the_whole_picture(mode: str) -> None:
    file = io.BytesIO(heic(mode))
    with pictures.open_picture(file) as opened:
        rows = strips.find_strips(opened, file)
        assert rows
        joined = strips.join_strips(rows, opened.size, 1, lambda strip: strip.convert("RGB"))
    with pictures.open_picture(file) as whole:
        assert joined.tobytes() == whole.convert("RGB").tobytes()


def test_rows_are_scaled_down_as_the_whole_picture_is() -> None:
    picture = colourful("RGB")
    file = encode(picture)
    with PIL.Image.open(file) as opened:
        rows = strips.find_strips(opened, file)
        assert rows
        joined = strips.join_strips(rows, opened.size, 4, lambda strip: strip)
    assert joined.tobytes() == picture.reduce(4).tobytes()


@pytest.mark.parametrize("how", ["1-bit", "16 bits a channel"])
def test_a_png_whose_rows_pillow_cannot_give_back_is_decoded_at_once(how: str) -> None:
    file = encode(PIL.Image.new("1", (WIDTH, HEIGHT)))
    if how != "1-bit":
        # Only the header counts here: bit depth 16 and colour type RGB.
        content = bytearray(file.getvalue())
        content[24:26] = b"\x10\x02"
        file = io.BytesIO(content)
    with PIL.Image.open(encode(PIL.Image.new("1", (1, 1)))) as opened:
        assert strips.find_strips(opened, file) is None


@pytest.mark.parametrize("damage", ["cut", "checksum"])
def test_a_broken_png_is_refused(damage: str) -> None:
    content = bytearray(encode(PIL.Image.new("RGB", (2100, 2000)), compress_level=0).getvalue())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    file = io.BytesIO(content)
    with (
        pytest.raises(pictures.UnreadablePicture, match="is broken or cut off"),
        pictures.open_picture(file) as opened,
    ):
        pictures.render_picture(opened, file, 0.5)


def test_a_picture_of_88_megapixels_is_rendered(tmp_path: Path) -> None:
    path = tmp_path / "large.png"
    PIL.Image.new("L", (9400, 9400), 200).save(path, compress_level=1)
    with path.open("rb") as file, pictures.open_picture(file) as opened:
        rendered = pictures.render_picture(opened, file, 0.1)
    assert (rendered.size, rendered.getpixel((500, 500))) == ((940, 940), 200)


@pytest.mark.parametrize(
    ("image_format", "size", "options"),
    [
        ("WEBP", (4000, 3500), {"method": 0}),
        ("TIFF", (6000, 5000), {"compression": "tiff_lzw"}),
        ("BMP", (7500, 7000), {}),
        ("PNG", (8000, 7000), {"bits": 1}),
        ("JPEG", (8000, 8000), {"progressive": True, "subsampling": 0}),
    ],
)
def test_a_picture_that_needs_too_much_memory_is_refused_with_what_to_do(
    image_format: str, size: tuple[int, int], options: dict[str, object]
) -> None:
    file = encode(PIL.Image.new("1" if "bits" in options else "RGB", size), image_format, **options)
    with (
        pytest.raises(pictures.UnreadablePicture, match=r"has \d+ megapixels and takes \d+ MB .*: scale it down first"),
        pictures.open_picture(file) as opened,
    ):
        pictures.render_picture(opened, file, 0.9)


def test_bands_of_a_resized_picture_have_no_seams() -> None:
    picture = photo(900, 1400).convert("RGBA")
    whole = picture.resize((700, 1100), PIL.Image.Resampling.LANCZOS)
    difference = PIL.ImageChops.difference(pictures._resize(picture, (700, 1100)), whole)
    # Sums are rounded differently.
    assert max(difference.tobytes()) <= 2
