"""Files of `deploy/`: valid for Kubernetes, Compose, Prometheus and Grafana, and right about the mock."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import kubernetes_validate
import pytest
import yaml
from compose_spec import PyCompose

from aione_mock.cli import main
from aione_mock.server.app import create_app
from aione_mock.server.http import Server, bind_socket
from tests.timing import PATIENCE, wait_until

DEPLOY = Path(__file__).parent.parent / "deploy"
KUBERNETES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
TOKEN = "a-token-for-this-test"
KEY = "sk-nex-demo-every-model"
METRIC = re.compile(r"aione_mock_\w+")
VARIABLES = {"$job": ".*", "$operation": ".*", "$model": ".*", "$__rate_interval": "20s"}


def load(path: str) -> Any:
    return yaml.safe_load((DEPLOY / path).read_text(encoding="utf-8"))


def list_objects(kind: str = "") -> list[dict[str, Any]]:
    objects = [each for path in KUBERNETES for each in yaml.safe_load_all(path.read_text(encoding="utf-8"))]
    return [each for each in objects if each["kind"] == (kind or each["kind"])]


def find_object(kind: str, name: str) -> dict[str, Any]:
    (found,) = [each for each in list_objects(kind) if each["metadata"]["name"] == name]
    return found


def read_container(name: str) -> dict[str, Any]:
    (container,) = find_object("Deployment", name)["spec"]["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


COMMANDS = {
    "compose": load("compose.yaml")["services"]["mock"]["command"],
    "kubernetes": read_container("aione-mock")["args"],
}


@pytest.mark.parametrize("version", ["1.30", "1.33", "1.36"])
def test_kubernetes_knows_every_member(version: str) -> None:
    checked = [each for each in list_objects() if each["kind"] != "Kustomization"]
    assert {each["kind"] for each in checked} == {"Deployment", "Service", "Secret", "HorizontalPodAutoscaler"}
    for each in checked:
        kubernetes_validate.validate(each, version, strict=True)


def test_kubernetes_objects_find_each_other() -> None:
    assert sorted(load("kubernetes/kustomization.yaml")["resources"]) == [
        path.name for path in KUBERNETES if path.name != "kustomization.yaml"
    ]
    for service in list_objects("Service"):
        deployment = find_object("Deployment", service["metadata"]["name"])["spec"]
        labels = deployment["template"]["metadata"]["labels"]
        assert service["spec"]["selector"].items() <= labels.items()
        assert deployment["selector"]["matchLabels"].items() <= labels.items()
        (container,) = deployment["template"]["spec"]["containers"]
        names = {port["name"] for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= names
    (scaler,) = list_objects("HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    # a number there would undo at each `kubectl apply` what the autoscaler has set
    assert "replicas" not in find_object(target["kind"], target["name"])["spec"]
    assert scaler["spec"]["minReplicas"] == 2
    (token,) = [each for each in read_container("aione-mock")["env"] if each["name"] == "AIONE_MOCK_CONTROL_TOKEN"]
    wanted = token["valueFrom"]["secretKeyRef"]
    assert wanted["key"] in find_object("Secret", wanted["name"])["stringData"]
    store = find_object("Service", "aione-mock-valkey")
    assert f"redis://{store['metadata']['name']}:{store['spec']['ports'][0]['port']}/0" in COMMANDS["kubernetes"]


def test_probes_ask_what_the_contract_has(server: Server) -> None:
    container = read_container("aione-mock")
    paths = {name: container[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert paths == {"startup": "/_mock/health", "readiness": "/_mock/ready", "liveness": "/_mock/health"}
    for path in paths.values():
        assert httpx2.get(server.url + path).status_code == 200
    annotations = find_object("Deployment", "aione-mock")["spec"]["template"]["metadata"]["annotations"]
    assert "getMetrics" in {
        each.id for each in server.app.contract.match(annotations["prometheus.io/path"]).operations.values()
    }
    assert int(annotations["prometheus.io/port"]) == container["ports"][0]["containerPort"]
    for name in ("startup", "readiness", "liveness"):
        assert container[f"{name}Probe"]["httpGet"]["port"] == container["ports"][0]["name"]


def test_a_pod_has_the_time_that_it_drains() -> None:
    command, spec = COMMANDS["kubernetes"], find_object("Deployment", "aione-mock")["spec"]["template"]["spec"]
    drain = float(command[command.index("--drain") + 1])
    pause = read_container("aione-mock")["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause + drain + 5 <= spec["terminationGracePeriodSeconds"]
    command, service = COMMANDS["compose"], load("compose.yaml")["services"]["mock"]
    assert float(command[command.index("--drain") + 1]) + 5 <= float(service["stop_grace_period"].removesuffix("s"))


@pytest.mark.parametrize("place", COMMANDS)
def test_commands_are_accepted_and_say_port_and_store(
    place: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIONE_MOCK_CONTROL_TOKEN", TOKEN)
    command, *options = COMMANDS[place]
    assert command == "serve"
    assert main(["config", "show", *options]) == 0
    rows = (line.split() for line in capsys.readouterr().out.splitlines())
    shown = {row[0]: row[1] for row in rows if len(row) > 2}
    assert shown["metrics"] == "true"
    assert shown["port"] == "8000"
    assert shown["store"].startswith("redis://")


def test_compose_is_valid_and_its_services_find_each_other() -> None:
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    assert set(PyCompose.from_yaml(text).service_names()) == {"mock", "valkey", "prometheus", "grafana"}
    services = load("compose.yaml")["services"]
    assert services["mock"]["image"] == read_container("aione-mock")["image"] == "aione-mock"
    for service in services.values():
        for mount in service.get("volumes", ()):
            source, _, _ = mount.partition(":")
            assert (DEPLOY / source).is_file(), source
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:")
        assert {*service.get("depends_on", ())} <= services.keys()
    assert "redis://valkey:6379/0" in COMMANDS["compose"]
    assert services["valkey"]["image"] == read_container("aione-mock-valkey")["image"]


def test_prometheus_reads_from_the_mock_with_its_token() -> None:
    (job,) = load("prometheus.yml")["scrape_configs"]
    (found,) = job["dns_sd_configs"]
    compose = load("compose.yaml")
    assert found["names"] == ["mock"]
    assert compose["services"]["mock"]["ports"] == [f"127.0.0.1:{found['port']}:{found['port']}"]
    folder, _, secret = job["authorization"]["credentials_file"].rpartition("/")
    assert folder == "/run/secrets"
    assert secret in compose["services"]["prometheus"]["secrets"]
    assert compose["secrets"][secret]["environment"] in compose["services"]["mock"]["environment"]


# --- the dashboard


def read_dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "aione-mock.json").read_text(encoding="utf-8"))
    return found


def list_expressions() -> list[str]:
    return [target["expr"] for panel in read_dashboard()["panels"] for target in panel.get("targets", ())]


def fill_variables(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    assert "$" not in expression
    return expression


def test_the_dashboard_is_what_grafana_reads() -> None:
    dashboard = read_dashboard()
    sources = load("grafana/datasources.yaml")["datasources"]
    assert dashboard["templating"]["list"][0]["current"]["value"] == sources[0]["uid"]
    prometheus = sources[0]["url"].removeprefix("http://").partition(":")
    assert prometheus[0] in load("compose.yaml")["services"]
    mounts = [mount.split(":")[1] for mount in load("compose.yaml")["services"]["grafana"]["volumes"]]
    folder = load("grafana/dashboards.yaml")["providers"][0]["options"]["path"]
    assert f"{folder}/aione-mock.json" in mounts
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in list_cells(panel["gridPos"])]
    assert len(set(cells)) == len(cells), "panels lie on each other"
    assert all(x < 24 for x, _ in cells)


def list_cells(place: dict[str, int]) -> list[tuple[int, int]]:
    return [(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])]


def read_families() -> dict[str, str]:
    """Return the metrics that a mock serves, and their kinds."""
    with Server(create_app(metrics=True)) as server:
        text = httpx2.get(f"{server.url}/_mock/metrics").text
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))


def test_the_guide_lists_every_metric() -> None:
    guide = (DEPLOY.parent / "docs" / "how-to" / "scaling-out.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `(aione_mock_\w+)` \| (\w+) \|", guide, re.MULTILINE))
    assert listed == {name: kind for name, kind in read_families().items() if "_process_" not in name}


def test_every_metric_of_the_dashboard_exists() -> None:
    families = read_families()
    known = {*families, *[f"{name}_{part}" for name, kind in families.items() if kind == "histogram"
                          for part in ("bucket", "count", "sum")]}  # fmt: skip
    used = set(METRIC.findall(json.dumps(read_dashboard())))
    assert used - known == set()
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in used}
    assert {name for name in families if "_process_" not in name} - shown == set(), "a metric that no panel shows"


class Prometheus:
    """The real program, which reads from one mock with the configuration of `deploy/`."""

    def __init__(self, mock: Server, folder: Path) -> None:
        with bind_socket("127.0.0.1", 0) as listener:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
        configuration = load("prometheus.yml")
        configuration["global"]["scrape_interval"] = "1s"
        (job,) = configuration["scrape_configs"]
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"{mock.host}:{mock.port}"]}]
        job["authorization"]["credentials_file"] = str(folder / "token")
        (folder / "token").write_text(TOKEN)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        options = ("--config.file=prometheus.yml", "--storage.tsdb.path=data", f"--web.listen-address={address}")
        self.url = f"http://{address}"
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(["prometheus", *options], cwd=folder, stdout=self._log, stderr=self._log)

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = httpx2.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=PATIENCE)
        assert answer.status_code == 200, (expression, answer.text)
        found: list[dict[str, Any]] = answer.json()["data"]["result"]
        return found

    def is_reading(self) -> bool:
        try:
            return len(self.query("count_over_time(aione_mock_build_info[1m]) >= 5")) == 1
        except httpx2.HTTPError:
            return False

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[tuple[Server, Prometheus]]:
    if shutil.which("prometheus") is None:
        pytest.skip("prometheus is missing; apt-get install prometheus")
    with Server(create_app(metrics=True, control_token=TOKEN, auth="any")) as mock:
        started = Prometheus(mock, tmp_path)
        yield mock, started
        started.close()


@pytest.mark.slow
def test_a_real_prometheus_answers_every_panel(prometheus: tuple[Server, Prometheus]) -> None:
    mock, program = prometheus
    ask(mock, 2)
    assert wait_until(program.is_reading, 60)
    ask(mock, 6)
    time.sleep(3)
    silent = []
    for expression in list_expressions():
        if not program.query(fill_variables(expression)):
            silent.append(expression)
    # nothing refuses a call here
    assert [each for each in silent if "limits_refused" not in each] == []
    (calls,) = program.query("sum(aione_mock_calls_total)")
    assert calls["value"][1] == "24"


def ask(mock: Server, times: int) -> None:
    body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
    for number in range(times):
        for more, scenario in (({}, ""), ({"stream": True}, ""), ({}, "internal_error")):
            headers = {"authorization": f"Bearer {KEY}"} | ({"x-mock-scenario": scenario} if scenario else {})
            httpx2.post(f"{mock.url}/v1/chat/completions", json=body | more, headers=headers)
        time.sleep(0.3 * (number % 2))
