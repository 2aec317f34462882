"""Price texts: read the cost of a call from a text in KIE's live catalogue, such as `720P: 10 credits/s ($0.05)`.

KIE writes these texts by hand. If a text is not understood, the cost is unknown; it is never guessed. A text is
understood only if all its words are known and all its numbers are used, because an estimate that is too low would let a
task exceed the spending caps.
"""

import math
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from kie_mcp.catalog.amount import (
    LONGEST_UNKNOWN,
    NOT_MEASURED,
    SHORTEST_UNKNOWN,
    Amount,
    Lengths,
    add,
    exactly,
)
from kie_mcp.catalog.credits import LIST_USD_PER_CREDIT
from kie_mcp.catalog.fields import MediaRef, Medium, Ref
from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.price import Estimate
from kie_mcp.catalog.result_count import count_results, positive_number
from kie_mcp.text import one_line, quote_words, shorten

LONGEST_READ = 4000
"""Maximum number of characters of a price text that is read, because reading a longer text could take too much time."""
LONGEST_SHOWN = 120
"""Largest number of characters of a price text that are shown to the user; the rest is cut off."""

LIMIT = r"\beach job can be up to \d+ ?s(?:econds)? long\b|\bup to \d+ ?s(?:econds)? per generation\b"
LESS = r"cheaper|below|off|less|(?:versus |vs |of )?(?:the )?official|discount"
OTHERS = r"(?: (?:than|the|official|provider|&|fal(?:\.ai)?|rates?|pric(?:e|es|ing)|on a single image)\b|(?<= )&)*"
LENGTH = r"(?: (?:video|clip|duration|length|seconds))*"
INPUT, OUTPUT = rf"\binput(?! image){LENGTH}", rf"\b(?:output|generated){LENGTH}"
BOTH = r" (?:\+|plus|and|or) "
NUMBER = r"(?:\d+(?:,\d{3})+|\d+)?(?:\.\d+|(?<=\d))"
SPELLINGS = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"high-tier top-ups? \(\+\d+% bonus\) bring .*", ""),  # This part of a text is about discounts.
        (r"(?<=\d)\s*[–—]\s*(?=\d)", "-"),
        (r"[–—]", " - "),
        (rf"\((≈? ?{NUMBER} credits?)\)", r"\1"),
        (r"。", ". "),
        (r"[\"“”≤💰🔸]", ""),
        (r"(?<=\d)×", "x"),
        (r"(?<=\d) (?=[pkx]\b)", ""),
        (r"\bstandard\b", "std"),
        # The following parts of a text are removed, because they are not about the price, or only say that KIE's price
        # is lower than another price.
        (rf"(?:\bup to )?[^\s(]*\d ?%\+? (?:{LESS})\b{OTHERS}", ""),
        (r", and the advantage only grows with more uploads\b", ""),
        (rf"\bfrom ({NUMBER} (?:to|-))", r"\1"),
        (r"\b(?:upload )?up to \d+ (?:reference |input )?images?(?: at no extra cost)?\b|\bat no extra cost\b", ""),
        (r"\bup to \dk resolution\b|\bfirst (?:\d+ )?(?:input )?images?(?: is| are)? free\b|\binput audio: free\b", ""),
        (r"\bdepending on the image aspect ratio\b|\b(?:until|till) \d{4}-\d\d-\d\d", ""),
        (LIMIT, ""),
        (r"\badditional images are charged separately|\+ additional image cost", ""),
        (rf"{INPUT}{BOTH}{OUTPUT}|{OUTPUT}{BOTH}{INPUT}", "input"),
        (r"\b(?:unit )?price × (?:output\b|(?=\())|(?<=\)) × (?:unit )?price\b", ""),
        (r"\bno/with audio\b", ""),
        (r"\b(?:no|without)[ -](?:native )?(?:audio|sound)\b|\bsilent\b", "audio:no"),
        (r"\bwith[ -](?:native )?(?:audio|sound)\b", "audio:yes"),
        (r"\b(?:no|without) video(?: input)?\b", "video:no"),
        (r"\bwith video(?: input)?\b", "video:yes"),
        (r"\bvideo[- ]seconds?\b", "second"),
        (
            r"(?:\b(?:1|one|an?|each|every|per)|/) ?(?:s|sec|second) of (?:output |generated )?(?:video|audio)\b",
            "per second",
        ),
        (r"\bduration:? (\d+)\b", r"\1s"),
        (r"\b(\d+) ?/ ?(\d+) ?/ ?(\d+) ?s\b", r"\1s / \2s / \3s"),
        (r"\b(\d+) ?/ ?(\d+) ?s\b", r"\1s / \2s"),
        (r"\b(\d+)[ -]?(?:s|secs?|seconds?)\b", r"\1s"),
        (r"\b(?:us ?\$|usd ?)(?=\d)", "$"),
        (rf"({NUMBER}) ?(?:usd\b|\$(?!\d))", r"$\1"),
    )
)
"""Pairs of a pattern and a replacement, with which `_normalize()` gives price texts one spelling."""
CREDITS = re.compile(
    rf"(?<![\w.,$])(?P<amounts>{NUMBER}(?: ?(?:/|-|\bto\b|\band\b|\bor\b) ?{NUMBER})*)"
    r" ?(?:kie )?credits?\b"
)
DOLLARS = re.compile(rf"\$ ?(?P<amounts>{NUMBER}(?: ?(?:-|\bto\b) ?\$? ?{NUMBER})*)")
AT_MOST = re.compile(r"\b(?:up to|at most|max(?:imum)?(?: of)?) ?$")
FREE = re.compile(
    r"(?:(?P<subject>[\w .-]+?) is )?(?:currently )?(?:free|no charge|no cost)(?: of charge)?"
    r"(?: for now| for everyone| (?:until|during) (?:the )?(?:beta|launch|further notice)(?: (?:phase|period))?)?"
    r"[.!]?"
)
"""Matches a text that says only that the model is free."""
WORDS = frozenset(
    re.findall(
        r"\w+",
        """
    a about ai all already an and api approximately are at audio balanced be between billed billing black both but
    by calculation call can char character characters charged chars clip comparisons corresponding cost costs
    credit credits currently detailed different downloaded due each edit every extension fal fast file flat for
    forest free from generate generated generating generation has hd hidden image images inclusive input is it just
    k kie kling labs lite long lower max maximum method minute minutes mode model most no note now offers on one
    only or our output p parameters per photo picture pictures please preview price priced prices pricing pro
    quality rate rates readme refer reference request resolution roughly rule run s same save sec second seconds
    secs seedance shows simple smooth song source speech std task text the these this tiers time to total track tts
    turbo two unit up upscale upscaling use v video web while will with x yes yields you your
    """,
    )
)
"""Words in price texts that cannot mean a higher cost; if a text has any other word, its price counts as unknown."""
UNREAD = re.compile(
    r"[^\w\s.,:;()/|&$#=~≈!•-]|\bup\b(?! to \d)|\bfrom ?[~≈$\d]"
    r"|\d[ '’]\d{3}\b|\d\.\d{3,} ?(?:kie )?credits?"
)
"""Matches signs and numbers that may mean a higher cost, such as `+`, `×`, `from 10` or `1 200` (for 1200)."""
SUM = re.compile(
    rf"\A(?!.*\b(?:\d{{3,4}}p|[\d.]+k|\d+s)\b).*(?:\band|&) ?[~≈]? ?\$?{NUMBER}(?: (?:kie )?credits?)?\b", re.DOTALL
)
"""Matches a text that joins prices by `and` or `&` and names no size or length. Such prices may have to be added up."""
TIME = re.compile(r"\b(?:s|secs?|seconds?|mins?|minutes?|hours?|hourly|duration|length|long|longer)\b")
"""Matches words which show that a price may be for a length of time."""
INPUT_SECONDS = re.compile(
    r"\b(?:input|source|upload(?:ed)?|reference|original|clips?|footage|both|combined|total|sent|provided|supplied)\b"
    r"(?!-to-)(?! (?:\w+ )?(?:image|picture)s?\b)"
)
"""Matches words which may mean that the seconds of the input files are paid as well."""
OPEN_COUNT = re.compile(
    r"\bnumber of\b|\b(?:layer|token|megapixel|frame|step|shot|scene|speaker|word|line|variation|sample|page)s?\b"
)
"""Matches words which mean that the cost depends on a number that only KIE knows, such as the number of tokens."""
INPUT_IMAGES = re.compile(
    r"\b(?:input|additional|extra|reference) (?:\w+ )?(?:image|picture)s?\b(?: input\b)?|\bimage input\b"
)
"""Matches words before a price, such as `additional images`, which mean that the price is for each input picture."""
PER_INPUT_IMAGE = re.compile(
    r"(?:\b(?:per|an?|each|every|for)|/) ?(?:additional|extra|input|reference) (?:\w+ )?(?:image|picture)s?\b"
)
"""Matches words after a price, such as `per extra image`, which mean that the price is for each input picture."""

OWN_PART = re.compile(r"(?:\([^()]*\)|[^(),;|•\n.]|[.,](?=\d))*")
"""Matches the words after a price, up to the next comma, full stop or line break outside of parentheses."""
NOTE = re.compile(r"\([^()]*\)")
CONNECTED = re.compile(r"[^\w]*(?:for|at|in|with|audio:|video:)")
"""Matches a word such as `for` directly after a price; all words from there to the next price are about this price."""
Unit = Literal["second", "minute", "image", "character", "result", "call", "unsaid", "unknown"]
NOUNS: dict[str, Unit] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "second"),
    **dict.fromkeys(("image", "images", "picture", "pictures", "photo"), "image"),
    **dict.fromkeys(("character", "characters", "char", "chars"), "character"),
    **dict.fromkeys(("minute", "minutes"), "minute"),
    **dict.fromkeys(("video", "clip", "song", "track"), "result"),
    **dict.fromkeys(("task", "call", "request", "generation", "time"), "call"),
    **dict.fromkeys(("upscale", "extension", "edit", "file", "job", "run"), "call"),
}
"""The price unit that each noun means after `per` in a price text."""
UNIT = re.compile(
    rf"(?:/ ?|\b(?:per|an?|each|every|for each) )"
    rf"(?:(?P<words>(?:(?!per\b|megapixels?\b)[\w,.-]+ ){{0,2}}?)(?P<noun>{'|'.join(NOUNS)})\b"
    rf"|(?<!/ )(?<!/)(?P<seconds>\d+)s(?P<clip> video| clip)?\b|(?P<other>(?!\d)\w+))"
)
"""Matches the unit of a price and the number of units, such as `/s`, `per 1,000 characters` or `per 5s video`."""

RESOLUTION = re.compile(r"\b(?:\d{3,4}p|\d(?:\.\d)?k)\b")
SECONDS_FIELDS = ("duration", "seconds", "duration_seconds", "video_duration")
TEXT_FIELDS = ("prompt", "text", "dialogue")
"""Names of arguments whose characters are surely paid if a price is for a number of characters."""
LONGEST_SETTING = 40
"""Largest number of characters of a word, such as the name of a voice, that is a setting and no text to speak."""

UNREADABLE = Estimate(None, None)


@dataclass(frozen=True, slots=True)
class Figure:
    """One price in a text: a number or a range of credits, and what these credits pay for."""

    low: float
    high: float
    """Highest number of credits; NaN if the text does not show which of its prices is for which argument values."""
    unit: Unit
    units: float
    """Number of units that the credits pay for, such as 1000 for a price per 1000 characters."""
    surcharge: bool
    """Whether each input picture costs this price, in addition to the price of the call."""
    labels: Mapping[str, frozenset[str]]
    """The argument values for which this price is valid, such as 720p; the key is the `name` of a `Label`."""


@dataclass(frozen=True, slots=True)
class Label:
    """An argument of a call, such as the resolution, that may decide which price of a text is valid."""

    name: str
    pattern: re.Pattern[str]
    """Matches any allowed value of the argument, as `_normalize()` spells it in price texts."""
    wanted: str
    """The value of the argument in the call, in the spelling of `_normalize()`, such as 720p or audio:yes."""


def estimate_from_text(call: KieModel, text: str, lengths: Lengths = NOT_MEASURED) -> Estimate:
    """Estimate the cost of a call from KIE's price text.

    If the text has several prices, only the prices for the call's arguments are used. If the text does not name these
    arguments, the estimate goes from the lowest price to the highest price.

    Args:
        call: An instance of a model class.
        text: KIE's price text.
        lengths: For each file that was measured, its length in seconds. For any other file, the estimate assumes a
            length from `SHORTEST_UNKNOWN` to `LONGEST_UNKNOWN`.

    Returns:
        The estimate; it is `UNREADABLE` if anything in the text or the call is unclear.
    """
    if len(text) > LONGEST_READ:
        return UNREADABLE
    words = _normalize(text)
    if _says_free(words, call.id):
        return Estimate(0, 0)
    labels = tuple(_labels(call))
    figures = _find_figures(words, labels)
    base = [figure for figure in figures if not figure.surcharge] or figures
    chosen = _choose(base, labels)
    if not chosen or not _is_understood(words, figures, call.id, labels) or (len(chosen) > 1 and SUM.search(words)):
        return UNREADABLE
    amounts = [_count_times(figure, call, words, lengths) for figure in chosen]
    # "Extra pictures" may mean input pictures or pictures that the call makes. So both are counted, to be on the safe
    # side.
    pictures = len(_measure_inputs(call, "image", lengths)) + count_results(_values(call), 0)
    added = sum(figure.high * pictures for figure in figures if figure not in base)
    low = min(figure.low * amount.low for figure, amount in zip(chosen, amounts, strict=True))
    high = max(figure.high * amount.high for figure, amount in zip(chosen, amounts, strict=True))
    if any(map(math.isnan, (added, *(amount.high for amount in amounts), *(figure.high for figure in chosen)))):
        return UNREADABLE
    return Estimate(round(low, 2), round(high + added, 2), amounts[0].assumed)


def _says_free(words: str, model_id: str) -> bool:
    """Tell whether a text says only that the model is free, and not, for example, that a preview is free."""
    found = FREE.fullmatch(words.strip())
    subject = re.findall(r"\w+", (found and found["subject"]) or "")
    return bool(found) and {*subject} <= {"this", "the", "model", "it", "api", *re.findall(r"\w+", model_id)}


def _is_understood(words: str, figures: Sequence[Figure], model_id: str, labels: Sequence[Label]) -> bool:
    """Tell whether a text is fully understood: no part of it can raise the cost above the prices that were found.

    Args:
        words: The text after `_normalize()`.
        figures: The prices that were found in the text.
        model_id: The model's id; the text may contain the words and numbers of this id anywhere.
        labels: The arguments that may decide which price applies.
    """
    name = re.compile(r"[ ._/-]*".join(re.findall(r"\w+", model_id.lower().rpartition("/")[2])))
    rest = name.sub("#", INPUT_IMAGES.sub("#", words))
    for label in labels:
        rest = label.pattern.sub("#", rest)
    names = {*re.findall(r"[^\W\d_]+", model_id.lower())} - {"plus", "add", "extra", "double", "extend"}
    numbers = {"0", *re.findall(r"\d+", model_id)}
    return (
        {*re.findall(r"[^\W\d_]+", rest)} <= WORDS | names
        and not UNREAD.search(rest)
        and not OPEN_COUNT.search(rest)
        and not (re.search(r"\b(?:audio|sound)\b(?!:)", words) and _may_pay_for_sound(figures, labels))
        and _has_one_unit(words, figures)
        and _are_same_dollars(words)
        and {*_find_other_numbers(words, labels)} <= numbers
    )


def _may_pay_for_sound(figures: Sequence[Figure], labels: Sequence[Label]) -> bool:
    wanted = {label.wanted for label in labels}
    return "audio:yes" in wanted or (len(figures) > 1 and "audio:no" not in wanted)


def _has_one_unit(words: str, figures: Sequence[Figure]) -> bool:
    """Tell whether all prices have the same unit, and whether the text names no other unit."""
    found = [*UNIT.finditer(words)]
    if any(each["other"] and each[0].startswith("per ") for each in found):
        return False
    units = {figure.unit for figure in figures if not figure.surcharge} or {figure.unit for figure in figures}
    # The nouns in "an image" and in "text-to-video / image-to-video" are not units, so they are skipped.
    nouns = (each for each in found if not re.match(r"an? ", each[0]) and words[each.end() :][:1] != "-")
    extra = {figure.unit for figure in figures if figure.surcharge}
    named: set[Unit] = {NOUNS[each["noun"]] for each in nouns if each["noun"]} - extra
    timed = units <= {"second", "minute"}
    allowed = {"call", "result"} if timed or units == {"result"} else {"call"}
    return len(units) == 1 and named <= units | allowed and (timed or not TIME.search(words))


def _are_same_dollars(words: str) -> bool:
    """Tell whether each price in dollars is equal to a price in credits; True if the text has no credits."""
    credits_, dollars = (
        [number for found in pattern.finditer(words) for number in _read_numbers(found["amounts"])]
        for pattern in (CREDITS, DOLLARS)
    )
    return not credits_ or all(
        any(math.isclose(each, number * LIST_USD_PER_CREDIT, rel_tol=0.1, abs_tol=0.005) for number in credits_)
        for each in dollars
    )


def _find_other_numbers(words: str, labels: Sequence[Label]) -> list[str]:
    """Return what belongs to no price, unit or label: numbers, the word "credits", and multiples such as "costs 2x"."""
    rest = DOLLARS.sub("#", CREDITS.sub("#", words))
    for pattern in (UNIT, RESOLUTION, re.compile(r"\b\d+s\b"), *(each.pattern for each in labels)):
        rest = pattern.sub(" ", rest)
    multiples = re.findall(
        r"\b(?:costs?|is|are|pay) \d+x\b|\d+x (?:at|for|the|price|cost|rate|with|when|if|in)\b", words
    )
    return re.findall(r"\d+|credits?\b", rest) + multiples


def _read_numbers(text: str) -> list[float]:
    return [float(each.replace(",", "")) for each in re.findall(NUMBER, text) if each]


def quote_text(text: str) -> str:
    """Quote KIE's price text after "KIE says:", on one line and cut off if it is long; empty for an empty text."""
    line = shorten(one_line(text), LONGEST_SHOWN)
    return f"KIE says: {quote_words(line)}" if line else ""


def _normalize(text: str) -> str:
    """Return a price text in lower case, with one spelling for words that KIE spells in several ways."""
    lines = unicodedata.normalize("NFKC", text[:LONGEST_READ]).lower().splitlines()
    words = "\n".join(" ".join(line.split()) for line in lines)
    for pattern, replacement in SPELLINGS:
        words = pattern.sub(replacement, words)
    return words


def _find_figures(words: str, labels: Sequence[Label]) -> list[Figure]:
    """Find all prices in a text, with their units, and with the argument values in the words around them."""
    # If the text has no prices in credits, the prices in dollars are read and converted to credits.
    pattern, credits_ = (CREDITS, 1.0) if CREDITS.search(words) else (DOLLARS, 1 / LIST_USD_PER_CREDIT)
    found = [*pattern.finditer(words)]
    ends = [*(each.start() for each in found), len(words)][1:]
    figures: list[Figure] = []
    before = words[: found[0].start()] if found else ""
    for each, end in zip(found, ends, strict=True):
        own, after = _split(words[each.end() : end], last=each is found[-1])
        unit, units = _find_unit(own, before)
        clause = re.split(r"[.;\n] ?(?!\d)", before)[-1]
        figure = Figure(0, 0, unit, units, bool(INPUT_IMAGES.search(clause) or PER_INPUT_IMAGE.search(own)), {})
        for amounts, own_labels in _read_amounts(each, before, own, labels):
            inherited = figures[-1].labels if figures else {}
            low, high = (amount * credits_ for amount in amounts)
            figures.append(replace(figure, low=low, high=high, labels={**inherited, **own_labels}))
        before = after
    return _share_units(figures)


def _split(between: str, *, last: bool) -> tuple[str, str]:
    """Split the text between two prices into the part about the first price and the part about the second price."""
    own = OWN_PART.match(between)
    end = own.end() if own else 0
    if last or end < len(between) or CONNECTED.match(UNIT.sub("", NOTE.sub("", between), count=1)):
        return between[:end], between[end:]
    # If no comma separates two prices, only the unit and a note in parentheses belong to the first price.
    notes = [match.end() for match in (NOTE.match(between.lstrip()), UNIT.match(between.lstrip())) if match]
    cut = max(notes, default=0) + len(between) - len(between.lstrip())
    more = re.match(r" ?(?:/ ?s\b|\([^()]*\))", between[cut:])
    cut += more.end() if more else 0
    return between[:cut], between[cut:]


def _find_unit(own: str, before: str) -> tuple[Unit, float]:
    """Return the unit of a price and the number of units; `unsaid` and 1 if the text names no unit.

    Args:
        own: The words after the price that are about this price.
        before: The words before the price.
    """
    # Directly after a price, `/ 10s` is the unit of this price. Elsewhere, it means that the next price is for 10 s.
    if seconds := re.match(r" ?/ ?(\d+)s\b", own):
        return "second", float(seconds[1])
    for words in (
        NOTE.sub(" ", own),
        own if re.search(r"/ ?s\b", own) else "",
        before if "per second" in before else "",
    ):
        if unit := UNIT.search(words):
            if unit["seconds"]:
                return ("result", 1) if unit["clip"] else ("second", float(unit["seconds"]))
            kind = NOUNS.get(unit["noun"] or "", "unknown")
            number = re.match(r"(\d[\d,]*)(k?) ", unit["words"] or "")
            # Before "characters", `1k` means 1000. Before any other noun, `1k` is the size of a picture and no number
            # of units.
            if not number or (number[2] and kind != "character"):
                return kind, 1
            return kind, float(number[1].replace(",", "")) * (1000 if number[2] else 1)
    return "unsaid", 1


def _share_units(figures: Sequence[Figure]) -> list[Figure]:
    """Give each price without a unit the unit of the previous price, or else of the first price that has a unit."""
    said = [figure for figure in figures if figure.unit != "unsaid"]
    shared: list[Figure] = []
    for figure in figures:
        unit, units = figure.unit, figure.units
        if unit == "unsaid" and said:
            model = shared[-1] if shared else said[0]
            unit, units = model.unit, model.units
        # In a text that also has prices per second, KIE writes "per video" for "per second of video".
        if unit in ("call", "result") and any(each.unit == "second" for each in said):
            unit = "second"
        shared.append(replace(figure, unit=unit, units=units))
    return shared


def _read_amounts(
    found: re.Match[str], before: str, own: str, labels: Sequence[Label]
) -> Iterator[tuple[tuple[float, float], dict[str, frozenset[str]]]]:
    """Yield each price of a match: its lowest and highest number, and the argument values for which it is valid.

    `70 / 140 credits for 5s / 10s` is two prices, and `70-140 credits` is one price.

    Args:
        found: A match of `CREDITS` or `DOLLARS`.
        before: The words before the match.
        own: The words after the match that are about the prices in the match.
        labels: The arguments that may decide which price applies.
    """
    amounts = _read_numbers(found["amounts"])
    named = {label.name: label.pattern.findall(f"{before} {own}") for label in labels}
    if "/" in found["amounts"]:
        for index, amount in enumerate(amounts):
            own_labels = {
                name: frozenset(values[index : index + 1] if len(values) == len(amounts) else values)
                for name, values in named.items()
                if values
            }
            clear = all(len(values) in (1, len(amounts)) for values in named.values() if values)
            yield (amount, amount if clear else math.nan), own_labels
        return
    low, high = min(amounts), max(amounts)
    if AT_MOST.search(before):
        low = 0
    yield (low, high), {name: frozenset(values) for name, values in named.items() if values}


def _choose(figures: Sequence[Figure], labels: Sequence[Label]) -> Sequence[Figure]:
    """Return the prices that apply to the call's arguments; all prices if they do not depend on these arguments.

    The result is empty if the call has a value without a price in the text, which may cost more than those with one:
    `4k`, for example, if the text has prices only for `720p` and `1080p`.
    """
    for label in labels:
        values = frozenset[str]().union(*(figure.labels.get(label.name, ()) for figure in figures))
        if label.wanted in values:
            figures = [figure for figure in figures if label.wanted in figure.labels.get(label.name, ())]
        elif values and not _is_covered(label, values, figures):
            return ()
    return figures


def _is_covered(label: Label, values: Collection[str], figures: Sequence[Figure]) -> bool:
    """Return whether the call's value of an argument costs no more than `values`, which the text names instead.

    It costs no more, for example, if the text names a value that is at least as large (1080p, if the call has 720p), or
    if the argument does not affect the price.
    """
    if label.name in ("audio", "video"):
        return label.wanted.endswith(":no") or not all(figure.labels.get(label.name) for figure in figures)
    if label.name == "duration" and all(figure.unit in ("second", "minute") for figure in figures):
        return True
    size = _measure_label(label.wanted)
    return label.wanted == "auto" or any(size <= _measure_label(value) for value in values)


def _measure_label(value: str) -> float:
    """Return the number in an argument's value, such as 720 for 720p and 2160 for 4k; NaN if there is none."""
    known = {"1k": 1024, "1.5k": 1280, "2k": 1440, "3k": 1620, "4k": 2160, "5k": 2700, "6k": 3240, "8k": 4320}
    number = re.fullmatch(r"(\d+)[psx]", value)
    return known.get(value, float(number[1]) if number else math.nan)


def _count_times(figure: Figure, call: KieModel, words: str, lengths: Lengths) -> Amount:
    """Return the number by which a price is multiplied to get the cost of a call.

    For a price per 1000 characters and a text of 3000 characters, the number is 3. It is NaN if the call's arguments
    and files do not show it.
    """
    results = count_results(_values(call))
    match figure.unit:
        case "second" | "minute":
            units = figure.units * (60 if figure.unit == "minute" else 1)
            seconds = _count_bundles(_count_seconds(call, words, lengths), units)
            return Amount(seconds.low, seconds.high * results, seconds.assumed)
        case "image":
            return _count_bundles(exactly(results), figure.units)
        case "unsaid" | "result":
            # A price without a unit may be for the whole call, or for each result of the call.
            return Amount(min(results, 1), results)
        case "character":
            return _count_texts(call, figure.units)
        case "call":
            return exactly(1)
        case "unknown":
            return exactly(math.nan)


def _count_bundles(amount: Amount, units: float) -> Amount:
    """Return how many times a price for several units is paid: with a price per 5 s, 12 s cost three times the price.

    A price for one unit is also paid for parts of a unit: 2.5 s cost 2.5 times the price of 1 s.
    """
    if units == 1:
        return amount
    low, high = (each if math.isnan(each) else math.ceil(each / units) for each in (amount.low, amount.high))
    return Amount(low, high, amount.assumed)


def _count_seconds(call: KieModel, words: str, lengths: Lengths) -> Amount:
    """Return the seconds that a call pays for.

    If the call does not state the length of the result, the longest length that KIE's schema allows is assumed. If the
    schema states none, the length of all input files together is assumed. Without input files, LONGEST_UNKNOWN seconds
    are assumed. The seconds of the input files are added if the text may mean that they are paid as well.
    """
    files = [*_measure_inputs(call, "video", lengths), *_measure_inputs(call, "audio", lengths)]
    given = _number(call, SECONDS_FIELDS, math.nan)
    if not math.isnan(given):
        result = exactly(given)
    elif most := _longest_result(call):
        result = Amount(min(SHORTEST_UNKNOWN, most), most, f"KIE chooses the length, {most:g} s at most")
    elif files:
        whole = add(files)
        result = Amount(min(each.low for each in files), whole.high, whole.assumed)
    else:
        assumed = f"KIE states no length, {LONGEST_UNKNOWN:g} s count"
        result = Amount(SHORTEST_UNKNOWN, LONGEST_UNKNOWN, assumed)
    return add([result, *files]) if INPUT_SECONDS.search(words) else result


def _longest_result(call: KieModel) -> float:
    """Return the largest length in seconds that KIE's schema allows for the result; 0 if the schema states none."""
    schemas = type(call).field_schemas()
    fields = [schemas[name] for name in SECONDS_FIELDS if name in schemas]
    stated = [value for field in fields for value in (field.get("maximum"), *field.get("enum", ()))]
    return max((number for value in stated if not math.isnan(number := positive_number(value))), default=0)


def _number(call: KieModel, names: Sequence[str], missing: float) -> float:
    """Return the largest number in the named fields of a call.

    Args:
        call: An instance of a model class.
        names: Names of the fields.
        missing: The number to return when all of these fields are empty.

    Returns:
        The number; NaN if a field has a value that is not a positive number, such as -1 for a length that KIE chooses.
    """
    values = [value for name in names if (value := _values(call).get(name)) is not None]
    return max(map(positive_number, values), default=missing)


def _count_texts(call: KieModel, units: float) -> Amount:
    """Return how many times a price for a number of characters is paid; NaN for a call without any text.

    The least is for the arguments that surely are the text, and the most for all arguments that may be texts.
    """
    schemas = type(call).field_schemas()
    lengths = {
        name: _count_characters(value)
        for name, value in _values(call).items()
        if name in TEXT_FIELDS or not ("enum" in schemas.get(name, {}) or _is_setting(value))
    }
    least, most = sum(lengths.get(name, 0) for name in TEXT_FIELDS), sum(lengths.values())
    return Amount((least or most or math.nan) / units, (most or math.nan) / units)


def _is_setting(value: object) -> bool:
    """Tell whether a value is one short word, such as `720p` or the name of a voice."""
    return isinstance(value, str) and len(value) <= LONGEST_SETTING and not re.search(r"\s", value)


def _count_characters(value: object) -> int:
    """Return the number of characters in a text, or in all texts inside a list or an object together."""
    if isinstance(value, Ref):
        return 0
    if isinstance(value, str):
        return len(value)
    if isinstance(value, KieModel) or hasattr(value, "model_dump"):
        value = value.model_dump()
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
    return sum(map(_count_characters, parts))


def _measure_inputs(call: KieModel, medium: Medium, lengths: Lengths) -> list[Amount]:
    """Return the length in seconds of each input file of a medium, such as `video`.

    An argument that is not in the model's schema is taken for a file if its name contains the medium: `video_url` is a
    video.
    """
    refs = [ref for ref in call.references() if isinstance(ref, MediaRef) and ref.medium in (medium, "file")]
    others = [value for name, value in (call.model_extra or {}).items() if medium in name and value]
    unknown = Amount(SHORTEST_UNKNOWN, LONGEST_UNKNOWN, f"{medium} of unknown length counts as {LONGEST_UNKNOWN:g} s")
    parts = [each for value in others for each in (value if isinstance(value, list) else [value])]
    untyped = sum(not isinstance(each, MediaRef) for each in parts)
    return [exactly(lengths[ref]) if ref in lengths else unknown for ref in refs] + [unknown] * untyped


def _values(call: KieModel) -> dict[str, Any]:
    """Return the values of all arguments of a call; the key is the argument's name."""
    return {name: getattr(call, name, None) for name in type(call).model_fields} | (call.model_extra or {})


def _labels(call: KieModel) -> Iterator[Label]:
    """Yield the arguments of a call that may decide which price in a text applies."""
    values = {name: value for name, value in _values(call).items() if value is not None}
    schemas = type(call).field_schemas()
    for name, value in values.items():
        spelled = f"{value}p" if "resolution" in name and str(value).isdigit() else _normalize(str(value))
        if RESOLUTION.fullmatch(spelled):
            yield Label("resolution", RESOLUTION, spelled)
        elif isinstance(value, bool) and re.search("audio|sound", name):
            yield Label("audio", re.compile(r"\baudio:(?:yes|no)\b"), f"audio:{'yes' if value else 'no'}")
        elif re.search("factor|scale", name) and not math.isnan(number := positive_number(value)):
            yield Label("factor", re.compile(r"\b\d+x"), f"{number:g}x")
        elif len(choices := [_normalize(str(each)) for each in _choices(schemas.get(name, {}))]) > 1:
            words = "|".join(re.escape(each) for each in sorted(choices, key=len, reverse=True))
            yield Label(name, re.compile(rf"(?<![\w-])(?:{words})(?![\w-])"), spelled)
    if not math.isnan(seconds := _number(call, SECONDS_FIELDS, math.nan)):
        yield Label("duration", re.compile(r"\b\d+s\b"), f"{seconds:g}s")
    yield Label(
        "video",
        re.compile(r"\bvideo:(?:yes|no)\b"),
        f"video:{'yes' if _measure_inputs(call, 'video', NOT_MEASURED) else 'no'}",
    )


def _choices(field: Mapping[str, Any]) -> list[str]:
    """Return the texts in the `enum` of a field's schema, without texts that are a number or a single character."""
    return [each for each in field.get("enum", ()) if isinstance(each, str) and len(each) > 1 and not each.isdigit()]
