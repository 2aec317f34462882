"""Find the aspect ratio that is nearest to a picture's own, so that an edited picture keeps its shape."""

import math
import re
from collections.abc import Iterable

AUTOMATIC = ("auto", "adaptive", "match_input_image", "original")
"""Names, in lower case, by which models offer to keep the input's shape."""


def find_nearest_ratio(width: float, height: float, choices: Iterable[str]) -> str | None:
    """Return the choice that keeps a picture's shape best.

    Args:
        width: Width of the picture as it is shown; the unit does not matter.
        height: Its height.
        choices: A model's aspect ratios, such as `16:9`, `portrait_4_3` or `auto`.

    Returns:
        The choice that means "as the input", if there is one, else that of the nearest ratio; None without any ratio.
    """
    given = list(choices)
    automatic = next((choice for choice in given if choice.lower() in AUTOMATIC), None)
    if automatic or not width or not height:
        return automatic
    ratios = {choice: ratio for choice in given if (ratio := parse_ratio(choice))}
    # A ratio and its inverse are equally far from 1 as logarithms.
    return min(ratios, key=lambda choice: abs(math.log(ratios[choice] * height / width)), default=None)


def parse_ratio(choice: str) -> float | None:
    """Return width divided by height of a choice such as `16:9`, `1280x720`, `portrait_4_3` or `square_hd`."""
    name = choice.lower()
    if name.startswith("square"):
        return 1.0
    found = re.fullmatch(r"(portrait|landscape)?_?(\d+(?:\.\d+)?)[:x/_*](\d+(?:\.\d+)?)", name)
    if not found or not float(found[2]) or not float(found[3]):
        return {"portrait": 3 / 4, "landscape": 4 / 3}.get(name)
    sides = sorted((float(found[2]), float(found[3])), reverse=found[1] == "landscape")
    ratio = float(found[2]) / float(found[3])
    return sides[0] / sides[1] if found[1] else ratio
