"""Metrics: what the server does, as numbers for Prometheus, for an OpenTelemetry collector, or for both.

Prometheus reads them from a separate port, because they are not for callers of the server.
"""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolResult

from kie_mcp import __version__
from kie_mcp.errors import ConfigurationError
from kie_mcp.kie.observation import Observation
from kie_mcp.ledger.task import WITHOUT_CREDITS, Task
from kie_mcp.server.app import App, Context
from kie_mcp.server.operation.collector import describe_server
from kie_mcp.server.operation.extras import need_extra
from kie_mcp.server.selection import load_tool_list

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader

SETTING = "KIE_MCP_METRICS_PORT"
OTHER_TOOL = "other"
"""Label for calls of tools that do not exist; otherwise, each invented name would become a label of its own."""
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
"""Upper limits of the buckets of durations, in seconds; the longest call waits for 600 s."""


class Metrics:
    """Counts what the server does: calls, requests to KIE, tasks, credits and KIE's callbacks."""

    def __init__(self, readers: "Sequence[MetricReader]") -> None:
        """Create the counters; a process has one object of this class.

        Args:
            readers: The results of `serve_metrics()`, of `collector.build_sender()`, or of both.
        """
        from opentelemetry import metrics as otel
        from opentelemetry.sdk.metrics import MeterProvider

        provider = MeterProvider(readers, describe_server())
        otel.set_meter_provider(provider)
        meter = provider.get_meter("kie-mcp", __version__)
        self._calls = meter.create_histogram(
            "kie_mcp_tool_call", "s", "Calls of tools, by outcome", explicit_bucket_boundaries_advisory=BUCKETS
        )
        self._requests = meter.create_histogram(
            "kie_mcp_kie_request",
            "s",
            "Requests to KIE, by HTTP status; 0 if there was no answer",
            explicit_bucket_boundaries_advisory=BUCKETS,
        )
        self._ended = meter.create_counter("kie_mcp_tasks_ended", description="Tasks that have ended")
        self._credits = meter.create_counter("kie_mcp_credits", description="Credits that ended tasks have cost")
        self._callbacks = meter.create_counter(
            "kie_mcp_callbacks", description="Callbacks of KIE, by the status of the answer"
        )
        self.list_apps: Callable[[], Sequence[App]] = list
        """Returns the open apps, whose unfinished tasks are counted; it may be called in another thread."""
        meter.create_observable_gauge(
            "kie_mcp_tasks_running",
            [lambda _: [otel.Observation(sum(map(_count_running, self.list_apps())))]],
            description="Tasks of this process that have not ended",
        )
        version = otel.Observation(1, {"version": __version__})
        meter.create_observable_gauge("kie_mcp_info", [lambda _: [version]], description="Version of the server")

    def attach(self, app: App) -> None:
        """Count the requests and tasks of a server from now on."""
        self.list_apps = lambda: [app]
        app.observers.append(self.count_task)
        app.observe_request = self.count_request

    async def count_task(self, task: Task, before: Task) -> None:
        """Count a change of a task in the ledger; `before` is the task before this change.

        As in the audit log, only the difference counts, because another process may have counted the earlier changes.
        """
        if not task.final:
            return
        counted = (before.credits or 0) if before.final else 0
        if not before.final:
            self._ended.add(1, {"model": task.model, "state": task.state})
        if task.route not in WITHOUT_CREDITS and (further := (task.credits or 0) - counted) > 0:
            self._credits.add(further, {"model": task.model})

    def count_request(self, seen: Observation) -> None:
        """Count a request to KIE."""
        self._requests.record(seen.seconds, {"method": seen.method, "path": seen.path, "status": str(seen.status)})

    def count_callback(self, status: int) -> None:
        """Count a callback from KIE by the HTTP status of the answer to it."""
        self._callbacks.add(1, {"status": str(status)})

    async def count_call(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Pass a request on and, if it is a tool call, count it; this method is middleware of the MCP server."""
        if ctx.method != "tools/call":
            return await call_next(ctx)
        tool, outcome, begin = _find_tool(ctx), "error", perf_counter()
        try:
            answer: HandlerResult = await call_next(ctx)
            match answer:
                case CallToolResult(is_error=True) | {"isError": True}:
                    outcome = "refused"
                case _:
                    outcome = "ok"
            return answer
        finally:
            self._calls.record(perf_counter() - begin, {"tool": tool, "outcome": outcome})


def serve_metrics(host: str, port: int, workers: int) -> "MetricReader":
    """Serve metrics at the path `/metrics` of a port, in another thread; return the reader to pass to `Metrics`.

    Args:
        host: Address to listen on.
        port: The first port to try.
        workers: Number of processes of the server; each uses the first port that is still free.

    Raises:
        ConfigurationError: When no port can be opened, or the libraries for metrics are not installed.
    """
    with need_extra("serve", SETTING):
        import prometheus_client as prometheus
        from opentelemetry.exporter.prometheus import PrometheusMetricReader

    registry = prometheus.CollectorRegistry()
    for collector in (prometheus.ProcessCollector, prometheus.PlatformCollector, prometheus.GCCollector):
        collector(registry=registry)
    for each in range(port, port + workers):
        try:
            prometheus.start_http_server(each, host, registry=registry)
        except OSError:
            continue
        # Without these options, there would be a metric `target_info`, and every other metric would have labels with
        # the name and the version of the meter.
        return PrometheusMetricReader(disable_target_info=True, scope_info_enabled=False, registry=registry)
    raise ConfigurationError(f"Port {port} of {host} cannot be opened.", f"Set {SETTING} to another one.")


def _count_running(app: App) -> int:
    """Return how many unfinished tasks an app watches."""
    runner = app.opened_runner
    # The watchers are copied first, because the event loop may change them while another thread counts.
    return sum(not each.task.final for each in [*runner.watched.values()]) if runner else 0


def _find_tool(context: Context) -> str:
    name = (context.params or {}).get("name")
    known = {tool["name"] for tool in load_tool_list()["tools"]}
    return name if isinstance(name, str) and name in known else OTHER_TOOL
