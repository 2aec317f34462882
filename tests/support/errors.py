"""Expect errors in a loop over several cases."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

E = TypeVar("E", bound=BaseException)


@contextmanager
def raises(error: type[E], case: object, match: str | None = None) -> Iterator[pytest.ExceptionInfo[E]]:
    """Expect an error as `pytest.raises` does; the message of a failure begins with the case."""
    try:
        with pytest.raises(error, match=match) as caught:
            yield caught
    except (pytest.fail.Exception, AssertionError) as failure:
        raise AssertionError(f"{case}: {failure}") from None
