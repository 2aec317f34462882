"""Import SQLAlchemy's asynchronous engine without SQLAlchemy's object-relational mapper, which takes long to import.

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
        # Put an empty stand-in for `sqlalchemy.ext.asyncio` into `sys.modules` while importing its module `engine`, so
        # that the real package's `__init__` does not run. Then remove the stand-in, so that a later import loads the
        # real package.
        sys.modules[PACKAGE] = module_from_spec(find_spec(PACKAGE))
        try:
            return import_module(f"{PACKAGE}.engine")
        finally:
            del sys.modules[PACKAGE]

    _engine = _import_engine()
    AsyncConnection, AsyncEngine = _engine.AsyncConnection, _engine.AsyncEngine
    create_async_engine = _engine.create_async_engine

__all__ = ["AsyncConnection", "AsyncEngine", "create_async_engine"]
