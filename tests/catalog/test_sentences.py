"""A long text is cut where a reader would pause, and nothing of it is lost."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.cases import for_each

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import MODELS
from kie_mcp.catalog.sentences import LONGEST_SPEECH, SMALLEST_SHARE, split_items, split_text
from kie_mcp.catalog.vendors import elevenlabs, gemini

PIECES = st.sampled_from(
    [
        *(
            "word",
            " ",
            " ",
            ". ",
            "! ",
            "? ",
            ", ",
            "\n\n",
            "\n",
            "Dr. ",
            "3.14",
            "J. ",
            "…",
            "。",
            "字",
            "！",
            "، ",
            "۔ ",
        ),
        *("[laughs]", '<break time="1s"/>', "👩‍👩‍👧‍👦", "🇺🇦", "é", "e\u0301", "👍🏽", "«Да.» ", "(etc.) ", "-"),
    ]
)
TEXTS = st.lists(PIECES, max_size=120).map("".join)
WHOLE = (r"\[laughs\]", r"<break[^>]*>", "👩‍👩‍👧‍👦", "🇺🇦", "e\u0301", "👍🏽")
"""What is never cut in two."""


@given(TEXTS, st.integers(25, 80))
def test_the_parts_are_the_text_without_the_blanks_between_them(text: str, most: int) -> None:
    parts = split_text(text, most)
    assert all(len(part) <= most for part in parts)
    assert all(part and part == part.strip() for part in parts) or parts == [""]
    assert re.sub(r"\s", "", "".join(parts)) == re.sub(r"\s", "", text)
    assert parts == split_text(text, most)
    rest = text
    for part in parts:
        rest = rest.lstrip()
        assert rest.startswith(part)
        rest = rest[len(part) :]
    assert not rest.strip()


@given(TEXTS, st.integers(25, 80))
def test_directions_and_characters_stay_whole(text: str, most: int) -> None:
    parts = split_text(text, most)
    for each in WHOLE:
        assert sum(len(re.findall(each, part)) for part in parts) == len(re.findall(each, text))


@for_each("character", ["👩‍👩‍👧‍👦", "🇺🇦", "👍🏽", "❤️", "e\u0301", "नि"])
def test_a_row_of_characters_without_blanks_is_cut_between_them(character: str) -> None:
    for most in range(10, 30):
        parts = split_text(character * 40, most)
        assert "".join(parts) == character * 40
        assert all(len(part) <= most and len(part) % len(character) == 0 for part in parts), parts


@for_each(
    "text, most, parts",
    [
        ("One is here. Two is there. Three is gone.", 28, ["One is here. Two is there.", "Three is gone."]),
        ("He met Dr. Smith today. Then he left for home.", 40, ["He met Dr. Smith today.", "Then he left for home."]),
        ("It was J. R. Tolkien again. It really was he.", 40, ["It was J. R. Tolkien again.", "It really was he."]),
        ("Pi is 3.14 or so, they say. No more than that.", 40, ["Pi is 3.14 or so, they say.", "No more than that."]),
        ("Wait... and then come in here! I am not there.", 40, ["Wait... and then come in here!", "I am not there."]),
        ("Am 3. Mai war es noch kalt. Dann kam der Juni.", 40, ["Am 3. Mai war es noch kalt.", "Dann kam der Juni."]),
        ("„Kommst du?“ Das hat sie gefragt. „Ja, bald!“", 40, ["„Kommst du?“ Das hat sie gefragt.", "„Ja, bald!“"]),
        ("她说今天很冷。他说明天更冷！她不信？他信。", 12, ["她说今天很冷。", "他说明天更冷！", "她不信？他信。"]),
        ("वह आज आया था। वह कल जाएगा। फिर मिलेंगे।", 30, ["वह आज आया था।", "वह कल जाएगा। फिर मिलेंगे।"]),
        ("first line of words\n\nsecond line of the words", 30, ["first line of words", "second line of the words"]),
        (
            "no end in sight, but a comma here and more words",
            30,
            ["no end in sight,"],
        ),
        ("no end in sight and no comma in all these words", 30, ["no end in sight and no", "comma in all these words"]),
        ("x" * 50, 30, ["x" * 25, "x" * 25]),
        ("It ended. [laughs] Then it went on for a while.", 40, ["It ended.", "[laughs] Then it went on for a while."]),
    ],
)
def test_a_text_is_cut_at_the_end_of_a_sentence_else_of_a_clause_else_of_a_word(
    text: str, most: int, parts: list[str]
) -> None:
    assert split_text(text, most)[: len(parts)] == parts


@for_each("piece", [".", "!", "…", ".!", ". ", ".\n", "\n", "\n.", '."', "。", "[", "<a", " –", " ", "\u0301"])
@for_each("end", ["", "x", " X"])
def test_no_text_takes_long_to_split(piece: str, end: str) -> None:
    """The time is that of the processor; a text of words takes a fiftieth of the limit."""
    text = piece * (LONGEST_SPEECH // len(piece) - 2) + end
    before = time.process_time()
    split_text(text, elevenlabs.LONGEST_TEXT)
    assert time.process_time() - before < 2


def test_parts_have_similar_lengths() -> None:
    sentence = "This sentence has some sixty characters, give or take a few. "
    lengths = [len(part) for part in split_text(sentence * 100, 5000)]
    assert len(lengths) == 2
    assert max(lengths) - min(lengths) <= 2 * len(sentence)
    assert min(len(part) for part in split_text(sentence * 83, 5000)) >= 5000 // SMALLEST_SHARE


@given(st.lists(st.integers(1, 50), min_size=1, max_size=60), st.integers(50, 120))
def test_groups_hold_all_items_in_order_within_the_limit(lengths: list[int], most: int) -> None:
    groups = split_items(lengths, int, most)
    assert [each for group in groups for each in group] == lengths
    assert all(sum(group) <= most for group in groups)
    assert all(groups)


@pytest.mark.parametrize("id_", ["elevenlabs/text-to-speech-turbo-2-5", "elevenlabs/text-to-speech-multilingual-v2"])
def test_each_part_of_a_speech_is_told_what_is_said_around_it(id_: str) -> None:
    text = "A sentence about a heron that stands in the water. " * 250
    call = MODELS[id_].model_validate(
        {"prompt": text, "voice": "Brian", "previous_text": "Before.", "next_text": "After."}
    )
    first, second, third = call.split()
    sent = [part.sent(str) for part in (first, second, third)]
    assert " ".join(each["text"] for each in sent) == text.strip()
    assert all(len(each["text"]) <= elevenlabs.LONGEST_TEXT and each["voice"] == "Brian" for each in sent)
    assert sent[0]["previous_text"] == "Before."
    assert sent[0]["text"].endswith(sent[1]["previous_text"])
    assert sent[2]["text"].startswith(sent[1]["next_text"])
    assert sent[2]["next_text"] == "After."
    assert all(len(each[name]) <= elevenlabs.CONTEXT for each in sent for name in ("previous_text", "next_text"))


def test_a_text_that_kie_takes_at_once_is_sent_as_it_is() -> None:
    for id_ in ("elevenlabs/text-to-speech-turbo-2-5", "google/gemini-3-1-flash-tts", "google/gemini-3-8-flash-tts"):
        call = MODELS[id_].model_validate({"prompt": " A heron. " * 400})
        assert call.split() == (call,)


BLANKS = "\n" * 11_000
SPEECH_MODELS = [id_ for id_, model in MODELS.items() if model.task_type == "text-to-speech"]


def say(id_: str, *texts: str) -> KieModel:
    """Return a call of a speech model, with one line or turn for each text if there are several."""
    model = MODELS[id_]
    if "lines" in model.model_fields:
        return model.model_validate({"lines": [{"prompt": text, "voice": "Adam"} for text in texts]})
    if len(texts) == 1:
        return model.model_validate({"prompt": texts[0]})
    return model.model_validate({"dialogue": [{"speaker": 1, "prompt": text} for text in texts]})


@pytest.mark.parametrize("id_", SPEECH_MODELS)
def test_blanks_around_a_text_make_no_part_and_cost_nothing(id_: str) -> None:
    assert say(id_, f"{BLANKS}A heron.{BLANKS}") == say(id_, "A heron.")
    call = say(id_, f"{BLANKS}A heron.{BLANKS}")
    assert call.split() == (call,)
    assert call.estimate() == say(id_, "A heron.").estimate()
    if not id_.startswith("elevenlabs/text-to-speech"):
        assert say(id_, f"A heron.{BLANKS}", BLANKS, " Yes. ") == say(id_, "A heron.", "Yes.")
    with pytest.raises(ValueError, match="only blanks"):
        say(id_, BLANKS)


def test_a_dialogue_is_split_between_its_lines_and_a_long_line_is_split_too() -> None:
    lines = [{"prompt": "Hello there, my friend. " * 60, "voice": voice} for voice in ("Adam", "Sarah")] * 4
    lines += [{"prompt": "I talk and talk. " * 400, "voice": "Adam"}]
    call = elevenlabs.DialogueV3.model_validate({"lines": lines})
    parts = call.split()
    assert all(part.length <= elevenlabs.LONGEST_TEXT for part in parts)
    said = [(line.voice, line.prompt) for part in parts for line in part.lines]
    assert [voice for voice, _ in said] == [line["voice"] for line in lines[:-1]] + ["Adam", "Adam"]
    assert " ".join(text for _, text in said).split() == " ".join(line["prompt"] for line in lines).split()


def test_gemini_tells_each_part_what_was_said_before_where_it_takes_that() -> None:
    turns = [{"speaker": 1 + number % 2, "prompt": "We talk about herons. " * 150} for number in range(8)]
    call = gemini.Flash31.model_validate({"dialogue": turns, "speakers": [{"voice": "Kore"}, {"voice": "Puck"}]})
    parts = call.split()
    assert len(parts) == 3
    assert all(part.length <= gemini.LONGEST_TEXT for part in parts)
    assert parts[0].context is None
    assert all((part.context or "").endswith("We talk about herons.") for part in parts[1:])
    newer = gemini.Flash38.model_validate({"prompt": "We talk about herons. " * 1000})
    assert [len(part.prompt or "") <= gemini.LONGEST_TEXT for part in newer.split()] == [True] * 3


@pytest.mark.parametrize(
    ("id_", "arguments", "words"),
    [
        ("elevenlabs/text-to-speech-turbo-2-5", {"prompt": "x" * 100_001}, "at most 100000 characters"),
        ("elevenlabs/text-to-speech-turbo-2-5", {"prompt": "x" * 5001, "timestamps": True}, "timestamps go with"),
        ("google/gemini-3-1-flash-tts", {"dialogue": [{"speaker": 1, "prompt": "x" * 60_000}] * 2}, "at most 100000"),
    ],
)
def test_what_cannot_be_made_in_parts_is_refused(id_: str, arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        MODELS[id_].model_validate(arguments)
