"""Seedance (ByteDance): video from words, frames and references."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import (
    AsText,
    Audio,
    Image,
    InList,
    Limits,
    Number,
    Prompt,
    RandomSeed,
    Source,
    TaskRef,
    Video,
    wire,
)
from kie_mcp.catalog.model import KieModel, TwoFrames
from kie_mcp.catalog.price import per, rate

SIDE = (300, 6000)
RATIO = (0.4, 2.5)
# What 480p and 720p come to.
PIXELS = (409600, 927408)

Frame = Annotated[Image, Limits("jpeg png webp", mb=10)]
# KIE excludes the bounds of a picture's sides, 300 and 6000, and those of its ratio.
Picture = Annotated[Image, Limits("jpeg png webp bmp tiff gif", mb=30, side_px=(301, 5999), ratio=(0.4001, 2.4999))]
Clip = Annotated[
    Video, Limits("mp4 quicktime", mb=50, seconds=(2, 15), total_seconds=15, side_px=SIDE, ratio=RATIO, pixels=PIXELS)
]
LongClip = Annotated[
    Video, Limits("mp4 quicktime", mb=200, seconds=(2, 30), total_seconds=30, side_px=SIDE, ratio=RATIO, pixels=PIXELS)
]
Sound = Annotated[Audio, Limits("wav mpeg", mb=15, seconds=(2, 15), total_seconds=15)]
LongSound = Annotated[Audio, Limits("wav mpeg", mb=15, seconds=(2, 30), total_seconds=30)]
Ratio = Literal["1:1", "4:3", "3:4", "16:9", "9:16", "21:9"]
AnyRatio = Literal["1:1", "4:3", "3:4", "16:9", "9:16", "21:9", "adaptive"]

LITE = per(
    "second",
    rate(2, resolution="480p"),
    rate(4.5, resolution="720p"),
    rate(10, resolution="1080p"),
    note="KIE rounds these figures.",
)
PRO = per(
    "second",
    rate(2.8, resolution="480p"),
    rate(6, resolution="720p"),
    rate(14, resolution="1080p"),
    note="KIE rounds these figures.",
)
CLIPS_COUNT = "A beta price; the seconds of videos count too."


class Seedance(KieModel):
    """A Seedance model."""

    kind = "video"
    service = "seedance/generate"
    usual_seconds = 120


class Seedance15(TwoFrames, Seedance):
    """Seedance 1.5 Pro: from words or frames, with sound if wanted, at a low price."""

    id = "bytedance/seedance-1.5-pro"
    task_type = "text-to-video"
    aliases = ("seedance-1.5-pro", "seedance-1.5", "seedance")
    price = per(
        "second",
        rate(1.75, resolution="480p", sound=False),
        rate(3.5, resolution="480p", sound=True),
        rate(3.5, resolution="720p", sound=False),
        rate(7, resolution="720p", sound=True),
        rate(7.5, resolution="1080p", sound=False),
        rate(15, resolution="1080p", sound=True),
    )

    prompt: str = Field(min_length=3, max_length=20000)
    image: Annotated[Frame, InList] | None = wire("input_urls", None, description="First frame.")
    last_image: Frame | None = None
    aspect_ratio: Ratio = "1:1"
    resolution: Literal["480p", "720p", "1080p"] = "720p"
    duration: Annotated[int, Field(ge=4, le=12)] = 5
    sound: bool = wire("generate_audio", default=False)
    camera_fixed: bool | None = wire("fixed_lens", default=None)

    @model_validator(mode="after")
    def first_frame_first(self) -> Self:
        """KIE takes a list of frames, so the last one cannot come alone."""
        if self.last_image and not self.image:
            raise ValueError("last_image needs image, the first frame")
        return self


class Multimodal(Seedance):
    """The fields that Seedance 2 and 2.5 share."""

    task_type = "multimodal-to-video"

    prompt: str = Field(min_length=3, max_length=20000)
    image: Image | None = wire("first_frame_url", None)
    last_image: Image | None = wire("last_frame_url", None)
    images: tuple[Picture, ...] | None = wire("reference_image_urls", None, min_length=1, max_length=9)
    videos: tuple[Clip, ...] | None = wire(
        "reference_video_urls", None, min_length=1, max_length=3, description="15 s in all, audios too; 2.5: 30."
    )
    audios: tuple[Sound, ...] | None = wire("reference_audio_urls", None, min_length=1, max_length=3)
    aspect_ratio: AnyRatio = "16:9"
    resolution: Literal["480p", "720p", "1080p", "4k"] = "720p"
    duration: Annotated[int, Field(ge=4, le=15)] = 5
    sound: bool = wire("generate_audio", default=True)
    web_search: bool | None = None


class Seedance2(Multimodal):
    """Seedance 2: from words, frames and references, up to 4K."""

    id = "bytedance/seedance-2"
    aliases = ("seedance-2", "seedance-2.0")
    price = per(
        "second",
        rate(11.5, resolution="480p", videos=True),
        rate(19, resolution="480p", videos=False),
        rate(25, resolution="720p", videos=True),
        rate(41, resolution="720p", videos=False),
        rate(62, resolution="1080p", videos=True),
        rate(102, resolution="1080p", videos=False),
        rate(128, resolution="4k", videos=True),
        rate(208, resolution="4k", videos=False),
        of=("duration", "videos"),
        note=CLIPS_COUNT,
    )

    @model_validator(mode="after")
    def nine_pictures(self) -> Self:
        """Frames and references are counted together."""
        if len(self.images or ()) + bool(self.image) + bool(self.last_image) > 9:
            raise ValueError("images are 9 at most, image and last_image included")
        return self


class Searching(Seedance2):
    """A smaller Seedance 2, which searches the web for words only."""

    resolution: Literal["480p", "720p"] = "720p"

    @model_validator(mode="after")
    def search_goes_with_words(self) -> Self:
        """No search beside media."""
        if self.web_search and (self.image or self.last_image or self.images or self.videos or self.audios):
            raise ValueError("web_search works from words only: leave it out, or leave out every file")
        return self


class Seedance2Fast(Searching):
    """Seedance 2 Fast: as Seedance 2, sooner and cheaper, up to 720p."""

    id = "bytedance/seedance-2-fast"
    aliases = ("seedance-2-fast", "seedance-2.0-fast")
    price = per(
        "second",
        rate(6.8, resolution="480p", videos=True),
        rate(11.7, resolution="480p", videos=False),
        rate(15, resolution="720p", videos=True),
        rate(24.8, resolution="720p", videos=False),
        of=("duration", "videos"),
        note=CLIPS_COUNT,
    )


class Seedance2Mini(Searching):
    """Seedance 2 Mini: as Seedance 2, at the lowest price, up to 720p."""

    id = "bytedance/seedance-2-mini"
    aliases = ("seedance-2-mini", "seedance-2.0-mini")
    price = per(
        "second",
        rate(2.4, resolution="480p", videos=True),
        rate(3.8, resolution="480p", videos=False),
        rate(5, resolution="720p", videos=True),
        rate(8.2, resolution="720p", videos=False),
        of=("duration", "videos"),
        note=CLIPS_COUNT,
    )


class Seedance25(Multimodal):
    """Seedance 2.5: the newest, up to 30 s and 30 pictures; frames or references."""

    id = "bytedance/seedance-2-5"
    aliases = ("seedance-2.5",)
    price = per(
        "second",
        rate(17, resolution="480p", videos=True),
        rate(28, resolution="480p", videos=False),
        rate(38, resolution="720p", videos=True),
        rate(63, resolution="720p", videos=False),
        rate(95, resolution="1080p", videos=True),
        rate(158, resolution="1080p", videos=False),
        of=("duration", "videos"),
        unstated_length=(4, 30),
        note=CLIPS_COUNT,
    )
    kie_defaults: ClassVar[dict[str, Any]] = {"format": "mp4"}
    unpublished = frozenset({"extension_task_id"})

    prompt: Prompt = Field(max_length=30000)
    images: tuple[Picture, ...] | None = wire("reference_image_urls", None, min_length=1, max_length=30)
    videos: tuple[LongClip, ...] | None = wire(
        "reference_video_urls", None, min_length=1, max_length=10, description="30 s in all, audios too."
    )
    audios: tuple[LongSound, ...] | None = wire("reference_audio_urls", None, min_length=1, max_length=10)
    aspect_ratio: AnyRatio = "adaptive"
    resolution: Literal["480p", "720p", "1080p"] = "720p"
    duration: Annotated[int, Field(ge=-1, le=30)] = Field(5, description="4 or more; -1 lets KIE choose.")
    format: Literal["mp4", "mov"] | None = wire("output_format", None)
    return_last_frame: bool | None = None
    # KIE's example shows it, and it is said to carry over little.
    extension_task: Annotated[TaskRef, Source("a Seedance 2.5 task", "bytedance/seedance-2-5", "video")] | None = wire(
        "extension_task_id", None, description="Of Seedance 2.5, to go on from."
    )

    @model_validator(mode="after")
    def length_is_known_or_left_to_kie(self) -> Self:
        """-1 lets KIE choose, as when a clip is edited."""
        if -1 < self.duration < 4:
            raise ValueError("duration is 4 to 30 s, or -1 to let KIE choose")
        return self

    @model_validator(mode="after")
    def frames_or_references(self) -> Self:
        """Frames exclude references, and the last frame needs a first."""
        if self.last_image and not self.image:
            raise ValueError("last_image needs image, the first frame")
        if self.image and (self.images or self.videos or self.audios):
            raise ValueError("give frames (image, last_image) or references (images, videos, audios), not both")
        return self


class V1(Seedance):
    """The fields that every Seedance 1.0 model has."""

    prompt: Prompt = Field(max_length=10000)
    resolution: Literal["480p", "720p", "1080p"] = "720p"
    duration: Annotated[Literal[5, 10], Number, AsText] = 5


class V1Steady(V1):
    """The fields of every Seedance 1.0 model but the fast one."""

    kie_defaults: ClassVar[dict[str, Any]] = {"seed": -1}

    seed: RandomSeed | None = None
    camera_fixed: bool | None = None


class V1ProText(V1Steady):
    """Seedance 1.0 Pro: from words, silent."""

    id = "bytedance/v1-pro-text-to-video"
    task_type = "text-to-video"
    aliases = ("seedance-v1-pro", "seedance-1.0-pro", "seedance-1-pro")
    price = PRO

    aspect_ratio: Ratio = "16:9"


class V1ProImage(V1Steady):
    """Seedance 1.0 Pro: from a first frame, silent."""

    id = "bytedance/v1-pro-image-to-video"
    task_type = "image-to-video"
    price = PRO

    image: Frame = wire("image_url")


class V1ProFast(V1):
    """Seedance 1.0 Pro Fast: from a first frame, silent, soon done."""

    id = "bytedance/v1-pro-fast-image-to-video"
    task_type = "image-to-video"
    aliases = ("seedance-v1-pro-fast", "seedance-1.0-pro-fast", "seedance-1-pro-fast")
    price = per(
        "video",
        rate(16, resolution="720p", duration=5),
        rate(36, resolution="720p", duration=10),
        rate(36, resolution="1080p", duration=5),
        rate(72, resolution="1080p", duration=10),
    )

    image: Frame = wire("image_url")
    resolution: Literal["720p", "1080p"] = "720p"


class V1LiteText(V1Steady):
    """Seedance 1.0 Lite: from words, silent, cheap."""

    id = "bytedance/v1-lite-text-to-video"
    task_type = "text-to-video"
    aliases = ("seedance-v1-lite", "seedance-1.0-lite", "seedance-1-lite")
    price = LITE

    aspect_ratio: Literal["16:9", "4:3", "1:1", "3:4", "9:16", "9:21"] = "16:9"


class V1LiteImage(V1Steady):
    """Seedance 1.0 Lite: from a first frame and, if given, to a last one, silent, cheap."""

    id = "bytedance/v1-lite-image-to-video"
    task_type = "image-to-video"
    price = LITE

    image: Frame = wire("image_url")
    last_image: Frame | None = wire("end_image_url", None)


VIDEO = Family(
    "seedance_video",
    "Make a video with Seedance: 1.5 cheap, 2.5 fine.",
    (
        Seedance15,
        Seedance2Mini,
        Seedance2Fast,
        Seedance2,
        Seedance25,
        V1ProText,
        V1ProImage,
        V1ProFast,
        V1LiteText,
        V1LiteImage,
    ),
    rare=("extension_task",),
)
