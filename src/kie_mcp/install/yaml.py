"""Change single values in YAML with the library ruamel.yaml, which keeps the comments and the order."""

import re
from collections import Counter
from collections.abc import Callable
from difflib import SequenceMatcher
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from kie_mcp.install.jsonc import Path

LINE_START = re.compile(r"^ *\S*", re.MULTILINE)
INDENTATIONS = tuple((mapping, *of_list) for mapping in (2, 4) for of_list in ((2, 0), (4, 2), (4, 0), (6, 4), (8, 4)))
"""The usual indentations: blanks before a mapping, before the value of a list's item, and before the item's dash."""


def parse(text: str) -> Any:
    """Parse a text and return its value; return an empty mapping for an empty text.

    Raises:
        ValueError: When the text is not valid; the message has the line number.
    """
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(_describe(error)) from None
    return {} if value is None else value


def put(text: str, path: Path, value: Any) -> str:
    """Return a text with a new value at a path; mappings and lists that are missing on the path are added.

    Raises:
        ValueError: When the text is not valid, a value on the path is neither mapping nor list, or other lines would
            change.
    """

    def change(root: Any) -> Any:
        node: Any = {} if root is None else root
        root = node
        for place, key in enumerate(path):
            is_new = _look_up(node, key) is None
            if place == len(path) - 1:
                following = value
            elif is_new:
                following = [] if isinstance(path[place + 1], int) else {}
            else:
                following = node[key]
            if is_new and isinstance(node, list):
                node.append(following)
            else:
                node[key] = following
            node = node[key]
        return root

    return _edit(text, change)


def remove(text: str, path: Path) -> str:
    """Return a text without the member at a path; if there is no such member, return the text unchanged.

    Raises:
        ValueError: When the text is not valid, or other lines would change.
    """
    node = parse(text)
    for key in path:
        try:
            node = node[key]
        except (KeyError, IndexError, TypeError):
            return text

    def change(root: Any) -> Any:
        parent = root
        for key in path[:-1]:
            parent = parent[key]
        del parent[path[-1]]
        return root

    return _edit(text, change)


def _look_up(node: Any, key: str | int) -> Any:
    """Return the member of a node that has this key, or None if there is no such member.

    Raises:
        ValueError: When the node cannot have a member with this key.
    """
    match node, key:
        case dict(), str():
            return node.get(key)
        case list(), int():
            return node[key] if key < len(node) else None
    raise ValueError(f"{key} has another form around it")


def _edit(text: str, change: Callable[[Any], Any]) -> str:
    """Apply `change` to the root value of a YAML text, and return the new text; other lines keep their own format."""
    # A last line without an end would run into the next one, or lose its value.
    text = f"{text}\n" if text and not text.endswith("\n") else text
    try:
        yaml = _find_style(text)
        root = yaml.load(text)
        plain = _dump(yaml, root) if root is not None else text
        changed = _dump(yaml, change(root))
    except YAMLError as error:
        raise ValueError(_describe(error)) from None
    return transplant(text, plain, changed) if root is not None else f"{text}{changed}"


def _find_style(text: str) -> YAML:
    """Return the library's object with the indentation that is the text's for most of its lines."""
    lines, root = Counter(LINE_START.findall(text)), YAML().load(text)

    def count_kept(yaml: YAML) -> int:
        return (lines & Counter(LINE_START.findall(_dump(yaml, root)))).total() if root is not None else 0

    styles = [_make_style(*each) for each in INDENTATIONS]
    return next((each for each in styles if count_kept(each) == lines.total()), None) or max(styles, key=count_kept)


def _make_style(mapping: int, sequence: int, offset: int) -> YAML:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
    return yaml


def transplant(original: str, plain: str, changed: str) -> str:
    """Return the original text with the change from `plain` to `changed`; all other lines keep their own format.

    Args:
        original: The text before the change, in its own format.
        plain: The text before the change, in the library's format.
        changed: The text after the change, in the library's format.

    Raises:
        ValueError: When a change is next to lines that the library formats in another way.
    """
    if plain == original:
        return changed
    lines, copied, wanted = (each.splitlines(keepends=True) for each in (original, plain, changed))
    place = {-1: -1, len(copied): len(lines)}
    for _, start, end, first, last in SequenceMatcher(None, lines, copied, autojunk=False).get_opcodes():
        # If a part has the same number of lines in `original` and `plain`, only the format of these lines differs: the
        # first line belongs to the first line, the second to the second, and so on.
        if end - start == last - first:
            place |= dict(zip(range(first, last), range(start, end), strict=True))
    result: list[str] = []
    done = 0
    for kind, start, end, first, last in SequenceMatcher(None, copied, wanted, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        if start - 1 not in place or any(each not in place for each in range(start, end)):
            raise ValueError("its style is one that cannot be kept")
        from_ = place[start - 1] + 1
        result += [*lines[done:from_], *wanted[first:last]]
        done = from_ + end - start
    return "".join([*result, *lines[done:]])


def _dump(yaml: YAML, root: Any) -> str:
    file = StringIO()
    yaml.dump(root, file)
    return file.getvalue()


def _describe(error: YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "it cannot be read"
    return f"line {mark.line + 1}: {problem}" if mark else str(problem)
