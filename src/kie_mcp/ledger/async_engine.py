"""SQLAlchemy's asynchronous engine, without its object-relational mapper.

The package `sqlalchemy.ext.asyncio` imports the mapper for its session classes. The ledger does not use these classes,
and the import would take a tenth of the time from the start of a server to its first create request.
"""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
else:
    PACKAGE = "sqlalchemy.ext.asyncio"

    def _import_engine() -> ModuleType:
        if PACKAGE in sys.modules:
            return sys.modules[PACKAGE]
        # An empty package stands in for the real one, so that importing `engine` does not run the package's `__init__`.
        # It is removed again below, so a later import of the package loads the real one.
        sys.modules[PACKAGE] = module_from_spec(find_spec(PACKAGE))
        try:
            return import_module(f"{PACKAGE}.engine")
        finally:
            del sys.modules[PACKAGE]

    _engine = _import_engine()
    AsyncConnection, AsyncEngine = _engine.AsyncConnection, _engine.AsyncEngine
    create_async_engine = _engine.create_async_engine

__all__ = ["AsyncConnection", "AsyncEngine", "create_async_engine"]
