"""Traces: send the spans of this process to an OpenTelemetry collector.

The MCP SDK makes a span for each call, `kie/observation.py` makes a span for each request to KIE, and the watcher makes
a span for saving the files. A task keeps the context of its call, so all these spans belong to one trace. No span
contains arguments or texts.
"""

from kie_mcp import __version__
from kie_mcp.server.operation.extras import need_extra


def send_traces() -> None:
    """Start to send this process's spans to the collector that the variables `OTEL_EXPORTER_OTLP_…` name.

    Raises:
        ConfigurationError: When the libraries for traces are not installed.
    """
    with need_extra("otel", "KIE_MCP_TRACES"):
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # The environment variable OTEL_SERVICE_NAME overrides this service name.
    resource = Resource({"service.name": "kie-mcp", "service.version": __version__}).merge(Resource.create())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
