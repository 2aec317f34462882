import pytest
from support.cases import for_each

from kie_mcp.media.shapes import find_nearest_ratio, parse_ratio

USUAL = ("1:1", "16:9", "9:16", "4:3", "3:4", "3:2", "2:3", "21:9")


@for_each(
    "width, height, choices, expected",
    [
        (3024, 4032, USUAL, "3:4"),
        (4032, 3024, USUAL, "4:3"),
        (1179, 2556, USUAL, "9:16"),
        (1179, 2556, (*USUAL, "9:21"), "9:21"),
        (1000, 990, USUAL, "1:1"),
        (6000, 4000, USUAL, "3:2"),
        (3440, 1440, USUAL, "21:9"),
        (3024, 4032, ("16:9", "9:16"), "9:16"),
        (3024, 4032, ("1:1", "auto"), "auto"),
        (3024, 4032, ("1:1", "Auto"), "Auto"),
        (3024, 4032, ("16:9", "adaptive"), "adaptive"),
        (3024, 4032, ("square_hd", "portrait_4_3", "landscape_4_3", "portrait_16_9"), "portrait_4_3"),
        (9, 16, ("square", "portrait_4_3", "portrait_16_9", "landscape_16_9"), "portrait_16_9"),
        (16, 9, ("portrait", "landscape"), "landscape"),
        (9, 16, ("1280x720", "720x1280"), "720x1280"),
        (1, 1, ("720p", "1080p"), None),
        (1, 1, (), None),
        (0, 0, ("16:9",), None),
    ],
)
def test_a_picture_keeps_its_shape(width: int, height: int, choices: tuple[str, ...], expected: str | None) -> None:
    assert find_nearest_ratio(width, height, choices) == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [("16:9", 16 / 9), ("portrait_4_3", 0.75), ("landscape_3_4", 4 / 3), ("2.39:1", 2.39), ("0:0", None), ("2K", None)],
)
def test_a_choice_is_read_as_a_ratio(choice: str, expected: float | None) -> None:
    assert parse_ratio(choice) == (pytest.approx(expected) if expected else None)
