"""Draw a clip with its prompt, a number and a moving mark, so that tests can check a film's order and timing.

The top of each frame shows the number as CELLS bits (white for 1), so that tests recognise the clip. The mark is a
white square at the bottom, which moves by MARK_STEP pixels with each frame. The number also sets the sound's pitch.
"""

import subprocess
import tempfile
from pathlib import Path

from PIL import Image, ImageDraw

from kie_mcp.child_process import build_environment
from kie_mcp.sandbox.fake_media import MediaContent, measure_image, write_text

LONG_SIDE_PX = 320
RATE = 12
"""Frames per second of a clip."""
LONGEST_SECONDS = 12.0
CELLS, CELL_HEIGHT_PX = 16, 12
MARK_PX, MARK_STEP = 16, 2
RENDER_SECONDS = 60.0
"""Maximum seconds for one run of ffmpeg."""
CODECS = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "30", "-c:a", "aac", "-b:a", "24k", "-ac", "1")


def draw_clip(program: str, media: MediaContent) -> bytes | None:
    """Return the bytes of an MP4 file; None if ffmpeg fails or takes too long.

    Args:
        program: The path of ffmpeg.
        media: The text, the mark, the aspect ratio and the length of the clip.
    """
    width, height = (side // 2 * 2 for side in measure_image(media.aspect_ratio, LONG_SIDE_PX))
    seconds = min(media.seconds, LONGEST_SECONDS)
    sound = f"sine=frequency={choose_pitch(media)}:sample_rate=44100"
    graph = f"[0]loop=-1:1[still];[still][1]overlay={MARK_STEP}*trunc(t*{RATE}+0.5):H-h:eval=frame,format=yuv420p"
    with tempfile.TemporaryDirectory(prefix="kie-sandbox-") as folder:
        target = Path(folder) / "clip.mp4"
        command = (
            *(program, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"),
            *("-r", str(RATE), "-i", "pipe:0", "-f", "lavfi", "-i", f"color=white:s={MARK_PX}x{MARK_PX}:r={RATE}"),
            *("-f", "lavfi", "-i", sound, "-filter_complex", graph, "-t", f"{seconds:g}", *CODECS),
            *("-movflags", "+faststart", "-bitexact", str(target)),
        )
        try:
            subprocess.run(  # noqa: S603 - a program of this machine, with arguments that are made here
                command,
                input=_draw_still(media, (width, height)).tobytes(),
                env=build_environment(),
                timeout=RENDER_SECONDS,
                capture_output=True,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return target.read_bytes()


def number_clip(media: MediaContent) -> int:
    """Return the number, from 0 to 65535, by which tests recognise a clip."""
    return media.number % (1 << CELLS)


def choose_pitch(media: MediaContent) -> int:
    """Return the pitch of a clip's sound in hertz, from 220 to 1500."""
    return 220 + 20 * number_clip(media) // 2**10


def _draw_still(media: MediaContent, size: tuple[int, int]) -> Image.Image:
    """Draw what is the same in all frames of a clip: everything except the moving mark."""
    number = number_clip(media)
    image = Image.new("RGB", size, f"hsl({media.number % 360}, 60%, 30%)")
    draw = ImageDraw.Draw(image)
    for cell in range(CELLS):
        left, right = (round(each * size[0] / CELLS) for each in (cell, cell + 1))
        shade = "white" if number >> (CELLS - 1 - cell) & 1 else "black"
        draw.rectangle((left, 0, right - 1, CELL_HEIGHT_PX - 1), fill=shade)
    write_text(image, f"{media.text}\n{number}", top=CELL_HEIGHT_PX + 8, size=18)
    draw.rectangle((0, size[1] - MARK_PX, *size), fill="black")
    return image
