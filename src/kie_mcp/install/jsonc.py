"""Change single values in JSON with comments and trailing commas (JSONC), without changing any other character.

No maintained Python library does this: the libraries that keep comments reformat the rest of the file. Here, a
change replaces one to three pieces of the text, so nothing else can change.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

Path = Sequence[str | int]
"""The path to a value: names of members and indexes of elements; to append to a list, use the list's length."""
BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')
SCALAR = re.compile(r"[-+.\w]+")
REST_OF_LINE = re.compile(r"(?:[ \t]|/\*[^\n]*?\*/)*(?://[^\r\n]*)?")
"""Matches the comments that follow a value on the same line; they are removed with the value."""
INDENT = re.compile(r'^([ \t]+)["\[{]', re.MULTILINE)


@dataclass(slots=True)
class _Node:
    """A value with its position in the text."""

    start: int
    end: int = 0
    value: Any = None
    members: "list[_Member]" = field(default_factory=list)


@dataclass(slots=True)
class _Member:
    """A member of an object, or an element of a list."""

    key: str | int
    start: int
    node: _Node
    comma: int = 0
    """Position after the comma that follows the member; 0 if there is none."""

    @property
    def end(self) -> int:
        return self.comma or self.node.end


def parse(text: str) -> Any:
    """Parse a text and return its value; return an empty object for a text that has only comments.

    Raises:
        ValueError: When the text is not valid; the message has the line number.
    """
    root = _Scanner(text).scan()
    return root.value if root else {}


def put(text: str, path: Path, value: Any) -> str:
    """Return a text with a new value at a path; objects and lists that are missing on the path are added.

    Raises:
        ValueError: When the text is not valid, or a value on the path is neither an object nor a list.
    """
    node = _Scanner(text).scan()
    if not node:
        text += "\n" if text.strip() and not text.endswith("\n") else ""
        return f"{text}{_render(_wrap(path, value), _unit(text), '')}\n"
    for place, key in enumerate(path):
        if type(node.value) is not (dict if isinstance(key, str) else list):
            raise ValueError(f"{'.'.join(map(str, path[:place])) or 'the file'} is no {_kind(key)}")
        member = _find(node, key)
        if not member:
            return _insert(text, node, key, _wrap(path[place + 1 :], value))
        node = member.node
    return text[: node.start] + _render(value, _unit(text), _indent_at(text, node.start)) + text[node.end :]


def remove(text: str, path: Path) -> str:
    """Return a text without the member at a path; if there is no such member, return the text unchanged.

    Raises:
        ValueError: When the text is damaged.
    """
    root = _Scanner(text).scan()
    *way, last = path
    parent = root
    for key in way:
        member = _find(parent, key) if parent else None
        parent = member.node if member else None
    member = _find(parent, last) if parent else None
    return _cut(text, parent, member) if parent and member else text


def _find(node: _Node, key: str | int) -> _Member | None:
    return next((each for each in node.members if each.key == key), None)


def _kind(key: str | int) -> str:
    return "object" if isinstance(key, str) else "list"


def _wrap(path: Path, value: Any) -> Any:
    for key in reversed(path):
        value = {key: value} if isinstance(key, str) else [value]
    return value


def _unit(text: str) -> str | None:
    """Return the spaces or tabs of one level of indentation in a text; None if the whole text is on one line."""
    if found := INDENT.search(text):
        return found[1]
    return None if text.strip() and "\n" not in text.strip() and text.strip() != "{}" else "  "


def _indent_at(text: str, place: int) -> str:
    line = text[text.rfind("\n", 0, place) + 1 : place]
    return line[: len(line) - len(line.lstrip())]


def _render(value: Any, unit: str | None, indent: str) -> str:
    return json.dumps(value, indent=unit, ensure_ascii=False).replace("\n", f"\n{indent}")


def _insert(text: str, node: _Node, key: str | int, value: Any) -> str:
    """Return the text with a new member at the end of an object or list."""
    unit, indent = _unit(text), _indent_at(text, node.start)
    name = f"{json.dumps(key, ensure_ascii=False)}: " if isinstance(key, str) else ""
    if not node.members:
        inside, close = text[node.start + 1 : node.end - 1].rstrip(), text[node.end - 1]
        if unit is None:
            return f"{text[: node.start + 1]}{inside}{name}{_render(value, None, '')}{text[node.end - 1 :]}"
        member = f"{indent}{unit}{name}{_render(value, unit, indent + unit)}"
        return f"{text[: node.start + 1]}{inside}\n{member}\n{indent}{close}{text[node.end :]}"
    last = node.members[-1]
    # If the last member has a trailing comma, the new one gets a trailing comma too.
    comma, end = ("", ",") if last.comma else (",", "")
    after = REST_OF_LINE.match(text, last.end)
    place = after.end() if after and after[0].strip() else last.end
    if "\n" in text[node.start : node.members[0].start] or (after and "//" in after[0]):
        indent = _indent_at(text, node.members[0].start)
        member = f"\n{indent}{name}{_render(value, unit, indent)}{end}"
    else:
        member = f" {name}{_render(value, None, '')}{end}"
    return text[: last.end] + comma + text[last.end : place] + member + text[place:]


def _cut(text: str, parent: _Node, member: _Member) -> str:
    """Return the text without a member, without the comments after it on its line, and without a needless comma."""
    start, end = member.start, member.end
    head = text[:start].rstrip(" \t")
    after = REST_OF_LINE.match(text, end)
    if after and text[after.end() : after.end() + 1] in {"\r", "\n"}:
        # The member is the last on its line. If the member is also the first on this line, the whole line is removed.
        end = after.end()
        if head.endswith("\n"):
            start, end = len(head), text.index("\n", end) + 1
    elif member is not parent.members[-1]:
        end += len(text[end:]) - len(text[end:].lstrip(" \t"))
    head = text[:start]
    place = parent.members.index(member)
    if member is parent.members[-1]:
        head = head.rstrip(" \t")
        if place and not member.comma:
            comma = parent.members[place - 1].comma
            head = head[: comma - 1] + head[comma:]
    rest = text[end:]
    if len(parent.members) == 1 and not head[parent.start + 1 :].strip() and rest.lstrip()[:1] in {"}", "]"}:
        return head[: parent.start + 1] + rest.lstrip()
    return head + rest


class _Scanner:
    """Parses a text into nodes."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0

    def scan(self) -> _Node | None:
        """Return the node of the outermost value, or None if the text has only blanks and comments.

        Raises:
            ValueError: When the text is damaged.
        """
        self.skip()
        if self.place == len(self.text):
            return None
        try:
            root = self.read_value()
        except RecursionError:
            raise ValueError("it is nested too deep") from None
        self.skip()
        if self.place != len(self.text):
            self.fail("nothing more is expected")
        return root

    def skip(self) -> None:
        found = BLANK.match(self.text, self.place)
        self.place = found.end() if found else self.place

    def fail(self, reason: str) -> NoReturn:
        line = self.text.count("\n", 0, self.place) + 1
        raise ValueError(f"line {line}: {reason}")

    def take(self, character: str) -> bool:
        """Skip blanks; if the given character follows, skip this character, too, and return True."""
        self.skip()
        if self.text[self.place : self.place + 1] != character:
            return False
        self.place += 1
        return True

    def read_value(self) -> _Node:
        self.skip()
        node = _Node(self.place)
        opening = self.text[self.place : self.place + 1]
        if opening in {"{", "["}:
            self.place += 1
            self.read_members(node, "}" if opening == "{" else "]")
        else:
            node.value = self.read_scalar()
        node.end = self.place
        return node

    def read_members(self, node: _Node, close: str) -> None:
        while not self.take(close):
            if node.members and not node.members[-1].comma:
                self.fail("a comma is missing")
            self.skip()
            start = self.place
            key: str | int = len(node.members)
            if close == "}":
                key = self.read_key(node)
            member = _Member(key, start, self.read_value())
            node.members.append(member)
            end = self.place
            if self.take(","):
                member.comma = self.place
            else:
                self.place = end
        node.value = (
            {each.key: each.node.value for each in node.members}
            if close == "}"
            else [each.node.value for each in node.members]
        )

    def read_key(self, node: _Node) -> str:
        found = STRING.match(self.text, self.place)
        if not found:
            self.fail("a name in quotation marks is missing")
        key = self.read_scalar()
        if _find(node, key):
            self.fail(f"{key} is there twice")
        if not self.take(":"):
            self.fail("a colon is missing")
        return str(key)

    def read_scalar(self) -> Any:
        found = STRING.match(self.text, self.place) or SCALAR.match(self.text, self.place)
        if not found:
            self.fail("a value is missing")
        try:
            value = json.loads(found[0], strict=False)
        except json.JSONDecodeError:
            self.fail("this is no value")
        self.place = found.end()
        return value
