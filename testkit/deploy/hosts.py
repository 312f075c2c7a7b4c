"""What runs on a host without containers: systemd's units, logrotate's file."""

import re
import shutil
import subprocess

from programs import IS_ROOT, ROOT, Failure, call, embedded, folder, needs, read, run, until

UNITS = ROOT / "deploy/systemd"


def systemd_accepts():
    """`systemd-analyze` accepts the units where DEPLOYMENT.md puts them; their users and folders can be made."""
    analyze = needs("systemd-analyze", "systemd")
    with folder() as root:
        units = root / "etc/systemd/system"
        units.mkdir(parents=True)
        for path in (*UNITS.glob("*.service"), *UNITS.glob("*.timer")):
            shutil.copy(path, units)
        for service, name in (("llm-orchestrator", "edge"), ("llm-orchestrator-core", "core")):
            (units / f"{service}.service.d").mkdir()
            shutil.copy(UNITS / "log-files" / f"{name}.conf", units / f"{service}.service.d" / "log-files.conf")
        for command in re.findall(r"^Exec(?:Start|Reload)=(\S+)", "\n".join(path.read_text() for path in UNITS.glob("*.service")), re.M):
            program = root / command.lstrip("/")
            program.parent.mkdir(parents=True, exist_ok=True)
            program.write_text("")
            program.chmod(0o755)
        stand_in(root)
        names = sorted(path.name for path in units.iterdir() if path.is_file())
        done = subprocess.run([analyze, "verify", f"--root={root}", "--man=no", *names], capture_output=True, text=True)
        complaints = [line for line in done.stderr.splitlines() if "llm-orchestrator" in line]
        if complaints:
            raise Failure("; ".join(complaints))
        if done.returncode:
            raise Failure(done.stderr.strip())
        expect_exposure(analyze, [units / name for name in names if name in ("llm-orchestrator.service", "llm-orchestrator-core.service")])
        run(analyze, "calendar", re.search(r"^OnCalendar=(.*)$", (UNITS / "llm-orchestrator-backup.timer").read_text(), re.M)[1])
        made = make_users_and_folders(root) if IS_ROOT else "; users and folders are made as root only"
    return f"{len(names)} units{made}"


def stand_in(root):
    """Targets that units name stand for those of a whole system."""
    units = root / "usr/lib/systemd/system"
    units.mkdir(parents=True)
    targets = ["basic", "sysinit", "shutdown", "network-online", "multi-user", "timers", "default", "umount", "local-fs", "time-sync", "time-set"]
    for name in targets:
        (units / f"{name}.target").write_text("[Unit]\nDescription=stands in\nDefaultDependencies=no\n")
    for name in ("-", "system", "tmp"):
        (units / f"{name}.slice").write_text("[Unit]\nDefaultDependencies=no\n")


def expect_exposure(analyze, units):
    for unit in units:
        done = subprocess.run([analyze, "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)], capture_output=True, text=True)
        if done.returncode:
            raise Failure(f"{unit.name} is less confined than it was: {done.stdout.strip().splitlines()[-1]}")


def make_users_and_folders(root):
    run(needs("systemd-sysusers", "systemd"), f"--root={root}", UNITS / "sysusers.conf")
    if "llm-orchestrator" not in (root / "etc/passwd").read_text():
        raise Failure("sysusers.conf made no user")
    # tmpfiles looks into its root for names, where they have just been made.
    (root / "etc/group").write_text((root / "etc/group").read_text() + "adm:x:4:\n")
    (root / "etc/passwd").write_text((root / "etc/passwd").read_text() + "root:x:0:0::/root:/bin/sh\n")
    (root / "etc/group").write_text((root / "etc/group").read_text() + "root:x:0:\n")
    run(needs("systemd-tmpfiles", "systemd"), f"--root={root}", "--create", UNITS / "tmpfiles.conf")
    backups = root / "var/backups/llm-orchestrator"
    if backups.stat().st_mode & 0o777 != 0o700 or backups.stat().st_uid == 0:
        raise Failure("tmpfiles.conf: the backups' folder is not the core's alone")
    return ", users and folders made"


def logrotate_keeps_every_line():
    """What a gateway writes between rotations is kept in one file and 14 older ones, compressed but for the youngest."""
    logrotate = needs("logrotate", "logrotate")
    with folder() as home:
        logs = home / "logs"
        logs.mkdir()
        log = logs / "access.log"
        with embedded(home, ACCESS_LOG_FILE=str(log)) as gateway:
            rules = home / "rules"
            text = read("deploy/logrotate/llm-orchestrator").replace("/var/log/llm-orchestrator-edge", str(logs))
            text = re.sub(r"^ *systemctl reload.*$", f"kill -HUP {gateway.child.pid}", text, flags=re.M)
            rules.write_text(text)
            rules.chmod(0o644)
            for number in range(18):
                call("GET", f"{gateway.base}/line/{number}")
                until(f"line {number}", 5, lambda: f"/line/{number}\"" in log.read_text())
                if number < 17:
                    run(logrotate, "--force", "--state", home / "state", rules)
                    until("a new file", 5, log.exists)
        kept = {path.name for path in logs.iterdir()}
        wanted = {"access.log", "access.log.1", *(f"access.log.{number}.gz" for number in range(2, 15))}
        if kept != wanted:
            raise Failure(f"kept: {', '.join(sorted(kept))}")
        names = [f"{log}.{number}.gz" for number in range(14, 1, -1)]
        lines = re.findall(r"/line/(\d+)", run("zcat", "-f", *names, f"{log}.1", log))
        if lines != [str(number) for number in range(3, 18)]:
            raise Failure(f"kept lines: {lines}")
