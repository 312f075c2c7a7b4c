"""scripts/backup.sh on all three databases: copy, restore, compare; what is removed when."""

import os
import re
import subprocess
import time
import urllib.parse

from programs import ENVIRONMENT, ROOT, Failure, Missing, chat, embedded, folder, gateway, needs, run, until
from servers import mariadb, postgres, sql

SCRIPT = ROOT / "scripts/backup.sh"
# It has what a URL must write with per cents, and what option files and shells take for something else.
PASSWORD = "p@ss/w:rd\"\\'$x% #"
DAY = 86_400


def every_database():
    """backup.sh copies SQLite, MariaDB and PostgreSQL so that they can be restored, keeps 30 days, and never removes without a new copy."""
    said = []
    with folder() as home:
        sqlite_copy(home)
        removes_what_is_old(home)
        said.append("SQLite")
    for name, check in (("MariaDB", mariadb_copy), ("PostgreSQL", postgres_copy)):
        try:
            with folder() as home:
                check(home)
            said.append(name)
        except Missing as missing:
            said.append(f"SKIPPED {name}: {missing}")
    return ", ".join(said)


def backup(home, environment, to="backups"):
    """The one new copy that a run of the script makes."""
    folder = home / to
    before = set(folder.glob("llm-orchestrator-*")) if folder.exists() else set()
    said = run("bash", SCRIPT, environment={"BACKUP_DIR": str(folder), **environment}, cwd=home)
    new = set(folder.glob("llm-orchestrator-*")) - before
    if len(new) != 1 or str(*new) not in said:
        raise Failure(f"new copies: {new}; it said {said}")
    copy = new.pop()
    if copy.stat().st_mode & 0o077:
        raise Failure("others can read the copy")
    if list(folder.glob(".partial-*")):
        raise Failure("something half done was left behind")
    return copy


def sqlite_copy(home):
    with embedded(home) as running:
        chat(running.base, running.key("client"), words="before")
        until_stored(home / "data", 1)
        copy = backup(home, running.environment)
    if not copy.name.endswith(".db.gz"):
        raise Failure(copy.name)
    again = home / "again"
    (again / "data").mkdir(parents=True)
    with open(again / "data/llm_orchestrator.db", "wb") as restored:
        subprocess.run(["gzip", "-dc", copy], stdout=restored, check=True)
    (again / "data/master.key").write_text((home / "data/master.key").read_text())
    with embedded(again) as restored:
        if chat(restored.base, running.key("client")) != "Hello":
            raise Failure("the key of before is not known")


def until_stored(data, rows):
    import sqlite3

    def count():
        return sqlite3.connect(f"file:{data}/llm_orchestrator.db?mode=ro", uri=True).execute("SELECT COUNT(*) FROM request_logs").fetchone()[0]

    until("the request is on record", 10, lambda: count() >= rows)


def removes_what_is_old(home):
    """Of the script's own copies those of more than 30 days go, when there is a new one."""
    folder, environment = home / "backups", {"DATA_DIR": str(home / "data")}
    ages = {"llm-orchestrator-a.db.gz": 31, "llm-orchestrator-b.sql.gz": 40, "llm-orchestrator-c.dump": 31, "llm-orchestrator-d.dump": 29, "notes-old.txt": 90}
    for name, days in ages.items():
        (folder / name).write_text("x")
        os.utime(folder / name, (time.time() - days * DAY,) * 2)
    failed = subprocess.run(["bash", SCRIPT], env={**ENVIRONMENT, "BACKUP_DIR": str(folder), "DATABASE_URL": "mysql://u:topsecret@127.0.0.1:1/x"}, capture_output=True, text=True)
    if failed.returncode != 1 or not failed.stderr.startswith("backup: ") or "topsecret" in failed.stderr + failed.stdout:
        raise Failure(f"a database that is away: {failed.returncode}, {failed.stderr}")
    if not all((folder / name).exists() for name in ages):
        raise Failure("a copy was removed though none was made")
    time.sleep(1.1)
    backup(home, environment)
    left = sorted(name for name in ages if (folder / name).exists())
    if left != ["llm-orchestrator-d.dump", "notes-old.txt"]:
        raise Failure(f"left: {left}")


def mariadb_copy(home):
    needs("mariadb-dump", "mariadb-client")
    quoted = PASSWORD.replace("\\", "\\\\").replace("'", "\\'")
    with mariadb(home) as server:
        sql(server, "CREATE DATABASE llm; CREATE DATABASE again")
        # The rights that docs/DATABASES.md names, and no other.
        rights = re.search(r"GRANT (.*) ON llm\.\* TO llm@'%'", (ROOT / "docs/DATABASES.md").read_text())[1]
        sql(server, f"CREATE USER llm@'%' IDENTIFIED BY '{quoted}'; GRANT {rights} ON llm.* TO llm@'%'; GRANT {rights} ON again.* TO llm@'%'")
        url = f"mysql://llm:{urllib.parse.quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/llm"
        migrate(home, url)
        sql(server, "CREATE TABLE probe (id INT PRIMARY KEY, text VARCHAR(20) CHARACTER SET utf8mb4); INSERT INTO probe VALUES (1, 'ä\U0001f600')", "llm")
        copy = backup(home, {"DATABASE_URL": url})
        # As docs/DEPLOYMENT.md restores it: by the user of before, who has no other rights.
        restore = 'gzip -dc "$1" | mariadb --no-defaults --host=127.0.0.1 --port="$2" --user=llm again'
        run("sh", "-c", restore, "sh", copy, server.port, environment={"MYSQL_PWD": PASSWORD})
        tables = "SELECT GROUP_CONCAT(table_name ORDER BY table_name) FROM information_schema.tables WHERE table_schema = '{}'"
        expect_same("tables", sql(server, tables.format("llm")), sql(server, tables.format("again")))
        expect_same("text", *(sql(server, "SELECT HEX(text) FROM probe", name) for name in ("llm", "again")))
        expect_same("migrations", *(sql(server, "CHECKSUM TABLE _sqlx_migrations", name).split()[-1] for name in ("llm", "again")))


def postgres_copy(home):
    needs("pg_dump", "postgresql-client")
    with postgres(home) as server:
        server.psql("CREATE USER llm PASSWORD '" + PASSWORD.replace("'", "''") + "'")
        for name in ("llm", "again"):
            server.psql(f"CREATE DATABASE {name} OWNER llm TEMPLATE template0")
        url = f"postgresql+asyncpg://llm:{urllib.parse.quote(PASSWORD, safe='')}@127.0.0.1:{server.port}/llm?sslmode=disable"
        migrate(home, url)
        copy = backup(home, {"DATABASE_URL": url, "PATH": os.environ["PATH"]})
        run("pg_restore", "-h", "127.0.0.1", "-p", server.port, "-U", "llm", "--dbname=again", copy)
        for what in ("SELECT string_agg(table_name, ',' ORDER BY table_name) FROM information_schema.tables WHERE table_schema = 'public'",
                     "SELECT count(*) FROM _sqlx_migrations"):
            expect_same(what, server.psql(what, "llm"), server.psql(what, "again"))


def migrate(home, url):
    run(gateway("orchestrator-grpc"), "migrate", environment={"DATABASE_URL": url, "DATA_DIR": str(home / "data")}, cwd=home)


def expect_same(what, before, after):
    if not before.strip() or before != after:
        raise Failure(f"{what}: {before!r} before, {after!r} after")
