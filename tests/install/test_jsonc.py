"""Changes of JSON with comments, for any text that hypothesis thinks of."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.client_files import without_comments
from support.effort import examples

from kie_mcp.install import jsonc

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "mcp", '"', "//"]), VALUES, max_size=4)
BLANKS = st.sampled_from(
    ["", " ", "\n", "\n  ", "\t", " // {c}\n", "/* {c} */", "\n/* {c}\n, ] */ ", '\n  // "{c}": 1,\n  ']
)


@st.composite
def texts(draw: Callable[[Any], Any]) -> tuple[str, Any, list[str]]:
    """Return a text, what it says, and its comments."""
    value = draw(OBJECTS)
    comments: list[str] = []

    def blank() -> str:
        text: str = draw(BLANKS)
        if "{c}" in text:
            comments.append(f"comment{len(comments)}.")
            text = text.replace("{c}", comments[-1])
        return text

    def write(each: Any) -> str:
        if isinstance(each, dict):
            inside = [
                f"{blank()}{json.dumps(name)}{blank()}:{blank()}{write(part)}{blank()}" for name, part in each.items()
            ]
        elif isinstance(each, list):
            inside = [f"{blank()}{write(part)}{blank()}" for part in each]
        else:
            return json.dumps(each, ensure_ascii=draw(st.booleans()))
        comma = "," if inside and draw(st.booleans()) else ""
        opening, closing = "{}" if isinstance(each, dict) else "[]"
        return f"{opening}{','.join(inside)}{comma}{blank()}{closing}"

    return f"{blank()}{write(value)}{blank()}", value, comments


def put(value: Any, path: list[str], new: Any) -> Any:
    key, *rest = path
    return {**value, key: put(value.get(key, {}), rest, new) if rest else new}


@settings(max_examples=examples(100))
@given(texts(), st.lists(st.sampled_from(["a", "b", "new", "//"]), min_size=1, max_size=3), VALUES)
def test_a_value_is_put_where_it_belongs_and_no_comment_is_lost(
    made: tuple[str, Any, list[str]], path: list[str], new: Any
) -> None:
    text, value, comments = made
    assert jsonc.parse(text) == value
    assert json.loads(without_comments(text)) == value
    way: Any = value
    for key in path[:-1]:
        way = way.get(key, {}) if isinstance(way, dict) else None
    if not isinstance(way, dict):
        with pytest.raises(ValueError, match="is no object"):
            jsonc.put(text, path, new)
        return
    after = jsonc.put(text, path, new)
    assert json.loads(without_comments(after)) == put(value, path, new)
    if path[-1] not in way:
        assert [each for each in comments if each not in after] == []
        without = put(value, path[:-1], way) if path[:-1] else value
        assert jsonc.parse(jsonc.remove(after, path)) == without


@settings(max_examples=examples(100))
@given(texts(), st.data())
def test_a_member_is_removed_and_all_else_stays(made: tuple[str, Any, list[str]], data: st.DataObject) -> None:
    text, value, _ = made
    key = data.draw(st.sampled_from([*value, "none"]))
    after = jsonc.remove(text, [key])
    assert json.loads(without_comments(after)) == {name: each for name, each in value.items() if name != key}
    if key == "none":
        assert after == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{\n  "kie": {\n    "a": 1\n  }\n}'),
        ('{"x":1}', '{"x":1, "kie": {"a": 1}}'),
        ('{\n    "x": 1 // one\n}\n', '{\n    "x": 1, // one\n    "kie": {\n        "a": 1\n    }\n}\n'),
        ('{\n\t"x": 1,\n}\n', '{\n\t"x": 1,\n\t"kie": {\n\t\t"a": 1\n\t},\n}\n'),
        ("{\n  // none\n}\n", '{\n  // none\n  "kie": {\n    "a": 1\n  }\n}\n'),
    ],
)
def test_a_new_member_has_the_style_of_its_neighbours(before: str, after: str) -> None:
    assert jsonc.put(before, ["kie"], {"a": 1}) == after


def test_a_large_file_takes_no_long_time() -> None:
    text = json.dumps({"projects": {f"/home/{n}": {"history": ["x" * 50] * 10} for n in range(500)}}, indent=2)
    assert jsonc.parse(jsonc.put(text, ["mcpServers", "kie"], {}))["mcpServers"] == {"kie": {}}


def test_a_text_nested_too_deep_is_damaged() -> None:
    with pytest.raises(ValueError, match="too deep"):
        jsonc.parse("[" * 100_000)
