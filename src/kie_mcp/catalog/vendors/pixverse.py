"""PixVerse V6: video from words, pictures, frames and named elements, and videos that go on."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from kie_mcp.catalog.family import Family
from kie_mcp.catalog.fields import Image, InList, Limits, Seed, Source, TaskRef, Video, wire
from kie_mcp.catalog.model import KieModel, Resolve
from kie_mcp.catalog.part import Part
from kie_mcp.catalog.price import per, rate

Picture = Annotated[Image, Limits("jpeg png webp", mb=20)]
Ratio = Literal["16:9", "4:3", "1:1", "3:4", "9:16", "2:3", "3:2", "21:9"]
Seconds = Annotated[int, Field(ge=1, le=15)]

TEMPLATES_OF_TWO = frozenset({"412736208886848", "404820147974080", "398980393937856"})
# KIE lists the numbers only.
TEMPLATES = (
    *("412736208886848", "411563216524736", "411316927927040", "411174903569216", "410999246341952"),
    *("408891141511104", "410317363057408", "410285445698304", "410133101388544", "409899296377728"),
    *("408897485909952", "408869061406656", "408661207662528", "409767750265728", "409766559675264"),
    *("409589071559552", "407804339389760", "407658863287616", "407474361215744", "407473438360320"),
    *("407467702283008", "385844572217469", "406428904874432", "406423682060736", "406411724685760"),
    *("406372274350528", "406218913317312", "406218479198656", "406064763308480", "406413607395776"),
    *("405662117814720", "406014934000064", "405658369331648", "405321470423488", "405175211454656"),
    *("404955806201792", "404820147974080", "398980393937856", "403916646846400", "403739217192896"),
    *("403560060358144", "403556618212098", "398965022284579", "402201060373270", "403085292466285"),
    *("402061828030966", "402888569901524", "402155676592228", "402047865383360", "402046136040202"),
)


class PixVerse(KieModel):
    """The fields that every PixVerse V6 model has."""

    kind = "video"
    service = "pixverse/generate"
    usual_seconds = 90
    price = per(
        "second",
        rate(4, resolution="360p", sound=False),
        rate(5.6, resolution="360p", sound=True),
        rate(5.6, resolution="540p", sound=False),
        rate(7.2, resolution="540p", sound=True),
        rate(7.2, resolution="720p", sound=False),
        rate(9.6, resolution="720p", sound=True),
        rate(14.4, resolution="1080p", sound=False),
        rate(18.4, resolution="1080p", sound=True),
        # A template has its own length.
        unstated_length=(1, 15),
    )

    # Prompt would bring its own, lower minimum.
    prompt: str = Field(min_length=3, max_length=5000)
    resolution: Literal["360p", "540p", "720p", "1080p"] = wire("quality", "720p")
    sound: bool = wire("generate_audio_switch", default=False)
    seed: Seed | None = None


class FromWords(PixVerse):
    """PixVerse V6: from words, in one shot or several."""

    id = "pixverse-v6/text-to-video"
    task_type = "text-to-video"
    aliases = ("pixverse-v6", "pixverse")

    aspect_ratio: Ratio = "16:9"
    duration: Seconds = 5
    multi_shots: bool = wire("generate_multi_clip_switch", default=False)


class FromImage(PixVerse):
    """PixVerse V6: from a first frame, or from one or two pictures by a template of PixVerse's."""

    id = "pixverse-v6/image-to-video"
    task_type = "image-to-video"
    merged_fields = frozenset({"second_image"})

    image: Annotated[Picture, InList] = wire("image_urls")
    second_image: Picture | None = Field(None, description="For a template that shows two.")
    template: str | None = wire("template_id", None, description="Number of an effect.")
    # A template has its own length.
    duration: Seconds | None = Field(
        default_factory=lambda given: None if given.get("template") else 5, description="Default 5; not with template."
    )
    multi_shots: bool = wire("generate_multi_clip_switch", default=False)

    @model_validator(mode="after")
    def template_is_known_and_served(self) -> Self:
        """A template brings its length, and wants one picture or two."""
        if self.template is None:
            if self.duration is None:
                raise ValueError("give duration, or a template")
            return self
        if self.template not in TEMPLATES:
            raise ValueError(f"there is no template {self.template}, but {', '.join(TEMPLATES)}")
        if self.duration is not None:
            raise ValueError("a template has its own length: leave duration out")
        if (self.template in TEMPLATES_OF_TWO) is not bool(self.second_image):
            wants = "two pictures: give" if self.template in TEMPLATES_OF_TWO else "one picture: leave out"
            raise ValueError(f"template {self.template} takes {wants} second_image")
        return self

    def sent(self, resolve: Resolve) -> dict[str, Any]:
        """KIE takes both pictures in one list."""
        fields = super().sent(resolve)
        if second := fields.pop("second_image", None):
            fields["image_urls"].append(second)
        return fields

    @classmethod
    def received(cls, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The second of the list has a field of its own."""
        match fields.get("image_urls"):
            case [first, second]:
                return super().received({**fields, "image_urls": [first], "second_image": second})
            case _:
                return super().received(fields)


class Transition(PixVerse):
    """PixVerse V6: from a first frame to a last one."""

    id = "pixverse-v6/transition"
    task_type = "image-to-video"
    aliases = ("pixverse-transition",)

    image: Picture = wire("first_frame_image_url")
    last_image: Picture = wire("last_frame_image_url")
    duration: Seconds = 5


class Element(Part):
    """Somebody, something or somewhere that the prompt may call @name."""

    image: Image = wire("image_url")
    type: Literal["subject", "background"] = "subject"
    name: str | None = wire("ref_name", None, min_length=1, max_length=30)


class Elements(PixVerse):
    """PixVerse V6: with people, things and places from up to seven pictures."""

    id = "pixverse-v6/reference-to-video"
    task_type = "reference-to-video"
    aliases = ("pixverse-fusion",)
    price = per(
        "second",
        rate(4.5, resolution="360p", sound=False),
        rate(6.3, resolution="360p", sound=True),
        rate(6.3, resolution="540p", sound=False),
        rate(8.1, resolution="540p", sound=True),
        rate(8.1, resolution="720p", sound=False),
        rate(10.8, resolution="720p", sound=True),
        rate(16.2, resolution="1080p", sound=False),
        rate(20.7, resolution="1080p", sound=True),
    )

    elements: tuple[Element, ...] = wire(
        "image_references", min_length=1, max_length=7, description="@name in the prompt."
    )
    aspect_ratio: Ratio = "16:9"
    duration: Seconds = 5

    @model_validator(mode="after")
    def names_differ(self) -> Self:
        """A name is one element's."""
        names = [each.name for each in self.elements if each.name]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two elements are called {', '.join(twice)}: give each its own name")
        return self


class Extend(PixVerse):
    """PixVerse V6: a video goes on for 1 to 15 s."""

    id = "pixverse-v6/extend"
    task_type = "video-extend"
    aliases = ("pixverse-extend",)
    service = "pixverse/extend"
    price = per("second", *PixVerse.price.rates, note="Presumably for the added seconds alone.")

    task_id: Annotated[TaskRef, Source("your own finished, undeleted video task", kind="video")] | None = wire(
        "taskId", None, description="To extend its video."
    )
    video: Video | None = wire("video_url", None, description="To extend.")
    duration: Seconds = 5

    @model_validator(mode="after")
    def one_video(self) -> Self:
        """An earlier task's, or a file."""
        if bool(self.task_id) == bool(self.video):
            raise ValueError("give either task_id or video")
        return self


VIDEO = Family(
    "pixverse_video",
    "Make a video with PixVerse V6 from words, pictures or named elements, or extend one.",
    (FromWords, FromImage, Transition, Elements, Extend),
)
