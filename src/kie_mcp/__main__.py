"""The program `kie-mcp`: without arguments, it serves MCP on stdio; with arguments, it runs the command line."""

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
    if len(sys.argv) > 1:
        run_command()
    else:
        from kie_mcp.server.stdio import serve_stdio

        serve_stdio(os.environ.get("KIE_MCP_TOOLS", ""), os.environ.get("KIE_MCP_PREFIX", ""))


def run_command() -> None:
    """Run the command line; if the settings are wrong, print a message to stderr and exit with status 2."""
    from kie_mcp.cli import cli
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
