"""The program `kie-mcp`: an MCP server if a client starts it without arguments; for people, a command line."""

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
        # Until the command starts, Ctrl-C ends the process at once. Otherwise, it would print a traceback during
        # imports.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # The command line runs for arguments, in a terminal, or if the shell asks for completions (it sets
    # _KIE_MCP_COMPLETE). Without a terminal, `sys.stdin` may be None.
    if len(sys.argv) > 1 or (sys.stdin and sys.stdin.isatty()) or "_KIE_MCP_COMPLETE" in os.environ:
        run_command()
    else:
        from kie_mcp.server.stdio import serve_stdio

        serve_stdio(os.environ.get("KIE_MCP_TOOLS", ""), os.environ.get("KIE_MCP_PREFIX", ""))


def run_command() -> None:
    """Run the command line; if the settings are wrong, print a message to stderr and exit with status 2."""
    from kie_mcp.cli.commands import cli
    from kie_mcp.errors import ConfigurationError

    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        # From now on, Ctrl-C raises KeyboardInterrupt again, so that a command can close its files and connections.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cli()
    except ConfigurationError as error:
        sys.stderr.write(f"kie-mcp: {error}\n{error.next_step}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
