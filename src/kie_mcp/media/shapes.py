"""Find the aspect ratio nearest to a picture's own, so that an edited picture keeps its proportions."""

import math
import re
from collections.abc import Iterable

AUTOMATIC = ("auto", "adaptive", "match_input_image", "original")
"""Values of a model's aspect ratio argument, in lower case, that mean "the same aspect ratio as the input"."""


def find_nearest_ratio(width: float, height: float, choices: Iterable[str]) -> str | None:
    """Find the aspect ratio nearest to a picture's own, among the aspect ratios that a model accepts.

    Args:
        width: Width of the upright picture, in any unit.
        height: Height of the upright picture, in the same unit.
        choices: The aspect ratios that the model accepts, such as `16:9`, `portrait_4_3` or `auto`.

    Returns:
        A value from `AUTOMATIC` if the model has one, else the nearest ratio; None if no choice is an aspect ratio.
    """
    given = list(choices)
    automatic = next((choice for choice in given if choice.lower() in AUTOMATIC), None)
    if automatic or not width or not height:
        return automatic
    ratios = {choice: ratio for choice in given if (ratio := parse_ratio(choice))}
    # The logarithms of the ratios are compared, so that 2:1 and 1:2 are equally far from 1:1.
    return min(ratios, key=lambda choice: abs(math.log(ratios[choice] * height / width)), default=None)


def parse_ratio(choice: str) -> float | None:
    """Return width divided by height: `"16:9"` -> 1.78, `"portrait_4_3"` -> 0.75; None if the text is no ratio."""
    name = choice.lower()
    if name.startswith("square"):
        return 1.0
    found = re.fullmatch(r"(portrait|landscape)?_?(\d+(?:\.\d+)?)[:x/_*](\d+(?:\.\d+)?)", name)
    if not found or not float(found[2]) or not float(found[3]):
        return {"portrait": 3 / 4, "landscape": 4 / 3}.get(name)
    sides = sorted((float(found[2]), float(found[3])), reverse=found[1] == "landscape")
    ratio = float(found[2]) / float(found[3])
    return sides[0] / sides[1] if found[1] else ratio
