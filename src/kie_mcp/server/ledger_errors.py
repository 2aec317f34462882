"""Say what to do when the ledger cannot be used, in the answers to all requests but calls of tools."""

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR

from kie_mcp.server.app import Context


async def explain_ledger_errors(ctx: Context, call_next: CallNext) -> HandlerResult:
    """Pass a request on, and explain an error of the ledger; this function is middleware of the MCP server.

    Otherwise, the SDK would answer with the SQL statement or with "Internal server error". Calls of tools never raise
    such an error, because their errors are results of tools.
    """
    try:
        return await call_next(ctx)
    except MCPError:
        raise
    except Exception as error:
        from kie_mcp.ledger.ledger import LedgerError
        from kie_mcp.tasks.failures import unexpected_error

        if not isinstance(error, LedgerError):
            raise
        told = unexpected_error(error, billed=False)
        raise MCPError(INTERNAL_ERROR, f"{told} {told.next_step}") from None
