"""What the operator of a server over HTTP gets: workers, metrics, traces and a log as JSON, from a real process."""

import json
import re
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import ResourceMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from support.answers import answer
from support.clock import PATIENCE_SECONDS
from support.commands import COMMAND, serve_and_record_command
from support.kie_server import serve_kie
from uvicorn.config import STARTUP_FAILURE

from kie_mcp.errors import ConfigurationError
from kie_mcp.ledger.sqlite import FILE_NAME
from kie_mcp.server.http import build_worker
from kie_mcp.server.operation.extras import need_extra
from kie_mcp.server.operation.logs import build_formatter
from kie_mcp.server.operation.metrics import serve_metrics
from kie_mcp.server.selection import Selection

PROMPT = "a heron that nobody must read of"
TOKEN = "a long random text"
CALLS = 3


class Collector:
    """A collector of OpenTelemetry: it keeps all spans and metrics that it is sent."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        """Bodies with spans."""
        self.metrics: list[bytes] = []
        """Bodies with metrics."""

    def sum(self, name: str, **labels: str) -> float:
        """Return the sum of a number with these labels over the workers, as they last sent it."""
        found: dict[int, float] = {}
        for resource in (each for body in self.metrics for each in _read_metrics(body)):
            for metric in (each for scope in resource.scope_metrics for each in scope.metrics if each.name == name):
                for point in (*metric.sum.data_points, *metric.histogram.data_points):
                    if labels.items() <= {each.key: each.value.string_value for each in point.attributes}.items():
                        is_sum = metric.HasField("sum")
                        found[point.start_time_unix_nano] = point.as_double + point.as_int if is_sum else point.count
        return sum(found.values())

    @property
    def spans(self) -> list[Span]:
        return [
            span
            for body in self.bodies
            for resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def _read_metrics(body: bytes) -> list[ResourceMetrics]:
    return list(ExportMetricsServiceRequest.FromString(body).resource_metrics)


@contextmanager
def collect() -> Iterator[tuple[str, Collector]]:
    """Serve a collector, and give its URL."""
    import gzip

    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            (collector.metrics if self.path.endswith("/metrics") else collector.bodies).append(body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", collector
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_ports() -> int:
    """Return a port that is free, as is the next one."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as one:
            port = int(one.getsockname()[1])
            try:
                with socket.create_server(("127.0.0.1", port + 1)):
                    return port
            except OSError:
                continue


class Observed:
    """What was seen of a server with two workers that made a few pictures."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.numbers: list[str] = []
        self.spans: list[Span] = []
        self.raw_spans = b""
        self.collector = Collector()
        self.accepted = 0
        self.sessions: list[str] = []
        """The sessions of all tasks in the ledger, each once."""

    def sum(self, name: str) -> float:
        """Return the sum of a number with these labels over the workers."""
        return sum(float(text) for page in self.numbers for text in re.findall(rf"^{name} (\S+)$", page, re.MULTILINE))


async def make_pictures(url: str) -> None:
    """Make some, each over a connection of its own, so that both workers get calls."""
    for number in range(CALLS):
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60) as http,
            Client(streamable_http_client(url, http_client=http)) as client,
        ):
            made = await client.call_tool("nano_banana_image", {"prompt": f"{PROMPT} {number}"})
            assert answer(made)["status"] == "succeeded"
            assert (await client.call_tool(f"no_tool_{number}", {"prompt": PROMPT})).is_error


@pytest.fixture(scope="module")
def observed(tmp_path_factory: pytest.TempPathFactory) -> Observed:
    folder, seen, port = tmp_path_factory.mktemp("observed"), Observed(), free_ports()
    with serve_kie() as kie, collect() as (place, collector):
        kie.restart(seconds=0.2)
        settings = kie.environment | {
            "KIE_MCP_DATA_DIR": str(folder / "data"),
            "KIE_MCP_OUTPUT_DIR": str(folder / "out"),
            "KIE_MCP_HTTP_TOKEN": TOKEN,
            "KIE_MCP_CONFIRM_HOURLY": "0",
            "KIE_MCP_WAIT_SECONDS": "40",
            # The options win over these.
            "KIE_MCP_WORKERS": "1",
            "KIE_MCP_LOG_FORMAT": "text",
            "KIE_MCP_TRACES": "1",
            "OTEL_EXPORTER_OTLP_ENDPOINT": place,
            # Only what is sent at the end arrives.
            "OTEL_BSP_SCHEDULE_DELAY": "600000",
            "OTEL_METRIC_EXPORT_INTERVAL": "600000",
        }
        options = ("--workers", "2", "--metrics-port", str(port), "--log-format", "json")
        with serve_and_record_command(
            seen.log, [*COMMAND, "serve", "--http", "--port", "0", *options], settings
        ) as url:
            anyio.run(make_pictures, url)
            # One worker may have made all pictures before the other has started.
            with httpx2.Client(transport=httpx2.HTTPTransport(retries=7)) as http:
                seen.numbers = [http.get(f"http://127.0.0.1:{port + each}/metrics").text for each in range(2)]
        seen.spans, seen.raw_spans = collector.spans, b"".join(collector.bodies)
        seen.collector = collector
        seen.accepted = len(kie.sandbox.accepted)
        with closing(sqlite3.connect(folder / "data" / FILE_NAME)) as ledger:
            seen.sessions = [row[0] for row in ledger.execute("SELECT DISTINCT session FROM tasks")]
    return seen


def test_two_workers_share_one_port_one_ledger_and_one_session(observed: Observed) -> None:
    assert observed.accepted == CALLS
    # A cap of credits for a session is one for the server.
    assert len(observed.sessions) == 1
    assert observed.sum(r'kie_mcp_tool_call_seconds_count\{outcome="ok",tool="nano_banana_image"\}') == CALLS


def test_metrics_count_calls_requests_tasks_and_credits(observed: Observed) -> None:
    assert observed.sum(r'kie_mcp_tool_call_seconds_count\{outcome="refused",tool="other"\}') == CALLS
    create = r'kie_mcp_kie_request_seconds_count\{method="POST",path="/api/v1/jobs/createTask",status="200"\}'
    assert observed.sum(create) == CALLS
    assert observed.sum(r'kie_mcp_tasks_ended_total\{model=".*",state="succeeded"\}') == CALLS
    assert observed.sum(r'kie_mcp_credits_total\{model=".*"\}') == 4 * CALLS
    assert observed.sum("kie_mcp_tasks_running") == 0
    assert all("process_resident_memory_bytes" in page for page in observed.numbers)
    assert not any(PROMPT in page for page in observed.numbers)


def test_the_collector_gets_the_same_numbers(observed: Observed) -> None:
    sent = observed.collector
    assert sent.sum("kie_mcp_tool_call", tool="nano_banana_image", outcome="ok") == CALLS
    assert sent.sum("kie_mcp_kie_request", path="/api/v1/jobs/createTask", status="200") == CALLS
    assert sent.sum("kie_mcp_tasks_ended", state="succeeded") == CALLS
    assert sent.sum("kie_mcp_credits") == 4 * CALLS
    assert PROMPT.encode() not in b"".join(sent.metrics)


def test_a_trace_leads_from_the_call_through_kie_to_the_saved_file(observed: Observed) -> None:
    calls = {span.trace_id: span for span in observed.spans if span.name == "tools/call nano_banana_image"}
    assert len(calls) == CALLS
    for trace_id, call in calls.items():
        spans = [span for span in observed.spans if span.trace_id == trace_id]
        names = {span.name for span in spans}
        assert {"POST /api/v1/jobs/createTask", "GET /api/v1/jobs/recordInfo", "save results"} <= names
        (create,) = (span for span in spans if span.name.startswith("POST"))
        assert create.parent_span_id == call.span_id
        assert {each.key: each.value.int_value for each in create.attributes}["http.response.status_code"] == 200


def test_no_span_has_a_prompt_or_the_key(observed: Observed) -> None:
    assert b"nano_banana_image" in observed.raw_spans
    assert PROMPT.encode() not in observed.raw_spans
    assert b"Bearer" not in observed.raw_spans


def test_the_log_is_json_and_tells_what_became_of_each_task(observed: Observed) -> None:
    lines = [json.loads(line) for line in observed.log[-1].splitlines() if line.startswith("{")]
    saved = {line["task"] for line in lines if line.get("state") == "succeeded" and line.get("saved")}
    assert len(saved) == CALLS
    assert {"time", "level", "logger", "message"} <= set(lines[0])
    assert PROMPT not in "".join(observed.log)


def test_the_log_has_a_line_when_a_paid_call_is_accepted_and_one_when_it_has_ended(observed: Observed) -> None:
    lines = [json.loads(line) for line in observed.log[-1].splitlines() if line.startswith("{")]
    for event, charge in (("accepted", None), ("ended", 4)):
        told = [line for line in lines if line.get("audit") == event]
        assert len({line["task"] for line in told}) == len(told) == CALLS
        assert {(line["tool"], line["credits"], line["estimate"]) for line in told} == {
            ("nano_banana_image", charge, 4)
        }


def format_error(error: Exception, key: str) -> dict[str, Any]:
    import logging

    try:
        try:
            raise error
        except ValueError as cause:
            raise RuntimeError(f"while {PROMPT}") from cause
    except RuntimeError:
        record = logging.LogRecord("kie_mcp", logging.ERROR, "", 1, "task %s", (f"t_a {key}",), sys.exc_info())
    found: dict[str, Any] = json.loads(build_formatter(key).format(record))
    return found


def test_a_line_about_an_error_has_its_place_but_neither_its_message_nor_the_key() -> None:
    found = format_error(ValueError(PROMPT), "key-0123456789abcdef")
    assert found["message"] == "task t_a [key]"
    assert found["exc_info"].index("ValueError") < found["exc_info"].index("RuntimeError")
    assert Path(__file__).name in found["exc_info"]
    assert PROMPT not in json.dumps(
        {**found, "exc_info": re.sub(r"^    .*$", "", found["exc_info"], flags=re.MULTILINE)}
    )


def test_a_missing_extra_is_named_with_what_to_install() -> None:
    wanted = pytest.raises(ConfigurationError, match="KIE_MCP_TRACES needs no_such_module")
    with wanted as refused, need_extra("otel", "KIE_MCP_TRACES"):
        __import__("no_such_module")
    assert "kie-mcp[otel]" in refused.value.next_step


def test_a_wrong_setting_that_only_workers_notice_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("KIE_MCP_METRICS_PORT", str(port))
        with pytest.raises(SystemExit) as ended:
            build_worker(Selection(), "127.0.0.1", TOKEN, "s_1")
    assert ended.value.code == STARTUP_FAILURE
    assert f"Port {port} of 127.0.0.1 cannot be opened. Set KIE_MCP_METRICS_PORT" in caplog.text
    assert "Traceback" not in caplog.text


LISTEN = """
import sys
from uvicorn.config import STARTUP_FAILURE
from kie_mcp.errors import ConfigurationError
from kie_mcp.server.listener import listen

def build():
    sys.exit(STARTUP_FAILURE)

if __name__ == "__main__":
    try:
        listen(build, "127.0.0.1", 0, print, workers=2)
    except ConfigurationError as error:
        sys.exit(str(error))
"""


def test_a_worker_that_cannot_start_ends_the_server(tmp_path: Path) -> None:
    script = tmp_path / "listen.py"
    script.write_text(LISTEN)
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False
    )
    assert ran.returncode == 1
    assert "A worker of the server cannot start" in ran.stderr


def test_a_port_for_metrics_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=f"Port {port} of 127.0.0.1 cannot be opened") as refused:
            serve_metrics("127.0.0.1", port, 1)
    assert "KIE_MCP_METRICS_PORT" in refused.value.next_step
