"""Kling 3.0 Omni: video from words, pictures, a clip and named elements, all at once."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import AsText, Image, InList, Limits, Prompt, Video, snake_case, wire
from kie_mcp.catalog.model import Resolve, TwoFrames
from kie_mcp.catalog.part import Part
from kie_mcp.catalog.price import per, rate
from kie_mcp.catalog.vendors.kling import ClipElement, Element, Kling, Ratio

# KIE names no bound above; 65535 is JPEG's own.
Picture = Annotated[Image, Limits("jpeg png", mb=50, side_px=(300, 65535), ratio=(0.4, 2.5))]
Clip = Annotated[
    Video,
    Limits("mp4 quicktime", mb=200, seconds=(3, 15.5), side_px=(700, 4553), ratio=(0.4, 2), pixels=(0, 8294400)),
]
AnyRatio = Literal["16:9", "9:16", "1:1", "auto"]
Seconds = Annotated[int, Field(ge=3, le=15)]

MAKING = per(
    "second",
    rate(14, resolution="720p", sound=False),
    rate(18, resolution="720p", sound=True),
    rate(18, resolution="1080p", sound=False),
    rate(23, resolution="1080p", sound=True),
    rate(67, resolution="4k"),
)
REMAKING = (rate(20, resolution="720p"), rate(27, resolution="1080p"), rate(67, resolution="4k"))


class OmniShot(Part):
    """One shot of a scene."""

    prompt: Prompt = Field(max_length=512)
    duration: Annotated[int, Field(ge=1, le=15)]


class Omni(Kling):
    """The fields that every Omni model has."""

    usual_seconds = 180

    prompt: Annotated[str, StringConstraints(min_length=1, max_length=3072, strip_whitespace=True)]
    resolution: Literal["720p", "1080p", "4k"] = "720p"
    sound: bool = wire("audio", default=False)
    elements: tuple[Element, ...] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def elements_have_names_of_their_own(self) -> Self:
        """A prompt's @name means one element."""
        names = [element.name for element in self.elements or ()]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"several elements are called {', '.join(sorted(twice))}: give each its own name")
        return self

    def pictured(self) -> int:
        """How many elements are made of pictures."""
        return sum(len(element.images) > 1 for element in self.elements or ())

    def filmed(self) -> int:
        """How many elements are a clip: a single file is one."""
        return len(self.elements or ()) - self.pictured()

    def refuse_more_than_seven(self, images: int = 0) -> None:
        """Without video there are seven places for pictures, or four and three for clips."""
        most, beside = (4, " beside elements of a clip") if self.filmed() else (7, "")
        if self.filmed() > 3:
            raise ValueError("elements of a clip are 3 at most")
        if images + self.pictured() > most:
            raise ValueError(f"images and elements of pictures are {most} at most{beside}")

    def refuse_beside_video(self, images: int, clips: int) -> None:
        """With video there are four places for pictures, or some for clips."""
        if self.filmed() and images + self.pictured():
            raise ValueError("with video, an element of a clip excludes images and elements of pictures")
        if self.filmed() > clips:
            raise ValueError(f"with video, elements of a clip are {clips} at most")
        if images + self.pictured() > 4:
            raise ValueError("with video, images and elements of pictures are 4 at most")


class Scenes(Omni):
    """What may be cut into shots."""

    shots: tuple[OmniShot, ...] | None = wire("multi_prompt", None, min_length=1, max_length=6)
    # With video KIE refuses the field, even when it is false.
    multi_shots: Annotated[bool | None, AfterValidator(lambda given: given or None)] = wire(
        "prefer_multi_shots", None, description="Let Kling cut."
    )

    @model_validator(mode="after")
    def one_way_to_cut(self) -> Self:
        """Kling cuts, or the caller."""
        if self.shots and self.multi_shots:
            raise ValueError("give shots, or let Kling cut with multi_shots, not both")
        return self

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """KIE wants to be told whether there are shots: from words alone it expects them."""
        return {"customize_multi_shots": bool(self.shots), **super().sent(resolve)}

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The shots speak for themselves, and none are no list."""
        given = super().received(fields).items()
        return {name: value for name, value in given if snake_case(name) != "customize_multi_shots" and value != []}


class OmniImage(TwoFrames, Scenes):
    """Kling 3.0 Omni: from a first frame and, if given, to a last one."""

    id = "kling-3.0-omni/image-to-video"
    task_type = "image-to-video"
    price = MAKING

    image: Annotated[Picture, InList] = wire("image_urls")
    last_image: Picture | None = None
    aspect_ratio: AnyRatio = "auto"
    duration: Seconds = 5
    elements: tuple[ClipElement, ...] | None = Field(None, min_length=1, max_length=3)

    @model_validator(mode="after")
    def shape_is_the_pictures(self) -> Self:
        """Only a scene of shots may have another shape."""
        if self.aspect_ratio != "auto" and not self.shots:
            raise ValueError(f"aspect_ratio {self.aspect_ratio} needs shots: give them, or leave aspect_ratio out")
        return self


class OmniText(Scenes):
    """Kling 3.0 Omni: from words and elements."""

    id = "kling-3.0-omni/text-to-video"
    task_type = "text-to-video"
    aliases = ("kling-3.0-omni", "kling-omni")
    price = MAKING

    aspect_ratio: Ratio = "16:9"
    duration: Seconds = 5

    @model_validator(mode="after")
    def elements_have_a_place(self) -> Self:
        """There are seven places."""
        self.refuse_more_than_seven()
        return self


def _follows_video(given: dict[str, Any]) -> bool:
    return bool(given.get("video")) and not given.get("images")


class Guided(Omni):
    """What pictures and a clip guide; without pictures, the clip gives shape and length."""

    images: tuple[Picture, ...] | None = wire("image_urls", None, min_length=1, max_length=7)
    video: Annotated[Clip, InList] | None = wire("video_urls", None)
    aspect_ratio: AnyRatio = Field(default_factory=lambda given: "auto" if _follows_video(given) else "16:9")
    duration: Seconds | None = Field(default_factory=lambda given: None if _follows_video(given) else 5)

    @model_validator(mode="after")
    def shape_and_length_are_given_once(self) -> Self:
        """By the clip, or by the caller."""
        alone = _follows_video(dict(self))
        if alone and (self.duration is not None or self.aspect_ratio != "auto"):
            raise ValueError("without images, video gives duration and aspect_ratio: leave them out")
        if not alone and self.aspect_ratio == "auto":
            raise ValueError("aspect_ratio auto is for video without images: choose another")
        return self


class OmniReference(Guided, Scenes):
    """Kling 3.0 Omni: with the looks of pictures, in the manner of a clip."""

    id = "kling-3.0-omni/reference-to-video"
    task_type = "reference-to-video"
    price = per(
        "second",
        *(rate(each.credits, video=True, **dict(each.when)) for each in REMAKING),
        *MAKING.rates,
        unstated_length="video",
    )

    elements: tuple[ClipElement, ...] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def references_fit(self) -> Self:
        """A clip leaves less room beside it."""
        images = len(self.images or ())
        if not self.video:
            if not images:
                raise ValueError("give images or video")
            self.refuse_more_than_seven(images)
            return self
        self.refuse_beside_video(images, clips=1)
        if self.sound:
            raise ValueError("there is no sound with video: leave sound out")
        if self.multi_shots:
            raise ValueError("Kling does not cut with video: give shots instead of multi_shots")
        if self.shots and not images:
            raise ValueError("with video, shots need images")
        if self.elements and images and not self.shots:
            raise ValueError("with video and images, elements need shots")
        return self


class OmniTransformation(Guided):
    """Kling 3.0 Omni: changes a clip."""

    id = "kling-3.0-omni/transformation"
    task_type = "video-to-video"
    aliases = ("kling-3.0-omni-edit",)
    price = per("second", *REMAKING, unstated_length="video")

    images: tuple[Picture, ...] | None = wire("image_urls", None, min_length=1, max_length=4)
    video: Annotated[Clip, InList] = wire("video_urls")
    # KIE wants text here alone, and has no length of its own.
    duration: Annotated[Seconds, AsText] | None = None

    @model_validator(mode="after")
    def elements_have_a_place(self) -> Self:
        """Beside the clip there is little room."""
        self.refuse_beside_video(len(self.images or ()), clips=3)
        return self


OMNI = Family(
    "kling_omni",
    "Make a video with Kling 3.0 Omni after images, a clip and named elements, or change one; else take kling_video.",
    (OmniImage, OmniText, OmniReference, OmniTransformation),
)
