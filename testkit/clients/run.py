#!/usr/bin/env python3
"""Drives a gateway with clients that nobody here wrote: `make test-clients`. README.md says how to run a part of it.

Builds the programs, checks that the provider's judge can fail, then starts for each channel the scenes' provider and a gateway
(embedded: one process; split: core and edge) and runs the suites of `suites.py` against them. Ends with one summary.
"""

import argparse
import os
import signal
import subprocess
import sys
import time

import judge_test
from programs import ROOT, Failure, Gateway, Provider
from suites import SUITES, Missing

CHANNELS = ["embedded", "split"]


def main():
    # Told to end, it ends what it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    arguments = parse()
    chosen = [suite for suite in SUITES if suite.name in arguments.suites]
    started = time.monotonic()
    results = []
    try:
        build()
        judge_test.run()
        results.append(("passed", "the provider's judge refuses what is wrong"))
        ready = prepare(chosen, results)
        for channel in arguments.channels:
            results += drive(channel, ready, arguments.serve)
    except Failure as failure:
        results.append(("FAILED", str(failure)))
    return summary(results, time.monotonic() - started)


def parse():
    names = [suite.name for suite in SUITES]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=f"all, or some of: {', '.join(names)}")
    parser.add_argument("--channel", choices=CHANNELS, help="only this channel")
    parser.add_argument("--serve", action="store_true", help="start everything, print its addresses and keys, and wait for Enter")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(names)
    if unknown:
        parser.error(f"no suite is called {', '.join(sorted(unknown))}")
    arguments.suites = arguments.suites or names
    arguments.channels = [arguments.channel] if arguments.channel else CHANNELS
    return arguments


def build():
    say("building the programs")
    cargo = os.environ.get("CARGO", "cargo")
    if subprocess.run([cargo, "build", "--workspace", "--bins", "--locked"], cwd=ROOT).returncode:
        raise Failure("the programs could not be built")


def prepare(suites, results):
    """Installs what the suites need. One whose language is not there is skipped aloud, but Python's never."""
    ready = []
    for suite in suites:
        say(f"preparing {suite.name}")
        try:
            suite.prepare()
            ready.append(suite)
        except Missing as missing:
            say(f"SKIPPED {suite.name}: {missing}")
            results.append(("SKIPPED", f"{suite.name}: {missing}"))
    return ready


def drive(channel, suites, serve):
    """Runs the suites over one channel and gives their results."""
    say(f"starting provider and gateway: {channel}")
    results = []
    keys = Gateway.make_keys()
    with Provider(keys.client) as provider, Gateway(channel, keys, provider) as gateway:
        gateway.stage_scenes(provider.ask("scenes"))
        if serve:
            print("\n".join(f"export {name}={value}" for name, value in gateway.environment().items()))
            input("Enter ends it. ")
            return [("passed", f"{channel}: served")]
        for suite in suites:
            say(f"{suite.name}, {channel}")
            since = time.monotonic()
            passed = suite.run(gateway.environment())
            results.append(("passed" if passed else "FAILED", f"{suite.name}, {channel} ({time.monotonic() - since:.1f} s)"))
        complaints = provider.ask("complaints")
        results.append(("FAILED" if complaints else "passed", f"the provider has nothing to complain of, {channel}"))
        for complaint in complaints:
            print(f"  the provider complains: {complaint}")
        results += [("FAILED", f"{what}, {channel}") for what in gateway.stop()]
        if any(word == "FAILED" for word, _ in results):
            gateway.show_logs()
    return results


def summary(results, seconds):
    say("summary")
    for word, what in results:
        print(f"  {word:8}{what}")
    words = {word for word, _ in results}
    failed = "FAILED" in words
    verdict = "FAILED" if failed else "Passed, but for what was skipped," if "SKIPPED" in words else "All passed"
    print(f"  {verdict} after {seconds:.0f} s")
    return 1 if failed else 0


def say(text):
    print(f"== {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
