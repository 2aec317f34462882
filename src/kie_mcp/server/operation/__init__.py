"""Probes, logs, metrics and traces, for the operator of a server over HTTP."""

from typing import TYPE_CHECKING

from kie_mcp.server.app import App

if TYPE_CHECKING:
    from kie_mcp.server.operation.metrics import Metrics


def start_operation(app: App, host: str) -> "Metrics | None":
    """Start this process's log and, if the settings turn them on, its traces and metrics.

    Return the metrics; None if neither traces nor metrics are on.

    Args:
        app: The parts of the server.
        host: The address at which the server and its metrics listen.

    Raises:
        ConfigurationError: When a library is not installed, or no port for the metrics can be opened.
    """
    from kie_mcp.server.operation.audit import write_audit
    from kie_mcp.server.operation.logs import set_up_log

    settings = app.settings
    set_up_log(settings)
    if settings.log_format == "json":
        app.observers.append(write_audit)
    readers = []
    if settings.traces:
        from kie_mcp.server.operation.collector import build_sender, send_traces

        send_traces()
        readers.append(build_sender())
    if settings.metrics_port:
        from kie_mcp.server.operation.metrics import serve_metrics

        readers.append(serve_metrics(host, settings.metrics_port, settings.workers))
    if not readers:
        return None
    from kie_mcp.server.operation.metrics import Metrics

    metrics = Metrics(readers)
    metrics.attach(app)
    return metrics
