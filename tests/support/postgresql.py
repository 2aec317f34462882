"""The PostgreSQL server of the tests: one for a whole run, in a temporary folder, with a Unix socket."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import psycopg
from psycopg.rows import dict_row

from kie_mcp.ledger.postgresql import PostgresqlDatabase

NOT_INSTALLED = "PostgreSQL is not installed here (Debian and Ubuntu: apt install postgresql)"
USER = "kie"
"""Owner of the tests' databases; this user is not a superuser."""
EMPTY = "kie_empty"
"""Template database with the extension pg_trgm."""
LEDGER = "kie_ledger"
"""Template database that also has the tables of a new ledger, which take longer to create than to copy."""


def find_programs() -> Path | None:
    """Return the folder of PostgreSQL's programs; None if it is not installed."""
    found = shutil.which("initdb")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


class PostgresqlServer:
    """A PostgreSQL server whose files are in a separate folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls) -> "PostgresqlServer":
        """Create the server's files, and start it."""
        # The server does not run as root, and its user may not enter pytest's folders.
        server = cls(Path(tempfile.mkdtemp(prefix="kie-postgresql-")))
        if user := _user():
            shutil.chown(server.folder, user)
        # The locale C sorts by bytes: this is fast, and other locales are not installed on every machine.
        server._run("initdb", "--auth=trust", "--username=postgres", "--no-sync", "--encoding=UTF8", "--locale=C")
        server.start()
        server.execute("postgres", f"CREATE ROLE {USER} LOGIN", f"CREATE DATABASE {EMPTY} OWNER {USER}")
        server.execute(EMPTY, "CREATE EXTENSION pg_trgm")
        return server

    def start(self) -> None:
        """Start the server, and wait until it accepts connections."""
        # What happens if the machine loses its power is not tested, and few rows need no cleaning.
        unsafe = "-c fsync=off -c full_page_writes=off -c autovacuum=off"
        settings = f"-k {self.folder} -c listen_addresses='' -c max_connections=300 {unsafe}"
        self._run("pg_ctl", "--wait", "--silent", f"--log={self.folder / 'log'}", "-o", settings, "start")

    def stop(self) -> None:
        """Stop the server at once, as in a power failure."""
        self._run("pg_ctl", "--wait", "--silent", "--mode=immediate", "stop")

    def remove(self) -> None:
        """Stop the server, and delete all its files."""
        self.stop()
        shutil.rmtree(self.folder)

    def url(self, database: str, user: str = USER) -> str:
        """Return the URL of a database."""
        return f"postgresql://{user}@/{database}?host={self.folder}"

    def execute(self, database: str, *statements: str) -> None:
        """Run SQL as the superuser."""
        with psycopg.connect(self.url(database, "postgres"), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def create_database(self, name: str, template: str = EMPTY) -> None:
        """Create a database as a copy of `template`, unless there is one with this name."""
        with psycopg.connect(self.url("postgres", "postgres"), autocommit=True) as connection:
            # The default since version 15, which writes the template into the log, takes four times as long.
            how = "STRATEGY FILE_COPY" if connection.info.server_version >= 150_000 else ""
            with suppress(psycopg.errors.DuplicateDatabase):
                connection.execute(f"CREATE DATABASE {name} OWNER {USER} TEMPLATE {template} {how}".encode())

    def drop_database(self, name: str) -> None:
        """Delete a database, even if there are connections to it."""
        self.execute("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def select(self, database: str, query: str) -> list[dict[str, Any]]:
        """Return the rows of a query in a ledger, as the superuser sees them."""
        with psycopg.connect(
            self.url(database, "postgres"), options="-c search_path=kie_mcp", row_factory=dict_row
        ) as connection:
            return connection.execute(query.encode()).fetchall()

    @contextmanager
    def lose(self, database: str) -> Iterator[None]:
        """Behave like a stopped server until the block ends: end all connections to a database, and refuse new ones."""
        self.execute("postgres", f"REVOKE CONNECT ON DATABASE {database} FROM PUBLIC, {USER}")
        self.disconnect(database)
        yield
        self.execute("postgres", f"GRANT CONNECT ON DATABASE {database} TO {USER}")

    @contextmanager
    def use_up_connections(self, database: str) -> Iterator[None]:
        """Allow no connection to a database until the block ends, as if all connections were in use."""
        self.execute("postgres", f"ALTER DATABASE {database} CONNECTION LIMIT 0")
        self.disconnect(database)
        yield
        self.execute("postgres", f"ALTER DATABASE {database} CONNECTION LIMIT -1")

    @contextmanager
    def refuse_writing(self, database: str) -> Iterator[None]:
        """Let each transaction that writes to a ledger fail with a serialization error, until the block ends."""
        function = """CREATE FUNCTION kie_mcp.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN RAISE EXCEPTION 'could not serialize access' USING ERRCODE = 'serialization_failure'; END $$"""
        tables = [f"kie_mcp.{name}" for name in ("tasks", "creates", "servers")]
        triggers = [
            f"CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON {name} EXECUTE FUNCTION kie_mcp.refuse()"
            for name in tables
        ]
        self.execute(database, function, *triggers)
        yield
        self.execute(database, "DROP FUNCTION kie_mcp.refuse CASCADE")

    def disconnect(self, database: str) -> None:
        """End all connections to a database."""
        ours = f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '{database}'"
        self.execute("postgres", ours)

    @contextmanager
    def connection(self, database: str, user: str = USER) -> Iterator[psycopg.Connection[Any]]:
        """Connect to a ledger as another process does."""
        with psycopg.connect(self.url(database, user), options="-c search_path=kie_mcp") as connection:
            yield connection

    def _run(self, program: str, *arguments: str) -> None:
        programs = find_programs()
        assert programs
        command = [str(programs / program), "-D", str(self.folder / "data"), *arguments]
        subprocess.run(command, check=True, capture_output=program == "initdb", user=_user(), cwd=self.folder)


def _user() -> str | None:
    """Return the user account that runs the server; None for the user who runs the tests."""
    return "postgres" if os.getuid() == 0 else None


async def _create_ledgers(url: str) -> None:
    """Create the schemas of a server with a key and of a sandbox."""
    for schema in ("kie_mcp", "kie_mcp_sandbox"):
        await (await PostgresqlDatabase.open(url, schema)).close()


@contextmanager
def share_server(folder: Path) -> Iterator[PostgresqlServer]:
    """Yield the server of this test run; the first process starts it, and writes its folder to a file."""
    with (folder / "postgresql.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        name = folder / "postgresql"
        if not name.exists():
            server = PostgresqlServer.create()
            server.create_database(LEDGER)
            anyio.run(_create_ledgers, server.url(LEDGER))
            name.write_text(str(server.folder))
        yield PostgresqlServer(Path(name.read_text()))


def end_shared_server(folder: Path) -> None:
    """Stop the server of this run, if one was started."""
    name = folder / "postgresql"
    if name.exists():
        PostgresqlServer(Path(name.read_text())).remove()
