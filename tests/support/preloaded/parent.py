"""The process that has imported everything: it forks one process for each relay, and ends with its last user."""

import fcntl
import gc
import importlib
import marshal
import os
import pkgutil
import runpy
import selectors
import shutil
import signal
import socket
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.dialects.sqlite import aiosqlite

import kie_mcp
from kie_mcp import __main__ as program
from kie_mcp import config
from kie_mcp.catalog.registry import FAMILIES

INHERITED = (aiosqlite,)
"""What a server would import at its first call, besides its own modules."""
SIZE_BYTES = 4
"""Bytes with the size of what a relay sends."""


class Wanted(NamedTuple):
    """What a forked process gets from its relay."""

    arguments: list[str]
    """The path of a script, or an empty text for the kie-mcp command; then what it gets."""
    environment: dict[str, str]
    descriptors: list[int]
    """Stdin, stdout, stderr and the folder."""


class Parent:
    """Forks, passes signals on, and tells exit codes."""

    def __init__(self, folder: Path) -> None:
        """Wait for relays at a socket in this folder."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / "socket"))
        self._listener.listen()
        self._selector = selectors.DefaultSelector()
        self._ended, ended = socket.socketpair()
        ended.setblocking(False)
        signal.set_wakeup_fd(ended.detach())
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._users: list[object] = []
        """Connections of processes that want this one to stay."""
        self._relays: dict[int, socket.socket] = {}
        """The relay that each forked process works for."""

    def serve(self) -> Wanted | None:
        """Fork until no user is left; return what is wanted in each forked process, and None in this one."""
        for file in (self._listener, self._ended):
            self._selector.register(file, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._listener:
                    if wanted := self._accept():
                        return wanted
                elif key.fileobj is self._ended:
                    self._ended.recv(1)
                    self._tell_ends()
                elif key.fileobj in self._users:
                    self._selector.unregister(key.fileobj)
                    self._users.remove(key.fileobj)
                    if not self._users:
                        return None
                elif key.data in self._relays:
                    # A relay that is gone was killed.
                    os.kill(key.data, ord(self._relays[key.data].recv(1) or bytes([signal.SIGKILL])))

    def _accept(self) -> Wanted | None:
        connection, _ = self._listener.accept()
        size, descriptors, *_ = socket.recv_fds(connection, SIZE_BYTES, 4)
        if descriptors:
            return self._fork(connection, int.from_bytes(size), descriptors)
        self._users.append(connection)
        self._selector.register(connection, selectors.EVENT_READ)
        # As long as no user has heard this, this process may be about to end.
        connection.sendall(size)
        return None

    def _fork(self, relay: socket.socket, size: int, descriptors: list[int]) -> Wanted | None:
        with relay.makefile("rb") as file:
            arguments, environment = marshal.loads(file.read(size))
        child = os.fork()
        if not child:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return Wanted(arguments, environment, descriptors)
        for each in descriptors:
            os.close(each)
        self._relays[child] = relay
        self._selector.register(relay, selectors.EVENT_READ, child)
        return None

    def _tell_ends(self) -> None:
        for child in [*self._relays]:
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                relay = self._relays.pop(child)
                self._selector.unregister(relay)
                with relay:
                    try:
                        relay.sendall(str(os.waitstatus_to_exitcode(status)).encode())
                    except BrokenPipeError:
                        continue


def become(wanted: Wanted) -> None:
    """Make this process the one that the relay stands for."""
    *streams, here = wanted.descriptors
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    os.fchdir(here)
    os.close(here)
    os.environ.clear()
    os.environ.update(wanted.environment)
    sys.path[:0] = filter(None, wanted.environment.get("PYTHONPATH", "").split(os.pathsep))
    if os.isatty(0):
        take_terminal()
    # The parent's own streams remember its encoding, and that they could seek.
    encoding = wanted.environment.get("PYTHONIOENCODING", "utf-8")
    sys.stdout = os.fdopen(1, "w", encoding=encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding=encoding, errors="backslashreplace", closefd=False)
    sys.argv = ["kie-mcp", *wanted.arguments[1:]]


def take_terminal() -> None:
    """Make stdin the terminal of this process, as a terminal emulator does for the program that it starts."""
    os.setsid()
    # The terminal that the tests were started in is already that of another session.
    with suppress(PermissionError):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def import_everything() -> None:
    """Do what each of the processes would do at its start or at its first call."""
    for module in pkgutil.walk_packages(kie_mcp.__path__, "kie_mcp."):
        # Only alembic can import the scripts of a migration.
        if ".migrations." not in module.name:
            importlib.import_module(module.name)
    for family in FAMILIES:
        _ = family.input_schema
    # The first time takes a quarter of a second.
    config.load()
    # Each forked process would look through it, and so copy it.
    gc.collect()
    gc.freeze()


def main() -> None:
    folder = Path(sys.argv[1])
    import_everything()
    parent = Parent(folder)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    wanted = parent.serve()
    if wanted:
        become(wanted)
        if script := wanted.arguments[0]:
            runpy.run_path(script, run_name="__main__")
        else:
            program.main()
    else:
        shutil.rmtree(folder)


main()
