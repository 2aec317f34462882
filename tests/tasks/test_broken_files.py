"""Broken files, made of whole ones with a fixed seed: each is refused or of unknown length, and no error escapes."""

import io
import random
import struct
from contextlib import suppress
from pathlib import Path

import anyio.to_thread
import pytest
from support.cases import for_each
from support.encoded_media import NEED_FFMPEG, TYPES, encode
from support.programs import PROGRAM, needs_ffmpeg

from kie_mcp.catalog.fields import Audio, Image, Limits, MediaRef, Video
from kie_mcp.errors import InvalidCall
from kie_mcp.media import formats, preview
from kie_mcp.media.content import Content
from kie_mcp.media.facts import describe_file
from kie_mcp.media.lengths import MAX_SECONDS, measure_seconds
from kie_mcp.tasks.fitting import check_file

pytestmark = pytest.mark.anyio

MUTATIONS = 12
"""How many broken files are made of each whole one."""
REFS: dict[str, type[MediaRef]] = {"image": Image, "video": Video, "audio": Audio}
HUGE = (b"\xff" * 4, b"\x7f\xff\xff\xff", b"\0" * 4, b"\xff" * 8, struct.pack("<Q", 1 << 62), struct.pack(">d", 1e300))
NAMES = [name for name in TYPES if PROGRAM or name not in NEED_FFMPEG]
"""Names of the whole files that can be made on this machine."""


def break_file(content: bytes, chance: random.Random) -> bytes:
    """Return a file of the same kind with wrong bytes, huge numbers, or parts that are missing or twice there."""
    broken = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        # Headers, which hold the numbers, are at the start or at the end of a file.
        place = chance.choice((chance.randrange(len(broken)), chance.randrange(8, 400), -chance.randrange(1, 400)))
        at = place % len(broken)
        match chance.randrange(4):
            case 0:
                broken[at] = chance.randrange(256)
            case 1:
                number = chance.choice(HUGE)
                broken[at : at + len(number)] = number
            case 2:
                del broken[at : at + chance.randrange(1, 1 + min(200, len(broken) // 4))]
            case _:
                broken[at:at] = broken[at : at + chance.randrange(1, 200)]
    return bytes(broken)


@for_each("name", NAMES)
async def test_a_broken_file_is_refused_or_of_unknown_length(name: str) -> None:
    chance = random.Random(name)
    for _ in range(MUTATIONS):
        content = break_file(encode(name), chance)
        file = io.BytesIO(content)
        mime_type = formats.detect_mime_type(file)
        seconds = measure_seconds(file, TYPES[name])
        assert seconds is None or 0 < seconds <= MAX_SECONDS
        kind = REFS.get((mime_type or "").partition("/")[0])
        if mime_type and kind:
            limits = Limits("", mb=10, seconds=(1, 60), side_px=(10, 4000), pixels=(1, 1_000_000))
            ref = kind(name)
            ref.limits = limits
            with suppress(InvalidCall):
                await check_file(Content(file, name, mime_type, len(content)), ref, keep_metadata=False)


@needs_ffmpeg
@for_each("name", ["a.mp4", "a.mov", "a.m4a", "a.mp3", "a.webm", "a.heic", "a.flac", "a.ogg"])
async def test_a_broken_file_on_disk_is_described_and_shown_or_refused(name: str, tmp_path: Path) -> None:
    chance, path = random.Random(name), tmp_path / name
    for _ in range(4):
        path.write_bytes(break_file(encode(name), chance))
        await anyio.to_thread.run_sync(describe_file, path, TYPES[name])
        with suppress(InvalidCall), path.open("rb") as file:
            await preview.render_preview(file, path)
