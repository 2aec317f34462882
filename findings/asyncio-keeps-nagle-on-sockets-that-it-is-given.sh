#!/bin/sh
# Python's asyncio: on a socket of `socket.create_server()`, TCP_NODELAY stays off, and answers in two pieces take 40 ms.
#
# Since Python 3.6, asyncio sets TCP_NODELAY on every TCP connection, and one would expect that of each server. It looks
# at the protocol of the socket, which is 0 (any) for a socket of `socket.create_server()`, the standard library's own
# way to open one; asyncio then takes it for no TCP. With `asyncio.start_server(handler, host, port)` the option is on,
# with `asyncio.start_server(handler, sock=socket.create_server((host, port)))` it is off. So it is with uvicorn's
# `Server.run(sockets=[…])`: an answer whose head and body are written one after the other then waits for the client's
# delayed acknowledgement. Setting the option on the listening socket mends it, because connections inherit it.
#
# Prints for three servers whether the option is on for a connection; fails when that changes. Needs Linux or macOS.
set -eu

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/ask.py" <<'PY'
import asyncio
import socket


async def look(**where):
    seen = asyncio.get_running_loop().create_future()

    async def answer(reader, writer):
        connection = writer.get_extra_info("socket")
        seen.set_result(bool(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
        writer.close()

    server = await asyncio.start_server(answer, **where)
    async with server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        on = await seen
        writer.close()
    return "on" if on else "off"


async def main():
    given = socket.create_server(("127.0.0.1", 0))
    mended = socket.create_server(("127.0.0.1", 0))
    mended.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print("host and port:", await look(host="127.0.0.1", port=0))
    print("socket.create_server():", await look(sock=given))
    print("the same with the option:", await look(sock=mended))


asyncio.run(main())
PY
python3 --version
python3 "$folder/ask.py" 2>/dev/null >"$folder/seen"
cat "$folder/seen"
cat >"$folder/expected" <<'TEXT'
host and port: on
socket.create_server(): off
the same with the option: on
TEXT
cmp "$folder/seen" "$folder/expected"
