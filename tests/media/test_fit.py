"""Pictures are made to fit: kind, size, orientation, colours, and no metadata."""

import io
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace

import PIL.Image
import PIL.ImageChops
import PIL.ImageCms
import PIL.ImageOps
import PIL.PngImagePlugin
import pytest
from support.cases import for_each
from support.encoded_media import (
    HEIGHT,
    PICTURES,
    TYPES,
    WIDTH,
    encode,
    encode_picture,
    heic,
    paint,
    phone_exif,
)

from kie_mcp.catalog.fields import Limits
from kie_mcp.media import formats
from kie_mcp.media.content import Content
from kie_mcp.media.fit import Fitted, fit_picture
from kie_mcp.media.pictures import UnreadablePicture, measure_picture

USUAL = Limits("jpeg png webp", mb=10)
BY_HAND = ("a.mpo", "a.heic", "alpha.heic", "grey.heic")
SEE_THROUGH = ("alpha.png", "lossless.webp", "alpha.heic", "a.ico")
UNCHANGED = ("a.jpg", "progressive.jpg", "grey.jpg", "a.png", "alpha.png", "palette.png", "a.webp", "lossless.webp")


def content(data: bytes, mime_type: str = "") -> Content:
    return Content(io.BytesIO(data), "a-0123.bin", mime_type or formats.detect_mime_type(data) or "", len(data))


def fit(data: bytes, limits: Limits = USUAL, *, keep_metadata: bool = False) -> Fitted:
    return fit_picture(content(data), limits, keep_metadata=keep_metadata)


def read(fitted: Fitted) -> bytes:
    data = fitted.content.file.read()
    assert len(data) == fitted.content.size
    assert formats.detect_mime_type(data) == fitted.content.mime_type
    return data


def look(fitted: Fitted) -> PIL.Image.Image:
    image = PIL.Image.open(io.BytesIO(read(fitted)))
    image.load()
    return image


@pytest.mark.parametrize("size", [(500, 490), (450, 440), (600, 450), (410, 400), (401, 401), (4000, 41)])
def test_a_picture_that_is_scaled_down_is_within_the_limits(size: tuple[int, int]) -> None:
    limits = Limits("png", side_px=(1, 3999), pixels=(1, 160_000))
    fitted = fit(encode_picture(PIL.Image.new("L", size), "PNG"), limits)
    width, height = measure_picture(fitted.content.file)
    assert width * height <= 160_000
    assert max(width, height) <= 3999
    assert min(width, height) == pytest.approx(max(width, height) * min(size) / max(size), abs=1)


def brightness(image: PIL.Image.Image, x: int) -> int:
    ground = PIL.Image.new("RGBA", image.size, "black")
    ground.alpha_composite(image.convert("RGBA"))
    return int(ground.convert("L").getpixel((x, image.height // 2)))  # type: ignore[arg-type]


@for_each("name", [*PICTURES, *BY_HAND])
def test_each_kind_of_picture_becomes_one_that_the_model_takes(name: str) -> None:
    fitted = fit(encode(name))
    image = look(fitted)
    if name not in UNCHANGED:
        assert fitted.content.mime_type == ("image/png" if name in SEE_THROUGH else "image/jpeg")
        assert fitted.content.name == ("a-0123.png" if name in SEE_THROUGH else "a-0123.jpg")
    if name != "a.ico":
        assert image.size == (WIDTH, HEIGHT)
    assert image.mode in ("RGB", "RGBA", "L", "P")
    assert brightness(image, 1) < 30
    assert brightness(image, image.width - 2) > 225
    if not name.endswith((".pbm", ".ico")) and name not in SEE_THROUGH:
        assert 100 < brightness(image, image.width // 2) < 155


@for_each("name", UNCHANGED)
def test_a_picture_that_fits_is_sent_as_it_is(name: str) -> None:
    fitted = fit(encode(name))
    assert read(fitted) == encode(name)
    assert fitted.done == ""


@for_each(
    "name, formats, expected",
    [
        ("a.heic", "jpeg png webp heic heif", "image/jpeg"),
        ("a.heic", "png", "image/png"),
        ("a.png", "jpeg", "image/jpeg"),
        ("alpha.png", "jpeg", "image/jpeg"),
        ("alpha.heic", "jpeg webp", "image/webp"),
        ("a.webp", "jpeg png", "image/jpeg"),
        ("a.bmp", "jpeg png bmp tiff gif", "image/bmp"),
        ("a.gif", "jpeg png bmp tiff gif", "image/jpeg"),
        ("a.heic", "", "image/jpeg"),
        ("a.webp", "", "image/webp"),
        ("a.tiff", "jpeg png mp4 quicktime", "image/jpeg"),
    ],
)
def test_the_kind_depends_on_what_the_model_takes(name: str, formats: str, expected: str) -> None:
    assert fit(encode(name), Limits(formats)).content.mime_type == expected


def test_where_there_is_no_transparency_it_becomes_white() -> None:
    image = look(fit(encode("alpha.png"), Limits("jpeg")))
    assert image.mode == "RGB"
    assert brightness(image, 1) > 225


@for_each("orientation", range(1, 9))
@for_each("image_format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_a_turned_picture_becomes_upright(image_format: str, orientation: int) -> None:
    exif = phone_exif(orientation)
    jpeg = encode_picture(paint("RGB"), "JPEG", exif=exif)
    is_heic = image_format == "HEIC"
    data = heic(exif=exif.tobytes()) if is_heic else encode_picture(paint("RGB"), image_format, exif=exif)
    image = look(fit(data))
    assert image.getexif() == {}
    turned = PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(jpeg)))
    assert image.size == turned.size == measure_picture(io.BytesIO(data))
    for place in ((2, 2), (image.width - 3, 2), (2, image.height - 3)):
        assert image.convert("L").getpixel(place) == pytest.approx(turned.convert("L").getpixel(place), abs=12)


def jpeg_with_everything() -> bytes:
    """A JPEG with EXIF, location, XMP, a comment, a thumbnail, a maker's segment and a second picture behind it."""
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    image = paint("RGB")
    whole = encode_picture(image, "JPEG", exif=phone_exif(), icc_profile=profile, comment=b"SECRET", xmp=b"SECRET")
    thumbnail = b"\xff\xe0" + struct.pack(">H", 16 + 12) + b"JFIF\0\1\1\0\0\1\0\1\2\2SECRETSECRET"
    maker = b"\xff\xeb" + struct.pack(">H", 8) + b"SECRET"
    return whole[:2] + thumbnail + maker + whole[2:] + encode("a.jpg") + b"SECRET"


def png_with_everything() -> bytes:
    text = PIL.PngImagePlugin.PngInfo()
    text.add_text("prompt", "SECRET")
    text.add_itxt("XML:com.adobe.xmp", "SECRET")
    return encode_picture(paint("RGB"), "PNG", exif=phone_exif(), pnginfo=text) + b"SECRET"


def webp_with_everything() -> bytes:
    return encode_picture(paint("RGBA"), "WEBP", exif=phone_exif(), xmp=b"SECRET", lossless=True)


@pytest.mark.parametrize("make", [jpeg_with_everything, png_with_everything, webp_with_everything])
def test_metadata_goes_and_pixels_stay(make: Callable[[], bytes]) -> None:
    data = make()
    assert b"SECRET" in data
    assert b"Cameramaker" in data
    fitted = fit(data)
    sent = read(fitted)
    assert fitted.done == "location and camera data removed"
    assert b"SECRET" not in sent
    assert b"Cameramaker" not in sent
    image = look(replace(fitted, content=content(sent)))
    assert image.getexif() == {}
    assert image.tobytes() == PIL.Image.open(io.BytesIO(data)).tobytes()
    assert image.info.get("icc_profile") == PIL.Image.open(io.BytesIO(data)).info.get("icc_profile")


@pytest.mark.parametrize("make", [jpeg_with_everything, png_with_everything, webp_with_everything])
def test_metadata_is_kept_for_who_wants_it(make: Callable[[], bytes]) -> None:
    data = make()
    kept = fit(data, keep_metadata=True)
    assert read(kept) == data
    assert kept.done == ""
    turned = fit(heic(exif=phone_exif(6).tobytes()), keep_metadata=True)
    exif = look(turned).getexif()
    assert (exif[0x010F], exif[0x0112]) == ("Cameramaker", 1)
    assert "removed" not in turned.done


@pytest.mark.parametrize(
    ("make", "limits", "expected"),
    [
        (
            lambda: heic(exif=phone_exif().tobytes()),
            USUAL,
            f"HEIC made a JPEG, {WIDTH}x{HEIGHT}; location and camera data removed",
        ),
        (lambda: encode("alpha.heic"), USUAL, "HEIC made a PNG, 160x120"),
        (lambda: encode("a.png"), Limits("png", side_px=(1, 80)), "PNG encoded again, 80x60 instead of 160x120"),
        (
            lambda: encode_picture(paint("RGB"), "JPEG", exif=phone_exif(6)),
            USUAL,
            "JPEG encoded again, 120x160, turned upright; location and camera data removed",
        ),
        (lambda: encode("cmyk.jpg"), USUAL, "JPEG encoded again, 160x120"),
    ],
)
def test_what_was_done_is_said(make: Callable[[], bytes], limits: Limits, expected: str) -> None:
    assert fit(make(), limits).done == expected


@pytest.mark.parametrize(
    ("make", "limits"),
    [
        (lambda: encode_picture(PIL.Image.effect_noise((900, 700), 90), "PNG"), Limits("jpeg png", mb=0.1)),
        (lambda: encode_picture(PIL.Image.effect_noise((900, 700), 90), "PNG"), Limits("png", mb=0.1)),
        (lambda: encode_picture(PIL.Image.effect_noise((900, 700), 90), "JPEG", quality=100), Limits("jpeg", mb=0.1)),
        (lambda: encode_picture(paint("RGB", 3000, 500), "PNG"), Limits("png", side_px=(1, 1024))),
        (lambda: encode_picture(paint("RGB", 3000, 500), "PNG"), Limits("png", pixels=(1, 100_000))),
    ],
)
def test_a_picture_that_is_too_large_is_made_smaller(make: Callable[[], bytes], limits: Limits) -> None:
    data = make()
    fitted = fit(data, limits)
    image = look(fitted)
    before = PIL.Image.open(io.BytesIO(data))
    assert fitted.content.size <= (limits.mb or 9) * 1_000_000
    assert max(image.size) <= (limits.side_px or (1, 9999))[1]
    assert image.width * image.height <= (limits.pixels or (1, 9_000_000))[1]
    assert image.width / image.height == pytest.approx(before.width / before.height, rel=0.02)


def test_wide_colours_become_usual_ones() -> None:
    """A profile that swaps nothing would prove nothing, so this one has another white and other primaries: LAB."""
    lab = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("LAB")).tobytes()
    swapped = encode_picture(paint("RGB"), "TIFF", icc_profile=lab)
    assert look(fit(swapped)).info.get("icc_profile") is None
    broken = encode_picture(paint("RGB"), "TIFF", icc_profile=b"broken")
    assert look(fit(broken)).size == (WIDTH, HEIGHT)


def test_cmyk_without_adobe_s_mark_is_not_black() -> None:
    plain = encode_picture(PIL.ImageChops.invert(paint("CMYK")), "JPEG")
    at = plain.index(b"\xff\xee")
    image = look(fit(plain[:at] + plain[at + 16 :]))
    assert brightness(image, WIDTH - 2) > 225
    assert brightness(image, 1) < 30


def test_deep_colours_are_scaled_and_not_cut() -> None:
    """Pillow writes no PNG with 16 bits a channel, so this one is put together by hand."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\0" + b"".join(struct.pack(">HHH", x * 1000, x * 1000, x * 1000) for x in range(64))
    header = struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0)
    deep = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * 64)) + chunk(b"IEND", b"")
    fitted = fit(deep)
    assert fitted.content.mime_type == "image/jpeg"
    assert brightness(look(fitted), 32) == pytest.approx(125, abs=4)


@pytest.mark.parametrize("white", [255, 4095, 65535])
def test_a_picture_with_numbers_of_32_bits_is_as_bright_as_the_numbers_that_it_uses(white: int) -> None:
    ramp = PIL.Image.linear_gradient("L").convert("I").point(lambda value: value * white / 255)
    image = look(fit(encode_picture(ramp, "TIFF")))
    assert image.convert("L").getextrema() == pytest.approx((0, 255), abs=3)


@for_each("name", [*PICTURES, *BY_HAND])
def test_a_picture_that_was_cut_is_not_sent(name: str) -> None:
    data = encode(name)
    with pytest.raises(UnreadablePicture, match=r"broken or cut off|no picture|breaks off|cannot be decoded"):
        fit_picture(content(data[: len(data) // 3], TYPES[name]), USUAL)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: b"\x89PNG\r\n\x1a\n" + b"-----BEGIN OPENSSH PRIVATE KEY-----" * 9, "no picture"),
        (lambda: b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(90), "no picture"),
        (lambda: encode_picture(PIL.Image.new("1", (20_000, 20_000)), "PNG"), "more pixels than any model takes"),
        (lambda: encode_picture(PIL.Image.new("1", (9000, 9000)), "TIFF", compression="group4"), "81 megapixels"),
        (lambda: encode_picture(paint("RGB"), "TIFF", tiffinfo={254: 1}), "camera's raw picture"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_reason(make: Callable[[], bytes], reason: str) -> None:
    unreadable = content(make(), "image/tiff")
    with pytest.raises(UnreadablePicture, match=reason):
        fit_picture(unreadable, USUAL)


def test_the_original_can_be_read_from_its_beginning_afterwards() -> None:
    original = content(encode("a.heic"))
    fit_picture(original, USUAL)
    assert original.file.read() == encode("a.heic")
