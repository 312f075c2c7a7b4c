"""MariaDB and PostgreSQL for a check, each on a free port, with the file that is shipped for it where there is one."""

import contextlib
import glob
import os
import shutil

from programs import IS_ROOT, Process, free_port, needs, run, user


def own(path, name):
    """Gives a folder to a server's user."""
    path.mkdir(parents=True, exist_ok=True)
    if IS_ROOT:
        shutil.chown(path, name, name)
    return path


def start_mariadb(home, port, arguments=()):
    """The server as an image's entry point starts it, with its tables made; `arguments` are the command's."""
    server, install = needs("mariadbd", "mariadb-server"), needs("mariadb-install-db", "mariadb-server")
    name = user("mysql")
    data = own(home / "mysql", name)
    as_user = [f"--user={name}"] if name else []
    if not (data / "mysql").exists():
        run(install, "--no-defaults", *as_user, f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db")
    command = [server, *(arguments or ["--no-defaults"]), *as_user, f"--datadir={data}", f"--socket={data}/socket",
               f"--pid-file={data}/pid", f"--port={port}", "--bind-address=127.0.0.1"]
    process = Process("mariadbd", command, home)
    process.port, process.socket = port, data / "socket"
    process.wait_until("ready", 60, lambda: sql(process, "SELECT 1", quietly=True))
    return process


def sql(server, text, database="", quietly=False):
    """What a statement of the MariaDB server's root gives."""
    try:
        return run(needs("mariadb", "mariadb-client"), "--no-defaults", "--default-character-set=utf8mb4", "-uroot", f"--socket={server.socket}", "-N", "-B", "-e", text, database)
    except Exception:
        if quietly:
            return None
        raise


@contextlib.contextmanager
def mariadb(home):
    with start_mariadb(home, free_port()) as server:
        yield server


@contextlib.contextmanager
def postgres(home):
    """A PostgreSQL server; `psql` of its owner by `server.psql`."""
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    os.environ["PATH"] += "".join(f":{path}" for path in found)
    initdb = needs("initdb", "postgresql")
    name = user("postgres")
    data, port = own(home / "postgres", name), free_port()
    environment = {"PATH": os.environ["PATH"]}
    options = {"user": name} if name else {}
    run(initdb, "-D", data, "-A", "trust", "-U", "owner", "-E", "UTF8", "--no-sync", environment=environment, cwd=data, **options)
    command = [needs("postgres", "postgresql") if not found else f"{found[-1]}/postgres", "-D", data, "-p", port, "-k", data, "-h", "127.0.0.1", "-F"]
    with Process("postgres", command, home, environment, cwd=data, **options) as server:
        def psql(text, database="postgres"):
            return run("psql", "-X", "-h", data, "-p", port, "-U", "owner", "-d", database, "-tAc", text, environment=environment)

        def ready():
            try:
                return psql("SELECT 1")
            except Exception:
                return None

        server.port, server.psql = port, psql
        server.wait_until("ready", 60, ready)
        yield server
