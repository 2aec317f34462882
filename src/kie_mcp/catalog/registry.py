"""The registry: all families (each has the models of one tool), and all models by KIE's id.

The module of a vendor is imported when one of its families or models is first used, because importing all vendors takes
0.1 s, and a call of one tool needs only one of them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from importlib import import_module
from importlib.resources import files
from typing import overload

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Kind, Source
from kie_mcp.catalog.model import KieModel


class Families(Sequence[Family]):
    """Families in the order of the tool list."""

    def __init__(self, places: Mapping[str, str]) -> None:
        """Store the modules of the families; nothing is imported yet.

        Args:
            places: Maps the name of each tool to the module and variable of its family, such as `suno.MUSIC`.
        """
        self.places = places

    def find(self, tool: str) -> Family | None:
        """Return the family of a tool; None if the tool belongs to none of these families."""
        return _import_family(self.places[tool]) if tool in self.places else None

    @overload
    def __getitem__(self, index: int) -> Family: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Family]: ...
    def __getitem__(self, index: int | slice) -> Family | Sequence[Family]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self.places)

    @cached_property
    def _all(self) -> tuple[Family, ...]:
        return tuple(map(_import_family, self.places.values()))


class Models(Mapping[str, type[KieModel]]):
    """All model classes; the key is KIE's id of the model."""

    def find_family(self, id_: str) -> Family:
        """Return the first family that has a model with this id.

        Raises:
            KeyError: When no model has this id.
        """
        return _import_family(FAMILIES.places[_load_tools()[id_]])

    def can_be_source(self, source: Source, id_: str, kind: Kind) -> bool:
        """Tell whether a field takes a task as its source; of a model that is not built in, only the kind is known.

        Args:
            source: The tasks that the field takes.
            id_: KIE's id of the model that made the task.
            kind: The kind of result that the task made.
        """
        if source.kind not in (None, kind):
            return False
        makers = source.makers.split()
        return not makers or id_ not in self or id_ in makers or _load_tools()[id_] in makers

    def __getitem__(self, id_: str) -> type[KieModel]:
        for model in self.find_family(id_).models:
            if model.id == id_:
                return model
        raise KeyError(id_)

    def __contains__(self, id_: object) -> bool:
        return id_ in _load_tools()

    def __iter__(self) -> Iterator[str]:
        return iter(_load_tools())

    def __len__(self) -> int:
        return len(_load_tools())


@cache
def _import_family(place: str) -> Family:
    module, _, name = place.partition(".")
    family: Family = getattr(import_module(f"kie_mcp.catalog.vendors.{module}"), name)
    return family


@cache
def _load_tools() -> dict[str, str]:
    """Return the tool's name for each model id; `python -m kie_mcp.server.tools.tool_list` generates the JSON file."""
    tools: dict[str, str] = json.loads(files("kie_mcp.catalog").joinpath("model_tools.json").read_bytes())
    return tools


STANDARD = Families(
    {
        "veo_video": "veo.VIDEO",
        "sora_video": "sora.VIDEO",
        "kling_video": "kling.VIDEO",
        "runway_video": "runway.VIDEO",
        "runway_aleph": "runway.ALEPH",
        "minimax_video": "minimax.VIDEO",
        "hailuo_video": "hailuo.VIDEO",
        "wan_video": "wan.VIDEO",
        "seedance_video": "seedance.VIDEO",
        "luma_modify": "luma.MODIFY",
        "gpt4o_image": "gpt4o.IMAGE",
        "flux_kontext_image": "flux_kontext.IMAGE",
        "midjourney_image": "midjourney.IMAGE",
        "seedream_image": "seedream.IMAGE",
        "nano_banana_image": "nano_banana.IMAGE",
        "qwen_image": "qwen.IMAGE",
        "ghibli_image": "ghibli.IMAGE",
        "recraft_upscale": "recraft.UPSCALE",
        "recraft_remove_background": "recraft.REMOVE_BACKGROUND",
        "elevenlabs_speech": "elevenlabs.SPEECH",
        "elevenlabs_sound_effect": "elevenlabs.SOUND_EFFECT",
        "suno_music": "suno.MUSIC",
        "suno_extend": "suno.EXTEND",
        "suno_lyrics": "suno.LYRICS",
        "suno_separate_vocals": "suno.SEPARATE_VOCALS",
        "suno_midi": "suno.MIDI",
        "suno_wav": "suno.WAV",
        "suno_music_video": "suno.MUSIC_VIDEO",
        "suno_cover_art": "suno.COVER_ART",
        "suno_sounds": "suno_studio.SOUNDS",
    }
)
"""The families whose tools clients see by default: those with models in KIE's model list.

`suno_studio.SOUNDS` is added although KIE's list lacks it, because the listed `elevenlabs.SOUND_EFFECT` is legacy.
"""

FAMILIES = Families(
    {
        **STANDARD.places,
        "veo_extend": "veo.EXTEND",
        "veo_upscale": "veo.UPSCALE",
        "kling_avatar": "kling.AVATAR",
        "kling_motion": "kling.MOTION",
        "kling_omni": "kling_omni.OMNI",
        "runway_extend": "runway.EXTEND",
        "wan3_video": "wan.VIDEO3",
        "wan_animate": "wan.ANIMATE",
        "wan_edit": "wan.EDIT",
        "grok_video": "grok.VIDEO",
        "happyhorse_video": "happyhorse.VIDEO",
        "pixverse_video": "pixverse.VIDEO",
        "gemini_omni_video": "gemini.VIDEO",
        "gemini_omni_voice": "gemini.VOICE",
        "gemini_omni_character": "gemini.CHARACTER",
        "talking_head": "talking_head.VIDEO",
        "talking_head_detect": "talking_head.DETECT",
        "topaz_upscale": "topaz.UPSCALE",
        "midjourney_follow_up": "midjourney.FOLLOW_UP",
        "gpt_image": "gpt_image.IMAGE",
        "flux2_image": "flux2.IMAGE",
        "ideogram_image": "ideogram.IMAGE",
        "imagen_image": "imagen.IMAGE",
        "grok_image": "grok.IMAGE",
        "wan_image": "wan.IMAGE",
        "z_image": "z_image.IMAGE",
        "seedream_layers": "seedream.LAYERS",
        "elevenlabs_dialogue": "elevenlabs.DIALOGUE",
        "elevenlabs_isolate": "elevenlabs.ISOLATE",
        "gemini_speech": "gemini.SPEECH",
        "suno_cover_song": "suno_studio.COVER_SONG",
        "suno_add_part": "suno_studio.ADD_PART",
        "suno_replace_section": "suno_studio.REPLACE_SECTION",
        "suno_persona": "suno_voice.PERSONA",
        "suno_voice": "suno_voice.VOICE",
        "suno_style": "suno.STYLE",
        "suno_timestamped_lyrics": "suno.TIMESTAMPED_LYRICS",
        "suno_recover": "suno.RECOVER",
    }
)
"""Every family."""

MODELS = Models()
