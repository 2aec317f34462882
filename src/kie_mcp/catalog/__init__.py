"""What KIE offers: every model a class, every tool a family of them."""

from kie_mcp.catalog import (
    elevenlabs,
    flux_kontext,
    ghibli,
    gpt4o,
    hailuo,
    kling,
    luma,
    midjourney,
    minimax,
    nano_banana,
    qwen,
    recraft,
    runway,
    seedance,
    seedream,
    sora,
    suno,
    veo,
    wan,
)
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.model import KieModel

__all__ = ["FAMILIES", "MODELS", "Family", "KieModel"]

FAMILIES: tuple[Family, ...] = (
    veo.VIDEO,
    sora.VIDEO,
    kling.VIDEO,
    runway.VIDEO,
    runway.ALEPH,
    minimax.VIDEO,
    hailuo.VIDEO,
    wan.VIDEO,
    seedance.VIDEO,
    luma.MODIFY,
    gpt4o.IMAGE,
    flux_kontext.IMAGE,
    midjourney.IMAGE,
    seedream.IMAGE,
    nano_banana.IMAGE,
    qwen.IMAGE,
    ghibli.IMAGE,
    recraft.UPSCALE,
    recraft.REMOVE_BACKGROUND,
    elevenlabs.SPEECH,
    elevenlabs.SOUND_EFFECT,
    suno.MUSIC,
    suno.EXTEND,
    suno.LYRICS,
    suno.SEPARATE_VOCALS,
    suno.MIDI,
    suno.WAV,
    suno.MUSIC_VIDEO,
    suno.COVER_ART,
)
"""Every tool that makes something, in the order that clients list them."""

MODELS: dict[str, type[KieModel]] = {}
"""Every model by KIE's id."""

for _family in FAMILIES:
    for _model in _family.models:
        # A second family may dress up a model of the first: the id stays with the plain one.
        MODELS.setdefault(_model.id, _model)
