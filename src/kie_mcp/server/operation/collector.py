"""Send the spans and metrics of this process to an OpenTelemetry collector.

The MCP SDK makes a span for each call, `kie/observation.py` makes a span for each request to KIE, and the watcher makes
a span for saving the files. A task keeps the context of its call, so all these spans belong to one trace. No span
contains arguments or texts. `metrics.py` makes the metrics.

The environment variables `OTEL_…` apply to spans and metrics; `OTEL_EXPORTER_OTLP_ENDPOINT` is the collector's address.
"""

from typing import TYPE_CHECKING, Any

import anyio
import anyio.to_thread
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kie_mcp import __version__
from kie_mcp.server.operation.extras import need_extra

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader
    from opentelemetry.sdk.resources import Resource

SETTING = "KIE_MCP_TRACES"
FLUSH_SECONDS = 1
"""Maximum seconds that a stopping server spends on sending the remaining spans and metrics to the collector."""


def send_traces() -> None:
    """Start to send this process's spans.

    Raises:
        ConfigurationError: When the libraries for traces are not installed.
    """
    with need_extra("otel", SETTING):
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=describe_server())
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def build_sender() -> "MetricReader":
    """Return the reader that sends metrics once a minute, or as often as `OTEL_METRIC_EXPORT_INTERVAL` says.

    Raises:
        ConfigurationError: When the libraries for metrics are not installed.
    """
    with need_extra("otel", SETTING):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    return PeriodicExportingMetricReader(OTLPMetricExporter())


def describe_server() -> "Resource":
    """Return the name and version of this server, as the collector shows them."""
    from opentelemetry.sdk.resources import Resource

    # The environment variable OTEL_SERVICE_NAME overrides this service name.
    return Resource({"service.name": "kie-mcp", "service.version": __version__}).merge(Resource.create())


def flush_at_end(app: ASGIApp) -> ASGIApp:
    """Wrap an application, so that spans and metrics that were not sent yet are sent when the server stops."""

    async def flush(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_flushed(message: Message) -> None:
            # After this message, uvicorn ends the process by a signal, so Python does not call functions of `atexit`.
            if message["type"].startswith("lifespan.shutdown"):
                with anyio.move_on_after(FLUSH_SECONDS):
                    await anyio.to_thread.run_sync(_flush, abandon_on_cancel=True)
            await send(message)

        await app(scope, receive, send_flushed if scope["type"] == "lifespan" else send)

    return flush


def _flush() -> None:
    from opentelemetry import metrics, trace

    providers: tuple[Any, ...] = (trace.get_tracer_provider(), metrics.get_meter_provider())
    for provider in providers:
        provider.force_flush(FLUSH_SECONDS * 1000)
