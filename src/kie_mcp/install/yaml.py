"""Change single values of YAML with the library ruamel.yaml, which keeps comments and the order."""

from collections.abc import Callable
from difflib import SequenceMatcher
from io import StringIO
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.util import load_yaml_guess_indent

from kie_mcp.install.jsonc import Path


def parse(text: str) -> Any:
    """Return the value of a text; an empty one is an empty mapping.

    Raises:
        ValueError: When the text is damaged; the message tells where.
    """
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(_describe(error)) from None
    return {} if value is None else value


def put(text: str, path: Path, value: Any) -> str:
    """Return a text in which the value at a path is another one; mappings and lists on the way are added.

    Raises:
        ValueError: When the text is damaged, something on the way is neither mapping nor list, or other lines would
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
    """Return a text without the member at a path; a path that leads nowhere changes nothing.

    Raises:
        ValueError: When the text is damaged, or other lines would change.
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
    """Return a member, or None if there is none.

    Raises:
        ValueError: When the node can have no member with such a key.
    """
    match node, key:
        case dict(), str():
            return node.get(key)
        case list(), int():
            return node[key] if key < len(node) else None
    raise ValueError(f"{key} has another form around it")


def _edit(text: str, change: Callable[[Any], Any]) -> str:
    """Return the text with a change of its value; no other line changes, also where the library would write it anew."""
    try:
        _, indent, offset = load_yaml_guess_indent(text)
        yaml = YAML()
        yaml.preserve_quotes = True
        yaml.width = 1_000_000
        yaml.indent(mapping=indent or 2, sequence=(indent or 2) + (offset or 0) if offset else None, offset=offset or 0)
        root = yaml.load(text)
        plain = _dump(yaml, root) if root is not None else text
        changed = _dump(yaml, change(root))
    except YAMLError as error:
        raise ValueError(_describe(error)) from None
    return transplant(text, plain, changed) if root is not None else f"{text}{changed}"


def transplant(original: str, plain: str, changed: str) -> str:
    """Return a text with those changes that lead from its copy in another style to a changed copy.

    Args:
        original: The text.
        plain: The text as the library writes it.
        changed: The changed text as the library writes it.

    Raises:
        ValueError: When a change is next to lines that the library writes in another way.
    """
    if plain == original:
        return changed
    lines, copied, wanted = (each.splitlines(keepends=True) for each in (original, plain, changed))
    place = {-1: -1, len(copied): len(lines)}
    for _, start, end, first, last in SequenceMatcher(None, lines, copied, autojunk=False).get_opcodes():
        # As many lines in another style are the same lines.
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
