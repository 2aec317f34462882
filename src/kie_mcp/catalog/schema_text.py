"""Short texts for tool schemas, which have a token budget: a few patterns for many model ids, and limits in words."""

import re
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any


def summarize_ids(ids: Collection[str], all_ids: Sequence[str]) -> str:
    """Describe some models of a family by few patterns such as `kling-*`, which match no other model of the family.

    The algorithm is a greedy set cover: each step chooses the pattern that matches most of the remaining ids.

    Args:
        ids: The ids to describe.
        all_ids: All ids of the family. If all ids have the same prefix, the text leaves the prefix out.

    Returns:
        The patterns with commas between them.
    """
    uncovered = [id_ for id_ in all_ids if id_ in ids]
    others = [id_ for id_ in all_ids if id_ not in ids]
    prefix = _common_prefix(all_ids)
    words: list[str] = []
    while uncovered:
        best = max(
            # The shared prefix is cut off from patterns later, so each pattern must begin with the prefix or with `*`.
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
    """Generate each id, and patterns that match it: for `kling-2.6`, the patterns are `kling-*`, `*2.6`, `*kling*` etc.

    In a pattern, `*` replaces some parts of the id. The id is split into parts after each `-` and `/`.
    """
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
    """Return the prefix of all ids up to its last slash, such as `kling/`; empty if the prefix has no slash."""
    shared = ids[0]
    for id_ in ids:
        while not id_.startswith(shared):
            shared = shared[:-1]
    return shared[: shared.rfind("/") + 1]


def describe_constraint(schema: dict[str, Any], shown: Collection[Any] = ()) -> str:
    """Describe the values that a field allows, such as `5 to 10`; `any` if all values are allowed.

    Args:
        schema: The field's JSON Schema.
        shown: The enum values that the reader sees beside the text. The text lists the allowed values, or it lists the
            forbidden values after `not` if that is shorter.
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
