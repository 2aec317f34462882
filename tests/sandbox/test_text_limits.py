"""The sandbox refuses a text that is longer than KIE takes in one request, as KIE does: no task, no credits."""

from typing import Any

import pytest
from support.sandbox_caller import Kie

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("model", "fields", "most"),
    [
        ("elevenlabs/text-to-speech-turbo-2-5", lambda text: {"text": text, "voice": "Rachel"}, 5000),
        ("elevenlabs/text-to-dialogue-v3", lambda text: {"dialogue": [{"text": text, "voice": "Adam"}]}, 5000),
        (
            "elevenlabs/text-to-dialogue-v3",
            lambda text: {"dialogue": [{"text": half, "voice": "Adam"} for half in (text[:2000], text[2000:])]},
            5000,
        ),
        (
            "google/gemini-3-1-flash-tts",
            lambda text: {
                "speakers": [{"speaker_id": "Speaker 1", "voice_name": "Kore"}],
                "dialogue_turns": [{"speaker_id": "Speaker 1", "text": text}],
            },
            10000,
        ),
        ("grok-imagine/text-to-video", lambda text: {"prompt": text}, 5000),
    ],
)
async def test_a_text_is_taken_up_to_the_last_character_that_kie_takes(model: str, fields: Any, most: int) -> None:
    kie = Kie(credits=100_000)
    async with kie.http:
        assert (await kie.job(model, **fields("a" * most)))["code"] == 200
        before = kie.sandbox.balance
        for length in (most + 1, 200_000):
            refused = await kie.job(model, **fields("a" * length))
            assert (refused["code"], refused["data"]) == (422, None)
            assert "text length" in refused["msg"]
    assert len(kie.sandbox.accepted) == 1
    assert kie.sandbox.balance == before
