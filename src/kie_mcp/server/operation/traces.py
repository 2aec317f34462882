"""Traces: send the spans of this process to a collector of OpenTelemetry.

The MCP SDK makes a span for each call, `kie/observation.py` one for each request to KIE, and the watcher one for saving
the files; a task goes on in the context of its call, so all of them are one trace. No span has arguments or texts.
"""

from kie_mcp import __version__
from kie_mcp.server.operation.extras import need_extra


def send_traces() -> None:
    """Send the spans of this process, from now on, to the collector that the variables `OTEL_EXPORTER_OTLP_…` name.

    Raises:
        ConfigurationError: When the libraries for traces are not installed.
    """
    with need_extra("otel", "KIE_MCP_TRACES"):
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # The variable OTEL_SERVICE_NAME replaces the name.
    resource = Resource({"service.name": "kie-mcp", "service.version": __version__}).merge(Resource.create())
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
