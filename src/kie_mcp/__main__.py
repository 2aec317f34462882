"""The program `kie-mcp`: MCP clients start it as a server, and people use it as a command line."""

import io
import os
import sys

try:
    import signal
except KeyboardInterrupt:
    # Ctrl-C during this import, which takes a few milliseconds, ends the process without a traceback.
    sys.exit(130)


def main() -> None:
    """Run the server or a command of the command line."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Until the command starts, Ctrl-C ends the process at once. With Python's own handler, Ctrl-C during an import
        # would print a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # The command line runs if there are arguments, if stdin is a terminal, or if the shell asks for completions (then
    # the shell sets _KIE_MCP_COMPLETE). If the process has no stdin, `sys.stdin` is None.
    if len(sys.argv) > 1 or (sys.stdin and sys.stdin.isatty()) or "_KIE_MCP_COMPLETE" in os.environ:
        run_command()
    else:
        from kie_mcp.server.stdio import serve_stdio

        serve_stdio(os.environ.get("KIE_MCP_TOOLS", ""), os.environ.get("KIE_MCP_PREFIX", ""))


def run_command() -> None:
    """Run the command line; if the settings are wrong, print a message to stderr and exit with status 2."""
    from kie_mcp.cli.commands import cli
    from kie_mcp.cli.options import write_commands
    from kie_mcp.errors import ConfigurationError

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        # From now on, Ctrl-C raises KeyboardInterrupt again, so that a command can close its files and connections.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        # On Windows, the encoding of a pipe or a file lacks most characters. They are written as escapes, because an
        # error would hide what a paid call has made. Tests and other programs may use other kinds of streams.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        cli()
    except ConfigurationError as error:
        sys.stderr.write(f"kie-mcp: {error}\n{write_commands(error.next_step)}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
