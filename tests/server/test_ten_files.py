"""Ten files as a phone, a camera, a screen recorder and a voice recorder name them, through a client over stdio."""

import unicodedata
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from support.answers import answer, text
from support.encoded_media import BOTH, encode, encode_picture, heic, paint, phone_exif, run_ffmpeg
from support.kie_server import serve_kie
from support.preloaded import preloaded_parameters
from support.programs import needs_ffmpeg

from kie_mcp.media import formats

pytestmark = pytest.mark.anyio

FILES: dict[str, tuple[str, str, str, str]] = {
    "IMG_4021.HEIC": ("images", "{folder}/IMG_4021.HEIC", "image/jpeg", "HEIC made a JPEG, 120x160; location"),
    "PXL_20261128_094100123.MP.jpg": ("images", "PXL_20261128_094100123.mp.jpg", "image/jpeg", "metadata removed"),
    "Screenshot 2026-11-28 at 9.41.00\u202fAM.png": (
        "images",
        "Screenshot 2026-11-28 at 9.41.00 AM.png",
        "image/png",
        "",
    ),
    "_DSC0042.TIF": ("images", "file://{folder}/_DSC0042.TIF", "image/jpeg", "TIFF made a JPEG, 160x120"),
    "Ann’s Café.JPG": ("images", "'{folder}/Ann's Cafe\u0301.JPG'", "image/jpeg", "location and camera data removed"),
    "IMG_4022.MOV": ("video", "[clip]({folder}/IMG_4022.MOV)", "video/quicktime", "location"),
    "Screen Recording 2026-11-28 at 9.41.12\u202fAM.mov": (
        "video",
        "{folder}/Screen\\ Recording\\ 2026-11-28\\ at\\ 9.41.12\\ AM.mov",
        "video/quicktime",
        "",
    ),
    "2026-11-28 09-41-00.mkv": ("video", "@2026-11-28 09-41-00.mkv", "video/x-matroska", ""),
    "New Recording 7.m4a": ("audio", '"{folder}/New Recording 7.m4a".', "audio/mp4", ""),
    "Memo (1).caf": ("audio", "{folder}/Memo%20(1).caf", "audio/mpeg", "CAF made"),
}
"""For each file: the argument that takes it, how it is named, and what is sent and said."""
TOOLS = {"images": "nano_banana_image", "video": "topaz_upscale", "audio": "elevenlabs_isolate"}


def record(name: str) -> bytes:
    """Return the content of one of the ten files, with the location where such a device writes it."""
    made: dict[str, Any] = {
        "IMG_4021.HEIC": lambda: heic(exif=phone_exif(6).tobytes()),
        "_DSC0042.TIF": lambda: encode("a.tiff"),
        "New Recording 7.m4a": lambda: encode("a.m4a"),
        "Memo (1).caf": lambda: encode("alac.caf"),
        "2026-11-28 09-41-00.mkv": lambda: encode("a.mkv"),
        "PXL_20261128_094100123.MP.jpg": lambda: encode("a.mpo"),
        "Ann’s Café.JPG": lambda: encode_picture(paint("RGB"), "JPEG", exif=phone_exif()),
        "IMG_4022.MOV": lambda: run_ffmpeg("a.mov", *BOTH, "-metadata", "location=+52.5+013.4/"),
    }
    if name.endswith("png"):
        return encode_picture(paint("RGB"), "PNG")
    return bytes(made[name]() if name in made else encode("a.mov"))


@needs_ffmpeg
async def test_ten_files_of_four_devices_arrive_as_the_models_take_them(tmp_path: Path) -> None:
    folder = tmp_path / "Bilder"
    folder.mkdir()
    for name in FILES:
        (folder / unicodedata.normalize("NFC", name)).write_bytes(record(name))
    with serve_kie() as kie:
        sandbox = kie.restart(seconds=0.2)
        settings = {
            **kie.environment,
            "KIE_MCP_TOOLS": "all",
            "KIE_MCP_DATA_DIR": str(tmp_path / "data"),
            "KIE_MCP_OUTPUT_DIR": str(tmp_path / "out"),
        }
        parameters = preloaded_parameters(settings, cwd=folder)
        async with Client(parameters) as client, httpx2.AsyncClient() as browser:
            for name, (argument, written, sent, said) in FILES.items():
                given = written.replace("{folder}", str(folder))
                arguments = {"prompt": "a fox"} if argument == "images" else {}
                result = await client.call_tool(TOOLS[argument], {**arguments, argument: given})
                assert not result.is_error, text(result)
                (url,) = [each for each in str(sandbox.accepted[-1].body).split("'") if "/uploads/" in each]
                received = (await browser.get(url)).content
                assert formats.detect_mime_type(received) == sent, name
                note = answer(result).get("note", "")
                assert said in note, name
                assert bool(note) == bool(said), note
                assert not note or Path(name).stem[:4] in note.replace("'", "’")
                assert b"Cameramaker" not in received
                assert b"+52.5" not in received
