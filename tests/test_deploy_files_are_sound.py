"""deploy/: container file, compose file and Helm chart, as their own tools read them. Nothing is built or started."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from voxid.gallery import Consent
from voxid.recognize import Gallery
from voxid.service.settings import load_settings

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
CHART = DEPLOY / "helm" / "voxid"
ON_POSTGRES = {"postgres": {"enabled": True}}
BY_NIGHT = {
    "jobs": {
        "tenants": ["default", "acme"],
        "retention": {"schedule": "17 3 * * *"},
        "backup": {"schedule": "@daily", "keepDays": 14, "claim": "backups", "erasuresClaim": "erasures"},
    }
}
NEEDED = "the extra deploy is not installed (pip install 'voxid[deploy]')"


def tool(name: str) -> str:
    """Return a command of the extra deploy, beside this Python or on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(NEEDED)
    return found


def run(*command: str) -> None:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def composed() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return services


def rendered(values: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return kind -> manifest of the chart; the metrics service as ServiceMetrics."""
    chart = pytest.importorskip("helm_python.chart", reason=NEEDED)
    with chart.Chart.load(CHART) as loaded:
        files = loaded.render(values=values, name="voxid", namespace="voices")
    manifests = [one for text in files.values() for one in yaml.safe_load_all(text) if one]
    names = {
        id(one): one["kind"] + one["metadata"]["name"].removeprefix("voxid").title() for one in manifests
    }
    return {names[id(one)].replace("-", ""): one for one in manifests}


def test_the_container_file_passes_hadolint() -> None:
    """Every rule but the one that wants versions of a package that is built here."""
    run(tool("hadolint"), "deploy/Containerfile")


def test_the_container_runs_as_nobody_in_particular() -> None:
    """The last stage has a user with a number, no pip, no secrets, and settings the service knows."""
    last = (DEPLOY / "Containerfile").read_text().split("\nFROM ")[-1]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert "pip" not in last
    assert "MASTER_KEY" not in last
    settings = load_settings(environ=dict(re.findall(r"(VOXID_\w+)=(\S+)", last)), file=None)
    assert settings.host == "0.0.0.0"
    assert not settings.operations.show_first_key


def test_the_image_holds_what_the_package_is_built_from() -> None:
    """What the container file copies is not left out by .containerignore, and everything else is."""
    ignored = (ROOT / ".containerignore").read_text().split()
    assert ignored[0] == "*"
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Containerfile").read_text(), re.MULTILINE)
    assert {name for line in copied for name in line.split()} == {
        line[1:] for line in ignored if line[0] == "!"
    }


def test_yaml_files_are_tidy() -> None:
    """As yamllint sees them; the chart's templates are no YAML before they are rendered."""
    run(tool("yamllint"), "--strict", "-c", "deploy/.yamllint.yml", "deploy")


def test_the_compose_file_fits_its_specification() -> None:
    """Every key is one there is."""
    run(tool("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", "deploy/compose.yaml")


def test_every_composed_service_is_locked_down() -> None:
    """Read-only, no new privileges, nothing published beyond this machine; passwords come from outside."""
    for name, service in composed().items():
        assert service["read_only"] is True, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        for key, value in service.get("environment", {}).items():
            assert "PASSWORD" not in key or value.startswith("${"), (name, key)


def test_no_composed_network_reaches_out() -> None:
    """One is internal, the other does not masquerade."""
    networks = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["networks"]
    assert networks["inside"]["internal"] is True
    options = networks["outside"]["driver_opts"]
    assert options["com.docker.network.bridge.enable_ip_masquerade"] == "false"


def test_composed_settings_are_settings() -> None:
    """The environment of the service is taken by the service; what the env file may say is off without it."""
    default = re.compile(r"\$\{\w+:-([^}]*)\}")
    environ = {
        key: default.sub(r"\1", str(value)) for key, value in composed()["voxid"]["environment"].items()
    }
    settings = load_settings(environ=environ, file=None)
    assert settings.operations.metrics_port == 9470
    assert settings.database == "postgresql://voxid@postgres/voxid"
    assert (settings.secure_cookies, settings.trusted_proxies) == (False, "")


@pytest.mark.parametrize(
    "values",
    [{}, ON_POSTGRES, BY_NIGHT, ON_POSTGRES | BY_NIGHT],
    ids=["files", "postgres", "files by night", "postgres by night"],
)
def test_the_chart_passes_helm_lint_and_fits_kubernetes(values: dict[str, Any]) -> None:
    """Rendered by Helm itself; every manifest checked against the API of a cluster."""
    chart = pytest.importorskip("helm_python.chart", reason=NEEDED)
    kubernetes = pytest.importorskip("kubernetes_validate", reason=NEEDED)
    report = chart.lint(CHART, values, strict=True, namespace="voices")
    assert not report["errors"], report
    assert not [message for message in report["messages"] if message["severity"] > 1], report
    for manifest in rendered(values).values():
        kubernetes.validate(manifest, "1.31", strict=True)


def test_wrong_values_are_refused() -> None:
    """A misspelt key, a secret among the values, a proxy by its name."""
    chart = pytest.importorskip("helm_python.chart", reason=NEEDED)
    with chart.Chart.load(CHART) as loaded:
        for wrong in (
            {"postgress": {}},
            {"environment": {"VOXID_MASTER_KEY": "c2VjcmV0"}},
            {"trustedProxies": "proxy.example"},
        ):
            with pytest.raises(Exception, match=r"(?s)postgress|MASTER_KEY|propert|trustedProxies"):
                loaded.validate_schema(wrong)


@pytest.mark.parametrize("values", [{}, ON_POSTGRES], ids=["files", "postgres"])
def test_the_pod_can_do_little(values: dict[str, Any]) -> None:
    """Not root, read-only root, no capability, no token of the cluster, no variables of neighbours, probes."""
    pod = rendered(values)["Deployment"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    assert pod["automountServiceAccountToken"] is pod["enableServiceLinks"] is False
    (container,) = pod["containers"]
    secured = container["securityContext"]
    assert secured["readOnlyRootFilesystem"] is True
    assert secured["allowPrivilegeEscalation"] is False
    assert secured["capabilities"] == {"drop": ["ALL"]}
    paths = [container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")]
    assert paths == ["/healthz", "/healthz", "/readyz"]
    environ = {one["name"]: one.get("value", "") for one in container["env"]}
    known = {
        key: value for key, value in environ.items() if key not in ("VOXID_MASTER_KEY", "VOXID_DATABASE")
    }
    assert load_settings(environ=known, file=None).secure_cookies


def test_the_pod_believes_the_proxies_it_is_told() -> None:
    """And nobody by default."""
    for values, believed in (({}, ""), ({"trustedProxies": "10.42.3.7, fd00::/64"}, "10.42.3.7, fd00::/64")):
        (container,) = rendered(values)["Deployment"]["spec"]["template"]["spec"]["containers"]
        environ = {one["name"]: one["value"] for one in container["env"] if "value" in one}
        assert load_settings(environ=environ, file=None).trusted_proxies == believed


@pytest.mark.parametrize("values", [BY_NIGHT, ON_POSTGRES | BY_NIGHT], ids=["files", "postgres"])
def test_retention_and_backup_run_by_the_clock(values: dict[str, Any]) -> None:
    """For each tenant, held to what the service's pod is held to; no request is sent to them, nothing reaches them."""
    manifests = rendered(values)
    pod = manifests["Deployment"]["spec"]["template"]["spec"]
    selector = manifests["Service"]["spec"]["selector"]
    for name in ("CronJobRetention", "CronJobBackup"):
        template = manifests[name]["spec"]["jobTemplate"]["spec"]["template"]
        labels, job = template["metadata"]["labels"], template["spec"]
        assert not selector.items() <= labels.items()
        assert manifests["NetworkPolicyJobs"]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
        assert job["securityContext"] == pod["securityContext"]
        assert job["automountServiceAccountToken"] is job["enableServiceLinks"] is False
        assert ("affinity" in job) == (values is BY_NIGHT)
        assert [one["name"] for one in job["containers"]] == ["default", "acme"]
        for container in job["containers"]:
            assert container["securityContext"] == pod["containers"][0]["securityContext"]
            mounted = {volume["name"] for volume in job["volumes"]}
            assert {one["name"] for one in container["volumeMounts"]} == mounted
    policy = manifests["NetworkPolicyJobs"]["spec"]
    assert policy["ingress"] == []
    assert policy["egress"] == manifests["NetworkPolicy"]["spec"]["egress"]


def test_the_nightly_jobs_do_what_they_say(tmp_path: Path) -> None:
    """Their commands, run here in the shell: a new backup and a list of erasures; old backups go; nobody is due."""
    data = tmp_path / "data" / "tenants"
    data.mkdir(parents=True)
    (tmp_path / "erasures").mkdir()
    with Gallery.open(data / "acme.voxid") as gallery:
        gallery.register("Ada", Consent({"verify"}, "form 1"))
    stale = tmp_path / "backups" / "acme" / "20260101T000000Z.backup"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"")
    os.utime(stale, (0, 0))
    shim = tmp_path / "bin" / "voxid"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {sys.executable} -m voxid "$@"\n')
    shim.chmod(0o755)
    manifests = rendered(BY_NIGHT)
    for name in ("CronJobRetention", "CronJobBackup"):
        job = manifests[name]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][1]
        values = {one["name"]: one["value"] for one in job["env"] if "value" in one}
        values["VOXID_GALLERY"] = str(tmp_path) + values["VOXID_GALLERY"].replace("$(TENANT)", "acme")
        command = [*job.get("command", [str(shim)]), *job["args"]]
        command = [part.replace('"/', f'"{tmp_path}/') for part in command]
        path = f"{shim.parent}:{os.environ['PATH']}"
        done = subprocess.run(
            command, env=os.environ | values | {"PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
    (kept,) = stale.parent.iterdir()
    assert kept != stale
    assert (tmp_path / "erasures" / "acme.erased").exists()


def test_a_backup_needs_its_volumes() -> None:
    """Named by whoever wants it: the chart makes none that would go with the release."""
    with pytest.raises(Exception, match=r"jobs\.backup\.claim names the volume"):
        rendered({"jobs": {"backup": {"schedule": "@daily"}}})


def test_nothing_leaves_the_pod() -> None:
    """With files there is no way out; with PostgreSQL the database and the names it is found by."""
    assert rendered({})["NetworkPolicy"]["spec"]["egress"] == []
    to = rendered(ON_POSTGRES)["NetworkPolicy"]["spec"]["egress"]
    assert [sorted({port["port"] for port in one["ports"]}) for one in to] == [[5432], [53]]
    for values in ({}, ON_POSTGRES):
        policy = rendered(values)["NetworkPolicy"]["spec"]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        labels = rendered(values)["Deployment"]["spec"]["template"]["metadata"]["labels"]
        assert policy["podSelector"]["matchLabels"].items() <= labels.items()


def test_files_have_one_pod_and_postgres_as_many_as_needed() -> None:
    """A gallery file has one writer, so it is not scaled; with PostgreSQL the number follows the load."""
    files, postgres = rendered({}), rendered(ON_POSTGRES)
    assert "HorizontalPodAutoscaler" not in files
    assert files["Deployment"]["spec"]["replicas"] == 1
    assert files["Deployment"]["spec"]["strategy"]["type"] == "Recreate"
    assert "PersistentVolumeClaim" in files
    scaled = postgres["HorizontalPodAutoscaler"]["spec"]
    assert scaled["scaleTargetRef"]["name"] == postgres["Deployment"]["metadata"]["name"]
    assert "replicas" not in postgres["Deployment"]["spec"]
    assert "PersistentVolumeClaim" not in postgres


def test_provisioned_dashboards_are_where_compose_mounts_them() -> None:
    """Grafana's provider reads the folder the files are mounted at."""
    provider = yaml.safe_load((DEPLOY / "grafana" / "provisioning" / "dashboards" / "voxid.yml").read_text())
    mounted = {line.split(":")[1]: line.split(":")[0] for line in composed()["grafana"]["volumes"]}
    folder = DEPLOY / mounted[provider["providers"][0]["options"]["path"]]
    assert {json.loads(path.read_text())["uid"] for path in folder.glob("*.json")} == {
        "voxid-executive",
        "voxid-on-call",
        "voxid-debug",
    }
