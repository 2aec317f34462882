"""Short words for sets of model ids and for limits: a tool's schema has to fit into few tokens."""

import re
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any


def summarize_ids(ids: Collection[str], everyone: Sequence[str]) -> str:
    """Name a subset of a family's ids by the fewest patterns that cover it and nothing else."""
    left = [id_ for id_ in everyone if id_ in ids]
    others = [id_ for id_ in everyone if id_ not in ids]
    prefix = _common_prefix(everyone)
    words: list[str] = []
    while left:
        best = max(
            # The reader is not shown the prefix: a pattern that ends inside it would mean nothing.
            (
                p
                for p in _patterns(left)
                if p.startswith(("*", prefix)) and not any(fnmatchcase(other, p) for other in others)
            ),
            key=lambda p: (sum(fnmatchcase(id_, p) for id_ in left), -len(p)),
        )
        covered = [id_ for id_ in left if fnmatchcase(id_, best)]
        left = [id_ for id_ in left if id_ not in covered]
        words.append((best if len(covered) > 1 else covered[0]).removeprefix(prefix))
    return ", ".join(words)


def _patterns(ids: Iterable[str]) -> Iterable[str]:
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
    shared = ids[0]
    for id_ in ids:
        while not id_.startswith(shared):
            shared = shared[:-1]
    return shared[: shared.rfind("/") + 1]


def describe_constraint(schema: dict[str, Any], shown: Collection[Any] = ()) -> str:
    """What a field admits, in words; of the values that are shown beside it, perhaps what it does not."""
    if "enum" in schema:
        admitted = ", ".join(str(value) for value in schema["enum"])
        refused = ", ".join(str(value) for value in shown if value not in schema["enum"])
        return min(admitted, f"not {refused}", key=len) if refused else "all" if shown else admitted
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    if "maxItems" in schema:
        return f"up to {schema['maxItems']}"
    return "any"
