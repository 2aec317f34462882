"""What people say, and the models that a search answers with."""

import pytest
from support.cases import for_each
from support.facts import market

from kie_mcp.catalog import search
from kie_mcp.catalog.fields import find_file_type
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.needs import NEEDS
from kie_mcp.catalog.registry import FAMILIES, MODELS, STANDARD

SAID = {
    # Pictures
    "picture": "nano_banana_image",
    "make a picture": "nano_banana_image",
    "draw an image": "nano_banana_image",
    "photo of a dog": "nano_banana_image",
    "poster": "nano_banana_image",
    "wallpaper": "nano_banana_image",
    "anime": "ghibli_image",
    "cartoon": "ghibli_image",
    "ghibli": "ghibli_image",
    "logo": "ideogram_image",
    "text in an image": "gpt4o_image",
    "infographic": "ideogram_image",
    "edit my photo": "nano_banana_image",
    "retouch": "nano_banana_image",
    "combine images": "nano_banana_image",
    "inpaint": "ideogram_image",
    "inpainting with a mask": "ideogram_image",
    "remove an object": "ideogram_image",
    "outpaint": "nano_banana_image",
    "upscaler": "recraft_upscale",
    "upscale my picture": "recraft_upscale",
    "enhance": "recraft_upscale",
    "higher resolution": "recraft_upscale",
    "remove the background": "recraft_remove_background",
    "transparent background": "recraft_remove_background",
    "remove the ugly white background": "recraft_remove_background",
    "restore old photo": "recraft_upscale",
    "sticker": "nano_banana_image",
    "try on": "nano_banana_image",
    "zoom out": "nano_banana_image",
    "green screen": "recraft_remove_background",
    "layers": "seedream_layers",
    "consistent character": "ideogram_image",
    "cheapest image": "z_image",
    "album cover": "suno_cover_art",
    "photo of a singer": "nano_banana_image",
    "image of a dance": "nano_banana_image",
    "comic": "nano_banana_image",
    # Video
    "video": "veo_video",
    "a short film": "veo_video",
    "text to video": "veo_video",
    "vertical video": "veo_video",
    "TikTok": "veo_video",
    "photo to video": "kling_video",
    "turn my photo into a video": "kling_video",
    "animate a picture": "kling_video",
    "image-to-video": "kling_video",
    "anime video": "kling_video",
    "cheap video": "runway_video",
    "video with sound": "veo_video",
    "lipsync": "talking_head",
    "lip sync": "talking_head",
    "lip-sync avatar": "kling_avatar",
    "talking photo": "kling_avatar",
    "talking head": "talking_head",
    "avatar": "kling_avatar",
    "digital human": "talking_head",
    "kling lip sync": "kling_avatar",
    "restyle": "runway_aleph",
    "style transfer": "runway_aleph",
    "edit a video": "runway_aleph",
    "dance": "kling_motion",
    "motion capture": "kling_motion",
    "extend a video": "veo_extend",
    "upscale a video": "topaz_upscale",
    "music video": "suno_music_video",
    "upscale my video to 4k": "topaz_upscale",
    "4k video upscaler": "topaz_upscale",
    "first and last frame video": "seedance_video",
    "start and end frame": "seedance_video",
    "lip sync my video to new audio": "talking_head",
    "change the style of my video": "runway_aleph",
    "dance like in this video": "kling_motion",
    "product video from a photo": "kling_video",
    "make my portrait sing": "talking_head",
    "30 second video": "wan3_video",
    "drone shot": "veo_video",
    "storyboard": "sora_video",
    "video storyboard": "sora_video",
    "emoji video": "veo_video",
    "meme video": "veo_video",
    "comic video": "veo_video",
    "tattoo video": "veo_video",
    "panorama video": "veo_video",
    "sketch to video": "veo_video",
    "logo video": "veo_video",
    "rap video": "veo_video",
    "meditation video": "veo_video",
    "zoom out video": "veo_video",
    "green screen video": "runway_aleph",
    "change background of video": "runway_aleph",
    "remove watermark from video": "runway_aleph",
    "remove background from video": "runway_aleph",
    "talking video": "talking_head",
    "audio to video": "wan_video",
    # Sound
    "read this article aloud": "elevenlabs_speech",
    "convert song to midi": "suno_midi",
    "meditation music": "suno_music",
    "emoji sound": "suno_sounds",
    "ringtone": "suno_music",
    "voiceover": "elevenlabs_speech",
    "voice over": "elevenlabs_speech",
    "narration": "elevenlabs_speech",
    "text to speech": "elevenlabs_speech",
    "TTS": "elevenlabs_speech",
    "audiobook": "elevenlabs_speech",
    "podcast": "elevenlabs_dialogue",
    "two voices": "elevenlabs_dialogue",
    "sfx": "suno_sounds",
    "sound effects": "suno_sounds",
    "rain": "suno_sounds",
    "background music": "suno_music",
    "song": "suno_music",
    "jingle": "suno_music",
    "lyrics": "suno_lyrics",
    "karaoke": "suno_separate_vocals",
    "remove vocals": "suno_separate_vocals",
    "remove noise": "elevenlabs_isolate",
    "mashup": "suno_cover_song",
    "MIDI": "suno_midi",
    # Names
    "nano banana": "nano_banana_image",
    "seedance 2": "seedance_video",
    "kling 2.6": "kling_video",
    "suno": "suno_music",
    "recraft_upscale": "recraft_upscale",
    "sora": "sora_video",
    # Spelling mistakes
    "lypsync": "talking_head",
    "upscalar": "recraft_upscale",
    "kling vidoe": "kling_video",
    "nanno banana": "nano_banana_image",
    "voicover": "elevenlabs_speech",
    "backgroud removal": "recraft_remove_background",
    "uspcale image": "recraft_upscale",
    "creat a sogn": "suno_music",
    "generate vidio from foto": "kling_video",
    "video of boats": "veo_video",
    # Other languages
    "нарисуй кота": "nano_banana_image",
    "сделай видео из фото": "kling_video",
    "озвучить текст": "elevenlabs_speech",
    "убери фон": "recraft_remove_background",
    "увеличить разрешение фото": "recraft_upscale",
    "生成图片": "nano_banana_image",
    "图生视频": "kling_video",
    "文字转语音": "elevenlabs_speech",
    "去除背景": "recraft_remove_background",
    "Bild vergrößern": "recraft_upscale",
    "Hintergrund entfernen": "recraft_remove_background",
    "Lied komponieren": "suno_music",
    "quitar el fondo": "recraft_remove_background",
    "voz en off": "elevenlabs_speech",
    "editar una foto": "nano_banana_image",
    "créer une vidéo": "veo_video",
    "criar imagem": "nano_banana_image",
    "sincronização labial": "talking_head",
    "動画を作る": "veo_video",
    "画像生成": "nano_banana_image",
    "음악 만들기": "suno_music",
    "립싱크": "talking_head",
    "foto en video": "kling_video",
    "photo en vidéo": "kling_video",
    "imagen en video": "kling_video",
    "convertir imagen en vídeo": "kling_video",
    "imagen a video": "kling_video",
    "bild zu video": "kling_video",
}

NOT_OFFERED = {
    "transcribe": "suno_timestamped_lyrics",
    "speech to text": "suno_timestamped_lyrics",
    "subtitles": "suno_timestamped_lyrics",
    "translate": "elevenlabs_speech",
    "dubbing": "elevenlabs_speech",
    "face swap": "wan_animate",
    "clone my voice": "suno_voice",
    "vector": "ideogram_image",
    "SVG": "ideogram_image",
    "3D model": "nano_banana_image",
    "OCR": None,
}


def find_tools(words: str) -> list[str]:
    """The tools of the first three models that are found."""
    return [entry.family.tool for entry in search.find_models(words).entries[:3]]


@for_each("words, tool", SAID.items())
def test_what_people_say_finds_the_tool_among_the_first_three(words: str, tool: str) -> None:
    assert tool in find_tools(words)


@for_each("words, nearest", NOT_OFFERED.items())
def test_what_no_model_does_is_said_with_the_nearest(words: str, nearest: str | None) -> None:
    found = search.find_models(words)
    assert found.note.startswith(("No model ", "Only Suno "))
    assert (nearest in find_tools(words)) if nearest else not found.entries


@for_each("phrase, targets", [(phrase, need.targets) for need in NEEDS for phrase in need.phrases])
def test_each_phrase_of_a_need_finds_its_best_model_among_the_first_three(
    phrase: str, targets: tuple[str, ...]
) -> None:
    first = search.find_models(phrase).entries[:3]
    assert not targets or any(targets[0] in (entry.family.tool, entry.model.id) for entry in first)


def test_the_needs_name_tools_and_models_that_exist_and_no_phrase_twice() -> None:
    phrases = [phrase for need in NEEDS for phrase in need.phrases]
    assert len(phrases) == len(set(phrases))
    assert {target for need in NEEDS for target in need.targets} <= {*MODELS, *(family.tool for family in FAMILIES)}


def test_a_name_comes_before_a_need_and_a_need_before_a_text() -> None:
    assert search.find_models("TOPAZ/video-upscale").entries[0].model.id == "topaz/video-upscale"
    entries = search.find_models("noise").entries
    tools = [entry.family.tool for entry in entries]
    assert tools == ["suno_sounds", "elevenlabs_isolate", "elevenlabs_sound_effect"]


@pytest.mark.parametrize("words", ["picture", "video", "upscale", "sound effect", "edit video", ""])
def test_what_is_legacy_comes_last_unless_it_is_called_by_name(words: str) -> None:
    legacy = [bool(entry.model.legacy) for entry in search.find_models(words).entries]
    assert legacy == sorted(legacy)
    assert search.find_models("mj_upscale").entries[0].model.id == "mj_upscale"


def test_a_model_is_found_once_even_if_it_has_two_tools() -> None:
    ids = [entry.model.id for entry in search.find_models("topaz").entries]
    assert len(ids) == len(set(ids))


def test_a_video_is_lip_synced_by_the_model_that_takes_videos() -> None:
    first, *_ = search.find_models("lip sync my video to new audio").entries
    assert first.model.id == "volcengine/video-to-video-lip-sync"


def test_models_for_a_first_and_a_last_frame_take_both() -> None:
    for words in ("first and last frame video", "start and end frame"):
        for entry in search.find_models(words).entries[:3]:
            assert {"image", "last_image"} <= entry.model.model_fields.keys()


def test_the_model_that_more_words_name_comes_first() -> None:
    assert search.find_models("imagen ultra").entries[0].model.id == "google/imagen4-ultra"
    assert [entry.family.tool for entry in search.find_models("kling lip sync").entries] == ["kling_avatar"] * 2


def test_a_search_in_another_language_is_no_spelling_mistake() -> None:
    assert search.find_models("Hintergrund entfernen") == search.find_models("background remove")
    assert search.find_models("générer une vidéo").note == ""


def test_words_of_which_only_some_fit_find_the_nearest_and_say_so() -> None:
    found = search.find_models("video of my cat on a bike")
    assert found.note
    assert found.entries[0].family.tool == "veo_video"
    corrected = search.find_models("lypsync")
    assert "'lypsync'" in corrected.note
    assert "'lipsync'" in corrected.note


@pytest.mark.parametrize(
    ("words", "tools"),
    [("emoji video", ["nano_banana_image", "veo_video"]), ("rap video", ["suno_music", "veo_video"])],
)
def test_a_kind_that_is_asked_for_takes_turns_with_a_thing_of_another_kind(words: str, tools: list[str]) -> None:
    assert find_tools(words)[:2] == tools
    assert search.find_models(words).note == search.PARTLY


@pytest.mark.parametrize("words", ["voiceover for my video", "voiceover", "transcribe a video"])
def test_a_kind_that_is_only_what_a_thing_is_for_is_not_added(words: str) -> None:
    assert all(entry.model.kind != "video" for entry in search.find_models(words).entries)


@pytest.mark.parametrize("words", ["4k video", "4k image"])
def test_each_word_chooses_among_the_many_models_of_a_kind(words: str) -> None:
    entries = search.find_models(words).entries
    assert entries
    assert all(entry.mentions("4k") for entry in entries)


@pytest.mark.parametrize("model", [model for model in MODELS.values() if model.unlisted])
def test_a_model_that_is_not_listed_is_found_only_by_its_id(model: type[KieModel]) -> None:
    assert model in [entry.model for entry in search.find_models(model.id).entries]
    for words in ("", model.id.rpartition("-")[0], model.kind):
        assert model not in [entry.model for entry in search.find_models(words).entries]


def test_other_conditions_hold_for_the_nearest_as_well() -> None:
    found = search.find_models("lip sync", kind="audio")
    assert [entry for entry in found.entries if entry.model.kind != "audio"] == []
    assert search.find_models("zzqx") == search.Found([])


def test_a_legacy_model_names_a_current_tool_that_is_listed_and_makes_the_same() -> None:
    standard = {family.tool: family for family in STANDARD}
    for model in MODELS.values():
        if model.legacy:
            assert not standard[model.legacy].legacy
            assert standard[model.legacy].kind == model.kind
    assert MODELS["elevenlabs/sound-effect-v2"].legacy == "suno_sounds"


def test_a_limit_on_the_length_of_all_files_together_is_stated_by_every_model_that_has_one() -> None:
    limited = [
        (model, name, found[1].total_seconds)
        for model in MODELS.values()
        for name, field in model.model_fields.items()
        if (found := find_file_type(field)) and found[1] and found[1].total_seconds
    ]
    assert limited
    for model, name, seconds in limited:
        words = {other: field.description or "" for other, field in model.model_fields.items()}
        stated = [other for other in words if words[other].startswith(f"{seconds:g} s ")]
        assert any(name == other or f"{name} too" in words[other] for other in stated)


def test_the_limits_on_the_length_of_all_files_together_are_those_that_kie_documents() -> None:
    documented = {
        (id_, name): each["max_total_seconds"]
        for id_, model in market().items()
        for name, each in model.get("media", {}).items()
        if "max_total_seconds" in each
    }
    ours = {
        (model.id, field.serialization_alias): found[1].total_seconds
        for model in MODELS.values()
        for field in model.model_fields.values()
        if (found := find_file_type(field)) and found[1] and found[1].total_seconds
    }
    assert ours == documented
