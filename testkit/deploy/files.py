"""What can be said of the files without running a gateway."""

import json
import os
import re
import shutil
import subprocess
import tempfile

import yaml

from programs import ROOT, Failure, folder, gateway, needs, read, run
from run import HERE, TARGET

COMPOSE = ["docker-compose.yml", "docker-compose.production.yml"]
MONITORING = "deploy/docker-compose.monitoring.yml"
# Settings whose values are secrets have a second variable that names a file.
SECRET = re.compile(r"(keys|vendors)\..*(admin|client|master|_api_key)|(database|redis)\.url")
INTERPOLATION = re.compile(r"\$(?:\$|\{(\w+)(?::?-([^}]*))?\})")


def documents(path):
    """The documents of a YAML file."""
    try:
        return [document for document in yaml.safe_load_all(read(path)) if document is not None]
    except yaml.YAMLError as error:
        raise Failure(f"{path}: {error}") from None


def yaml_parses():
    """Every YAML file is one."""
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.yml", "*.yaml", cwd=ROOT).split()
    for path in tracked:
        if not documents(path):
            raise Failure(f"{path} is empty")
    return f"{len(tracked)} files"


def known_variables():
    """What docs/CONFIGURATION.md's table knows, which a test holds to the code; and the forms that name a secret's file."""
    known = {"ORCHESTRATOR_CONFIG"}
    for name, variable in re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \| (?:`([A-Z_]+)`|-) \|", read("docs/CONFIGURATION.md"), re.M):
        known.add("ORCHESTRATOR__" + name.upper().replace(".", "__"))
        if variable:
            known.add(variable)
            if SECRET.fullmatch(name):
                known.add(f"{variable}_FILE")
    if len(known) < 50:
        raise Failure("docs/CONFIGURATION.md's table was not understood")
    return known


def every_variable_is_a_setting():
    """Every variable in a shipped file is a setting of ours, or is read by the script that gets it."""
    known, unknown, seen = known_variables(), [], set()

    def look(place, names, among=known):
        for name in names:
            seen.add(name)
            if name not in among:
                unknown.append(f"{place}: {name}")

    look(".env.example", names_in_env_example(), known | interpolated())
    missing = interpolated() - names_in_env_example()
    unknown += [f"{name} stands in a compose file and not in .env.example" for name in sorted(missing)]
    look("Dockerfile", dockerfile_environment())
    for path in (*COMPOSE, MONITORING):
        for service, body in documents(path)[0]["services"].items():
            script = {"secrets": "deploy/compose/make-secrets.sh", "backup": "scripts/backup.sh"}.get(service)
            if script:
                look(f"{path}, {service}", body.get("environment", {}), words_in(script))
            elif service not in ("db", "redis", "prometheus", "grafana"):
                look(f"{path}, {service}", body.get("environment", {}))
    for path in sorted((ROOT / "deploy/k8s").glob("*.yaml")):
        look(path.name, names_in_manifest(documents(path.relative_to(ROOT))))
    for path in sorted((ROOT / "deploy/systemd").glob("*.service")):
        names = re.findall(r"(\w+)=\S", " ".join(re.findall(r"^Environment=(.*)$", path.read_text(), re.M)))
        look(path.name, names, known | words_in("scripts/backup.sh") if "backup" in path.name else known)
    if unknown:
        raise Failure("; ".join(unknown))
    # An unedited copy is what `make run` reads.
    for program in ("orchestrator-edge", "orchestrator-grpc"):
        run(gateway(program), "--env-file", ROOT / ".env.example", "check-config")
    return f"{len(seen)} variables"


def words_in(path):
    return set(re.findall(r"[A-Z][A-Z_]+", read(path)))


def names_in_env_example():
    return set(re.findall(r"^#?([A-Z][A-Z_]+)=", read(".env.example"), re.M))


def interpolated():
    return {name for path in (*COMPOSE, MONITORING) for name, _ in INTERPOLATION.findall(read(path)) if name}


def dockerfile_environment():
    """The variables of the image, with their values."""
    last = read("Dockerfile").split("\nFROM ")[-1]
    return dict(pair.split("=", 1) for line in re.findall(r"^ENV (.*)$", last, re.M) for pair in line.split())


def names_in_manifest(manifests):
    """Variables of containers, and of what is generated for `envFrom`."""
    for manifest in manifests:
        template = manifest.get("spec", {}).get("template", {}).get("spec", {})
        for container in template.get("containers", []):
            yield from (variable["name"] for variable in container.get("env", []))
        for generator in manifest.get("configMapGenerator", []):
            yield from (literal.split("=")[0] for literal in generator["literals"])


def no_secret_is_shipped():
    """No file gives a key or a password, and what is copied into an image is no secret either."""
    given = re.findall(r"^(\w*(?:KEY|PASSWORD|SECRET|TOKEN|DATABASE_URL)\w*)=(\S+)", read(".env.example"), re.M)
    if given:
        raise Failure(f".env.example gives {', '.join(name for name, _ in given)}")
    if re.search(r"^\s*requirepass\s", read("deploy/redis.conf"), re.M):
        raise Failure("deploy/redis.conf has a password that everybody knows")
    ignored = read(".dockerignore").split()
    for pattern in ("**/.env", "**/*.env", "**/*.key", "data", ".git"):
        if pattern not in ignored:
            raise Failure(f".dockerignore lets {pattern} into the image's layers")
    for path in (".env", "deploy/k8s/secrets.env"):
        if subprocess.run(["git", "check-ignore", "-q", path], cwd=ROOT).returncode:
            raise Failure(f"{path} could be committed")


def scripts_parse():
    """The shells that run the scripts can read them, and shellcheck, where it is, has nothing to say."""
    run("bash", "-n", ROOT / "scripts/backup.sh")
    run("sh", "-n", ROOT / "deploy/compose/make-secrets.sh")
    run(needs("shellcheck", "shellcheck"), ROOT / "scripts/backup.sh", ROOT / "deploy/compose/make-secrets.sh")


def compose_accepts():
    """The library of `docker compose config` accepts the files, with an unedited .env and with one of `init --env`."""
    go = needs("go", "Go 1.24 or newer")
    program = TARGET / "deploy" / "compose"
    environment = {name: value for name, value in os.environ.items() if name.startswith(("GO", "HOME", "PATH", "http", "HTTP", "no_", "NO_"))}
    built = subprocess.run([go, "build", "-o", program, "."], cwd=HERE / "compose", env=environment, capture_output=True, text=True, timeout=300)
    if built.returncode:
        raise Failure(f"compose's library was not built: {built.stderr.strip()}")
    with folder() as home:
        (home / "deploy").mkdir()
        for path in (*COMPOSE, MONITORING):
            shutil.copy(ROOT / path, home / path)
        for text in (read(".env.example"), run(gateway("orchestrator-grpc"), "init", "--env")):
            (home / ".env").write_text(text)
            for files in (COMPOSE[:1], COMPOSE, [COMPOSE[0], MONITORING], [*COMPOSE, MONITORING]):
                project = json.loads(run(program, *files, cwd=home))
                expect_services(project["services"], files, home)


def expect_services(services, files, home):
    production, monitors = COMPOSE[1] in files, {"prometheus", "grafana"} if MONITORING in files else set()
    names = {"app", "core-1", "core-2", "db", "redis", "secrets"} | ({"backup"} if production else set()) | monitors
    if set(services) != names:
        raise Failure(f"the services are {', '.join(sorted(services))}")
    volumes = [[mount["source"] for mount in services[core]["volumes"] if mount["target"] == "/data"] for core in ("core-1", "core-2")]
    if volumes != [["core-1-data"], ["core-2-data"]]:
        raise Failure(f"the cores' volumes are {volumes}")
    for name, service in services.items():
        if name in ("secrets", "backup"):
            continue
        if not service.get("healthcheck", {}).get("test"):
            raise Failure(f"{name} has no health check")
        if production and service["restart"] != "always" and name not in monitors:
            raise Failure(f"{name} is not always started again in production")
    for name in ("app", "core-1", "core-2"):
        environment = services[name]["environment"]["APP_ENV"]
        if production and environment != "production":
            raise Failure(f"{name} is not in production")
    for name in monitors:
        for mount in services[name]["volumes"]:
            if mount["type"] == "bind" and not (ROOT / os.path.relpath(mount["source"], home)).exists():
                raise Failure(f"{name} mounts {mount['source']}, which is not there")
        if any(port["host_ip"] != "127.0.0.1" for port in services[name]["ports"]):
            raise Failure(f"{name} asks for no password, and can be reached from elsewhere")


def kubernetes_accepts():
    """kustomize builds the manifests, and Kubernetes' schemas accept them, with nothing unknown in them."""
    import kubernetes_validate

    kubectl = needs("kubectl", "kubectl")
    with tempfile.TemporaryDirectory() as home:
        shutil.copytree(ROOT / "deploy/k8s", home, dirs_exist_ok=True)
        if subprocess.run([kubectl, "kustomize", home], capture_output=True).returncode == 0 and not os.path.exists(f"{home}/secrets.env"):
            raise Failure("the manifests are built without secrets.env")
        keys = run(gateway("orchestrator-grpc"), "init", "--env")
        with open(f"{home}/secrets.env", "w") as secrets:
            secrets.write(f"{keys}DATABASE_URL=mysql://llm:PASSWORD@mariadb:3306/llm\n")
        built = list(yaml.safe_load_all(run(kubectl, "kustomize", home)))
        monitoring = list(yaml.safe_load_all(run(kubectl, "kustomize", f"{home}/monitoring")))
    for manifest in built + [manifest for manifest in monitoring if manifest["kind"] != "ServiceMonitor"]:
        try:
            kubernetes_validate.validate(manifest, "1.30", strict=True)
        except kubernetes_validate.ValidationError as error:
            raise Failure(f"{manifest['kind']} {manifest['metadata']['name']}: {error.message}") from None
    kinds = sorted(manifest["kind"] for manifest in built)
    wanted = ["HorizontalPodAutoscaler", "NetworkPolicy", "PodDisruptionBudget", "Secret", "StatefulSet", "Deployment"]
    if not set(wanted) <= set(kinds):
        raise Failure(f"there are only {', '.join(kinds)}")
    by = {(manifest["kind"], manifest["metadata"]["name"].split("-")[0]): manifest for manifest in built}
    for kind, name in (("Deployment", "edge"), ("StatefulSet", "core")):
        expect_restricted(name, by[kind, name]["spec"]["template"]["spec"])
    secret = by["Secret", "secrets"]
    with_secrets = [key for key, manifest in by.items() if secret["metadata"]["name"] in json.dumps(manifest) and key[0] != "Secret"]
    if with_secrets != [("StatefulSet", "core")]:
        raise Failure(f"the secrets are given to {with_secrets}")
    expect_monitors(by, [manifest for manifest in monitoring if manifest["kind"] == "ServiceMonitor"])
    return f"{len(built) + len(monitoring)} objects"


def expect_monitors(built, monitors):
    """Each ServiceMonitor finds one service, by a port that the service and its pods have, and names a job that the alert rules look at."""
    if {monitor["metadata"]["name"] for monitor in monitors} != {"core", "edge"}:
        raise Failure("there is not a ServiceMonitor each for core and edge")
    jobs = re.compile(re.search(r'up\{job=~"([^"]*)"\}', read("deploy/prometheus/rules.yml"))[1])
    for monitor in monitors:
        name, endpoint = monitor["metadata"]["name"], monitor["spec"]["endpoints"][0]
        labels = monitor["spec"]["selector"]["matchLabels"].items()
        found = [key for key, manifest in built.items() if key[0] == "Service" and labels <= manifest["metadata"]["labels"].items()]
        if found != [("Service", name)]:
            raise Failure(f"the ServiceMonitor {name} finds {found}")
        ports = {port["name"]: port["targetPort"] for port in built["Service", name]["spec"]["ports"]}
        pod = built["StatefulSet" if name == "core" else "Deployment", name]["spec"]["template"]["spec"]["containers"][0]
        if ports.get(endpoint["port"]) not in [port["name"] for port in pod["ports"]]:
            raise Failure(f"the ServiceMonitor {name} asks at a port that is not there")
        if endpoint["path"] != "/metrics" or not jobs.fullmatch(endpoint["relabelings"][0]["replacement"]):
            raise Failure(f"the ServiceMonitor {name} has another path, or a job that no rule knows")


def expect_restricted(name, pod):
    """What the namespace's `restricted` policy demands; it refuses pods only when they are made."""
    container = pod["containers"][0]["securityContext"]
    demanded = [
        pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"] == 1000, container["readOnlyRootFilesystem"],
        not container["allowPrivilegeEscalation"], container["capabilities"]["drop"] == ["ALL"],
        pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault", not pod["automountServiceAccountToken"],
    ]
    if not all(demanded):
        raise Failure(f"{name} is not restricted: {demanded}")


def documents_agree():
    """Links in the documents lead somewhere; the two READMEs have the same commands, links and settings."""
    paths = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md", cwd=ROOT).split()
    broken = [f"{path}: {target}" for path in paths for target in links(read(path)) if not leads_somewhere(path, target)]
    if broken:
        raise Failure(f"links that lead nowhere: {', '.join(broken)}")
    english, chinese = read("README.md"), read("README.zh-CN.md")
    for what, parts in (("blocks", lambda text: re.findall(r"^```.*?^```", text, re.M | re.S)),
                        ("settings", lambda text: re.findall(r"`[A-Z]+_[A-Z_]+`", text)),
                        ("headings", lambda text: re.findall(r"^#+ ", text, re.M)),
                        ("list's items", lambda text: re.findall(r"^\* ", text, re.M)),
                        ("links", lambda text: sorted({target.replace(".zh-CN.png", ".png") for target in links(text)} - {"README.md", "README.zh-CN.md"}))):
        if parts(english) != parts(chinese):
            raise Failure(f"the READMEs' {what} differ")
    return f"{len(paths)} documents"


def links(text):
    """Targets in this repository."""
    text = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.M | re.S)
    return [target for target in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in target]


def leads_somewhere(path, target):
    file, _, heading = target.partition("#")
    found = (ROOT / path).parent / file if file else ROOT / path
    if not found.exists():
        return False
    if not heading or found.suffix != ".md":
        return True
    headings = re.findall(r"^#+ (.*)$", found.read_text(), re.M)
    return heading in {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
