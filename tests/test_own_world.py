"""Models, organisations, keys and limits of one's own, through a server that runs with their configuration file."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from google import genai

from aione_mock.tenant.catalogue import ModelTraits
from tests.test_cli import NOW, run_server

CONFIGURATION = """
pace: instant
models:
  extends: default
  any: {prices: {input: "3", output: "5"}, context_length: 5000}
  models:
    - {id: house-model, aliases: [house], owner: us, context_length: 9000, max_output_tokens: 900,
       prices: {input: "1000.0001", cached_input: "1", output: "7000.5"}}
    - {id: claude-sonnet-4-6, prices: {input: "2", output: "4"}}
world:
  name: My Company
  plan: {name: Mine, rpm_limit: 1000, monthly_fee_rmb: "12.34",
         models: [house-model, claude-sonnet-4-6, gpt-5.4, free-name]}
  account: {balance_rmb: "77.0000", credit_limit_rmb: "3.0000", monthly_budget_rmb: "50.0000"}
  teams: [{name: Research}, {name: Sales, id: c2a9d1f4-6b3e-4f08-8e25-71d0a4b93c57}]
  members: [{name: Ann Example, team: Research}, {name: Bob Example, team: Sales, number: 41}]
  tokens:
    - {secret: console-of-ann, member: Ann Example}
    - {secret: console-of-bob, member: 41, view: business}
  access_keys: [{id: my-access, secret: my-access-secret}]
  keys:
    - {name: Main, secret: sk-main}
    - {name: Generated, member: Ann Example}
    - {name: Switched off, secret: sk-off, status: disabled}
    - {name: Old, secret: sk-old, expires_at: 2026-11-20T02:00:00Z}
    - {name: Later, secret: sk-later, expires_at: 2026-11-21T00:00:00Z}
    - {name: House only, secret: sk-house, models_allowed: [house], team: Sales}
    - {name: Elsewhere, secret: sk-elsewhere, allowed_ips: [10.1.0.0/16]}
    - {name: Two a minute, secret: sk-rpm, rpm_limit: 2}
    - {name: Few tokens, secret: sk-tpm, tpm_limit: 20}
    - {name: One at a time, secret: sk-one, concurrency_limit: 1}
    - {name: Poor, secret: sk-poor, balance_rmb: "0.0500"}
    - {name: Past, secret: sk-past, team: Research, past: {calls: 500, prompt: 1000, completion: 100, cached: 10,
       models: {house-model: 100}}}
  organisations:
    - name: Second
      keys: [{name: Second, secret: sk-second}]
      tokens: [{secret: console-of-second}]
      plan: {models: [gpt-5.4]}
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    path = tmp_path_factory.mktemp("world") / "mine.yaml"
    path.write_text(CONFIGURATION, encoding="utf-8")
    with run_server("--config", str(path), *NOW) as running:
        yield running.url


@pytest.fixture
def base(url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A session of the test's own."""
    name = "w" + "".join(c for c in request.node.name if c.isalnum())[:50]
    yield f"{url}/_session/{name}"
    httpx2.delete(f"{url}/_mock/sessions/{name}")


def chat(base: str, secret: str = "sk-main", model: str = "house-model", text: str = "Hello", **more: Any) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": text}], **more.pop("body", {})}
    headers = {"authorization": f"Bearer {secret}", **more}
    return httpx2.post(f"{base}/v1/chat/completions", json=body, headers=headers, timeout=60)


def console(base: str, path: str, token: str = "console-of-ann", **params: Any) -> Any:
    response = httpx2.get(f"{base}/api/v1/{path}", params=params, headers={"authorization": f"Bearer {token}"})
    assert response.status_code == 200, response.text
    return response.json()


def list_models(base: str, secret: str = "sk-main") -> dict[str, Any]:
    response = httpx2.get(f"{base}/v1/models", headers={"authorization": f"Bearer {secret}"})
    return {model["id"]: model for model in response.json()["data"]}


# --- models


def test_own_models_stand_beside_the_bundled_ones(base: str) -> None:
    models = list_models(base)
    assert list(models) == ["claude-sonnet-4-6", "gpt-5.4", "house-model"]  # those of the plan
    own = models["house-model"]
    assert (own["owned_by"], own["context_length"], own["max_output_tokens"]) == ("us", 9000, 900)
    prices = {model["id"]: model for model in console(base, "gateway/models")["items"]}
    assert prices["house-model"]["input_price_rmb"] == "1000.0001"
    assert prices["claude-sonnet-4-6"]["output_price_rmb"] == "4.0000"
    assert prices["claude-sonnet-4-6"]["cached_input_price_rmb"] == "2.0000"
    assert models["claude-sonnet-4-6"]["owned_by"] == "anthropic"  # what the entry left out stays
    assert chat(base, model="house").json()["model"] == "house-model"


def test_another_name_is_served_priced_and_listed_once_used(base: str) -> None:
    assert "free-name" not in list_models(base)
    usage = chat(base, model="free-name").json()["usage"]
    assert list_models(base)["free-name"]["context_length"] == 5000
    (row,) = [r for r in console(base, "obs/usage", group_by="model") if r["model"] == "free-name"]
    cost = (usage["prompt_tokens"] * Decimal(3) + usage["completion_tokens"] * Decimal(5)) / 1_000_000
    assert Decimal(row["cost_rmb"]) == cost.quantize(Decimal("0.0001"))
    assert httpx2.get(f"{base}/v1/models/free-name", headers={"authorization": "Bearer sk-main"}).status_code == 200


def test_the_plan_and_the_context_limit_other_names_too(base: str) -> None:
    refused = chat(base, model="not-in-the-plan")
    assert refused.status_code == 404
    assert refused.json()["error"]["message"].startswith("Model 'not-in-the-plan' not found")
    assert chat(base, model="free-name", text="word " * 6000).status_code == 400
    assert chat(base, "sk-second", "gpt-5.4").status_code == 200
    assert chat(base, "sk-second", "house-model").status_code == 404


# --- keys and limits


def test_states_addresses_and_models_of_keys(base: str) -> None:
    wanted = {"sk-off": 401, "sk-old": 401, "sk-later": 200, "sk-elsewhere": 403, "sk-nobody": 401, "sk-main": 200}
    assert {secret: chat(base, secret).status_code for secret in wanted} == wanted
    assert chat(base, "sk-house", "house").status_code == 200
    assert chat(base, "sk-house", "gpt-5.4").status_code == 403
    assert list(list_models(base, "sk-house")) == ["house-model"]
    httpx2.post(f"{base}/_mock/clock", json={"advance": "1d"})
    assert chat(base, "sk-later").status_code == 401


def test_requests_and_tokens_per_minute(base: str) -> None:
    assert [chat(base, "sk-rpm").status_code for _ in range(3)] == [200, 200, 429]
    assert chat(base, "sk-rpm").headers["x-ratelimit-limit-requests"] == "2"
    answers = [chat(base, "sk-tpm", text="Tell me about the sea.") for _ in range(3)]
    assert answers[0].status_code == 200
    assert answers[-1].status_code == 429
    assert "20 tokens per minute" in answers[-1].json()["error"]["message"]


def test_one_call_at_a_time(base: str) -> None:
    slow = {"x-mock-scenario": "pace; ttft=2"}
    answers: list[int] = []
    thread = threading.Thread(target=lambda: answers.append(chat(base, "sk-one", **slow).status_code))
    thread.start()
    refused = None
    for _ in range(200):
        answer = chat(base, "sk-one")
        if answer.status_code == 429:
            refused = answer
            break
    thread.join()
    assert refused is not None, "both calls were answered at a time"
    assert "1 call at a time" in refused.json()["error"]["message"]
    assert refused.json()["error"]["code"] == "concurrency_limit_exceeded"
    assert refused.headers["retry-after"] == "1"
    assert answers == [200]
    assert chat(base, "sk-one").status_code == 200


def test_the_balance_of_a_key(base: str) -> None:
    statuses = [chat(base, "sk-poor", text=f"Question {number}").status_code for number in range(5)]
    assert statuses[0] == 200
    assert statuses[-1] == 402
    assert chat(base).status_code == 200  # the account has more


# --- money and people


def test_prices_change_bills_and_all_sums_agree(base: str) -> None:
    before = Decimal(console(base, "billing/account")["balance_rmb"])
    spent = Decimal(0)
    for number in range(4):
        usage = chat(base, text=f"What is the number {number}?").json()["usage"]
        cost = usage["prompt_tokens"] * Decimal("1000.0001") + usage["completion_tokens"] * Decimal("7000.5")
        spent += (cost / 1_000_000).quantize(Decimal("0.0001"))
    assert before - Decimal(console(base, "billing/account")["balance_rmb"]) == spent
    today = console(base, "obs/usage", group_by="key", start_date="2026-11-20", end_date="2026-11-20")
    names = {key["id"]: key["name"] for key in console(base, "gateway/keys")["items"]}
    assert Decimal(next(row["cost_rmb"] for row in today if names.get(row["key_id"]) == "Main")) == spent
    total = console(base, "obs/usage", start_date="2026-11-20", end_date="2026-11-20", group_by="model")
    assert sum(Decimal(row["cost_rmb"]) for row in today) == sum(Decimal(row["cost_rmb"]) for row in total)


def test_plan_budget_teams_and_members(base: str) -> None:
    account, plan = console(base, "billing/account"), console(base, "billing/plan")
    assert (account["credit_limit_rmb"], account["monthly_budget_rmb"]) == ("3.0000", "50.0000")
    assert (plan["name"], plan["monthly_fee_rmb"], plan["rpm_limit"]) == ("Mine", "12.3400", 1000)
    keys = {key["name"]: key for key in console(base, "gateway/keys")["items"]}
    assert keys["House only"]["team_id"] == "c2a9d1f4-6b3e-4f08-8e25-71d0a4b93c57"
    assert keys["Generated"]["team_id"] == keys["Past"]["team_id"]  # the member's team
    assert console(base, "obs/dashboard", "console-of-bob")["view_mode"] == "business"
    assert [key["name"] for key in console(base, "gateway/keys", "console-of-second")["items"]] == ["Second"]
    assert len(console(base, "billing/invoices")) >= 3  # the past of one key


# --- scripted replies and unknown models


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with run_server(*NOW) as running:
        yield running.url


def test_an_unknown_model_is_refused_with_the_nearest_names_and_the_remedy(plain: str) -> None:
    for path, body, headers in [
        ("/v1/chat/completions", {}, {"authorization": "Bearer sk-nex-demo-every-model"}),
        ("/v1/messages", {"max_tokens": 9}, {"x-api-key": "sk-nex-demo-every-model"}),
    ]:
        bearer = {"authorization": "Bearer sk-nex-demo-every-model"}
        asked = {"model": "gpt-5.5", "messages": [{"role": "user", "content": "Hi"}], **body}
        answer = httpx2.post(f"{plain}{path}", json=asked, headers=headers)
        assert answer.status_code == 404
        message = answer.json()["error"]["message"]
        assert message.startswith("Model 'gpt-5.5' not found. Nearest: gpt-5.")
        assert "--models any" in message
        listed = {model["id"] for model in httpx2.get(f"{plain}/v1/models", headers=bearer).json()["data"]}
        assert set(message.partition("Nearest: ")[2].partition(". Start")[0].split(", ")) <= listed
        assert "--models FILE" in message


@pytest.mark.parametrize("when", [{}, {"model": "gpt-4o-mini"}])
def test_a_scripted_reply_for_an_unknown_model_is_played(plain: str, when: Any) -> None:
    base = f"{plain}/_session/scripted{len(when)}"
    rule = {"id": "mini", "when": when, "then": {"reply": {"text": "As you wish."}, "times": 1}}
    assert httpx2.put(f"{base}/_mock/rules", json={"rules": [rule]}).status_code == 200
    answer = chat(base, "sk-nex-demo-every-model", "gpt-4o-mini")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["model"], answer.json()["choices"][0]["message"]["content"]) == (
        "gpt-4o-mini",
        "As you wish.",
    )
    assert chat(base, "sk-nex-demo-every-model", "gpt-4o-mini").status_code == 404  # the rule is spent


# --- --models and --world


def test_programs_of_others_run_unchanged_with_any_model() -> None:
    with run_server("--models", "any") as running:
        key = "sk-nex-demo-every-model"
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=key, max_retries=0)
        question: Any = [{"role": "user", "content": "Hi"}]
        for name in ("gpt-4o-mini", "gpt-4o", "gpt-5.2", "o3-mini", "gpt-3.5-turbo", "org/model:free"):
            assert client.chat.completions.create(model=name, messages=question).model == name
            with_stream = client.chat.completions.create(model=name, messages=question, stream=True)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in with_stream if chunk.choices)
        claude = anthropic.Anthropic(base_url=running.url, api_key=key, max_retries=0)
        for name in ("claude-3-5-sonnet-latest", "claude-sonnet-4-5-20250929", "claude-opus-4-6"):
            assert claude.messages.create(model=name, max_tokens=50, messages=question).model == name
        options: Any = {"base_url": running.url, "api_version": "v1beta"}
        gemini = genai.Client(api_key=key, http_options=options)
        for name in ("gemini-2.0-flash-001", "gemini-1.5-pro"):
            assert gemini.models.generate_content(model=name, contents="Hi").text
        listed = {model.id for model in client.models.list()}
        assert {"gpt-4o-mini", "claude-3-5-sonnet-latest", "gemini-2.0-flash-001", "gpt-5.4"} <= listed
        prices = {m["id"]: m for m in console(running.url, "gateway/models", "nex-console-tech")["items"]}
        assert Decimal(prices["gpt-4o-mini"]["input_price_rmb"]) == ModelTraits().prices.input
        refused = chat(running.url, key, "x" * 201)
        assert refused.status_code == 404


def test_models_and_world_can_be_files_of_their_own(tmp_path: Path) -> None:
    models, world = tmp_path / "models.yaml", tmp_path / "world.toml"
    models.write_text("models: [{id: only-one}]\n")
    world.write_text(
        'extends = "default"\n[[keys]]\nname = "Mine"\nsecret = "sk-mine"\n[[keys]]\nlabel = "demo"\nrpm_limit = 1\n'
    )
    with run_server("--models", str(models), "--world", str(world)) as running:
        assert list(list_models(running.url, "sk-mine")) == ["only-one"]
        assert "only-one" in "\n".join(running.lines)
        assert chat(running.url, "sk-mine", "only-one").status_code == 200
        assert chat(running.url, "sk-mine", "gpt-5.4").status_code == 404
        demo = [chat(running.url, "sk-nex-demo-every-model", "only-one").status_code for _ in range(2)]
        assert demo == [200, 429]  # the bundled key with another limit
        assert chat(running.url, "sk-nex-other-organisation", "only-one").status_code == 200
