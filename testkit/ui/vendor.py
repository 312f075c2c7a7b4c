#!/usr/bin/env python3
"""Fetches the libraries of the admin interface from npm into `orchestrator-edge/ui/vendor/`, and writes down what they are.

    python3 testkit/ui/vendor.py

A library is taken as it was published, but for what browsers need to load it without a bundler: imports by relative names, and an
export of the one that is published as a script. `testkit/tests/interface.rs` holds the files to the digests in VENDORED.md.
"""

import hashlib
import io
import pathlib
import re
import subprocess
import tarfile
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "orchestrator-edge" / "ui" / "vendor"
# The package, its version, the file in it, ours, and what is added at its end.
LIBRARIES = [
    ("preact", "11.2.0", "dist/preact.mjs", "preact.js", ""),
    ("preact", "11.2.0", "hooks/dist/hooks.mjs", "hooks.js", ""),
    ("@preact/signals-core", "1.14.5", "dist/signals-core.mjs", "signals-core.js", ""),
    ("@preact/signals", "2.11.4", "dist/signals.mjs", "signals.js", ""),
    ("htm", "3.1.1", "dist/htm.mjs", "htm.js", ""),
    ("uplot", "1.6.32", "dist/uPlot.iife.min.js", "uplot.js", "\nexport default uPlot;\n"),
    ("uplot", "1.6.32", "dist/uPlot.min.css", "uplot.css", ""),
]
PLACES = {"preact": "./preact.js", "preact/hooks": "./hooks.js", "@preact/signals-core": "./signals-core.js"}
HEAD = """# Libraries of others

They are part of the program as they were published on npm, but for the names in their imports and, for uPlot, an `export`.
`python3 testkit/ui/vendor.py` makes this folder; a test holds its files to these digests. The licences are in `LICENSES.md`.

| file | package | version | licence | file in the package | SHA-256 |
|---|---|---|---|---|---|
"""


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    rows, licences, packages = [], [], {}
    for package, version, inside, name, tail in LIBRARIES:
        if package not in packages:
            packages[package] = fetch(package, version)
            licences.append(f"## {package} {version}\n\n```\n{read(packages[package], 'LICENSE').strip()}\n```\n")
        archive = packages[package]
        text = read(archive, inside)
        text = re.sub(r"\n?//# sourceMappingURL=.*\s*$", "\n", text)
        text = re.sub(r'(from ?")([^"./][^"]*)"', lambda found: f'{found[1]}{PLACES[found[2]]}"', text) + tail
        (FOLDER / name).write_text(text)
        licence = re.search(r'"license":\s*"([^"]+)"', read(archive, "package.json"))[1]
        digest = hashlib.sha256(text.encode()).hexdigest()
        rows.append(f"| `{name}` | {package} | {version} | {licence} | `{inside}` | `{digest}` |\n")
    (FOLDER / "VENDORED.md").write_text(HEAD + "".join(rows))
    (FOLDER / "LICENSES.md").write_text("# Licences of the libraries in this folder\n\n" + "\n".join(licences))


def fetch(package, version):
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        [file] = pathlib.Path(folder).iterdir()
        return tarfile.open(fileobj=io.BytesIO(file.read_bytes()))


def read(archive, name):
    return archive.extractfile(f"package/{name}").read().decode()


if __name__ == "__main__":
    main()
