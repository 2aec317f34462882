"""A process that starts where a command would: hands its streams to a forked process, and ends as that one does.

Only the standard library's fastest modules are imported.
"""

import marshal
import os
import signal
import sys
from _socket import AF_UNIX, SCM_RIGHTS, SOCK_STREAM, SOL_SOCKET, socket


def main() -> None:
    """Send what a process has, pass signals on, and end with its exit code."""
    folder, *arguments = sys.argv[1:]
    connection = socket(AF_UNIX, SOCK_STREAM)
    connection.connect(os.path.join(folder, "socket"))  # noqa: PTH118 - pathlib takes long to import
    here = os.open(".", os.O_RDONLY)
    descriptors = b"".join(each.to_bytes(4, sys.byteorder) for each in (0, 1, 2, here))
    wanted = marshal.dumps((arguments, dict(os.environ)))
    connection.sendmsg([len(wanted).to_bytes(4, "big")], [(SOL_SOCKET, SCM_RIGHTS, descriptors)])
    connection.sendall(wanted)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _: connection.sendall(bytes([number])))
    # The other end of a pipe has to notice when the forked process closes its own.
    for each in (0, 1, 2, here):
        os.close(each)
    code = int(connection.recv(10))
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


main()
