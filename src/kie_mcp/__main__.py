"""The program `kie-mcp`: it serves MCP if a client starts it without arguments; for people, it is a command line."""

import os
import sys

try:
    import signal
except KeyboardInterrupt:
    # This import alone takes a few milliseconds, in which Ctrl-C would print a traceback.
    sys.exit(130)


def main() -> None:
    """Run the server or a command."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # During imports, Ctrl-C ends the process at once, without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # `sys.stdin` may be None without a terminal. A shell sets _KIE_MCP_COMPLETE to ask for completions of a command.
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
        # Now Ctrl-C raises KeyboardInterrupt again, so that a command can close its files and connections first.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cli()
    except ConfigurationError as error:
        sys.stderr.write(f"kie-mcp: {error}\n{error.next_step}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
