"""Short tool schemas, which have a token budget: names of models, values that a field allows, merged schemas."""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any


def name_models(names: Collection[str], all_names: Sequence[str], *, whole: bool = False) -> str:
    """Name some models of a family in few words, such as `2.6, 2.1 and turbo models`.

    The result first lists single models by name, without the beginning that all names of the family share. Then it
    lists words, followed by `models`: `turbo models` stands for all models with the word `turbo` in their names. A word
    is used only if it occurs in no other name of the family. The algorithm is a greedy set cover: each step chooses the
    word that occurs in most of the remaining names.

    Args:
        names: The names of the models.
        all_names: The names of all models of the family.
        whole: Whether the names of single models keep the shared beginning, so that a caller can copy them.
    """
    uncovered = [name for name in all_names if name in names]
    others = [name for name in all_names if name not in names]
    exact: list[str] = []
    words: list[str] = []
    while uncovered:
        covered = {
            word: [name for name in uncovered if _contains(name, word)]
            for name in uncovered
            for word in _list_words(name)
            if not any(_contains(other, word) for other in others)
        }
        best = max(covered, key=lambda word: (len(covered[word]), -len(word)), default="")
        if len(covered.get(best, ())) > 1:
            words.append(best)
            uncovered = [name for name in uncovered if name not in covered[best]]
        else:
            exact.append(uncovered.pop(0))
    family = "" if whole else _shared_beginning(all_names)
    exact = [re.sub(rf"^{re.escape(family)}(?!\d$)", "", name) for name in exact]
    return ", ".join([*exact, *([f"{' and '.join(words)} models"] if words else [])])


def _shared_beginning(names: Sequence[str]) -> str:
    """Return the beginning that all names share, up to the first `/` or `-`, such as `wan-`; empty if there is none.

    After a `-`, each name must go on with a version, such as `2.6` or `v3`.
    """
    for beginning in (names[0].partition("/")[0] + "/", names[0].partition("-")[0] + "-"):
        if all(re.match(re.escape(beginning) + ("v?\\d" if beginning.endswith("-") else ""), name) for name in names):
            return beginning
    return ""


def _list_words(name: str) -> Iterator[str]:
    """Generate the words and groups of words in a name: `kling-2.6` has `kling`, `2.6` and `kling-2.6`."""
    borders = [match.start() for match in re.finditer("[-/]", name)]
    for start in [0, *(border + 1 for border in borders)]:
        for end in [*borders, len(name)]:
            # A word of digits, such as `3`, is skipped, because a reader would take it for the number of models.
            if start < end and (word := name[start:end]) != "to" and not word.isdigit():
                yield word


def _contains(name: str, word: str) -> bool:
    return bool(re.search(rf"(?<![^-/]){re.escape(word)}(?![^-/])", name))


def describe_constraint(schema: dict[str, Any], shown: Collection[Any] = ()) -> str:
    """Describe the values that a field allows, such as `5 to 10`; `any` if the schema has no enum, range or `maxItems`.

    Args:
        schema: The field's JSON Schema.
        shown: The enum values that a tool schema has for several models together; empty if it has no enum. If the field
            allows all of them, the text is `all`. Otherwise, the text lists the allowed values or, if this is shorter,
            `not` and the forbidden values.
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


def widen(schemas: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merge schemas of one argument: keep equal keys, the widest limits, and the enum values of all schemas."""
    first, *others = schemas
    merged = {key: value for key, value in first.items() if all(other.get(key) == value for other in others)}
    merged.setdefault("type", first["type"])
    for key, widest in (("minimum", min), ("maximum", max), ("maxLength", max), ("maxItems", max)):
        if key not in merged and all(key in each for each in schemas):
            merged[key] = widest(each[key] for each in schemas)
    if all("enum" in each for each in schemas):
        merged["enum"] = list(dict.fromkeys(value for each in schemas for value in each["enum"]))
    return merged
