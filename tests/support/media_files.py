"""Small real media files."""

import io
import re
import struct
import wave
from importlib.resources import files

import PIL.Image


def picture(width: int = 40, height: int = 30, image_format: str = "PNG") -> bytes:
    """Return a black picture; width and height in pixels."""
    file = io.BytesIO()
    PIL.Image.new("1", (width, height)).save(file, image_format)
    return file.getvalue()


def photo(width: int, height: int) -> PIL.Image.Image:
    """Return a picture with as much detail as a photo has: gradients below noise; width and height in pixels."""
    size, gradient = (width, height), PIL.Image.linear_gradient("L")
    bands = (gradient, gradient.rotate(90), PIL.Image.radial_gradient("L"))
    smooth = PIL.Image.merge("RGB", [band.resize(size) for band in bands])
    noise = PIL.Image.merge("RGB", [PIL.Image.effect_noise((width // 2, height // 2), 60).resize(size)] * 3)
    return PIL.Image.blend(smooth, noise, 0.4)


def sound(seconds: float) -> bytes:
    """Return silence as WAV, 8 bits mono at 8 kHz."""
    return _wav(b"\x80" * int(8000 * seconds))


def tone(width: int, channels: int = 1, *, peak: float = 0.5, seconds: float = 1) -> bytes:
    """Return WAV whose first half is silent and whose second half is a tone; `width` is in bytes per sample."""
    full, frames = (1 << (8 * width - 1)) - 1, int(8000 * seconds)
    numbers = [round((-1) ** n * peak * full) if n >= frames // 2 else 0 for n in range(frames)]
    # Samples of 8 bits are unsigned in WAV.
    samples = [number + 128 if width == 1 else number for number in numbers]
    content = b"".join(each.to_bytes(width, "little", signed=width > 1) * channels for each in samples)
    return _wav(content, width, channels)


def _wav(content: bytes, width: int = 1, channels: int = 1) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(channels)
        written.setsampwidth(width)
        written.setframerate(8000)
        written.writeframes(content)
    return file.getvalue()


def clip(*boxes: tuple[bytes, bytes]) -> bytes:
    """Return an MP4 file with `ftyp` and these boxes; without boxes, with an index and some media data."""
    parts = ((b"ftyp", b"isom\0\0\0\0isom"), *(boxes or ((b"moov", bytes(100)), (b"mdat", bytes(1000)))))
    return b"".join(box(name, content) for name, content in parts)


def ebml(id_: str, content: bytes, *, live: bool = False) -> bytes:
    """Return an element of a WebM file; a live stream does not state the length."""
    return bytes.fromhex(id_) + (b"\x01" + b"\xff" * 7 if live else struct.pack(">Q", 1 << 56 | len(content))) + content


def webm(*, live: bool = False, behind: bytes = b"") -> bytes:
    """Return a WebM file with tracks, one cluster, and the bytes `behind` after the cluster."""
    parts = ebml("1654ae6b", bytes(20)) + ebml("1f43b675", bytes(1000), live=live) + behind
    return ebml("1a45dfa3", b"\x42\x82\x84webm") + ebml("18538067", parts, live=live)


def ogg(pages: int = 3) -> bytes:
    """Return an Ogg file of pages of 510 bytes each, which begin with the name of the codec."""
    return (b"OggS" + bytes(22) + b"\2\xff\xff" + b"\1vorbis".ljust(510, b"\0")) * pages


def aac(frames: int = 3) -> bytes:
    """Return an AAC file (ADTS) of frames of 200 bytes each."""
    return (b"\xff\xf1\x50\x80" + bytes((200 >> 3, (200 & 7) << 5, 0)) + bytes(193)) * frames


def midi(tracks: int = 2) -> bytes:
    """Return a MIDI file of empty tracks."""
    return (
        struct.pack(">4sIHHH", b"MThd", 6, 1, tracks, 480) + struct.pack(">4sI4s", b"MTrk", 4, b"\0\xff\x2f\0") * tracks
    )


def mp3(frames: int = 3) -> bytes:
    """Return an MP3 of silent frames: MPEG-1 layer III, 128 kbit/s, 44,100 Hz, 417 bytes each."""
    return (b"\xff\xfb\x90\x00" + bytes(413)) * frames


def flac(frames: int = 3) -> bytes:
    """Return a FLAC file of frames of 4,096 samples whose content is zeros."""
    info = struct.pack(">HH6xQ16x", 4096, 4096, 44100 << 44 | 15 << 36 | 4096 * frames)
    heads = (b"\xff\xf8\xc9\x08" + bytes((number,)) for number in range(frames))
    return (
        b"fLaC\x80"
        + len(info).to_bytes(3, "big")
        + info
        + b"".join(head + bytes((_flac_crc(head),)) + bytes(300) for head in heads)
    )


def _flac_crc(content: bytes) -> int:
    """Return the checksum of a FLAC frame's header: CRC-8 with the polynomial x^8 + x^2 + x + 1."""
    value = int.from_bytes(content, "big") << 8
    for bit in range(value.bit_length() - 1, 7, -1):
        if value >> bit & 1:
            value ^= 0x107 << (bit - 8)
    return value


def timed_clip(seconds: float) -> bytes:
    """Return the sandbox's clip with changed times in its index, so that it has this length."""
    content = bytearray((files("kie_mcp.sandbox") / "media" / "clip.mp4").read_bytes())
    for found in list(re.finditer(b"mvhd|mdhd", content)):
        at = found.end() + 12
        _, duration = struct.unpack_from(">II", content, at)
        # The boxes of the movie and of each track contain the time units per second, and the duration in units.
        times = (1000, round(seconds * 1000)) if found[0] == b"mvhd" else (round(duration / seconds), duration)
        struct.pack_into(">II", content, at, *times)
    # A track's header and its edit list repeat its length, in the movie's units. ffmpeg 7 takes that of the edit list.
    for name, place in ((b"tkhd", 20), (b"elst", 8)):
        for found in re.finditer(name, content):
            struct.pack_into(">I", content, found.end() + place, round(seconds * 1000))
    return bytes(content)


def box(name: bytes, content: bytes) -> bytes:
    """Return a box of an MP4."""
    return struct.pack(">I4s", 8 + len(content), name) + content
