"""Observe requests to KIE for the operator: record an OpenTelemetry span for each request, and count the requests.

Without OpenTelemetry's SDK, spans are not recorded and take almost no time. A span or count contains the method and the
path of a request, but nothing from the request's body.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from urllib.parse import urlsplit

from opentelemetry import trace

Observe = Callable[["Observation"], None]
"""The type of a function that is called after each request to KIE."""

MODEL_PATH = re.compile(r"(/api/v1/models/).+/(\w[\w-]*)")
"""Matches the paths of the discovery API that contain a model's id."""

tracer = trace.get_tracer("kie-mcp")


@dataclass(slots=True)
class Observation:
    """What is observed of one request to KIE."""

    method: str
    path: str
    """The path of the URL, with `{model}` instead of a model's id."""
    status: int = 0
    """HTTP status of the answer; 0 if there was no answer."""
    seconds: float = 0.0
    """Seconds from the request to the end of the answer."""


@contextmanager
def observe_request(method: str, url: str, observe: Observe | None) -> Iterator[Observation]:
    """Observe the request that is sent inside the `with` block; the code in the block sets `Observation.status`.

    Args:
        method: The HTTP method.
        url: The URL.
        observe: A function that is called with the `Observation` when the block ends; None for no function.
    """
    seen = Observation(method, MODEL_PATH.sub(r"\1{model}/\2", urlsplit(url).path))
    begin = perf_counter()
    # The message of an exception is not recorded, because it may contain parts of the request.
    with tracer.start_as_current_span(
        f"{method} {seen.path}",
        kind=trace.SpanKind.CLIENT,
        attributes={"http.request.method": method, "url.path": seen.path},
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield seen
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(trace.StatusCode.ERROR)
            raise
        finally:
            seen.seconds = perf_counter() - begin
            span.set_attribute("http.response.status_code", seen.status)
            if observe:
                observe(seen)
