"""A test of many cases: it tries them all, and says which of them fail."""

import inspect

import anyio.lowlevel
import pytest

from support.cases import for_each


def test_all_cases_are_tried_and_those_that_fail_are_named() -> None:
    tried = []

    @for_each("number, word", [(1, "a"), (2, "b"), (3, "c")])
    @for_each("more", [0, 10])
    def check(word: str, number: int, more: int, fixture: str) -> None:
        tried.append((number + more, word + fixture))
        if number == 2:
            pytest.fail(word)
        assert number == 1

    assert list(inspect.signature(check).parameters) == ["fixture"]
    with pytest.raises(pytest.fail.Exception) as failed:
        check(fixture="!")
    assert tried == [(1, "a!"), (11, "a!"), (2, "b!"), (12, "b!"), (3, "c!"), (13, "c!")]
    assert failed.value.__notes__ == ["2 of 2 cases fail: 0; 10", "2 of 3 cases fail: 2, b; 3, c"]


def test_cases_that_all_hold_are_no_failure() -> None:
    @for_each("number", [1, 2])
    def check(number: int) -> None:
        assert number

    check()


@pytest.mark.anyio
async def test_cases_may_wait() -> None:
    tried = []

    @for_each("number", [1, 2])
    async def check(number: int) -> None:
        await anyio.lowlevel.checkpoint()
        tried.append(number)
        assert number != 1

    with pytest.raises(AssertionError) as failed:
        await check()
    assert tried == [1, 2]
    assert failed.value.__notes__ == ["1 of 2 cases fail: 1"]
