"""Memory of a real server: a large picture and an answer that grows are handled within limits."""

import gzip
import sys
from pathlib import Path

import PIL.Image
import pytest
from starlette.responses import Response

from benchmarks.measured_server import ScriptedKie, measured_server
from kie_mcp.media.pictures import ORIENTATION

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="The memory of a process is read from /proc.")


def test_a_picture_of_88_megapixels_and_a_growing_answer_take_little_memory(tmp_path: Path) -> None:
    kie = ScriptedKie()
    kie.result = tmp_path / "large.png"
    PIL.Image.new("RGB", (9400, 9400), "white").save(kie.result, compress_level=1)
    with measured_server(tmp_path, kie) as server:
        made = server.measure(("nano_banana_image", {"prompt": "a white wall"}))
        view = ("view_media", {"task_id": made.answers[0]["structuredContent"]["task_id"]})
        seen = server.measure(view, view, view)
        kie.answer = Response(gzip.compress(bytes(200_000_000), 1), headers={"content-encoding": "gzip"})
        bomb = server.measure(("get_credits", {}))
    assert seen.text.count("9400 x 9400 px") == 3
    assert "larger than 16 MB" in bomb.text
    assert max(made.memory, seen.memory, bomb.memory) < 250


def test_a_png_with_transparency_that_has_to_be_encoded_again_takes_little_memory_and_keeps_none(
    tmp_path: Path,
) -> None:
    given, lying = tmp_path / "transparent.png", PIL.Image.Exif()
    lying[ORIENTATION] = 6
    alpha = PIL.Image.linear_gradient("L").resize((5700, 4275))
    PIL.Image.merge("RGBA", [alpha] * 4).save(given, compress_level=1, exif=lying)
    with measured_server(tmp_path, ScriptedKie()) as server:
        sent = server.measure(("upload_file", {"path": str(given)}))
        after = server.measure(("list_tasks", {}))
    assert "PNG encoded again, 3547x4729 instead of 4275x5700, turned upright" in sent.text
    assert sent.memory < 250
    assert after.memory < 60
