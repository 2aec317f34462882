"""Short texts for tool schemas, where tokens are scarce: patterns for sets of ids, and a field's limits in words."""

import re
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any


def summarize_ids(ids: Collection[str], all_ids: Sequence[str]) -> str:
    """Describe some of a family's models by a few patterns that match these models and no other model of the family.

    The algorithm is a greedy set cover: each step takes the pattern that matches most of the remaining ids.

    Args:
        ids: The ids that the text describes.
        all_ids: All ids of the family; the text leaves out a prefix that they all share.
    """
    uncovered = [id_ for id_ in all_ids if id_ in ids]
    others = [id_ for id_ in all_ids if id_ not in ids]
    prefix = _common_prefix(all_ids)
    words: list[str] = []
    while uncovered:
        best = max(
            # The text leaves out the shared prefix, so a pattern must begin with all of it, or with `*`.
            (
                p
                for p in _patterns(uncovered)
                if p.startswith(("*", prefix)) and not any(fnmatchcase(other, p) for other in others)
            ),
            key=lambda p: (sum(fnmatchcase(id_, p) for id_ in uncovered), -len(p)),
        )
        covered = [id_ for id_ in uncovered if fnmatchcase(id_, best)]
        uncovered = [id_ for id_ in uncovered if id_ not in covered]
        words.append((best if len(covered) > 1 else covered[0]).removeprefix(prefix))
    return ", ".join(words)


def _patterns(ids: Iterable[str]) -> Iterable[str]:
    """Generate the ids, and patterns of `*` and parts of the ids, such as `kling-*`; a part ends at `-` or `/`."""
    for id_ in ids:
        yield id_
        parts = re.split(r"(?<=[-/])", id_)
        for end in range(1, len(parts)):
            yield "".join(parts[:end]) + "*"
            yield "*" + "".join(parts[end:])
        for start in range(len(parts)):
            for end in range(start + 1, len(parts) + 1):
                yield "*" + "".join(parts[start:end]).strip("-/") + "*"


def _common_prefix(ids: Sequence[str]) -> str:
    """Return the prefix that all ids share, up to its last slash."""
    shared = ids[0]
    for id_ in ids:
        while not id_.startswith(shared):
            shared = shared[:-1]
    return shared[: shared.rfind("/") + 1]


def describe_constraint(schema: dict[str, Any], shown: Collection[Any] = ()) -> str:
    """Describe in words which values a field allows.

    Args:
        schema: The field's JSON Schema.
        shown: The enum values that the reader sees beside the text. The text lists the allowed values, or, if this is
            shorter, `not` and those of the shown values that the field does not allow.
    """
    if "enum" in schema:
        allowed = ", ".join(str(value) for value in schema["enum"])
        excluded = ", ".join(str(value) for value in shown if value not in schema["enum"])
        return min(allowed, f"not {excluded}", key=len) if excluded else "all" if shown else allowed
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if "maxItems" in schema:
        return f"up to {schema['maxItems']}"
    return "any"
