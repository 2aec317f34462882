"""Find the tools and models for a thing that people want to make, such as a voiceover."""

import re
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

FILLER_WORDS = (
    "a an the my me i we you it this that some any want need can could would please to of for with in on from into by "
    "and or make makes making create generate produce do get give use turn new model models tool tools ai kie "
    "two three four five six seven eight nine ten twelve twenty few youtube"
)
"""Words that a search ignores, because they say nothing about the thing to make; separated by spaces."""

VERBS = (
    "animate change clean colorize combine edit enhance enlarge erase expand extend read relight remove replace "
    "restore restyle retouch separate sharpen sing split swap unblur upscale"
)
"""If a phrase begins with one of these verbs, its words may be in any order in a search, with other words between.

So `remove background` is found in "remove the white background", but `music video` is not in "video with music".
"""

GENERAL = "picture photo photograph image portrait video clip movie film music song sound voice speech"
"""Phrases that only tell the kind of a thing; a search that also names another thing, such as MIDI, rather means that.
"""


@dataclass(frozen=True, slots=True)
class Need:
    """A thing that people want to make, such as a logo, and the models that make it."""

    phrases: tuple[str, ...]
    """Names for the thing in lower case, such as "lip sync"; the plural of each name is found too."""
    targets: tuple[str, ...]
    """Names of tools and ids of models that make the thing, the most suitable first."""
    note: str = ""
    """A sentence for the caller, for example that no model makes this thing, but `targets` make a similar one."""


def _need(phrases: str, targets: str, note: str = "") -> Need:
    return Need(tuple(phrases.split(", ")), tuple(targets.split()), note)


def find_words(text: str) -> list[str]:
    """Return all words of a text in lower case."""
    return re.findall(r"[^\W_]+", text.casefold())


def split_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without the words in `FILLER_WORDS`: `"Make a logo" -> ["logo"]`.

    If all words of the text are filler words, all of them are returned.
    """
    words = find_words(text)
    return [word for word in words if word not in FILLER_WORDS.split()] or words


NEEDS = (
    # Things that models for pictures make
    _need(
        "picture, photo, photograph, image, drawing, draw, illustration, poster, wallpaper, portrait, artwork, "
        "thumbnail, sticker, emoji, meme, tattoo, mockup, comic, coloring page, colouring page, line art, "
        "pixel art, interior design, floor plan, qr code, panorama, icon, sketch",
        "nano_banana_image seedream_image gpt4o_image z_image imagen_image flux2_image",
    ),
    _need("storyboard", "sora-2-pro-storyboard nano_banana_image"),
    _need("anime, manga, cartoon, ghibli", "ghibli_image nano_banana_image seedream_image"),
    _need(
        "logo, lettering, typography, text in image, banner, flyer, infographic, business card, book cover",
        "ideogram/v3-text-to-image gpt4o_image gpt_image qwen_image",
    ),
    _need(
        "edit photo, edit picture, edit image, image editing, photo editing, photo editor, retouch, restyle photo, "
        "enhance colors, colorize, combine images, change clothes, virtual try on, try on, hair style, hairstyle, "
        "makeup, remove watermark, remove text, change photo, change background, combine photos, "
        "combine pictures",
        "nano_banana_image seedream/5-pro-image-to-image flux_kontext_image gpt4o_image",
    ),
    _need(
        "inpaint, inpainting, mask, fill in, remove object, object removal, erase",
        "ideogram/v3-edit qwen2-1/image-to-image gpt4o_image nano_banana_image",
    ),
    _need(
        "outpaint, outpainting, uncrop, expand image, expand photo, extend image, extend photo, zoom out",
        "nano_banana_image flux_kontext_image gpt4o_image",
        "No model has a mode for outpainting; these do it if the prompt asks for it and aspect_ratio is wider.",
    ),
    _need(
        "upscaler, upscale, upscaling, enhance, enhancer, enlarge, higher resolution, sharpen, deblur, unblur, "
        "super resolution, restore photo, photo restoration, denoise photo, denoise image, "
        "photo 4k, picture 4k, image 4k",
        "recraft/crisp-upscale topaz/image-upscale topaz/video-upscale",
    ),
    _need(
        "upscale video, video upscaler, video upscale, enhance video, video enhancer, upscale video 4k, "
        "4k video upscaler, restore video",
        "topaz/video-upscale veo_upscale",
    ),
    _need(
        "background removal, remove background, background remover, transparent background, cut out, cutout, "
        "transparent png, green screen",
        "recraft_remove_background",
    ),
    _need("layers, psd, photoshop", "seedream_layers recraft_remove_background"),
    _need("segment, segmentation", "grok-imagine-image-2-0/segment-map seedream_layers"),
    _need(
        "consistent character, same character, character reference, same face, likeness, headshot",
        "ideogram/character nano_banana_image gemini_omni_character",
    ),
    _need(
        "cheapest image, cheap image, cheapest picture, quick image, fast image, cheap thumbnail",
        "z_image seedream_image nano_banana_image",
    ),
    _need("album cover, cover art", "suno_cover_art nano_banana_image"),
    # Things that models for video make
    _need(
        "video, clip, movie, film, short film, text to video, commercial, advert, trailer, anime video, cartoon video, "
        "timelapse, time lapse, drone shot, drone footage, b roll, cinemagraph, intro, zoom out video, zoom in video",
        "veo_video kling_video seedance_video minimax_video hailuo_video",
    ),
    _need(
        "vertical video, portrait video, tiktok, reels, youtube shorts, 9 16, story video",
        "veo_video kling_video seedance_video",
    ),
    _need(
        "photo to video, picture to video, image to video, animate photo, animate picture, animate image, "
        "animate drawing, animate portrait, animate face, face animation, animate logo, logo animation, img2vid, i2v, "
        "bring photo to life, first frame, video from photo, video from picture, video from image",
        "kling-3.0/video seedance_video kling/v2-1-standard hailuo/2-3-image-to-video-standard",
    ),
    _need(
        "last frame, end frame, first and last frame, start and end frame, first frame last frame, keyframe",
        "kling-3.0/video seedance_video minimax-h3/image-to-video wan/2-7-image-to-video pixverse-v6/transition",
    ),
    _need("long video, longest video, 30 second video", "wan/3-0-video bytedance/seedance-2-5"),
    _need("video with sound, video with audio", "veo_video seedance_video kling_video grok_video"),
    _need(
        "cheapest video, cheap video, quick video, fast video",
        "runway_video grok_video bytedance/v1-pro-fast-image-to-video",
    ),
    _need(
        "lipsync, lip sync, lip syncing, lip sync avatar, talking photo, talking picture, talking head, "
        "talking avatar, avatar, speaking photo, photo talk, make photo speak, digital human, presenter, sing photo, "
        "sing portrait, sing picture, singing avatar, singing photo",
        "infinitalk/from-audio kling_avatar omnihuman-1-5 volcengine/video-to-video-lip-sync",
    ),
    _need(
        "lip sync video, lipsync video, video lip sync, dub video",
        "volcengine/video-to-video-lip-sync talking_head kling_avatar",
    ),
    _need(
        "restyle, restyle video, change style video, style video, style transfer, edit video, video editing, "
        "change video, video to video, relight, remove object from video, colorize video, vfx, green screen video, "
        "change background of video, replace background of video, remove background from video, "
        "remove watermark from video, remove text from video",
        "runway_aleph wan_edit happyhorse/video-edit kling-3.0-omni/transformation",
    ),
    _need(
        "motion control, motion transfer, motion capture, dance, dancing, copy movement, move like, dance like",
        "kling_motion wan_animate",
    ),
    _need("replace person, replace actor, character swap", "wan/2-2-animate-replace wan_edit"),
    _need(
        "extend video, longer video, continue video", "veo_extend runway_extend grok-imagine/extend pixverse-v6/extend"
    ),
    _need("music video, song to video", "suno_music_video"),
    # Things that models for speech, sound and music make
    _need(
        "voiceover, voice over, narration, narrator, narrate, text to speech, tts, speech, read aloud, read text, "
        "speak, audiobook, voice, voice for video, guided meditation",
        "elevenlabs_speech gemini_speech elevenlabs_dialogue",
    ),
    _need("podcast, dialogue, dialog, conversation, two voices, interview", "elevenlabs_dialogue gemini_speech"),
    _need(
        "sfx, sound effect, sound effects, sound fx, foley, rain, thunder, explosion, footsteps, noise, ambience, "
        "ambient sound, white noise, sound",
        "suno_sounds elevenlabs_sound_effect",
    ),
    _need(
        "music, song, soundtrack, background music, jingle, beat, instrumental, melody, score, tune, theme song, rap, "
        "ringtone, drum loop",
        "suno_music suno_sounds suno_extend",
    ),
    _need("lyrics, lyric, songwriting", "suno_lyrics suno_timestamped_lyrics"),
    _need("cover song, remix, mashup, remake song, hum to song", "suno_cover_song"),
    _need(
        "stems, stem separation, vocal remover, remove vocals, separate vocals, karaoke, acapella, split song, "
        "isolate vocals",
        "suno_separate_vocals",
    ),
    _need(
        "noise removal, remove noise, denoise, clean audio, clean up audio, noise reduction, isolate voice, "
        "audio cleanup",
        "elevenlabs_isolate",
    ),
    _need("midi, sheet music", "suno_midi"),
    _need("wav, lossless", "suno_wav"),
    _need(
        "clone voice, voice clone, voice cloning, my own voice",
        "ai-music-api/validation-phrase ai-music-api/create-voice",
        "Only Suno clones a voice, for singing; no model clones one for speech.",
    ),
    _need("continue song, extend song, extend music, longer song", "suno_extend"),
    _need("singing, vocals, add vocals", "suno_music suno_add_part"),
    # What people ask for although no model makes it
    _need(
        "face swap, faceswap, swap face",
        "wan/2-2-animate-replace ideogram/character nano_banana_image",
        "No model swaps faces. Nearest: put a whole person into a clip, or a person's likeness into a new picture.",
    ),
    _need(
        "transcribe, transcription, transcript, speech to text, stt, subtitle, caption, whisper",
        "suno_timestamped_lyrics",
        "No model writes down speech. Nearest: the words of a Suno song with their times.",
    ),
    _need(
        "translate, translation, translator",
        "elevenlabs_speech gemini_speech",
        "No model translates. Nearest: translate the text yourself, then let a voice speak it.",
    ),
    _need(
        "dub, dubbing",
        "elevenlabs_speech volcengine/video-to-video-lip-sync",
        "No model dubs in one step. Nearest: speak the translated text, then move the video's lips to it.",
    ),
    _need(
        "vector, vectorize, svg",
        "ideogram/v3-text-to-image recraft_remove_background",
        "No model makes vector graphics (SVG). Nearest: a flat design, or a PNG with transparency.",
    ),
    _need(
        "3d, 3d model, mesh, glb",
        "nano_banana_image",
        "No model makes 3D files. Nearest: a picture that looks three-dimensional.",
    ),
    _need(
        "chat, llm, summarize, describe image, ocr",
        "",
        "No model reads, describes or writes texts other than song lyrics; view_media shows you a picture.",
    ),
)
"""The things that a search can ask for, each with the tools and models for it, if any."""

HELPERS = (
    _need(
        "join, merge, combine clips, combine videos, concatenate, concat, stitch, splice, montage, slideshow, cut, "
        "trim, shorten, crossfade, cross fade, fade, title card, subtitle, speed up, slow down, slow motion, gif, "
        "add music, mix audio, mix voice, extract audio, loudness, edit video, video editing, video editor",
        "edit_media",
        "edit_media does it on this machine, free of charge: cuts, joins, fades, titles, voices, music, subtitles.",
    ),
    _need(
        "batch, bulk, many, several, dozen, series, list prompts, each prompt",
        "make_batch",
        "make_batch makes up to 50 in one call, with one budget; asking for it costs nothing by itself.",
    ),
)
"""Things that one of the server's own tools does, such as joining clips (`edit_media`); each `note` names the tool."""


def find_helpers(words: list[str]) -> str:
    """Return the notes of all `HELPERS` whose phrases occur in a search, as one text; empty if no phrase occurs.

    A phrase is ignored inside a longer phrase from `NEEDS`, such as "cut" in "cut out".

    Args:
        words: The words of the search, from `split_words()`.
    """
    text = f" {' '.join(words)} "
    taken = [phrase for phrase, _ in _list_phrases() if _finds(phrase, text)]
    found = [
        helper.note
        for helper in HELPERS
        for phrase in [" ".join(split_words(each)) for each in helper.phrases]
        if _finds(phrase, text) and not any(_finds(phrase, f" {longer} ") for longer in taken if longer != phrase)
    ]
    return " ".join(dict.fromkeys(found))


def _finds(phrase: str, text: str) -> bool:
    """Tell whether a phrase or its plural occurs in a text; the text has to begin and end with a blank."""
    return f" {phrase} " in text or f" {phrase}s " in text


class Wish(NamedTuple):
    """A thing that a search asks for."""

    need: Need
    rest: list[str]
    """The words of the search that are not in the phrase that was found."""
    is_general: bool
    """Whether the phrase is one of `GENERAL`."""


def find_needs(words: list[str]) -> list[Wish]:
    """Find the things that a search asks for, such as a music video; the thing with the longest phrase comes first.

    A search asks for a thing if it contains one of the phrases in the `Need` of this thing. A phrase is ignored inside
    a longer phrase, such as "video" in "music video". The phrases in `GENERAL` come last.

    Args:
        words: The words of the search, from `split_words()`.
    """
    found: list[Wish] = []
    taken: set[int] = set()
    for phrase, need in _list_phrases():
        places = _find_places(phrase.split(), words, taken)
        if places and need not in (wish.need for wish in found):
            rest = [word for place, word in enumerate(words) if place not in places]
            found.append(Wish(need, rest, phrase in GENERAL.split()))
            taken |= places
    return found


def count_found(wishes: list[Wish], words: list[str]) -> int:
    """Return how many words of a search are in the phrases that `find_needs()` found."""
    return sum(len(words) - len(wish.rest) for wish in wishes)


@cache
def list_thing_words() -> frozenset[str]:
    """Return all words that occur in the phrases of `NEEDS`."""
    return frozenset(word for need in NEEDS for phrase in need.phrases for word in split_words(phrase))


@cache
def _list_verbs() -> frozenset[str]:
    return frozenset(VERBS.split())


def _find_places(phrase: list[str], words: list[str], taken: set[int]) -> set[int]:
    """Return the places of a phrase's words in a search, but none of those in `taken`; empty if it does not occur.

    The words must follow one another, unless the first of them is one of `VERBS`.
    """
    for start in range(len(words) - len(phrase) + 1):
        places = range(start, start + len(phrase))
        if all(map(_is_form, words[start : places.stop], phrase)) and not taken.intersection(places):
            return set(places)
    if phrase[0] not in _list_verbs():
        return set()
    free = [place for place in range(len(words)) if place not in taken]
    found = [next((place for place in free if _is_form(words[place], word)), None) for word in phrase]
    return {place for place in found if place is not None} if None not in found else set()


def _is_form(word: str, wanted: str) -> bool:
    """Tell whether a word is the wanted one or its plural."""
    return word.startswith(wanted) and word[len(wanted) :] in ("", "s")


@cache
def _list_phrases() -> list[tuple[str, Need]]:
    """Return all phrases, without filler words, and their needs: the longest phrase first, those of `GENERAL` last."""
    phrases = [(" ".join(split_words(phrase)), need) for need in NEEDS for phrase in need.phrases]
    return sorted(phrases, key=lambda pair: (pair[0] in GENERAL.split(), -len(pair[0])))
