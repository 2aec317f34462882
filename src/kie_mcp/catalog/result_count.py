"""Find how many results a call asks for, by the names of fields that only KIE's schema describes."""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from kie_mcp.catalog.fields import Ref, snake_case

COUNT_NAME = re.compile(
    r"n|(?:\w+_)?(?:num|number|count|quantity|batch"
    r"|images|pictures|photos|videos|clips|songs|tracks|outputs|results|generations|variants|variations|samples|copies)"
    r"(?:_\w+)?"
)
"""Matches a field's name in snake case if the field may state how many results a call makes."""
OTHER_COUNT = re.compile(r"(?:^|_)(?:frames?|steps?|seeds?|index|fps|rate|tokens?|beams|speakers?|colou?rs?)(?:_|$)")
"""Matches a field's name in snake case if its number is no number of results, such as `num_inference_steps`."""


def count_results(fields: Mapping[str, Any], missing: float = 1) -> float:
    """Return how many results a call asks for at most: the product of all fields that may state their number.

    Args:
        fields: The values of the call's fields, by name.
        missing: The number to return when no field states it.

    Returns:
        The number; NaN if one of these fields has a value that is no positive number, such as `auto`.
    """
    counts = [positive_number(value) for value in _find_counts(fields)]
    return math.prod(max(count, 1) if count > 0 else math.nan for count in counts) if counts else missing


def _find_counts(fields: Mapping[str, Any]) -> Iterator[object]:
    for key, value in fields.items():
        name = re.sub(r"\W", "_", snake_case(key))
        if isinstance(value, Mapping):
            yield from _find_counts(value)
        elif value is None or isinstance(value, Ref | list | tuple) or OTHER_COUNT.search(name):
            continue
        elif COUNT_NAME.fullmatch(name):
            yield value


def positive_number(value: object) -> float:
    """Return the number that a value is or spells; NaN if it is no finite number above 0."""
    try:
        figure = float(str(value))
    except ValueError:
        return math.nan
    return figure if 0 < figure < math.inf else math.nan
