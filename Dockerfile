# kie-mcp over HTTP: without root, and without a writable file system but /data, /media and /tmp.
FROM python:3.13-slim AS build
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/kie-mcp \
    && /opt/kie-mcp/bin/pip install --no-cache-dir --no-compile -c constraints.txt '.[serve,otel,accounts,postgres,s3,ffmpeg]' \
    && /opt/kie-mcp/bin/python -m compileall -q /opt/kie-mcp/lib \
    && /opt/kie-mcp/bin/pip uninstall -q -y pip

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --home-dir /data kie \
    && install -d -o kie -g kie -m 700 /data /media
COPY --from=build /opt/kie-mcp /opt/kie-mcp
ENV PATH=/opt/kie-mcp/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    KIE_MCP_DATA_DIR=/data \
    KIE_MCP_OUTPUT_DIR=/media \
    KIE_MCP_LOG_FORMAT=json
USER 10001:10001
WORKDIR /data
VOLUME ["/data", "/media"]
EXPOSE 8765 9464
# Without the proxy of the environment, which cannot reach this container's own address.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:8765/healthz', timeout=2)"]
ENTRYPOINT ["kie-mcp"]
CMD ["serve", "--http", "--host", "0.0.0.0", "--port", "8765"]
