"""Wan (Alibaba): video from words, pictures, clips and voices; figures that move; edits; pictures."""

import re
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from kie_mcp.catalog.amount import Amount, exactly
from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AnySeed, AsText, Audio, Image, InList, Limits, Number, Prompt, Seed, Video, wire
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.part import Part
from kie_mcp.catalog.price import per, rate

Picture = Annotated[Image, Limits("jpeg png webp", mb=10)]
# KIE names no bound above; 65535 is JPEG's own.
FirstFrame = Annotated[Image, InList, Limits("jpeg png webp", mb=10, side_px=(256, 65535))]
Clip = Annotated[Video, Limits("mp4 quicktime x-matroska", mb=10)]
Frame = Annotated[Image, Limits("jpeg png bmp webp", mb=20, side_px=(240, 8000), ratio=(0.125, 8))]
ShortClip = Annotated[Video, Limits("mp4 quicktime", mb=100, seconds=(1, 15), side_px=(240, 4096), ratio=(0.125, 8))]
Sound = Annotated[Audio, Limits("wav mpeg", mb=15, seconds=(1, 15))]
Short = Annotated[Literal[5, 10], Number, AsText]
Resolution = Literal["720p", "1080p"]
TurboResolution = Literal["480p", "720p"]
AnimateResolution = Literal["480p", "580p", "720p"]
Ratio = Literal["16:9", "9:16", "1:1"]
WideRatio = Literal["16:9", "9:16", "1:1", "4:3", "3:4"]
ImageRatio = Literal["1:1", "16:9", "4:3", "21:9", "3:4", "9:16", "8:1", "1:8"]
# KIE writes 25 as "25.00%".
Percent = Annotated[
    float,
    Field(ge=0, le=100),
    BeforeValidator(lambda given: given.removesuffix("%") if isinstance(given, str) else given),
    PlainSerializer(lambda given: f"{given:.2f}%", return_type=str),
]


def _check_address(given: str) -> str:
    address = given.strip()
    if not re.match(r"https?://\S+$", address, re.IGNORECASE):
        raise ValueError("give an address that anybody can open, such as https://example.com/plan.pdf")
    return address


Address = Annotated[str, AfterValidator(_check_address)]
"""The type of an address that KIE gets as the caller wrote it; no file is uploaded for it."""
Box = Annotated[tuple[int, ...], Field(min_length=4, max_length=4)]


class Wan(KieModel):
    """A Wan video model."""

    kind = "video"
    service = "wan/generate"
    usual_seconds = 150


class Wan25(Wan):
    """The fields that both Wan 2.5 models share."""

    price = per("second", rate(12, resolution="720p"), rate(20, resolution="1080p"))
    # Alibaba has it on unless told otherwise; KIE documents no default.
    kie_defaults: ClassVar[dict[str, Any]] = {"prompt_expansion": True}

    prompt: Prompt = Field(max_length=800)
    negative_prompt: str | None = Field(None, max_length=500)
    duration: Short = 5
    resolution: Resolution = "720p"
    prompt_expansion: bool | None = wire("enable_prompt_expansion", None)
    seed: AnySeed | None = None


class Wan25Text(Wan25):
    """Wan 2.5: from words."""

    id = "wan/2-5-text-to-video"
    task_type = "text-to-video"
    aliases = ("wan-2.5", "wan2.5", "wan")

    aspect_ratio: Ratio = "16:9"


class Wan25Image(Wan25):
    """Wan 2.5: from a first frame."""

    id = "wan/2-5-image-to-video"
    task_type = "image-to-video"

    image: Picture = wire("image_url")


class Wan30(Wan):
    """The fields that both Wan 3.0 models share."""

    task_type = "multimodal-to-video"

    prompt: Prompt | None = Field(None, max_length=20000)
    image: Frame | None = wire("first_frame_url", None)
    last_image: Frame | None = wire("last_frame_url", None)
    images: tuple[Frame, ...] | None = wire(
        "reference_image_urls", None, min_length=1, max_length=10, description="Image1, Image2, … in the prompt."
    )
    videos: tuple[ShortClip, ...] | None = wire("reference_video_urls", None, min_length=1, max_length=5)
    audios: tuple[Sound, ...] | None = wire("reference_audio_urls", None, min_length=1, max_length=5)
    document: Annotated[Address, InList] | None = wire(
        "reference_file_urls", None, description="URL of a PDF, slides or text."
    )
    link: Annotated[Address, InList] | None = wire("reference_link_urls", None, description="Web page to show.")
    aspect_ratio: Literal["16:9", "9:16", "1:1", "4:3", "3:4", "adaptive"] = "adaptive"
    resolution: Annotated[Literal["480p", "720p", "1080p"], PlainSerializer(str.upper, return_type=str)] = "1080p"
    duration: Annotated[int, Field(ge=-1, le=30)] = Field(5, description="2 or more; -1 lets KIE choose.")
    sound: bool = wire("audio", default=True)
    seed: Seed | None = None

    @model_validator(mode="after")
    def length_is_known_or_left_to_kie(self) -> Self:
        """-1 lets KIE choose."""
        if -1 < self.duration < 2:
            raise ValueError("duration is 2 to 30 s, or -1 to let KIE choose")
        return self

    @model_validator(mode="after")
    def frames_or_references(self) -> Self:
        """A video begins with a frame, or shows what references show."""
        frames = self.image or self.last_image
        references = self.images or self.videos or self.audios or self.document or self.link
        if not (self.prompt or frames or references):
            raise ValueError("give prompt, or something to show")
        if frames and references:
            raise ValueError("give frames (image, last_image) or references (all other files), not both")
        if self.last_image and not self.image:
            raise ValueError("last_image needs image, the first frame")
        if self.document and self.link:
            raise ValueError("give document or link, not both")
        return self


class Wan30Video(Wan30):
    """Wan 3.0: from words, frames, references, a document or a web page, up to 30 s with sound."""

    id = "wan/3-0-video"
    aliases = ("wan-3.0", "wan3.0", "wan-3")
    price = per(
        "second",
        rate(8, resolution="480p"),
        rate(16, resolution="720p"),
        rate(32, resolution="1080p"),
        of=("duration", "videos"),
        unstated_length=(2, 30),
        note="The seconds of videos count too.",
    )


class Wan30Prime(Wan30):
    """Wan 3.0 Prime: as Wan 3.0, sooner done and dearer."""

    id = "wan/3-0-video-prime"
    aliases = ("wan-3.0-prime", "wan3.0-prime")
    usual_seconds = 90
    price = per(
        "second",
        rate(12.2, resolution="480p"),
        rate(25.2, resolution="720p"),
        rate(50.4, resolution="1080p"),
        of=("duration", "videos"),
        unstated_length=(2, 30),
        note="The seconds of videos count too.",
    )


class Wan27(Wan):
    """The fields that every Wan 2.7 video model has."""

    price = per("second", rate(16, resolution="720p"), rate(24, resolution="1080p"))

    negative_prompt: str | None = Field(None, max_length=500)
    resolution: Resolution = "1080p"
    duration: Annotated[int, Field(ge=2, le=15)] = 5
    prompt_expansion: bool = wire("prompt_extend", default=True)
    watermark: bool = False
    seed: Seed | None = None


class Wan27Made(Wan27):
    """What is made anew needs words."""

    prompt: Prompt = Field(max_length=5000)


class Wan27Text(Wan27Made):
    """Wan 2.7: from words, to a sound if given, 2 to 15 s."""

    id = "wan/2-7-text-to-video"
    task_type = "text-to-video"
    aliases = ("wan-2.7", "wan2.7")

    audio: Audio | None = wire("audio_url", None)
    aspect_ratio: WideRatio = wire("ratio", "16:9")


class Wan27Image(Wan27Made):
    """Wan 2.7: from a first frame, to a last one or a sound; or continues a clip."""

    id = "wan/2-7-image-to-video"
    task_type = "image-to-video"

    image: Image | None = wire("first_frame_url", None)
    last_image: Image | None = wire("last_frame_url", None)
    video: Video | None = wire("first_clip_url", None, description="To continue.")
    audio: Audio | None = wire("driving_audio_url", None)

    @model_validator(mode="after")
    def one_of_the_known_sets(self) -> Self:
        """KIE knows a frame alone, with a last one or with a sound, and a clip alone."""
        if bool(self.image) == bool(self.video):
            raise ValueError("give image, the first frame, or video to continue it")
        if self.video and (self.last_image or self.audio):
            raise ValueError("video goes alone: leave last_image and audio out, or start from image")
        if self.last_image and self.audio:
            raise ValueError("give last_image or audio, not both")
        return self


class Wan27Reference(Wan27Made):
    """Wan 2.7: whoever and whatever up to five pictures and clips show, with a voice if given."""

    id = "wan/2-7-r2v"
    aliases = ("wan-2.7-r2v",)
    task_type = "reference-to-video"

    images: tuple[Image, ...] | None = wire("reference_image", None, min_length=1, max_length=5)
    videos: tuple[Video, ...] | None = wire("reference_video", None, min_length=1, max_length=5)
    image: Image | None = wire("first_frame", None)
    audio: Annotated[Audio, Limits("wav mpeg", mb=15, seconds=(1, 10))] | None = wire("reference_voice", None)
    aspect_ratio: WideRatio = "16:9"
    duration: Annotated[int, Field(ge=2, le=10)] = 5

    @model_validator(mode="after")
    def up_to_five_references(self) -> Self:
        """Pictures and clips are counted together."""
        if not 1 <= len(self.images or ()) + len(self.videos or ()) <= 5:
            raise ValueError("give 1 to 5 references, images and videos together")
        if self.image and self.aspect_ratio != "16:9":
            raise ValueError("the first frame, image, gives the shape: leave aspect_ratio out")
        return self


class Wan26(Wan):
    """The fields that every Wan 2.6 model has."""

    price = per(
        "video",
        rate(70, resolution="720p", duration=5),
        rate(140, resolution="720p", duration=10),
        rate(209.5, resolution="720p", duration=15),
        rate(104.5, resolution="1080p", duration=5),
        rate(209.5, resolution="1080p", duration=10),
        rate(315, resolution="1080p", duration=15),
    )

    prompt: Prompt = Field(min_length=2, max_length=5000)
    duration: Annotated[Literal[5, 10, 15], Number, AsText] = 5
    resolution: Resolution = "1080p"
    multi_shots: bool = False


class Wan26Text(Wan26):
    """Wan 2.6: from words, one shot or several."""

    id = "wan/2-6-text-to-video"
    task_type = "text-to-video"
    aliases = ("wan-2.6", "wan2.6")

    prompt: Prompt = Field(max_length=5000)


class Wan26Image(Wan26):
    """Wan 2.6: from a first frame, one shot or several."""

    id = "wan/2-6-image-to-video"
    task_type = "image-to-video"

    image: FirstFrame = wire("image_urls")


class Wan26Video(Wan26):
    """Wan 2.6: anew from up to three clips, one shot or several."""

    id = "wan/2-6-video-to-video"
    task_type = "video-to-video"
    aliases = ("wan-2.6-video",)

    videos: tuple[Clip, ...] = wire("video_urls", min_length=1, max_length=3)
    duration: Short = 5


class Wan26Flash(Wan26):
    """What Wan 2.6 Flash has of its own."""

    usual_seconds = 90
    price = per("video", note="Sound costs more.")

    prompt: Prompt = Field(min_length=2, max_length=1500)
    sound: bool = wire("audio", default=False)


class Wan26FlashImage(Wan26Flash):
    """Wan 2.6 Flash: from a first frame, soon done."""

    id = "wan/2-6-flash-image-to-video"
    task_type = "image-to-video"
    aliases = ("wan-2.6-flash",)

    image: FirstFrame = wire("image_urls")


class Wan26FlashVideo(Wan26Flash):
    """Wan 2.6 Flash: anew from up to three clips, soon done."""

    id = "wan/2-6-flash-video-to-video"
    task_type = "video-to-video"
    aliases = ("wan-2.6-flash-video",)

    videos: tuple[Clip, ...] = wire("video_urls", min_length=1, max_length=3)
    duration: Short = 5


class Wan22Turbo(Wan):
    """The fields that both Wan 2.2 Turbo models share."""

    usual_seconds = 90
    # KIE states no length; the model makes 81 frames, 16 a second.
    price = per("second", rate(8, resolution="480p"), rate(16, resolution="720p"), unstated_length=(5, 6))
    # Of prompt_expansion, KIE documents no default; Alibaba has it on.
    kie_defaults: ClassVar[dict[str, Any]] = {"seed": 0, "prompt_expansion": True}

    prompt: Prompt = Field(max_length=5000)
    resolution: TurboResolution = "720p"
    prompt_expansion: bool | None = wire("enable_prompt_expansion", None)
    seed: Seed | None = None
    acceleration: Literal["none", "regular"] = "none"


class Wan22TurboText(Wan22Turbo):
    """Wan 2.2 Turbo: from words, silent, short and soon done."""

    id = "wan/2-2-a14b-text-to-video-turbo"
    task_type = "text-to-video"
    aliases = ("wan-2.2-turbo", "wan-2.2", "wan2.2")

    aspect_ratio: Literal["16:9", "9:16"] = "16:9"


class Wan22TurboImage(Wan22Turbo):
    """Wan 2.2 Turbo: from a first frame, silent, short and soon done."""

    id = "wan/2-2-a14b-image-to-video-turbo"
    task_type = "image-to-video"

    image: Picture = wire("image_url")


class Animate(Wan):
    """The fields that both Wan 2.2 Animate models share."""

    task_type = "video-to-video"
    usual_seconds = 180
    price = per(
        "second",
        rate(6, resolution="480p"),
        rate(9.5, resolution="580p"),
        rate(12.5, resolution="720p"),
        of=("video",),
        most=30,
        note="30 s at most.",
    )

    image: Picture = wire("image_url")
    video: Clip = wire("video_url")
    resolution: AnimateResolution = "480p"


class AnimateMove(Animate):
    """Wan 2.2 Animate: the figure in a picture moves as somebody does in a clip."""

    id = "wan/2-2-animate-move"
    aliases = ("wan-animate", "wan-animate-move")


class AnimateReplace(Animate):
    """Wan 2.2 Animate: the figure in a picture takes somebody's place in a clip."""

    id = "wan/2-2-animate-replace"
    aliases = ("wan-animate-replace",)


class AnimateSpeech(Wan):
    """Wan 2.2: the figure in a picture speaks a recording, for some seconds."""

    id = "wan/2-2-a14b-speech-to-video-turbo"
    task_type = "audio-to-video"
    aliases = ("wan-speech-to-video", "wan-2.2-s2v")
    price = per(
        "second",
        rate(12, resolution="480p"),
        rate(18, resolution="580p"),
        rate(24, resolution="720p"),
        of=("length",),
    )

    image: Picture = wire("image_url")
    prompt: Prompt = Field(max_length=5000)
    audio: Annotated[Audio, Limits("mpeg wav ogg mp4 flac aac x-ms-wma", mb=10)] = wire("audio_url")
    resolution: AnimateResolution = "480p"
    frames: int = wire("num_frames", 80, ge=40, le=120, multiple_of=4)
    fps: int = wire("frames_per_second", 16, ge=4, le=60)
    negative_prompt: str | None = Field(None, max_length=500)
    seed: AnySeed | None = None
    steps: int = wire("num_inference_steps", 27, ge=2, le=40)
    guidance_scale: float = Field(3.5, ge=1, le=10)
    shift: float = Field(5, ge=1, le=10)

    @property
    def length(self) -> float:
        """The seconds that the frames last."""
        return self.frames / self.fps


class Wan27Edit(Wan27):
    """Wan 2.7: a clip changed as words say, with a picture of what should be in it."""

    id = "wan/2-7-videoedit"
    task_type = "video-edit"
    aliases = ("wan-2.7-videoedit", "wan-edit")
    price = per("second", *Wan27.price.rates, unstated_length="video")

    prompt: Prompt | None = Field(None, max_length=5000)
    video: Annotated[Video, Limits("mp4 quicktime", mb=100, seconds=(2, 10), side_px=(240, 4096), ratio=(0.125, 8))] = (
        wire("video_url")
    )
    image: Annotated[Image, Limits("jpeg png bmp webp", side_px=(240, 8000), ratio=(0.125, 8))] | None = wire(
        "reference_image", None, description="Without transparency."
    )
    aspect_ratio: WideRatio | None = None
    duration: Annotated[int, Field(ge=0, le=10)] = Field(0, description="0: the whole clip.")
    audio_setting: Literal["auto", "origin"] = "auto"

    @model_validator(mode="after")
    def whole_or_two_seconds(self) -> Self:
        """One second is too short."""
        if self.duration == 1:
            raise ValueError("duration is 2 to 10 s, or 0 for the whole clip")
        return self


class Color(Part):
    """A colour and how much of the picture has it."""

    hex: str = Field(pattern="^#[0-9A-Fa-f]{6}$")
    percent: Percent = wire("ratio")


class WanImage(KieModel):
    """The fields that both Wan 2.7 picture models share."""

    kind = "image"
    task_type = "text-to-image"
    service = "wan/generate"
    usual_seconds = 40
    kie_defaults: ClassVar[dict[str, Any]] = {"seed": 0}

    prompt: Prompt = Field(max_length=5000)
    images: tuple[Image, ...] | None = wire("input_urls", None, min_length=1, max_length=9)
    aspect_ratio: ImageRatio | None = Field(None, description="Without images.")
    resolution: Literal["1K", "2K", "4K"] = "2K"
    count: int | None = wire("n", None, ge=1, le=12, description="Default 4; 12 as a sequence.")
    sequence: bool = wire("enable_sequential", default=False, description="Pictures that belong together.")
    thinking: bool = wire("thinking_mode", default=False)
    colors: tuple[Color, ...] | None = wire("color_palette", None, min_length=3, max_length=10)
    boxes: tuple[Annotated[tuple[Box, ...], Field(max_length=2)], ...] | None = wire(
        "bbox_list", None, description="Where to edit: for each of images, up to two of x1, y1, x2, y2."
    )
    watermark: bool = False
    seed: Seed | None = None

    @model_validator(mode="after")
    def sequences_are_plain(self) -> Self:
        """A sequence may be longer, but neither thought over nor given colours."""
        if self.count and self.count > 4 and not self.sequence:
            raise ValueError("count is 4 at most: set sequence for up to 12")
        if self.sequence and (self.thinking or self.colors):
            raise ValueError("a sequence takes neither thinking nor colors: leave them out, or sequence")
        return self

    @model_validator(mode="after")
    def edits_keep_to_their_pictures(self) -> Self:
        """Input pictures give the shape and are what boxes lie on."""
        if self.images and self.thinking:
            raise ValueError("thinking works without images: leave one of them out")
        if self.images and self.aspect_ratio:
            raise ValueError("images give the shape: leave aspect_ratio out")
        if self.boxes is not None and len(self.boxes) != len(self.images or ()):
            raise ValueError("boxes has one list for each of images, empty where nothing is marked")
        return self

    def count_units(self) -> Amount:
        """How many pictures KIE makes unless told."""
        return exactly(self.count or (12 if self.sequence else 4))


class Wan27Picture(WanImage):
    """Wan 2.7: pictures from words, or up to nine pictures changed."""

    id = "wan/2-7-image"
    aliases = ("wan-2.7-image", "wan-image")
    price = per("image", 4.8)


class Wan27PicturePro(WanImage):
    """Wan 2.7 Pro: pictures from words up to 4K, or up to nine pictures changed."""

    id = "wan/2-7-image-pro"
    aliases = ("wan-2.7-image-pro", "wan-image-pro")
    price = per("image", 12)

    @model_validator(mode="after")
    def four_k_is_for_words_alone(self) -> Self:
        """Edits and sequences are smaller."""
        if self.resolution == "4K" and (self.images or self.sequence):
            raise ValueError("4K works without images and sequence: set resolution to 2K")
        return self


VIDEO = Family(
    "wan_video",
    "Make a video with Wan (Alibaba): 2.5 by default, 2.7 for audio and references, 2.6 for several shots.",
    (
        Wan25Text,
        Wan25Image,
        Wan27Text,
        Wan27Image,
        Wan27Reference,
        Wan26Text,
        Wan26Image,
        Wan26FlashImage,
        Wan22TurboText,
        Wan22TurboImage,
    ),
    rare=("acceleration",),
)
VIDEO3 = Family(
    "wan3_video",
    "Make a video of up to 30 s with Wan 3.0 (Alibaba): from words, frames, references, a document or a web page.",
    (Wan30Video, Wan30Prime),
)
ANIMATE = Family(
    "wan_animate",
    "Make the figure in a picture move as in a clip, enter the clip or speak, with Wan 2.2, from 6 credits a second.",
    (AnimateMove, AnimateReplace, AnimateSpeech),
)
EDIT = Family(
    "wan_edit",
    "Change a clip as words say with Wan 2.7, or make a new one from up to three clips with 2.6.",
    (Wan27Edit, Wan26Video, Wan26FlashVideo),
)
IMAGE = Family(
    "wan_image",
    "Make or edit pictures with Wan 2.7 (Alibaba), four unless count says otherwise.",
    (Wan27Picture, Wan27PicturePro),
)
