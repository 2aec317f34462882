"""Join clips without encoding them again: check whether their streams can be copied, and build ffmpeg's options."""

from pathlib import PurePath

from kie_mcp.film.facts import Picture, Track
from kie_mcp.film.layout import Layout
from kie_mcp.film.timeline import Clip, Timeline

SYNC_SECONDS = 0.05
"""Maximum seconds by which a copied audio stream may begin later or be shorter than its clip's video stream."""
START_SECONDS = 0.001
"""Maximum seconds between the beginning of a file and the first frame of a copied video stream."""
COPIED_ENDINGS = (".mp4", ".mov")
"""File extensions of clips whose streams can be copied into an MP4 file unchanged."""
MOOV_BYTES_PER_PACKET = 48
"""Maximum bytes that the index of an MP4 file needs for each packet of its video and audio streams."""
LARGE_BYTES = 64_000_000
"""Total size in bytes from which the sources of a film are treated as large; see `place_index()`."""


def is_whole(clip: Clip) -> bool:
    """Return whether a clip uses its whole source without any change."""
    changed = clip.start or clip.end or clip.seconds or clip.fade or clip.title or clip.voice
    return not changed and clip.speed == 1 and clip.volume == 1


def can_copy_picture(timeline: Timeline, layout: Layout) -> bool:
    """Return whether the video streams of all clips can be copied.

    Each clip must be an unchanged MP4 or MOV file. All video streams must be H.264 with equal parameters, and must have
    the size of the film.
    """
    if not all(is_whole(piece.clip) for piece in layout.pieces):
        return False
    pictures = [piece.picture for piece in layout.pieces]
    are_mp4 = all(PurePath(piece.source.name).suffix in COPIED_ENDINGS for piece in layout.pieces if piece.source)
    is_wanted = not (timeline.aspect_ratio or timeline.height) or all(
        picture and layout.size == (picture.width, picture.height) for picture in pictures
    )
    same = len({picture.copied_form for picture in pictures if picture}) == 1
    return are_mp4 and is_wanted and same and all(picture and _is_plain(picture) for picture in pictures)


def _is_plain(picture: Picture) -> bool:
    """Return whether a stream plays in every player, begins at the start of its file and has a constant frame rate."""
    is_playable = picture.codec == "h264" and picture.pixels == "yuv420p" and not picture.is_turned
    return is_playable and picture.rate is not None and abs(picture.starts) < START_SECONDS


def can_copy_sound(layout: Layout) -> bool:
    """Return whether the audio streams of the clips can be copied, provided that the video streams are copied.

    Either all clips must have AAC streams with equal parameters, or no clip may have sound. An audio stream may be
    longer than its clip's video stream, because its end is cut off. A shorter audio stream would leave a gap.
    """
    facts = [piece.source.facts for piece in layout.pieces if piece.source]
    if layout.sounds or not any(each.track for each in facts):
        return not layout.sounds
    same = len({each.track.copied_form for each in facts if each.track}) == 1
    return same and all(each.track and _is_synchronous(each.track, each.seconds) for each in facts)


def _is_synchronous(track: Track, seconds: float) -> bool:
    """Return whether an audio stream is AAC, begins together with the video stream, and is not shorter."""
    return track.codec == "aac" and track.starts <= SYNC_SECONDS and seconds - track.seconds <= SYNC_SECONDS


def build_join_list(layout: Layout) -> str:
    """Return the list of files for ffmpeg's `concat`; each clip begins where the previous clip's video stream ends."""
    lines = ["ffconcat version 1.0"]
    for piece in layout.pieces:
        if piece.source and piece.picture:
            lines += [f"file '{PurePath(piece.source.name).name}'", f"duration {piece.picture.seconds:.6f}"]
    return "\n".join(lines) + "\n"


def drop_overlaps(layout: Layout) -> tuple[str, ...]:
    """Return options that drop audio packets before the beginning or after the end of their own clip's video stream.

    Every clip has such packets before its beginning (AAC's priming), and may have some after its end. In a joined file,
    these packets would overlap the sound of the neighbouring clips and make the sound too long.
    """
    dropped: list[range] = []
    first = 0
    tracks = [piece.source.facts.track for piece in layout.pieces if piece.source and piece.source.facts.track]
    for place, track in enumerate(tracks):
        following = first + track.packets
        dropped += [range(first, first + track.priming_packets)] * (place > 0)
        dropped += [range(following - track.late_packets, following)] * (place < len(tracks) - 1)
        first = following
    terms = [rf"between(n\,{each.start}\,{each.stop - 1})" for each in dropped if each]
    return ("-bsf:a", f"noise=drop={'+'.join(terms)}") if terms else ()


def place_index(layout: Layout, size: int) -> tuple[str, ...]:
    """Return options that put the index of an MP4 file at the file's start, where web players need it.

    ffmpeg knows the index only when it has written the file, and then writes the file again with the index in front.
    For large sources (LARGE_BYTES), this would double the time, so ffmpeg reserves room for the index instead.

    Args:
        layout: The positions of the clips; the room for the index depends on the number of their packets.
        size: Total size of the sources in bytes.
    """
    if size < LARGE_BYTES:
        return "-movflags", "+faststart"
    packets = sum(
        (piece.picture.frames if piece.picture else 0)
        + (piece.source.facts.track.packets if piece.source and piece.source.facts.track else 0)
        for piece in layout.pieces
    )
    return "-moov_size", str(100_000 + MOOV_BYTES_PER_PACKET * packets)
