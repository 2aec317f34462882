"""Build the subtitle files of a film: ASS to burn texts in, SRT to attach them.

The texts of a film are passed to ffmpeg only in these files.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from kie_mcp.film.layout import Layout
from kie_mcp.film.timeline import Text, Timeline
from kie_mcp.text import make_visible

BURNED_NAME, ATTACHED_NAME = "texts.ass", "texts.srt"
WORD_JOINER = "\u2060"
"""An invisible character. If it is inserted into an ASS or SRT command, the command becomes plain text."""
FONT_NAME, FONTS_FOLDER = "Aileron", "fonts"
"""Name of Pillow's own font, and the folder for the font's file; letters that this font lacks come from other fonts."""
SHORTEST_SECONDS, SECONDS_PER_LETTER, LONGEST_SECONDS = 1.5, 1 / 15, 8.0
"""Seconds for which a text without `until` is shown: the minimum, the time per letter, and the maximum."""
ALIGNMENTS = {"bottom": 2, "center": 5, "top": 8}
"""ASS's number for each position of a text; the numbers are placed as on a number pad: 2 is bottom centre."""
LYRICS_LINE = re.compile(r"(\d+(?:\.\d+)?) (.+)")
"""Matches a line of timed lyrics: the second at which the line begins, and the words of the line."""

_HEAD = """\
[Script Info]
ScriptType: v4.00+
WrapStyle: 0
ScaledBorderAndShadow: yes
PlayResX: {width}
PlayResY: {height}

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, BackColour, Bold, BorderStyle, Outline, Shadow, \
Alignment, MarginL, MarginR, MarginV, Encoding
{styles}

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


@dataclass(frozen=True, slots=True)
class TimedText:
    """A text, the start and end in seconds between which it is shown in the film, and the name of its ASS style."""

    text: str
    start: float
    end: float
    style: str


def collect_texts(timeline: Timeline, layout: Layout, lyrics: str = "") -> list[TimedText]:
    """Return all texts of a timeline in the order of their times: titles of clips, texts, and lines of lyrics.

    Args:
        timeline: The timeline.
        layout: The positions of the timeline's clips.
        lyrics: Lines that begin with the second at which they are sung, as `suno_timestamped_lyrics` makes them.
    """
    titles = [
        TimedText(piece.clip.title, layout.to_seconds(piece.at), layout.to_seconds(piece.at + piece.length), "title")
        for piece in layout.pieces
        if piece.clip.title
    ]
    written = [*timeline.texts, *read_lyrics(lyrics)]
    written.sort(key=lambda text: text.at)
    texts = [_show(text, following) for text, following in zip(written, [*written[1:], None], strict=False)]
    # An attached text that ended after the film would make the file longer.
    shown = (
        replace(each, end=min(each.end, layout.seconds)) for each in (*titles, *texts) if each.start < layout.seconds
    )
    return sorted(shown, key=lambda each: each.start)


def read_lyrics(lines: str) -> Iterator[Text]:
    """Yield the lines of timed lyrics as texts; section names, such as `[Verse]`, are left out."""
    for line in lines.splitlines():
        if found := LYRICS_LINE.fullmatch(line.strip()):
            words = re.sub(r"\[[^\]]*\]", "", found[2]).strip()
            if words:
                yield Text(text=words[:1000], at=float(found[1]))


def _show(text: Text, following: Text | None) -> TimedText:
    end = text.until
    if end is None:
        end = text.at + min(max(SHORTEST_SECONDS, len(text.text) * SECONDS_PER_LETTER), LONGEST_SECONDS)
        if following and following.place == text.place and following.at > text.at:
            end = min(end, following.at)
    return TimedText(text.text, text.at, end, text.place)


def build_ass(texts: Iterable[TimedText], size: tuple[int, int]) -> str:
    """Return the content of an ASS file; `size` is the width and height of the film in pixels."""
    width, height = size
    short = min(size)
    styles = [_build_style(name, short / 18, number, short) for name, number in ALIGNMENTS.items()]
    styles.append(_build_style("title", short / 9, ALIGNMENTS["center"], short))
    head = _HEAD.format(width=width, height=height, styles="\n".join(styles))
    lines = (
        f"Dialogue: 0,{_format_time(each.start)},{_format_time(each.end)},{each.style},,0,0,0,,{escape(each.text)}\n"
        for each in texts
    )
    return head + "".join(lines)


def escape(text: str) -> str:
    r"""Escape a text for ASS, so that no brace begins a command and no backslash begins an escape.

    A line break becomes `\N`.
    """
    escaped = "\n".join(_split_lines(text)).replace("\\", f"\\{WORD_JOINER}").replace("{", "\\{").replace("}", "\\}")
    return escaped.replace("\n", "\\N")


def build_srt(texts: Iterable[TimedText]) -> str:
    """Return the content of an SRT file; texts are escaped, so that no text begins a tag or another subtitle."""
    blocks = (
        f"{number}\n{_format_time(each.start, ',')} --> {_format_time(each.end, ',')}\n"
        + re.sub(r"[\\<{]|--(?=>)", rf"\g<0>{WORD_JOINER}", "\n".join(_split_lines(each.text)))
        for number, each in enumerate(texts, start=1)
    )
    return "\n\n".join(blocks) + "\n"


def _split_lines(text: str) -> list[str]:
    """Return the lines of a text that are not blank."""
    return [line.strip() for line in make_visible(text).split("\n") if line.strip()]


def _build_style(name: str, font_px: float, alignment: int, short_px: int) -> str:
    outline, margin = max(short_px / 300, 0.6), round(short_px / 16)
    cells = (name, FONT_NAME, round(font_px, 1), "&H00FFFFFF", "&H00000000", "&H80000000", 0, 1, round(outline, 1), 0)
    return f"Style: {','.join(map(str, (*cells, alignment, margin, margin, margin, 1)))}"


def _format_time(seconds: float, point: str = ".") -> str:
    """Format a time for ASS, such as `0:00:01.50`, or with a comma as `point` for SRT, such as `0:00:01,500`."""
    hours, rest = divmod(round(seconds * 100), 360_000)
    minutes, rest = divmod(rest, 6_000)
    return f"{hours}:{minutes:02}:{rest // 100:02}{point}{rest % 100:02}" + "0" * (point == ",")
