"""Changes of files take effect while a server runs, and a bad file is reported at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.test_cli import EXTRA, NOW, Running, run_server
from tests.test_own_world import chat, list_models
from tests.timing import wait_until

START: dict[str, Any] = {
    "models": {"models": [{"id": "one"}]},
    "world": {"keys": [{"name": "A", "secret": "sk-a"}, {"name": "B", "secret": "sk-b"}]},
}


class Log:
    """The lines that a server writes on standard error."""

    def __init__(self, running: Running) -> None:
        self.lines: list[str] = []
        threading.Thread(target=self._read, args=[running.process.stderr], daemon=True).start()

    def _read(self, stream: Any) -> None:
        self.lines.extend(iter(stream.readline, ""))

    def has(self, *texts: str) -> Callable[[], bool]:
        return lambda: any(all(text in line for text in texts) for line in tuple(self.lines))


def answers(url: str, secret: str, model: str = "one") -> int:
    return int(chat(url, secret, model).status_code)


def test_models_keys_rules_and_overlays_change_while_serving(tmp_path: Path) -> None:
    file, overlay = tmp_path / "mine.yaml", tmp_path / "more.yaml"
    overlay.write_text(yaml.safe_dump(EXTRA))

    def write(content: dict[str, Any]) -> None:
        file.write_text(yaml.safe_dump(content))

    write(START)
    with run_server("--config", str(file), *NOW) as running:
        url, log = running.url, Log(running)
        assert [answers(url, "sk-a"), answers(url, "sk-a", "two"), answers(url, "sk-c")] == [200, 404, 401]

        changed = {**START, "models": {"models": [{"id": "one"}, {"id": "two", "context_length": 10}]}}
        changed["world"] = {"keys": [{"name": "A", "secret": "sk-a"}, {"name": "C", "secret": "sk-c"}]}
        write(changed)
        assert wait_until(lambda: answers(url, "sk-c") == 200)
        assert [answers(url, "sk-b"), answers(url, "sk-a")] == [401, 200]
        assert list_models(url, "sk-a")["two"]["context_length"] == 10

        rule = {"when": {"model": "one"}, "then": {"reply": {"text": "Scripted."}}}
        write({**changed, "rules": [rule]})
        assert wait_until(lambda: "Scripted." in chat(url, "sk-a", "one").text)
        write({**changed, "rules": [{**rule, "then": {"reply": {"text": "Other."}}}], "overlays": ["more.yaml"]})
        assert wait_until(lambda: httpx2.get(f"{url}/v1/audio/voices").status_code == 200)
        assert "Other." in chat(url, "sk-a", "one").text

        # nobody asks anything, and still the mistakes are reported
        write({**changed, "models": {"models": [{"id": "one", "contxt": 1}]}})
        assert wait_until(
            log.has("mine.yaml:", "models.models[0].contxt", "(the last valid configuration stays in force)")
        )
        assert answers(url, "sk-c") == 200
        assert "two" in list_models(url, "sk-a")
        write({**changed, "world": {"keys": [{"name": "D", "secret": "sk-d", "team": "None"}]}})
        assert wait_until(log.has("world.keys[0].team: there is no team 'None'"))
        assert answers(url, "sk-d") == 401
        write({**changed, "seed": 9, "world": {"keys": [{"name": "D", "secret": "sk-d"}]}})
        assert wait_until(log.has("'seed' has changed; restart the mock to use it"))
        assert wait_until(lambda: answers(url, "sk-d") == 200)
        file.unlink()
        assert wait_until(log.has("cannot read the configuration file", "stays in force"))
        assert answers(url, "sk-d") == 200


def test_an_overlay_that_breaks_is_reported_and_the_last_good_one_stays(tmp_path: Path) -> None:
    overlay, rules = tmp_path / "more.yaml", tmp_path / "rules.yaml"
    overlay.write_text(yaml.safe_dump(EXTRA))
    rules.write_text("rules: [{then: {reply: {text: First.}}}]\n")
    with run_server("--overlay", str(overlay), "--scenarios", str(rules)) as running:
        url, log = running.url, Log(running)
        overlay.write_text(
            "overlay: 1.0.0\nactions: [{target: $.nowhere, update: {}}, {target: $.elsewhere, update: {}}]\n"
        )
        assert wait_until(log.has("more.yaml: action 1: '$.nowhere'", "stays in force"))
        assert wait_until(log.has("more.yaml: action 2: '$.elsewhere'", "stays in force"))
        assert httpx2.get(f"{url}/v1/audio/voices").status_code == 200
        rules.write_text("rules: [{then: {repl: {}}}]\n")
        assert wait_until(log.has("rules.yaml:1", "(the last valid rules of the file stay in force)"))
        assert "First." in chat(url, "sk-nex-demo-every-model", "gpt-5.4").text
        overlay.write_text("overlay: 1.0.0\nactions: [{target: \"$.paths['/v1/models']\", remove: true}]\n")
        time.sleep(1)
        rules.write_text("rules: [{then: {reply: {text: Second.}}}]\n")
        assert wait_until(lambda: httpx2.get(f"{url}/v1/models").status_code == 404), (
            "what waited for valid rules is applied"
        )
        assert httpx2.get(f"{url}/v1/audio/voices").status_code == 404


def test_what_a_session_did_survives_a_change(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    start = {
        "models": "any",
        "world": {"extends": "default", "keys": [{"name": "A", "secret": "sk-a", "rpm_limit": 3}]},
    }
    file.write_text(yaml.safe_dump(start))
    with run_server("--config", str(file), *NOW) as running:
        url = running.url
        assert [answers(url, "sk-a", "mine") for _ in range(2)] == [200, 200]
        token = {"authorization": "Bearer nex-console-tech"}
        made = httpx2.post(f"{url}/api/v1/gateway/keys", json={"name": "Made"}, headers=token).json()["key"]
        start["world"]["keys"].append({"name": "B", "secret": "sk-b"})
        file.write_text(yaml.safe_dump(start))
        assert wait_until(lambda: answers(url, "sk-b", "mine") == 200)
        assert [answers(url, "sk-a", "mine") for _ in range(2)] == [200, 429]
        assert answers(url, made, "mine") == 200
        assert "mine" in list_models(url, "sk-a")
        usage = httpx2.get(f"{url}/api/v1/obs/usage?group_by=model", headers=token).json()
        assert next(row["requests"] for row in usage if row["model"] == "mine") >= 5


def test_extensions_need_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump({"extensions": ["responses"]}))
    with run_server("--config", str(file), *NOW) as running:
        log = Log(running)
        file.write_text(yaml.safe_dump({"extensions": ["embeddings"], "models": "any"}))
        assert wait_until(log.has("'extensions' has changed; restart the mock to use it"))
        assert wait_until(lambda: chat(running.url, "sk-nex-demo-every-model", "any-name").status_code == 200)
        for path, status in (("responses", 400), ("embeddings", 404)):
            header = {"authorization": "Bearer sk-nex-demo-every-model"}
            assert httpx2.post(f"{running.url}/v1/{path}", json={}, headers=header).status_code == status
