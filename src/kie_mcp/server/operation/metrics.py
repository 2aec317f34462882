"""Metrics for Prometheus, on a separate port, because the metrics are not for callers of the server."""

from time import perf_counter

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolResult

from kie_mcp import __version__
from kie_mcp.errors import ConfigurationError
from kie_mcp.kie.observation import Observation
from kie_mcp.ledger.task import Task
from kie_mcp.server.app import App, Context
from kie_mcp.server.operation.extras import need_extra
from kie_mcp.server.selection import load_tool_list

SETTING = "KIE_MCP_METRICS_PORT"
OTHER_TOOL = "other"
"""Label for calls of tools that do not exist; otherwise, each invented name would become a label of its own."""


class Metrics:
    """Counts what the server does: calls, requests to KIE, tasks, credits and KIE's callbacks."""

    def __init__(self) -> None:
        """Create the counters; a process has one object of this class.

        Raises:
            ConfigurationError: When the library for metrics is not installed.
        """
        with need_extra("serve", SETTING):
            import prometheus_client as prometheus
        self.registry = prometheus.CollectorRegistry()
        for collector in (prometheus.ProcessCollector, prometheus.PlatformCollector, prometheus.GCCollector):
            collector(registry=self.registry)
        version = prometheus.Info("kie_mcp", "Version of the server", registry=self.registry)
        version.info({"version": __version__})
        self._calls = prometheus.Histogram(
            "kie_mcp_tool_call_seconds", "Calls of tools, by outcome", ["tool", "outcome"], registry=self.registry
        )
        self._requests = prometheus.Histogram(
            "kie_mcp_kie_request_seconds",
            "Requests to KIE, by HTTP status; 0 if there was no answer",
            ["method", "path", "status"],
            registry=self.registry,
        )
        self._ended = prometheus.Counter(
            "kie_mcp_tasks_ended", "Tasks that have ended", ["model", "state"], registry=self.registry
        )
        self._credits = prometheus.Counter(
            "kie_mcp_credits", "Credits that ended tasks have cost", ["model"], registry=self.registry
        )
        self._callbacks = prometheus.Counter(
            "kie_mcp_callbacks", "Callbacks of KIE, by the status of the answer", ["status"], registry=self.registry
        )
        self._running: set[str] = set()
        """The ids of this process's tasks that have not ended."""
        running = prometheus.Gauge(
            "kie_mcp_tasks_running", "Tasks of this process that have not ended", registry=self.registry
        )
        running.set_function(lambda: len(self._running))

    def attach(self, app: App) -> None:
        """Count the requests and tasks of a server from now on."""
        app.observers.append(self.count_task)
        app.observe_request = self.count_request

    async def count_task(self, task: Task) -> None:
        """Count a task whose new state has been written to the ledger."""
        if not task.final:
            self._running.add(task.id)
        elif task.id in self._running:
            self._running.remove(task.id)
            self._ended.labels(task.model, task.state).inc()
            self._credits.labels(task.model).inc(max(task.credits or 0, 0))

    def count_request(self, seen: Observation) -> None:
        """Count a request to KIE."""
        self._requests.labels(seen.method, seen.path, str(seen.status)).observe(seen.seconds)

    def count_callback(self, status: int) -> None:
        """Count a callback from KIE by the HTTP status of the answer to it."""
        self._callbacks.labels(str(status)).inc()

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
            self._calls.labels(tool, outcome).observe(perf_counter() - begin)

    def serve(self, host: str, port: int, workers: int) -> int:
        """Serve the metrics at the path `/metrics` of a port, in another thread, and return the port.

        Args:
            host: Address to listen on.
            port: The first port to try.
            workers: Number of processes of the server; each uses the first port that is still free.

        Raises:
            ConfigurationError: When no port can be opened.
        """
        import prometheus_client as prometheus

        for each in range(port, port + workers):
            try:
                prometheus.start_http_server(each, host, registry=self.registry)
            except OSError:
                continue
            return each
        raise ConfigurationError(f"Port {port} of {host} cannot be opened.", f"Set {SETTING} to another one.")


def _find_tool(context: Context) -> str:
    name = (context.params or {}).get("name")
    known = {tool["name"] for tool in load_tool_list()["tools"]}
    return name if isinstance(name, str) and name in known else OTHER_TOOL
