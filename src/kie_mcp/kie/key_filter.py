"""Remove the API key from KIE's answers, which may repeat it in messages, URLs and other texts."""

import re
from base64 import b64encode
from collections.abc import Callable

SHORTEST_KEY = 8
"""Fewest characters of a key that is removed; a shorter one, such as that of the sandbox, may be part of a word."""
HIDDEN = "[key]"
"""The text in place of the key."""
ESCAPES = r"\\{0,16}"
"""Matches the backslashes that JSON may have before a character; a JSON text inside another one has more of them."""


def make_key_filter(key: str) -> Callable[[str], str]:
    r"""Return a function that replaces the API key in a text by `[key]`.

    The key is found in any case, with its characters written as such, in URLs (`%41`), in JSON texts (`\u0041`) or in
    HTML (`&#65;`), and also in base64 and as hexadecimal digits.
    """
    if len(key) < SHORTEST_KEY:
        return str
    forms = [_spell(key, _both_cases), _spell(key.encode().hex(), _both_cases)]
    forms += [_spell(_encode_base64(key, offset), _both_alphabets) for offset in range(3)]
    # Most characters of a text cannot begin the key, and the first group passes them over fast.
    firsts = re.escape(f"\\%&u{''.join(sorted({form[0] for form in (key.lower(), key.upper(), key.encode().hex())}))}")
    firsts += re.escape("".join(_both_alphabets(_encode_base64(key, offset)[0]) for offset in range(3)))
    pattern = re.compile(rf"(?=[{firsts}])(?:(?<!\\){ESCAPES})?(?:{'|'.join(forms)})")
    return lambda text: pattern.sub(HIDDEN, text)


def _encode_base64(key: str, offset: int) -> str:
    """Return the base64 characters that depend on the key alone, if the key begins at byte `offset` of a text.

    Base64 writes three bytes as four characters, so the key looks different at each of three offsets.
    """
    encoded = b64encode(bytes(offset) + key.encode()).decode()
    return encoded[(8 * offset + 5) // 6 : 8 * (offset + len(key)) // 6]


def _both_cases(character: str) -> str:
    return f"{character.lower()}{character.upper()}"


def _both_alphabets(character: str) -> str:
    """Return a base64 character in both alphabets: that for URLs has `-` and `_` in place of `+` and `/`."""
    return {"+": "+-", "/": "/_"}.get(character, character)


def _spell(text: str, spellings: Callable[[str], str]) -> str:
    """Return a regular expression that matches a text with each character in every way in which it may be written."""
    return ESCAPES.join(_spell_character(spellings(character)) for character in text)


def _spell_character(spellings: str) -> str:
    ways = [f"[{re.escape(spellings)}]"]
    for each in sorted(set(spellings)):
        code = f"{ord(each):02x}"
        ways.append(rf"%(?:25){{0,4}}(?i:{code})|(?<=\\)u(?i:00{code})|&#(?:{ord(each)}|[xX]0{{0,6}}(?i:{code}));?")
    return f"(?:{'|'.join(ways)})"
