"""What the sandbox charges is what was quoted, and it makes the pictures that it charges."""

import pytest

from kie_mcp.catalog.model import KieModel
from kie_mcp.catalog.registry import MODELS
from kie_mcp.kie.routes import JOBS
from kie_mcp.sandbox.fake_task import FakeTask
from kie_mcp.sandbox.offers import OFFERS, Offer, build_minimal_call, find_offers

MEASURED = {"kling-2.6/motion-control", "happyhorse/video-edit"}
"""Models that pay for the seconds of a file, which the sandbox does not measure."""

OFFERED = [
    (offer, call)
    for offer in OFFERS[JOBS.create]
    if offer.route == JOBS and offer.id in MODELS and offer.id not in MEASURED
    if (call := build_minimal_call(offer.model)) and call.estimate().low is not None
]


@pytest.mark.parametrize(("offer", "call"), OFFERED, ids=[offer.id for offer, _ in OFFERED])
def test_the_least_that_a_call_can_cost_is_charged(offer: Offer, call: KieModel) -> None:
    charged = offer.price({"model": offer.id, "input": call.sent(str)})
    assert charged == pytest.approx(call.estimate().low, abs=0.02)


@pytest.mark.parametrize(
    ("model", "given", "pictures"),
    [
        ("wan/2-7-image", {"prompt": "a flag"}, 4),
        ("wan/2-7-image", {"prompt": "a flag", "n": 2}, 2),
        ("seedream/5-pro-layer-decomposition", {"image_url": "https://files.example/a.png"}, 2),
        ("z-image", {"prompt": "a flag", "aspect_ratio": "1:1"}, 1),
    ],
)
def test_as_many_pictures_are_made_as_are_charged(model: str, given: dict[str, object], pictures: int) -> None:
    body = {"model": model, "input": given}
    offers = find_offers(JOBS.create, body)
    task = FakeTask("a", JOBS.create, model, body, offers, 0, 0, offers[0].price(body))
    assert len(task.file_names) == pictures
