#!/usr/bin/env python3
"""Holds the shipped files to the programs: `make test-deploy`. Arguments name single checks; `--list` lists them.

What each check does stands in its own file. Programs that are not installed make a check say SKIPPED, and what to install; the
gateway's own must be built. Everything listens on 127.0.0.1 (`alerts`: on an address of this machine's own), on free ports, and lies in a temporary folder. As root more is checked:
then services run as other users, and the image's files below a root folder of their own.
"""

import argparse
import hashlib
import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
VENV = TARGET / "deploy" / "python"


def main():
    enter_environment()
    # Told to end, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    import checks
    from programs import Failure, Missing

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="CHECK")
    parser.add_argument("--list", action="store_true", help="list the checks")
    arguments = parser.parse_args()
    if arguments.list:
        return print("\n".join(f"{name}: {check.__doc__.splitlines()[0]}" for name, check in checks.CHECKS.items()))
    unknown = set(arguments.names) - set(checks.CHECKS)
    if unknown:
        parser.error(f"no check is called {', '.join(sorted(unknown))}")

    results = []
    for name in arguments.names or checks.CHECKS:
        check, started = checks.CHECKS[name], time.monotonic()
        try:
            verdict, said = "passed", check() or ""
        except Missing as missing:
            verdict, said = "SKIPPED", str(missing)
        except (Failure, subprocess.TimeoutExpired) as failure:
            verdict, said = "FAILED", str(failure)
        results.append(verdict)
        print(f"{verdict:8}{name} ({time.monotonic() - started:.1f} s){': ' if said else ''}{said}", flush=True)
    if "FAILED" in results:
        sys.exit(1)


def enter_environment():
    """Goes on as Python with the pinned packages, which are installed first where they are not yet."""
    if pathlib.Path(sys.prefix) == VENV.resolve():
        return
    requirements = HERE / "requirements.txt"
    stamp = VENV.with_suffix(".stamp")
    digest = hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        VENV.parent.mkdir(parents=True, exist_ok=True)
        pip = [VENV / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]
        for command in ([sys.executable, "-m", "venv", "--clear", VENV], pip):
            if subprocess.run(command).returncode:
                sys.exit("the pinned packages could not be installed; make test-deploy needs Python 3.11 or newer with its venv")
        stamp.write_text(digest)
    os.execv(VENV / "bin" / "python", [VENV / "bin" / "python", *sys.argv])


if __name__ == "__main__":
    main()
