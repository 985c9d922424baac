"""The files for deployment: what cannot be run here is read as strictly as can be."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from runner.cli.exit_codes import ExitCode
from runner.config import TaskRunnerConfig, variables
from runner.diagnosis.settings import N8N_SIDE
from tests.support import ROOT

DEPLOY = ROOT / "docs" / "deploy"
OURS = {variable.name for _, variable in variables()}
N8N_ITSELF = N8N_SIDE | {
    "N8N_RUNNERS_AUTH_TOKEN",
    "N8N_ENCRYPTION_KEY",
    "N8N_GRACEFUL_SHUTDOWN_TIMEOUT",
    "EXECUTIONS_MODE",
    "OFFLOAD_MANUAL_EXECUTIONS_TO_WORKERS",
    "QUEUE_BULL_REDIS_HOST",
    "DB_TYPE",
    "DB_POSTGRESDB_HOST",
    "DB_POSTGRESDB_USER",
    "DB_POSTGRESDB_DATABASE",
    "DB_POSTGRESDB_PASSWORD",
}
COMPOSE = ("compose.yaml", "compose-queue.yaml")
SERVICE_KEYS = {
    *("image", "command", "environment", "volumes", "ports", "depends_on", "healthcheck", "restart"),
    *("read_only", "tmpfs", "cap_drop", "security_opt", "stop_grace_period"),
}
VERSIONED = re.compile(r"[a-z0-9/]+:[\w.-]+")


class Strict(yaml.SafeLoader):  # type: ignore[misc]
    """YAML in which no key may stand twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [self.construct_object(key, deep) for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        assert len(keys) == len(set(keys)), f"a key stands twice: {keys}"
        return super().construct_mapping(node, deep)


def read(name: str) -> Any:
    return yaml.load((DEPLOY / name).read_text(), Strict)  # a loader of safe values


def usable(environment: dict[str, str]) -> TaskRunnerConfig:
    """The configuration that a runner makes of a service's environment, with its secret filled in."""
    filled = {name: "secret" if value.startswith("${") else value for name, value in environment.items()}
    assert set(filled) <= OURS, set(filled) - OURS
    return TaskRunnerConfig.from_env(filled)


# compose


@pytest.mark.parametrize("name", COMPOSE)
def test_a_compose_file_has_the_shape_that_compose_wants(name: str) -> None:
    document = read(name)
    assert {key for key in document if not key.startswith("x-")} == {"name", "services", "volumes"}
    services = document["services"]
    mentioned = {volume.partition(":")[0] for service in services.values() for volume in service.get("volumes", [])}
    assert mentioned <= set(document["volumes"])
    for service in services.values():
        assert set(service) <= SERVICE_KEYS
        assert set(service.get("depends_on", {})) <= set(services)
        assert all(isinstance(value, str) for value in service.get("environment", {}).values()), "quote numbers"
        assert service["image"] == "n8n-runner" or VERSIONED.fullmatch(service["image"]), "pin versions"


@pytest.mark.parametrize("name", COMPOSE)
def test_the_runner_of_a_compose_file_is_configured_as_it_means_to_be_and_reaches_its_n8n(name: str) -> None:
    services = read(name)["services"]
    runner = services["python"]
    config = usable(runner["environment"])
    assert (runner["read_only"], runner["cap_drop"], runner["tmpfs"]) == (True, ["ALL"], ["/tmp"])
    host = re.fullmatch(r"http://(\w+):5679", config.task_broker_uri)
    assert host is not None
    n8n = services[host[1]]["environment"]
    assert (n8n["N8N_RUNNERS_MODE"], n8n["N8N_RUNNERS_BROKER_LISTEN_ADDRESS"]) == ("external", "0.0.0.0")
    assert n8n["N8N_RUNNERS_AUTH_TOKEN"] == runner["environment"]["N8N_RUNNERS_AUTH_TOKEN"]
    assert services["javascript"]["environment"]["N8N_RUNNERS_TASK_BROKER_URI"] == config.task_broker_uri
    stops = int(runner["stop_grace_period"].removesuffix("s"))
    assert stops > config.linger + config.graceful_shutdown_timeout
    for service in services.values():
        if service["image"].startswith("n8nio/n8n"):
            assert set(service["environment"]) <= N8N_ITSELF


# Kubernetes


def containers() -> Iterator[tuple[str, dict[str, Any]]]:
    pod = read("kubernetes.yaml")["spec"]["template"]["spec"]
    for kind in ("initContainers", "containers"):
        for container in pod[kind]:
            yield kind, container


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each.get("value", "${secret}") for each in container["env"]}


def test_the_runners_of_a_pod_are_native_sidecars_with_the_probes_that_are_for_them() -> None:
    sidecars = {container["name"]: container for kind, container in containers() if kind == "initContainers"}
    assert set(sidecars) == {"python", "javascript"}
    assert {container["restartPolicy"] for container in sidecars.values()} == {"Always"}
    python = sidecars["python"]
    assert python["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "status"}
    assert python["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "status"}
    config = usable(environment_of(python))
    assert config.task_broker_uri == "http://127.0.0.1:5679"
    assert python["ports"] == [{"name": "status", "containerPort": config.health_check_server_port}]
    security = python["securityContext"]
    assert (security["runAsNonRoot"], security["readOnlyRootFilesystem"]) == (True, True)
    assert security["capabilities"] == {"drop": ["ALL"]}


def test_a_pod_is_whole() -> None:
    document = read("kubernetes.yaml")
    pod = document["spec"]["template"]["spec"]
    assert document["spec"]["selector"]["matchLabels"] == document["spec"]["template"]["metadata"]["labels"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert {mount["name"] for _, each in containers() for mount in each.get("volumeMounts", [])} == volumes
    (n8n,) = [container for kind, container in containers() if kind == "containers"]
    assert set(environment_of(n8n)) <= N8N_ITSELF
    assert environment_of(n8n)["N8N_RUNNERS_MODE"] == "external"


# Docker


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, continued lines joined and comments left out."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_the_dockerfile_keeps_to_what_is_good_for_images() -> None:
    found = instructions()
    known = {"FROM", "ARG", "COPY", "RUN", "ENV", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"}
    assert {word for word, _ in found} <= known
    assert all(VERSIONED.match(rest) for word, rest in found if word == "FROM"), "pin the base"
    last_stage = found[[index for index, (word, _) in enumerate(found) if word == "FROM"][-1] :]
    assert "RUN" not in {word for word, _ in last_stage}, "nothing is installed where it would stay"
    (user,) = [rest for word, rest in last_stage if word == "USER"]
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", user), "a number, so that Kubernetes can tell that it is not root"
    assert all("--no-cache-dir" in rest for word, rest in found if word == "RUN" and "pip install" in rest)
    for word in ("ENTRYPOINT", "CMD"):
        assert isinstance(json.loads(dict(found)[word]), list), "as a list, or no signal would arrive"


def test_the_variables_of_the_dockerfile_are_ours_and_its_health_check_asks_the_right_port() -> None:
    found = dict(instructions())
    names = dict(word.split("=", 1) for word in found["ENV"].split())
    config = usable({name: value for name, value in names.items() if name in OURS} | {"N8N_RUNNERS_AUTH_TOKEN": "x"})
    assert set(names) - OURS == {"PATH", "PYTHONDONTWRITEBYTECODE"}
    assert config.health_check_server_enabled
    assert found["EXPOSE"] == str(config.health_check_server_port)
    assert f"127.0.0.1:{config.health_check_server_port}/healthz" in found["HEALTHCHECK"]


# systemd


def unit() -> dict[str, str]:
    lines = (DEPLOY / "n8n-runner.service").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


def test_the_unit_means_what_the_runner_does() -> None:
    settings = unit()
    assert settings["Type"] == "notify"
    assert settings["RestartPreventExitStatus"].split() == [str(int(ExitCode.USAGE)), str(int(ExitCode.REFUSED))]
    config = TaskRunnerConfig(auth_token="x")
    assert int(settings["TimeoutStopSec"]) > config.linger + config.graceful_shutdown_timeout
    name, _, value = settings["Environment"].partition("=")
    assert (name.removesuffix("_FILE") in OURS, value) == (True, "%d/token")


@pytest.mark.needs("systemd-analyze")
def test_systemd_itself_has_nothing_against_the_unit(tmp_path: Path) -> None:
    command = shutil.which("n8n-runner", path=str(Path(sys.executable).parent))
    assert command is not None
    text = (DEPLOY / "n8n-runner.service").read_text()
    copy = tmp_path / "n8n-runner.service"
    copy.write_text(text.replace("/opt/n8n-runner/bin/n8n-runner", command))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# The page


def test_every_file_is_spoken_of_on_the_page() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text() + (ROOT / "docs" / "metrics.md").read_text()
    assert [file.name for file in DEPLOY.iterdir() if f"deploy/{file.name}" not in page] == []
