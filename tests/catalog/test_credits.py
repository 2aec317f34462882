"""Credits as text: with their worth in dollars, short, and never with dollars where they are turned off."""

from collections.abc import Iterator

import pytest
from mcp import Client
from support.answers import answer, text
from support.cases import for_each
from support.clients import connect
from support.clock import JumpingClock

from kie_mcp.catalog.credits import LIST_USD_PER_CREDIT, format_credits, set_worth, to_usd, usd_field
from kie_mcp.config import Settings
from kie_mcp.sandbox.app import Sandbox


@pytest.fixture(autouse=True)
def list_worth() -> Iterator[None]:
    """The worth of a credit at KIE, before and after each test."""
    set_worth(LIST_USD_PER_CREDIT)
    yield
    set_worth(LIST_USD_PER_CREDIT)


@for_each(
    "amounts, words",
    [
        ((8,), "8 credits ($0.04)"),
        ((1,), "1 credit ($0.005)"),
        ((0,), "0 credits"),
        ((0.4,), "0.4 credits ($0.002)"),
        ((6.5,), "6.5 credits ($0.033)"),
        ((20,), "20 credits ($0.10)"),
        ((30, 60), "30 to 60 credits ($0.15 to $0.30)"),
        ((60, 60), "60 credits ($0.30)"),
        ((0, 40), "0 to 40 credits ($0.00 to $0.20)"),
        ((1_234_567.5,), "1,234,567.5 credits ($6,172.84)"),
        ((-5,), "-5 credits (-$0.025)"),
    ],
)
def test_credits_stand_with_their_worth(amounts: tuple[float, ...], words: str) -> None:
    assert format_credits(*amounts) == words


def test_a_note_shares_the_parentheses_with_the_worth() -> None:
    assert format_credits(8, note="price list") == "8 credits ($0.04, price list)"


def test_without_a_worth_there_are_no_dollars() -> None:
    set_worth(0)
    assert format_credits(8) == "8 credits"
    assert format_credits(8, note="price list") == "8 credits (price list)"
    assert to_usd(8) is None
    assert usd_field("usd", 8) == {}


@pytest.mark.anyio
async def test_another_worth_of_a_credit_is_a_setting(
    settings: Settings, sandbox: Sandbox, clock: JumpingClock
) -> None:
    async def draw(client: Client) -> tuple[float | None, str]:
        made = await client.call_tool("nano_banana_image", {"prompt": "a fox"})
        return answer(made).get("usd"), text(made).splitlines()[0]

    async with connect(settings, sandbox.app, clock, usd_per_credit=0.01, repeat_window=0) as client:
        worth, line = await draw(client)
        assert worth == 0.04
        assert "4 credits ($0.04)" in line
        assert answer(await client.call_tool("get_credits"))["usd"] == pytest.approx(sandbox.balance / 100)
    async with connect(settings, sandbox.app, clock, usd_per_credit=0, repeat_window=0) as client:
        worth, line = await draw(client)
        assert worth is None
        assert "$" not in line
        assert "$" not in text(await client.call_tool("spend_report"))
        assert answer(await client.call_tool("get_credits")) == {"credits": sandbox.balance}
