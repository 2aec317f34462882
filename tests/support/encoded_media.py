"""Media files of many kinds, which are encoded with Pillow and ffmpeg, or built by hand."""

import hashlib
import io
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import PIL.ExifTags
import PIL.Image
import pillow_heif

from support.media_files import tone
from support.programs import PROGRAM

KEPT = Path(sys.prefix, "encoded")
"""The folder with the files that ffmpeg has written, each named after what ffmpeg was told."""
SECONDS = 2.4
"""Length of the sounds and clips in seconds."""
WIDTH, HEIGHT = 160, 120
SINE = ("-f", "lavfi", "-i", f"sine=sample_rate=44100:duration={SECONDS}")
PATTERN = ("-f", "lavfi", "-i", f"testsrc2=size={WIDTH}x{HEIGHT}:rate=25:duration={SECONDS}")
BOTH = (*PATTERN, *SINE, "-c:a", "aac")
FRAGMENTED = ("-movflags", "+frag_keyframe+empty_moov")

SOUNDS = {
    "a.aiff": ("audio/aiff", SINE),
    "sowt.aifc": ("audio/aiff", (*SINE, "-c:a", "pcm_s16le", "-f", "aiff")),
    "mulaw.aifc": ("audio/aiff", (*SINE, "-c:a", "pcm_mulaw", "-f", "aiff")),
    "pcm.caf": ("audio/x-caf", SINE),
    "alac.caf": ("audio/x-caf", (*SINE, "-c:a", "alac")),
    "a.au": ("audio/basic", SINE),
    "a.w64": ("audio/x-w64", SINE),
    "rf64.wav": ("audio/wav", (*SINE, "-rf64", "always")),
    "float.wav": ("audio/wav", (*SINE, "-c:a", "pcm_f32le")),
    "24-bit.wav": ("audio/wav", (*SINE, "-c:a", "pcm_s24le")),
    "adpcm.wav": ("audio/wav", (*SINE, "-c:a", "adpcm_ms")),
    "mp3.wav": ("audio/wav", (*SINE, "-c:a", "libmp3lame")),
    "broadcast.wav": ("audio/wav", (*SINE, "-write_bext", "1", "-metadata", "description=home")),
    "a.wma": ("audio/x-ms-wma", SINE),
    "a.ac3": ("audio/ac3", SINE),
    "a.eac3": ("audio/eac3", SINE),
    "a.mp3": ("audio/mpeg", (*SINE, "-metadata", "title=home")),
    "without-xing.mp3": ("audio/mpeg", (*SINE, "-q:a", "4", "-write_xing", "0", "-id3v2_version", "0")),
    "a.mp2": ("audio/mpeg", SINE),
    "a.aac": ("audio/aac", (*SINE, "-f", "adts")),
    "a.m4a": ("audio/mp4", SINE),
    "alac.m4a": ("audio/mp4", (*SINE, "-c:a", "alac")),
    "sound-only.mp4": ("audio/mp4", SINE),
    "fragmented-sound.mp4": ("audio/mp4", (*SINE, *FRAGMENTED)),
    "a.m4b": ("audio/mp4", (*SINE, "-f", "ipod", "-brand", "M4B ")),
    "memo.3gp": ("audio/3gpp", (*SINE, "-c:a", "aac")),
    "sound-only.mov": ("audio/quicktime", SINE),
    "a.ogg": ("audio/ogg", (*SINE, "-c:a", "libvorbis")),
    "a.opus": ("audio/ogg", SINE),
    "flac.oga": ("audio/ogg", (*SINE, "-c:a", "flac")),
    "a.flac": ("audio/flac", SINE),
    "a.mka": ("audio/x-matroska", (*SINE, "-c:a", "flac")),
    "sound-only.webm": ("audio/webm", (*SINE, "-c:a", "libopus")),
}
"""For each file name, the MIME type and the arguments of ffmpeg."""

CLIPS = {
    "a.mp4": ("video/mp4", BOTH),
    "silent.mp4": ("video/mp4", PATTERN),
    "headers-first.mp4": ("video/mp4", (*BOTH, "-movflags", "+faststart")),
    "fragmented.mp4": ("video/mp4", (*BOTH, *FRAGMENTED)),
    "cmaf.mp4": ("video/mp4", (*PATTERN, "-movflags", "+cmaf+frag_keyframe+empty_moov")),
    "hevc.mp4": ("video/mp4", (*PATTERN, "-c:v", "libx265", "-tag:v", "hvc1", "-x265-params", "log-level=0")),
    "a.m4v": ("video/mp4", BOTH),
    "a.mov": ("video/quicktime", BOTH),
    "prores.mov": ("video/quicktime", (*PATTERN, "-c:v", "prores")),
    "a.3gp": ("video/3gpp", (*PATTERN, "-c:v", "mpeg4")),
    "a.mkv": ("video/x-matroska", BOTH),
    "vp9.mkv": ("video/x-matroska", (*PATTERN, "-c:v", "libvpx-vp9", "-cpu-used", "8")),
    "a.webm": ("video/webm", (*PATTERN, *SINE, "-c:a", "libopus", "-cpu-used", "8")),
    "live.webm": (
        "video/webm",
        (*PATTERN, "-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-f", "webm", "-live", "1"),
    ),
    "a.avi": ("video/x-msvideo", (*PATTERN, *SINE)),
    "a.wmv": ("video/x-ms-wmv", (*PATTERN, *SINE)),
    "a.flv": ("video/x-flv", (*PATTERN, *SINE)),
    "a.mpg": ("video/mpeg", (*PATTERN, *SINE)),
    "a.vob": ("video/mpeg", (*PATTERN, *SINE)),
    "a.ts": ("video/mp2t", BOTH),
    "a.m2ts": ("video/mp2t", BOTH),
    "a.ogv": ("video/ogg", (*PATTERN, *SINE, "-c:v", "libtheora", "-c:a", "libvorbis")),
}
"""For each file name, the MIME type and the arguments of ffmpeg."""

PICTURES = {
    "a.jpg": ("image/jpeg", "RGB", "JPEG"),
    "progressive.jpg": ("image/jpeg", "RGB", "JPEG progressive"),
    "grey.jpg": ("image/jpeg", "L", "JPEG"),
    "cmyk.jpg": ("image/jpeg", "CMYK", "JPEG"),
    "a.png": ("image/png", "RGB", "PNG"),
    "alpha.png": ("image/png", "RGBA", "PNG"),
    "palette.png": ("image/png", "P", "PNG"),
    "16-bit.png": ("image/png", "I;16", "PNG"),
    "a.webp": ("image/webp", "RGB", "WEBP"),
    "lossless.webp": ("image/webp", "RGBA", "WEBP lossless"),
    "a.gif": ("image/gif", "P", "GIF"),
    "a.bmp": ("image/bmp", "RGB", "BMP"),
    "a.tiff": ("image/tiff", "RGB", "TIFF"),
    "cmyk.tiff": ("image/tiff", "CMYK", "TIFF"),
    "float.tiff": ("image/tiff", "F", "TIFF"),
    "16-bit.tiff": ("image/tiff", "I;16", "TIFF"),
    "big.tiff": ("image/tiff", "RGB", "TIFF big_tiff"),
    "a.avif": ("image/avif", "RGB", "AVIF"),
    "a.jp2": ("image/jp2", "RGB", "JPEG2000"),
    "a.j2k": ("image/jp2", "RGB", "JPEG2000 no_jp2"),
    "a.ico": ("image/x-icon", "RGBA", "ICO"),
    "a.ppm": ("image/x-portable-anymap", "RGB", "PPM"),
    "a.pgm": ("image/x-portable-anymap", "L", "PPM"),
    "a.pbm": ("image/x-portable-anymap", "1", "PPM"),
    "a.tga": ("image/x-tga", "RGB", "TGA"),
}
"""For each file name, the MIME type, Pillow's mode, and Pillow's name of the format with options."""


def amr() -> bytes:
    """Return 1 s of silence as AMR: 50 frames of 32 bytes."""
    return b"#!AMR\n" + (b"\x3c" + bytes(31)) * 50


def padded_mp3() -> bytes:
    """Return an MP3 file behind 100,000 bytes of zeros."""
    return bytes(100_000) + encode("without-xing.mp3")


def covered_mp3() -> bytes:
    """Return an MP3 file behind an ID3 tag of 300 kB."""
    size = bytes(300_000 >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\4\0\0" + size + bytes(300_000) + encode("without-xing.mp3")


def cut_aac() -> bytes:
    """Return AAC that begins in the middle of a frame."""
    return encode("a.aac")[500:]


def piped_wav() -> bytes:
    """Return a WAV file whose header has the largest size, as programs write it to a pipe."""
    whole = bytearray(tone(2, seconds=SECONDS))
    whole[4:8] = whole[40:44] = b"\xff" * 4
    return bytes(whole)


def heic(mode: str = "RGB", **options: object) -> bytes:
    """Return a picture as HEIC, as phones make it; the options are pillow_heif's."""
    file = io.BytesIO()
    pillow_heif.from_pillow(paint(mode)).save(file, **options)
    return file.getvalue()


def phone_exif(orientation: int = 1) -> PIL.Image.Exif:
    """Return the EXIF of a phone's picture: camera, place, and how the picture is turned."""
    exif = PIL.Image.Exif()
    exif[PIL.ExifTags.Base.Make] = "Cameramaker"
    exif[PIL.ExifTags.Base.Orientation] = orientation
    exif.get_ifd(PIL.ExifTags.IFD.GPSInfo)[PIL.ExifTags.GPS.GPSLatitude] = (52.0, 31.0, 12.0)
    return exif


BY_HAND: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a.mpo": ("image/jpeg", lambda: encode_picture(paint("RGB"), "MPO", save_all=True, append_images=[paint("L")])),
    "a.heic": ("image/heic", heic),
    "alpha.heic": ("image/heic", lambda: heic("RGBA")),
    "grey.heic": ("image/heic", lambda: heic("L")),
    "a.amr": ("audio/amr", amr),
    "padded.mp3": ("audio/mpeg", padded_mp3),
    "covered.mp3": ("audio/mpeg", covered_mp3),
    "cut.aac": ("audio/aac", cut_aac),
    "piped.wav": ("audio/wav", piped_wav),
}
"""For each file name, the MIME type and the function that makes the content."""

NEED_FFMPEG = {*SOUNDS, *CLIPS, "padded.mp3", "covered.mp3", "cut.aac"}
TYPES = {
    **{name: mime_type for name, (mime_type, *_) in PICTURES.items()},
    **{name: mime_type for name, (mime_type, *_) in BY_HAND.items()},
    **{name: mime_type for name, (mime_type, _) in (SOUNDS | CLIPS).items()},
}
"""For the name of each file in this module, the MIME type."""
MADE_HERE = {name: mime_type for name, mime_type in TYPES.items() if PROGRAM or name not in NEED_FFMPEG}
"""Of these, the ones that can be made on this machine, with or without ffmpeg."""


@cache
def encode(name: str) -> bytes:
    """Return the content of a file with one of these names."""
    if name in BY_HAND:
        return BY_HAND[name][1]()
    if name in PICTURES:
        _, mode, options = PICTURES[name]
        image_format, *flags = options.split()
        return encode_picture(paint(mode), image_format, **dict.fromkeys(flags, True))
    _, arguments = (SOUNDS | CLIPS)[name]
    return run_ffmpeg(name, *arguments)


def run_ffmpeg(name: str, *arguments: str, source: bytes = b"") -> bytes:
    """Run ffmpeg, and return the content of the file that it writes; it is kept for all processes and later runs.

    Args:
        name: Name of the file, whose ending chooses the format.
        arguments: What ffmpeg is told.
        source: A file to read before those that the arguments name; it has to be an MP4 file.
    """
    assert PROGRAM
    program = Path(PROGRAM).resolve()
    asked = repr((program, program.stat().st_mtime_ns, name, arguments, source))
    kept = KEPT / hashlib.sha256(asked.encode()).hexdigest()
    if not kept.exists():
        KEPT.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT) as folder:
            given, path = Path(folder, "source.mp4"), Path(folder, name)
            given.write_bytes(source)
            read = ("-i", given) if source else ()
            subprocess.run([PROGRAM, "-v", "error", "-nostdin", *read, *arguments, path], check=True)
            # Another process may have made the same file meanwhile.
            path.replace(kept)
    return kept.read_bytes()


def paint(mode: str, width: int = WIDTH, height: int = HEIGHT) -> PIL.Image.Image:
    """Return a picture that is dark on the left and bright on the right; with alpha, the dark is transparent."""
    ramp = PIL.Image.linear_gradient("L").rotate(90).resize((width, height))
    match mode:
        case "I;16":
            return ramp.convert("I").point(lambda value: value * 257).convert("I;16")
        case "F":
            return ramp.convert("F").point(lambda value: value * (1 / 255) + 0)
        case "RGBA":
            return PIL.Image.merge("RGBA", [ramp, ramp, ramp, ramp])
        case _:
            return ramp.convert("RGB").convert(mode)


def encode_picture(image: PIL.Image.Image, image_format: str, **options: object) -> bytes:
    """Return a picture as a file; the options are Pillow's."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()
