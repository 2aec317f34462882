"""The voices of speech models, with words that say how they sound."""

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kie_mcp.catalog.needs import split_words
from kie_mcp.text import LONGEST_GIVEN, quote_words, shorten

SAMPLE = "https://static.aiquickdraw.com/elevenlabs/voice/{}.mp3"
"""URL of KIE's sample of an ElevenLabs voice; `{}` is replaced by the voice's id."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of a speech model."""

    id: str
    """The value of a call's argument `voice` that selects this voice."""
    about: str
    """Description of how the voice sounds; if `id` is not a name, the description begins with the voice's name."""
    sample: str = ""
    """URL of a sound file with this voice; empty if KIE offers none."""

    @property
    def name(self) -> str:
        """The name by which people know the voice."""
        return self.about.partition(",")[0] if self.sample else self.id


def _read(table: str, sample: str = "") -> tuple[Voice, ...]:
    rows = (line.split(" | ") for line in table.strip().splitlines())
    return tuple(Voice(id_, about, sample.format(id_)) for id_, about in rows)


ELEVENLABS = _read(
    """
EkK5I93UQWFDigLMpZcX | James, man, husky, bold
Z3R5wn05IrDiVCyEkUrK | Arabella, woman, mysterious, emotive
NNl6r8mD7vthiJatiJt1 | Bradford, man, British, expressive storyteller
YOq2y2Up4RgXP2HyXjE5 | Xavier, man, metallic announcer
B8gJV1IhpuegLxdpXFOE | Kuon, cheerful, clear, steady
2zRM7PkgwBPiau2jvVXc | Monika Sogam, woman, deep, natural
1SM7GgM6IMuvQlz2BwM3 | Mark, man, casual, relaxed
5l5f8iK3YPeGga21rQIX | Adeline, woman, conversational
scOwDtmlUjD3prqpp97I | Sam, man, support agent
NOpBlnGInO9m6vDvFkFC | Spuds Oxley, man, wise, approachable, old
BZgkqPqms7Kj9ulSkVzn | Eve, woman, energetic, happy
wo6udizrrtpIxWGp2qJk | Northern Terry, man, northern English character
gU0LNdkMOQCOrPrwtbee | Football Announcer, man, British football announcer
DGzg6RaUqxGRTHSBjfgF | Brock, man, loud, commanding sergeant
x70vRnQBMBu4FAYhjJbO | Nathan, man, radio host
Sm1seazb4gs7RSlUVw7c | Anika, woman, animated, friendly
P1bg08DkjqiVEzOn76yG | Viraj, man, rich, soft
qDuRKMlYmrm8trt5QyBn | Taksh, man, calm, serious, smooth
qXpMhyvQqiRxWQs4qSSB | Horatius, man, energetic character
TX3LPaxmHKxFdv7VOQHJ | Liam, man, energetic, for social media
N2lVS1w4EtoT3dr4eOWO | Callum, man, husky trickster
FGY2WhTYpPnrIDTdsKH5 | Laura, woman, quirky, enthusiastic
kPzsL2i3teMYv0FxEYQ6 | Brittney, woman, young, fun, for social media
UgBBYS2sOqTuMpoF3BR0 | Mark (natural), man, natural conversation
hpp4J3VqNfWAUOO0d1Us | Bella, woman, professional, bright, warm
nPczCjzI2devNBz1zQrb | Brian, man, deep, resonant, comforting
uYXf8XasLslADfZ2MB4u | Hope, woman, bubbly, gossipy
gs0tAILXbY5DNrJrsM6F | Jeff, man, classy, resonant, strong
DTKMou8ccj1ZaWGBiotd | Jamahal, man, young, vibrant, natural
vBKc2FfBKJfcZNyEt1n6 | Finn, man, young, eager, energetic
DYkrAHD8iwork3YSUBbs | Tom, man, conversation, audiobooks
56AoDkrOh6qfVPDXZ7Pt | Cassidy, woman, crisp, direct, clear
eR40ATw9ArzDf9h3v7t7 | Addison, woman, Australian, audiobooks, podcasts
g6xIsTj2HwM6VR4iXFCw | Jessica Anne Bogart, woman, chatty, friendly
lcMyyd2HUfFzxdCaC4Ta | Lucy, woman, fresh, casual
6aDn1KB0hjpdcocrUkmq | Tiffany, woman, natural, welcoming
Sq93GQT4X1lKDXsQcixO | Felix, man, British, warm, positive
flHkNRp1BlvT73UL6gyz | Jessica (villain), woman, eloquent villain
9yzdeviXkFddZ4Oz8Mok | Lutz, man, giggly, cheerful
pPdl9cQBQq4p6mRkZy2Z | Emma, woman, adorable, upbeat
zYcjlYFOd3taleS0gkk3 | Edward, man, loud, confident, cocky
nzeAacJi50IvxcyDnMXa | Marshal, man, friendly, funny professor
ruirxsoakN0GWmGNIo04 | John Morgan, man, gritty, rugged cowboy
TC0Zp7WVFzhA8zpTlRqV | Aria, woman, sultry villain
ljo9gAlSqKOvF6D8sOsX | Viking Bjorn, man, epic medieval raider
PPzYpIqttlTYA83688JI | Pirate Marshal, man, pirate
8JVbfL6oEdmuxKn5DK2C | Johnny Kid, man, serious, calm narrator
iCrDUkL56s3C8sCRl7wb | Hope (poetic), woman, poetic, romantic
wJqPPQ618aTW29mptyoc | Ana Rita, woman, smooth, expressive, bright
EiNlNiXeDU1pqqOPrYMO | John Doe, man, deep
4YYIPFl9wE5c4L2eu2Gb | Burt Reynolds, man, deep, smooth, clear
6F5Zhi321D3Oq7v1oNT4 | Hank, man, deep narrator
YXpFCvM1S3JbWEJhoskW | Wyatt, man, wise, rustic cowboy
LG95yZDEHg6fCZdQjLqj | Phil, man, passionate announcer
CeNX9CMwmxDxUF5Q2Inm | Johnny Dynamite, man, vintage radio DJ
aD6riP1btT197c6dACmy | Rachel M, woman, British radio presenter
mtrellq69YZsNwzUSyXh | Rex Thunder, man, deep, tough
dHd5gvgSOzSfduK4CvEg | Ed, man, late-night announcer
eVItLK1UvXctxuaRV2Oq | Jean, woman, alluring, playful
esy0r39YPLQjOczyOib8 | Britney, woman, calm, calculating villain
Tsns2HvNFKfGiNjllgqo | Sven, man, emotional, nice
1U02n4nD6AdIZ9CjF053 | Viraj (gentle), man, smooth, gentle
AeRdCCKzvd23BpJoofzx | Nathaniel, man, British, engaging, calm
LruHrtVF6PSyGItzMNHS | Benjamin, man, deep, warm, calming
1wGbFxmAM3Fgw63G1zZJ | Allison, woman, calm, soothing, meditative
hqfrgApggtO1785R4Fsn | Theodore, man, serene, grounded
MJ0RnG71ty4LH3dvNfSd | Leon, man, soothing, grounded
""",
    SAMPLE,
)
"""The voices that KIE lists for the ElevenLabs models, in KIE's order."""

ELEVENLABS_NAMES = frozenset({"adam", "rachel"})
"""Names, in lower case, that KIE's pages have although its list has not."""

ELEVENLABS_ID = re.compile("[A-Za-z0-9]{20}")
"""Matches the id of any ElevenLabs voice."""

GOOGLE = _read(
    """
Achernar | woman, soft
Achird | man, friendly
Algenib | man, gravelly
Algieba | man, smooth
Alnilam | man, firm
Aoede | woman, breezy
Autonoe | woman, bright
Callirrhoe | woman, easy-going
Charon | man, informative
Despina | woman, smooth
Enceladus | man, breathy
Erinome | woman, clear
Fenrir | man, excitable
Gacrux | woman, mature
Iapetus | man, clear
Kore | woman, firm
Laomedeia | woman, upbeat
Leda | woman, youthful
Orus | man, firm
Puck | man, upbeat
Pulcherrima | woman, forward
Rasalgethi | man, informative
Sadachbia | man, lively
Sadaltager | man, knowledgeable
Schedar | man, even
Sulafat | woman, warm
Umbriel | man, easy-going
Vindemiatrix | woman, gentle
Zephyr | woman, bright
Zubenelgenubi | man, casual
"""
)
"""The voices that all of Google's speech models have."""

GOOGLE_WIDE = (Voice("Fola", "the usual one"), *GOOGLE)
"""The known voices of Google's newer speech models; these models also have voices with unknown names."""

SAME_WORDS = {
    **dict.fromkeys(("male", "men", "guy", "boy", "masculine", "gentleman"), "man"),
    **dict.fromkeys(("female", "women", "lady", "girl", "feminine"), "woman"),
    **dict.fromkeys(("youthful", "teen", "teenager"), "young"),
    **dict.fromkeys(("audiobook", "audiobooks", "narration", "narrate", "storytelling"), "narrator"),
    **dict.fromkeys(("uk", "england", "english"), "british"),
    **dict.fromkeys(("relaxing", "peaceful", "soothing", "serene", "calming", "meditation"), "calm"),
    **dict.fromkeys(("cheerful", "upbeat", "lively"), "happy"),
}
"""Words that a search replaces by the words used in the descriptions of voices."""

NOT_DESCRIPTIVE = frozenset({"voice", "speech", "sound", "sounding", "speaker", "speaking"})
"""Words that a search ignores, because they fit every voice."""


def find_voices(voices: Iterable[Voice], text: str) -> tuple[list[Voice], list[str]]:
    """Find the voices whose id and description contain the largest number of words from a text.

    Args:
        voices: The voices to search.
        text: The words; empty to find all voices.

    Returns:
        The voices, and the words that none of them contains. If no voice contains any of the words, the list of voices
        is empty.
    """
    wanted = _words(text) - NOT_DESCRIPTIVE
    described = [(_words(f"{voice.id} {voice.about}") & wanted, voice) for voice in voices]
    most = max((len(words) for words, _ in described), default=0)
    found = [(words, voice) for words, voice in described if len(words) == most and (most or not wanted)]
    return [voice for _, voice in found], sorted(wanted.difference(*(words for words, _ in found)))


def describe_unlisted(given: str, voices: Sequence[Voice] = ELEVENLABS) -> str:
    """Return a sentence about an ElevenLabs voice that is not in KIE's list, with similar voices; else an empty text.

    Args:
        given: The voice as the caller wrote it.
        voices: KIE's list.
    """
    name = given.strip().casefold()
    known = {voice.name.casefold(): voice.name for voice in voices}
    if name in known or name in ELEVENLABS_NAMES or ELEVENLABS_ID.fullmatch(given.strip()):
        return ""
    near = [known[each] for each in difflib.get_close_matches(name, known, n=3)]
    near = near or [voice.name for voice in find_voices(voices, given)[0][:3]]
    like = f" Similar: {', '.join(near)}." if near else ""
    return f"KIE lists no voice {quote_words(shorten(given, LONGEST_GIVEN))}.{like} find_voices finds one by its sound."


def _words(text: str) -> set[str]:
    words = (re.sub(r"(?<=[a-z]{3})s$", "", word) for word in split_words(text)) if text.strip() else ()
    return {SAME_WORDS.get(word, word) for word in words}
