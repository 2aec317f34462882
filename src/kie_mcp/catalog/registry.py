"""The registry: all families (each of them has the models of one tool), and all models by KIE's id."""

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.vendors import (
    elevenlabs,
    flux2,
    flux_kontext,
    gemini,
    ghibli,
    gpt4o,
    gpt_image,
    grok,
    hailuo,
    happyhorse,
    ideogram,
    imagen,
    kling,
    kling_omni,
    luma,
    midjourney,
    minimax,
    nano_banana,
    pixverse,
    qwen,
    recraft,
    runway,
    seedance,
    seedream,
    sora,
    suno,
    suno_studio,
    suno_voice,
    talking_head,
    topaz,
    veo,
    wan,
    z_image,
)

STANDARD: tuple[Family, ...] = (
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
    suno_studio.SOUNDS,
)
"""The families whose tools clients see by default: those with models in KIE's model list.

`suno_studio.SOUNDS` is added, because the list's `elevenlabs.SOUND_EFFECT` is a legacy family.
"""

FAMILIES: tuple[Family, ...] = (
    *STANDARD,
    veo.EXTEND,
    veo.UPSCALE,
    kling.AVATAR,
    kling.MOTION,
    kling_omni.OMNI,
    runway.EXTEND,
    wan.VIDEO3,
    wan.ANIMATE,
    wan.EDIT,
    grok.VIDEO,
    happyhorse.VIDEO,
    pixverse.VIDEO,
    gemini.VIDEO,
    gemini.VOICE,
    gemini.CHARACTER,
    talking_head.VIDEO,
    talking_head.DETECT,
    topaz.UPSCALE,
    midjourney.FOLLOW_UP,
    gpt_image.IMAGE,
    flux2.IMAGE,
    ideogram.IMAGE,
    imagen.IMAGE,
    grok.IMAGE,
    wan.IMAGE,
    z_image.IMAGE,
    seedream.LAYERS,
    elevenlabs.DIALOGUE,
    elevenlabs.ISOLATE,
    gemini.SPEECH,
    suno_studio.COVER_SONG,
    suno_studio.ADD_PART,
    suno_studio.REPLACE_SECTION,
    suno_voice.PERSONA,
    suno_voice.VOICE,
    suno.STYLE,
    suno.TIMESTAMPED_LYRICS,
    suno.RECOVER,
)
"""Every family, in the order of the tool list."""

MODELS: dict[str, type[KieModel]] = {}
"""All model classes; the key is KIE's id of the model."""

for _family in FAMILIES:
    for _model in _family.models:
        # If two families have a model with the same id, the id means the model of the first family.
        MODELS.setdefault(_model.id, _model)
