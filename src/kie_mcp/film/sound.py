"""The sound of a film: mix the sound of the pieces, voices, effects, and music that is lowered during voices."""

from collections.abc import Sequence

from kie_mcp.film.graph import Graph, format_number
from kie_mcp.film.layout import SAMPLE_RATE, Layout, Piece, PlacedSound
from kie_mcp.film.picture import Stream

ONE_FORM = f"aformat=sample_fmts=fltp:sample_rates={SAMPLE_RATE}:channel_layouts=stereo"
STEADY = f"aresample={SAMPLE_RATE}:async=1:first_pts=0"
SILENCE = f"anullsrc=channel_layout=stereo:sample_rate={SAMPLE_RATE}"
DUCKING = "sidechaincompress=threshold=0.02:ratio=8:attack=20:release=500"
"""Filter that lowers music by about 12 dB while a voice is heard (ducking)."""
SLOWEST_TEMPO = 0.5
"""Lowest speed factor that one `atempo` filter allows; for a lower speed, two of these filters are used."""
LIMITER = "alimiter=limit=0.84:attack=5:release=50:level=0:latency=1"
"""Filter that limits the peaks to -1.5 dB, so that no player distorts them."""


def add_sound(graph: Graph, layout: Layout, gain_db: float | None = None) -> str:
    """Add all sounds of a film to a graph, and return the label of their mix.

    Args:
        graph: The graph that gets the inputs and filters.
        layout: The positions of the pieces and sounds.
        gain_db: Decibels by which the mix is made louder, or quieter if below 0; None if the loudness stays unchanged.
            The peaks are limited afterwards.
    """
    voices = [_add_voice(graph, layout, piece) for piece in layout.pieces if piece.voice]
    voices += [_add_placed_sound(graph, each) for each in layout.sounds if each.sound.role == "voice"]
    music = [_add_placed_sound(graph, each) for each in layout.sounds if each.sound.role == "music"]
    parts = [_add_placed_sound(graph, each) for each in layout.sounds if each.sound.role == "effect"]
    if layout.pieces:
        parts.append(_join_pieces(graph, layout))
    if music and voices:
        voice, key = graph.add_split("asplit", of=(_mix(graph, voices),), ends=2)
        parts += [voice, graph.add_chain(DUCKING, of=(_mix(graph, music), key))]
    else:
        parts += [*voices, *music]
    whole = f"atrim=end_sample={layout.samples}"
    adjusted = (f"volume={format_number(gain_db)}dB", LIMITER) if gain_db is not None else ()
    return graph.add_chain("apad", whole, "asetpts=N/SR/TB", *adjusted, of=(_mix(graph, parts),))


def has_sound(layout: Layout) -> bool:
    """Return whether a film has any sound."""
    return bool(layout.sounds) or any(
        piece.voice or (piece.source and piece.source.facts.track) for piece in layout.pieces
    )


def _mix(graph: Graph, labels: Sequence[str]) -> str:
    if len(labels) == 1:
        return labels[0]
    return graph.add_chain(f"amix=inputs={len(labels)}:duration=longest:normalize=0", of=labels)


def _join_pieces(graph: Graph, layout: Layout) -> str:
    groups: list[list[Stream]] = []
    fades = []
    for piece in layout.pieces:
        if piece.fade or not groups:
            groups.append([])
            fades.append(layout.to_samples(piece.fade))
        groups[-1].append(Stream(_add_piece(graph, layout, piece), layout.to_samples(piece.length)))
    joined = [
        group[0].label
        if len(group) == 1
        else graph.add_chain(f"concat=n={len(group)}:v=0:a=1", of=[each.label for each in group])
        for group in groups
    ]
    label = joined[0]
    for following, fade in zip(joined[1:], fades[1:], strict=True):
        label = graph.add_chain(f"acrossfade=nb_samples={fade}", of=(label, following))
    return label


def _add_piece(graph: Graph, layout: Layout, piece: Piece) -> str:
    """Add the sound of one piece, exactly as long as the piece; a piece without sound gets silence."""
    samples = layout.to_samples(piece.length)
    whole = f"atrim=end_sample={samples}"
    clip, source = piece.clip, piece.source
    if not source or not source.facts.track or not clip.volume:
        return graph.add_chain(SILENCE, whole, "asetpts=N/SR/TB")
    picture, track = source.facts.picture, source.facts.track
    begin = clip.start + (picture.starts if picture else track.starts)
    late = _delay(round(max(track.starts - begin, 0) * SAMPLE_RATE)) if picture and not picture.has_index else ""
    seconds = layout.to_seconds(piece.length) * clip.speed
    used_seconds = (clip.source_end or source.facts.seconds) - clip.start
    options = ("-ss", format_number(begin)) if begin else ()
    number = graph.add_input(source.name, "-vn", *options, "-t", format_number(min(seconds, used_seconds)))
    volume = f"volume={format_number(clip.volume)}" if clip.volume != 1 else ""
    tempo = _change_tempo(clip.speed)
    return graph.add_chain(
        STEADY, ONE_FORM, late, *tempo, volume, "apad", whole, "asetpts=N/SR/TB", of=(f"[{number}:a:0]",)
    )


def _change_tempo(speed: float) -> tuple[str, ...]:
    if speed == 1:
        return ()
    if speed < SLOWEST_TEMPO:
        return f"atempo={SLOWEST_TEMPO}", f"atempo={format_number(speed / SLOWEST_TEMPO)}"
    return (f"atempo={format_number(speed)}",)


def _add_voice(graph: Graph, layout: Layout, piece: Piece) -> str:
    if not piece.voice:
        raise ValueError("no voice")
    number = graph.add_input(piece.voice.name, "-vn")
    return graph.add_chain(STEADY, ONE_FORM, _delay(layout.to_samples(piece.at)), of=(f"[{number}:a:0]",))


def _add_placed_sound(graph: Graph, laid: PlacedSound) -> str:
    """Add a sound of the timeline to the graph, with silence before it, so that it begins at its time in the film."""
    sound = laid.sound
    picture, track = laid.source.facts.picture, laid.source.facts.track
    begin = sound.start + (track.starts if track and (not picture or picture.has_index) else 0)
    # The option `-ss` would cut faster, but if the video stream is copied, the times of the sound would not begin at 0.
    cut = (f"atrim=start_sample={round(begin * SAMPLE_RATE)}", "asetpts=PTS-STARTPTS") if begin else ()
    number = graph.add_input(laid.source.name, "-vn")
    samples = round(laid.seconds * SAMPLE_RATE)
    rise = f"afade=type=in:duration={format_number(sound.fade_in)}" if sound.fade_in else ""
    fall = ""
    if laid.fade_out:
        start, length = (format_number(each) for each in (laid.seconds - laid.fade_out, laid.fade_out))
        fall = f"afade=type=out:start_time={start}:duration={length}"
    volume = f"volume={format_number(sound.volume)}" if sound.volume != 1 else ""
    used_samples = round(laid.used_seconds * SAMPLE_RATE)
    repeated = (f"atrim=end_sample={used_samples}", f"aloop=loop=-1:size={used_samples}") if sound.loop else ()
    whole = f"atrim=end_sample={samples}"
    delay = _delay(round(sound.at * SAMPLE_RATE))
    return graph.add_chain(STEADY, ONE_FORM, *cut, *repeated, whole, rise, fall, volume, delay, of=(f"[{number}:a:0]",))


def _delay(samples: int) -> str:
    return f"adelay=delays={samples}S:all=1" if samples else ""
