"""Alert rules, dashboard and docs/METRICS.md: whether what they name exists in what edge and core say of themselves."""

import json
import re
import subprocess

import yaml

from programs import ROOT, Failure, folder, needs, read, run

RULES = "deploy/prometheus/rules.yml"
DASHBOARD = "deploy/grafana/dashboards/llm-orchestrator.json"
NAME = re.compile(r"\borchestrator_[a-z_]+")
SELECTOR = re.compile(r"\b(orchestrator_[a-z_]+)\{([^}]*)\}")
SAMPLE = re.compile(r"^([a-z_]+)(?:\{(.*)\})? (\S+)$")
# What Prometheus adds, or a histogram has.
ADDED = {"le", "instance", "job"}


def prometheus_accepts():
    """promtool accepts rules and configuration; rules fire beyond their bounds alone; what rules and dashboard name is in docs/METRICS.md."""
    promtool = needs("promtool", "prometheus")
    promise = promised()
    problems = []
    for place, expression, _ in expressions():
        problems += [f"{place}: {problem}" for problem in unknown_in(expression, promise)]
    for place, _, template in expressions():
        labels = set(re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", template))
        unknown = labels - ADDED - {label for _, labels in promise.values() for label in labels}
        problems += [f"{place}: its text has {', '.join(sorted(unknown))}"] if unknown else []
    cures = read("docs/TROUBLESHOOTING.md")
    problems += [f"docs/TROUBLESHOOTING.md has no row for {rule['alert']}" for rule in alerts() if f"| `{rule['alert']}` |" not in cures]
    if problems:
        raise Failure("; ".join(problems))
    for what in (["rules", ROOT / RULES], ["config", ROOT / "deploy/prometheus/prometheus.yml"]):
        promtool_accepts(promtool, *what)
    tested = read("testkit/deploy/rules_test.yml")
    if untested := [rule["alert"] for rule in alerts() if f'alertname="{rule["alert"]}"' not in tested]:
        raise Failure(f"testkit/deploy/rules_test.yml does not have {', '.join(untested)}")
    run(promtool, "test", "rules", ROOT / "testkit/deploy/rules_test.yml")
    with folder() as home:
        # As docs/DEPLOYMENT.md makes an object of the operator from it.
        indented = "".join(f"  {line}" for line in read(RULES).splitlines(keepends=True))
        made = yaml.safe_load(f"spec:\n{indented}")["spec"]
        (home / "rules.yml").write_text(yaml.safe_dump(made))
        promtool_accepts(promtool, "rules", home / "rules.yml")
    return f"{len(alerts())} alerts, {len(panels())} panels, {len(promise)} metrics"


def promtool_accepts(promtool, what, path=None, text=None):
    """`promtool check WHAT`, of a file or of a text; it complains of style on a good exit code too."""
    done = subprocess.run([promtool, "check", what, *([path] if path else [])], input=text, capture_output=True, text=True, timeout=60)
    if done.returncode or (text and (done.stdout + done.stderr).strip()):
        raise Failure(f"promtool check {what}: {done.stdout}{done.stderr}".strip())


def alerts():
    return [rule for group in yaml.safe_load(read(RULES))["groups"] for rule in group["rules"]]


def panels():
    return [panel for panel in json.loads(read(DASHBOARD))["panels"] if panel["type"] != "row"]


def expressions():
    """Every expression of rules and dashboard: where it stands, itself, and the text that its result is put into."""
    for rule in alerts():
        yield rule["alert"], rule["expr"], rule["annotations"]["summary"]
    for panel in panels():
        for target in panel["targets"]:
            yield f"the panel {panel['title']!r}", target["expr"], target["legendFormat"]


def promised():
    """docs/METRICS.md's table: of each metric its type, its labels and who exposes it."""
    rows = re.findall(r"^\| `(orchestrator_\w+)` \| (\w+) \| ([^|]*) \| (core|edge|both) \|", read("docs/METRICS.md"), re.M)
    if len(rows) < 50:
        raise Failure("docs/METRICS.md's table was not understood")
    return {name: ((kind, who), set(re.findall(r"`(\w+)`", labels))) for name, kind, labels, who in rows}


def base_name(name, promise):
    """The metric to which a series' name belongs."""
    stem = re.sub(r"_(bucket|sum|count)$", "", name)
    return stem if stem != name and promise.get(stem, (("",),))[0][0] == "histogram" else name


def unknown_in(expression, promise):
    """Metrics, labels and labels' values of an expression that docs/METRICS.md does not have."""
    used = {base_name(name, promise) for name in NAME.findall(expression)}
    yield from sorted(f"there is no {name}" for name in used - set(promise))
    known = {label for name in used & set(promise) for label in promise[name][1]} | ADDED
    for labels in re.findall(r"\b(?:by|on|without|ignoring) \(([^)]*)\)", expression):
        yield from (f"nothing there has the label {label}" for label in re.findall(r"\w+", labels) if label not in known)
    values = set(re.findall(r"`([\w-]+)`", read("docs/METRICS.md")))
    for name, selector in SELECTOR.findall(expression):
        for label, wanted in re.findall(r'(\w+)\s*(?:=~|!~|!=|=)\s*"([^"]*)"', selector):
            if label not in promise.get(base_name(name, promise), (None, set()))[1] | ADDED:
                yield f"{name} has no label {label}"
            yield from (f"{label} is never {value}" for value in wanted.split("|") if "." not in value and value not in values)


def expect_promise(scrapes):
    """Every metric and label of docs/METRICS.md is in the texts of those who are said to expose it, and nothing else is."""
    promise, problems = promised(), []
    for program, text in scrapes.items():
        seen = {}
        for line in text.splitlines():
            if sample := SAMPLE.match(line):
                labels = frozenset(re.findall(r'(\w+)="', sample[2] or "")) - {"le"}
                seen.setdefault(base_name(sample[1], promise), set()).add(labels)
        for name, ((kind, who), labels) in promise.items():
            if who not in (program, "both"):
                continue
            if f"# TYPE {name} {kind}" not in text or f"# HELP {name} " not in text:
                problems.append(f"the {program} does not say that {name} is a {kind}")
            if seen.get(name) != {frozenset(labels)}:
                problems.append(f"of {name} the {program} has samples with the labels {[sorted(have) for have in seen.get(name, [])]}, not {sorted(labels)}")
        expected = {name for name, ((_, who), _) in promise.items() if who in (program, "both")}
        problems += [f"the {program} has {name}, which is not said of it" for name in sorted(set(seen) - expected)]
    if problems:
        raise Failure("; ".join(problems))
