"""What the tests know of KIE: tests/contract."""

import re

from contract import build
from support.paths import FACTS

PROMPT = "A fox in the snow, slow camera"
"""What stands for the prompts of KIE's examples."""
WORDS_IN_A_ROW = re.compile(r'"(?:[\w,\']+ ){5,}[\w.!?]+"')

FILES = {name: (FACTS / name).read_text(encoding="utf-8") for name in build.FILES}


def test_the_facts_are_those_of_the_notes_where_these_lie_beside_the_checkout() -> None:
    stale = [name for name, text in FILES.items() if build.NOTES.is_dir() and text != build.built(name)]
    assert stale == [], "scripts/contract writes them anew"


def test_the_facts_are_small_and_hold_no_sentence_of_kies() -> None:
    assert sum(map(len, FILES.values())) < 400_000
    for name, text in FILES.items():
        assert WORDS_IN_A_ROW.findall(text.replace(PROMPT, "")) == [], name
