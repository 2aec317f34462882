"""What the operator of a server over HTTP sees of it: probes, logs, metrics and traces."""

from typing import TYPE_CHECKING

from kie_mcp.server.app import App

if TYPE_CHECKING:
    from kie_mcp.server.operation.metrics import Metrics


def start_operation(app: App, host: str) -> "Metrics | None":
    """Start what the settings ask for, in this process: the log, traces, and metrics, which are returned.

    Args:
        app: The parts of the server.
        host: The address of the server, at which the metrics are shown as well.

    Raises:
        ConfigurationError: When a library is not installed, or no port for the metrics can be opened.
    """
    from kie_mcp.server.operation.audit import Audit
    from kie_mcp.server.operation.logs import set_up_log

    settings = app.settings
    set_up_log(settings)
    if settings.log_format == "json":
        app.observers.append(Audit().task_changed)
    if settings.traces:
        from kie_mcp.server.operation.traces import send_traces

        send_traces()
    if not settings.metrics_port:
        return None
    from kie_mcp.server.operation.metrics import Metrics

    metrics = Metrics()
    metrics.attach(app)
    metrics.serve(host, settings.metrics_port, settings.workers)
    return metrics
