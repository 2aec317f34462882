"""Many small cases in one test: a test for each of thousands would take longer than what is tested."""

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

Test = Callable[..., Any]


def for_each(names: str, cases: Iterable[Any]) -> Callable[[Test], Test]:
    """Return a decorator that works as `pytest.mark.parametrize`, but runs all cases in one test, on the same fixtures.

    If cases fail, the test shows the failure of the first, and the names of all that fail.

    Args:
        names: The names of the parameters that a case gives values to, with commas between.
        cases: The value of each case; with several names, a tuple of values.
    """
    parameters = names.split(", ")
    rows = [tuple(case) if len(parameters) > 1 else (case,) for case in cases]
    assert rows, "There are no cases."

    def decorate(test: Test) -> Test:
        def run(**fixtures: Any) -> None:
            failures = _Failures(len(rows))
            for values in rows:
                with failures.catch(values):
                    test(**fixtures, **dict(zip(parameters, values, strict=True)))
            failures.show_first()

        async def run_async(**fixtures: Any) -> None:
            failures = _Failures(len(rows))
            for values in rows:
                with failures.catch(values):
                    await test(**fixtures, **dict(zip(parameters, values, strict=True)))
            failures.show_first()

        signature = inspect.signature(test)
        fixtures = [each for name, each in signature.parameters.items() if name not in parameters]
        running = functools.wraps(test)(run_async if inspect.iscoroutinefunction(test) else run)
        vars(running)["__signature__"] = signature.replace(parameters=fixtures)
        return running

    return decorate


class _Failures:
    """The cases that fail, each with its failure."""

    def __init__(self, of: int) -> None:
        self._of = of
        self._failures: list[tuple[str, BaseException]] = []

    @contextmanager
    def catch(self, values: tuple[Any, ...]) -> Iterator[None]:
        """Run the block as a case with these values; if it fails, keep the failure."""
        try:
            yield
        except (Exception, pytest.fail.Exception) as failure:  # noqa: BLE001  # the others are tried all the same
            self._failures.append((", ".join(map(_name, values)), failure))

    def show_first(self) -> None:
        """Raise the first failure with the names of all cases that fail."""
        named = "; ".join(name for name, _ in self._failures)
        for _, failure in self._failures:
            failure.add_note(f"{len(self._failures)} of {self._of} cases fail: {named}")
            raise failure


def _name(value: Any) -> str:
    """Return a short name of a value: the id of a model, the tool of a family, or the beginning of its text."""
    return str(getattr(value, "id", getattr(value, "tool", value)))[:60]
