import io

import pytest
from support.cases import for_each
from support.media_files import picture, sound

from kie_mcp.catalog.fields import Limits
from kie_mcp.media import formats
from kie_mcp.media.content import Content
from kie_mcp.media.limits import find_problems
from kie_mcp.sandbox.fake_media import MediaContent, render_file

WORK = MediaContent("a heron", "1")


def content(data: bytes) -> Content:
    return Content(io.BytesIO(data), "a", formats.detect_mime_type(data[: formats.HEAD_BYTES]) or "", len(data))


@for_each(
    "data, limits, expected",
    [
        (picture(9, 9, "GIF"), Limits("jpeg png"), "is gif; the model takes jpeg, png"),
        (sound(1), Limits("png"), "is wav; the model takes png"),
        (render_file("1.png", WORK), Limits(mb=0.001), "MB; the model takes up to 0.001 MB"),
        (
            picture(299, 400),
            Limits(side_px=(300, 6000)),
            "has a shorter side of 299 px; the model takes 300 to 6,000 px",
        ),
        (
            picture(400, 6001),
            Limits(side_px=(300, 6000)),
            "has a longer side of 6,001 px; the model takes 300 to 6,000 px",
        ),
        (
            picture(100, 30),
            Limits(ratio=(0.4, 2.5)),
            "has a width divided by height of 3.33; the model takes 0.4 to 2.5",
        ),
        (
            picture(1503, 600),
            Limits(ratio=(0.4, 2.5)),
            "has a width divided by height of 2.505; the model takes 0.4 to 2.5",
        ),
        (
            picture(397, 1000),
            Limits(ratio=(0.4, 2.5)),
            "has a width divided by height of 0.397; the model takes 0.4 to 2.5",
        ),
        (picture(100, 30), Limits(pixels=(1, 2999)), "has a total of 3,000 pixels; the model takes 1 to 2,999 pixels"),
        (sound(1.5), Limits(seconds=(2, 15)), "has a length of 1.5 s; the model takes 2 to 15 s"),
        (sound(15.5), Limits("wav", seconds=(2, 15)), "has a length of 15.5 s; the model takes 2 to 15 s"),
        (render_file("1.mp3", WORK), Limits(seconds=(5, 9)), "has a length of 3.08 s; the model takes 5 to 9 s"),
        (sound(15.04), Limits(seconds=(0, 15)), "has a length of 15.04 s; the model takes up to 15 s"),
        (sound(15.004), Limits(seconds=(0, 15)), "has a length of 15.004 s; the model takes up to 15 s"),
        (render_file("1.mp4", WORK), Limits(seconds=(5, 9)), "has a length of 2 s; the model takes 5 to 9 s"),
    ],
)
def test_a_file_beyond_a_limit_has_a_problem(data: bytes, limits: Limits, expected: str) -> None:
    (found,) = find_problems(content(data), limits)
    assert found.endswith(expected)


def test_a_picture_can_have_more_pixels_than_any_model_takes() -> None:
    (found,) = find_problems(content(picture(20_000, 10_000)), Limits(ratio=(0.1, 9)))
    assert found.endswith("has more pixels than any model takes")


@pytest.mark.parametrize(
    ("data", "limits"),
    [
        (picture(300, 400), Limits("png", mb=1, side_px=(300, 400), ratio=(0.75, 1), pixels=(1, 120_000))),
        (picture(25, 200), Limits(ratio=(0.125, 8))),
        (sound(2), Limits("wav", mb=1, seconds=(2, 15))),
        (sound(15), Limits("wav mpeg", seconds=(2, 15))),
        (render_file("1.mp4", WORK), Limits("mp4 quicktime", seconds=(2, 15), side_px=(5000, 6000))),
        (sound(1), Limits()),
    ],
)
def test_a_file_within_the_limits_has_none(data: bytes, limits: Limits) -> None:
    assert find_problems(content(data), limits) == []


@pytest.mark.parametrize(
    "data",
    [
        b"\0\0\0\x18ftypheic" + bytes(400),
        b"\x89PNG\r\n\x1a\n" + bytes(400),
        b"OggS" + bytes(400),
        b"fLaC" + bytes(400),
        b"ID3\x03" + bytes(400),
        b"\x1aE\xdf\xa3" + bytes(400),
        b"RIFF\x0c\0\0\0WAVEfmt ",
    ],
)
def test_what_cannot_be_measured_is_left_to_kie(data: bytes) -> None:
    assert find_problems(content(data), Limits(seconds=(2, 15), side_px=(300, 6000), ratio=(0.4, 2.5))) == []


def test_all_that_is_wrong_with_a_picture_is_told_at_once() -> None:
    found = find_problems(content(picture(10, 400)), Limits(side_px=(300, 6000), ratio=(0.4, 2.5), pixels=(1, 100)))
    assert [each.partition(" of ")[0] for each in found] == [
        "has a shorter side",
        "has a width divided by height",
        "has a total",
    ]


@pytest.mark.parametrize("data", [picture(400, 400), sound(3), b"fLaC" + bytes(400)])
def test_the_file_can_be_sent_from_its_beginning_afterwards(data: bytes) -> None:
    checked = content(data)
    find_problems(checked, Limits(side_px=(1, 2), seconds=(1, 2)))
    assert checked.file.read() == data
