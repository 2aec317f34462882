"""The video stream of a film: convert every piece to the same size, frame rate and colours, then join the pieces."""

from fractions import Fraction
from typing import NamedTuple

from kie_mcp.film.facts import Picture
from kie_mcp.film.graph import Graph, format_number
from kie_mcp.film.layout import Layout, Piece
from kie_mcp.film.timeline import Fit

ZOOM = 0.1
"""Strength of the slow zoom while a picture file is shown, as a share of the picture's size."""
ZOOM_SCALE = 2
"""Factor by which a picture file is scaled up before the zoom, so that a step of the zoom is less than a pixel."""
BLUR_SCALE = 8
"""Factor by which the background is scaled down before it is blurred, because blurring fewer pixels is faster."""
HD_HEIGHT = 720
"""If a clip states no colour matrix, players assume BT.709 from this height (in pixels) on, and so does this module."""
COLORS = "setparams=range=tv:colorspace=bt709:color_primaries=bt709:color_trc=bt709"
TONE_MAPPING = (
    "zscale=transfer=linear:npl=100",
    "format=gbrpf32le",
    "zscale=primaries=bt709",
    "tonemap=tonemap=hable:desat=0",
    "zscale=transfer=bt709:matrix=bt709:range=tv",
)
"""Filters that convert HDR to the colours of a standard screen (SDR)."""

USUAL_HDR = "setparams=colorspace=bt2020nc:color_primaries=bt2020"
"""Filter for HDR clips that state no colours but the transfer, without which TONE_MAPPING fails."""


class Stream(NamedTuple):
    """The label of a stream in a filter graph, and the stream's length in frames or samples."""

    label: str
    length: int


def add_picture(graph: Graph, layout: Layout, fit: Fit) -> str:
    """Add all pieces to a graph, join them to one video stream, and return the label of this stream.

    Args:
        graph: The graph that gets the inputs and filters.
        layout: The positions of the pieces.
        fit: How to fit pieces with another aspect ratio into the film; a piece's own `fit` has priority.
    """
    shown = [Stream(add_piece(graph, layout, piece, piece.clip.fit or fit), piece.length) for piece in layout.pieces]
    joined = _join_cuts(graph, layout, shown)
    (label, length), rest = joined[0], joined[1:]
    for following, fade in zip(rest, _fades(layout), strict=True):
        seconds, offset = (format_number(layout.to_seconds(each)) for each in (fade, length - fade))
        label = graph.add_chain(
            f"xfade=transition=fade:duration={seconds}:offset={offset}",
            _set_time_base(layout),
            of=(label, following.label),
        )
        length += following.length - fade
    return label


def _set_time_base(layout: Layout) -> str:
    """Return the filter that sets the time base to the length of one frame, which the filter `xfade` requires."""
    # The filter `fps` would set the time base, too, but after `xfade` it would drop the last frame.
    return f"settb={1 / layout.rate}"


def _fades(layout: Layout) -> list[int]:
    return [piece.fade for piece in layout.pieces if piece.fade]


def _join_cuts(graph: Graph, layout: Layout, shown: list[Stream]) -> list[Stream]:
    """Join neighbouring pieces that have no cross-fade between them, and return one stream for each joined group.

    Between the returned streams there are cross-fades, which `add_picture()` adds.
    """
    groups: list[list[Stream]] = []
    for piece, each in zip(layout.pieces, shown, strict=True):
        if piece.fade or not groups:
            groups.append([])
        groups[-1].append(each)
    return [
        group[0]
        if len(group) == 1
        else Stream(
            graph.add_chain(
                f"concat=n={len(group)}:v=1:a=0", _set_time_base(layout), of=[each.label for each in group]
            ),
            sum(each.length for each in group),
        )
        for group in groups
    ]


def add_piece(graph: Graph, layout: Layout, piece: Piece, fit: Fit) -> str:
    """Add the video stream of one piece to a graph, with exactly `piece.length` frames, and return its label."""
    whole = f"trim=end_frame={piece.length}"
    if piece.source and piece.source.facts.still:
        return _add_still(graph, layout, piece, fit)
    if not piece.source or not piece.picture:
        width, height = layout.size
        card = f"color=color=black:size={width}x{height}:rate={layout.rate}"
        return graph.add_chain(card, whole, "format=yuv420p", COLORS, _set_time_base(layout))
    clip, picture = piece.clip, piece.picture
    seconds = layout.to_seconds(piece.length)
    options, lead = seek(picture, clip.start)
    number = graph.add_input(piece.source.name, *options, "-t", format_number(seconds * clip.speed + lead + 1))
    begun = f"setpts=PTS-{format_number(lead)}/TB" if lead else ""
    speed = f"setpts=PTS/{format_number(clip.speed)}" if clip.speed != 1 else ""
    end = clip.source_end or picture.seconds
    # If the voice is longer than the clip, the frame at `end` is repeated. Therefore, the clip is first cut at `end`.
    cut = f"trim=end={format_number((end - clip.start) / clip.speed)}" if end < picture.seconds else ""
    # If no frame begins at 0, the filter begins with the last frame before 0.
    steady = f"fps={layout.rate}:start_time=0"
    # The last frame is repeated until the end of the piece, because the voice may be longer than the clip, or rounding
    # may have left out a frame.
    still = f"tpad=stop_mode=clone:stop_duration={format_number(seconds + 1)}"
    label = graph.add_chain(begun, speed, cut, steady, still, whole, of=(f"[{number}:V:0]",))
    label = fit_picture(graph, label, picture, layout.size, fit)
    return graph.add_chain("setsar=1", "format=yuv420p", _set_time_base(layout), of=(label,))


def seek(picture: Picture, second: float) -> tuple[tuple[str, ...], float]:
    """Return ffmpeg's options for seeking to a place before `second`, and the lead: the seconds from there to `second`.

    ffmpeg leaves out frames that begin before the place to which it seeks. The frame that is shown at `second` may have
    begun long before, for example in a screen recording. So ffmpeg has to seek to an earlier place. A file in which
    ffmpeg cannot seek is decoded from its first frame.
    """
    if not picture.has_index:
        return (), second
    begin = second + picture.starts
    start = max(begin - picture.longest_frame, 0) if second else begin
    return (("-ss", format_number(start)) if start else ()), begin - start


def fit_picture(graph: Graph, label: str, picture: Picture, size: tuple[int, int], fit: Fit) -> str:
    """Scale and fit a video stream to a size, convert its colours to BT.709, and return the label of the result."""
    width, height = size
    inner = scale_into((picture.width, picture.height), size)
    outer = scale_over((picture.width, picture.height), size)
    tones = (() if picture.matrix else (USUAL_HDR,)) + TONE_MAPPING if picture.is_hdr else ()
    if inner == size:
        is_scaled = picture.stored_size != size or _find_matrix(picture) != "bt709" or picture.is_full_range
        return graph.add_chain(_scale(picture, size) if is_scaled else "", *tones, COLORS, of=(label,))
    if fit == "crop":
        cut = f"crop={width}:{height}"
        return graph.add_chain(_scale(picture, outer), *tones, cut, COLORS, of=(label,))
    scaled = (_scale(picture, inner), *tones)
    if fit == "pad":
        bars = f"pad={width}:{height}:-1:-1"
        return graph.add_chain(*scaled, "format=yuv420p", bars, COLORS, of=(label,))
    front, ground = graph.add_split(*scaled, "format=yuv420p", "split", of=(label,), ends=2)
    small = (max(width // BLUR_SCALE, 2), max(height // BLUR_SCALE, 2))
    blurred = (f"scale={small[0]}:{small[1]}:force_original_aspect_ratio=increase", f"crop={small[0]}:{small[1]}")
    ground = graph.add_chain(*blurred, "gblur=sigma=3", f"scale={width}:{height}", "setsar=1", of=(ground,))
    front = graph.add_chain("setsar=1", of=(front,))
    return graph.add_chain("overlay=(W-w)/2:(H-h)/2", COLORS, of=(ground, front))


def scale_into(size: tuple[int, int], into: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size inside `into` with the aspect ratio of `size`, rounded by `_scale_by()`."""
    return _scale_by(size, into, min(Fraction(into[0], size[0]), Fraction(into[1], size[1])))


def scale_over(size: tuple[int, int], over: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest size that covers `over`, with the aspect ratio of `size`, rounded by `_scale_by()`."""
    return _scale_by(size, over, max(Fraction(over[0], size[0]), Fraction(over[1], size[1])))


def _scale_by(size: tuple[int, int], target: tuple[int, int], factor: Fraction) -> tuple[int, int]:
    # Both sides must be even. A side that differs by less than 2 pixels from the target's side becomes equal to it.
    width, height = (
        each if abs(side * factor - each) < 2 else max(round(side * factor / 2) * 2, 2)
        for side, each in zip(size, target, strict=True)
    )
    return width, height


def _scale(picture: Picture, size: tuple[int, int]) -> str:
    # For HDR, `scale` must not convert the colours, because the filters in TONE_MAPPING convert them.
    matrix = f":in_color_matrix={_find_matrix(picture)}:out_color_matrix=bt709:out_range=tv"
    return f"scale={size[0]}:{size[1]}{'' if picture.is_hdr else matrix}"


def _find_matrix(picture: Picture) -> str:
    """Return a clip's colour matrix; if the clip does not state its matrix, return the matrix that players assume."""
    return picture.matrix or ("bt709" if picture.height >= HD_HEIGHT else "bt601")


def _add_still(graph: Graph, layout: Layout, piece: Piece, fit: Fit) -> str:
    """Add a picture file that is shown for some seconds, with a slow zoom if the piece asks for it."""
    source = piece.source
    if not source or not source.facts.still:
        raise ValueError("no picture")
    number = graph.add_input(source.name)
    width, height = layout.size
    scale = 1 if piece.clip.zoom == "none" else ZOOM_SCALE
    large = (width * scale, height * scale)
    picture = Picture("png", *source.facts.still, 1, 0, 0, None)
    label = graph.add_chain("format=rgb24", of=(f"[{number}:v:0]",))
    label = fit_picture(graph, label, picture, large, fit)
    step = format_number(ZOOM / piece.length)
    zoom = {"in": f"1+{step}*on", "out": f"{1 + ZOOM}-{step}*on", "none": "1"}[piece.clip.zoom]
    middle = "x=iw/2-iw/zoom/2:y=ih/2-ih/zoom/2"
    shown = f"zoompan=z={zoom}:{middle}:d={piece.length}:s={width}x{height}:fps={layout.rate}"
    whole = f"trim=end_frame={piece.length}"
    return graph.add_chain(
        "format=yuv444p", shown, whole, "setsar=1", "format=yuv420p", COLORS, _set_time_base(layout), of=(label,)
    )
