"""The program `kie-mcp`: a client starts it without arguments, and it serves MCP; for people it is the command line."""

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
        # Until all is imported, Ctrl-C ends the process at once, without the traceback of an import.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Without a terminal, stdin may be missing altogether. A shell sets the variable to ask how a command may go on.
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
        # A command may have something to close first.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        cli()
    except ConfigurationError as error:
        sys.stderr.write(f"kie-mcp: {error}\n{error.next_step}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
