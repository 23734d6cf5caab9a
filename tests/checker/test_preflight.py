"""What is found out before the first law: whether there is a gateway, and with which credentials."""

from __future__ import annotations

from typing import Any

import pytest

from aione_mock.checker import Target, check
from aione_mock.checker.report import EXIT_COULD_NOT, EXIT_FOUND, CheckReport
from aione_mock.checker.reports import RENDERERS
from aione_mock.checker.target import VARIABLES, parse_header
from aione_mock.cli import main
from aione_mock.errors import ConfigError
from aione_mock.server.http import Server
from aione_mock.structs import replace
from tests.checker.conftest import CheckGateway, target
from tests.checker.faulty_gateway import KEY, Fault, FaultyGateway, SeenRequest, SentResponse, answer_with
from tests.checker.test_hostile_servers import app, make_application

LISTS_ARE_GONE = answer_with("/models$|/models/[^:]+$", 404, {"detail": "Not Found"})


def check_with(gateway: FaultyGateway, fault: Fault, *only: str, **changes: Any) -> CheckReport:
    gateway.fault, gateway.seen = fault, []
    report = check(replace(target(gateway.url), **changes), only=only, phases=())
    gateway.fault = Fault()
    return report


def test_a_gateway_without_a_list_of_models_is_checked_with_a_given_model(gateway: FaultyGateway) -> None:
    only_key = dict.fromkeys(("token", "business_token", "other_token", "access_key", "access_secret"))
    report = check_with(gateway, LISTS_ARE_GONE, "area:basics", "usage-sums", model="gpt-5.4", **only_key)
    assert report.matrix["question-answered"]["createChatCompletion"].state == "kept"
    assert report.matrix["usage-sums"]["createChatCompletion"].state == "kept"
    assert report.exit_code == EXIT_FOUND
    assert "listModels" in report.verdict
    without = check_with(gateway, LISTS_ARE_GONE, "area:basics", "area:conformance", **only_key)
    assert without.exit_code == EXIT_COULD_NOT
    assert "give --model" in without.verdict
    # answers that show that there is no gateway neither keep nor break anything
    assert (without.counts.kept, without.counts.broken, without.findings) == (0, 0, ())


def test_a_given_model_is_not_asked_beyond_the_budget(gateway: FaultyGateway) -> None:
    gateway.fault = LISTS_ARE_GONE
    given = replace(target(gateway.url), token=None, access_secret=None, model="gpt-5.4")
    report = check(given, only=("area:access", "listModels"), phases=(), max_paid_calls=0)
    gateway.fault = Fault()
    assert report.counts.paid_calls == 0
    assert "internal error" not in report.verdict


def test_a_path_that_the_preflight_makes_up_is_not_judged(gateway: FaultyGateway) -> None:
    def on_response(request: SeenRequest, response: SentResponse) -> SentResponse:
        if "/models" not in request.path and "no-such-path" not in request.path:
            return response
        return replace(response, status=404, headers={"content-type": "text/plain"}, body=b"Not Found")

    fault = Fault(on_response=on_response)
    only = ("question-answered", "content-type", "createChatCompletion")
    assert not check_with(gateway, fault, *only, model="gpt-5.4", token=None).findings


def test_a_gateway_whose_lists_fail_is_checked_with_a_given_model(gateway: FaultyGateway) -> None:
    only_key = dict.fromkeys(("token", "business_token", "other_token", "access_key", "access_secret"))
    failing = answer_with("/models$|/models/[^:]+$", 500, {"status": "failure"})
    report = check_with(gateway, failing, "area:basics", model="gpt-5.4", **only_key)
    assert report.matrix["question-answered"]["createChatCompletion"].state == "kept"
    assert "listModels" in report.verdict
    assert "the server fails" in check_with(gateway, failing, "area:basics", **only_key).verdict


@pytest.mark.parametrize(
    ("field", "words", "lost", "kept"),
    [
        (
            "token",
            "The console token (--token) is rejected: GET /api/v1/gateway/keys answered 401",
            "listKeys",
            "listModels",
        ),
        ("key", "The API key (--key) is rejected: GET /v1/models answered 401", "listModels", "listKeys"),
    ],
)
def test_a_bad_credential_drops_only_what_needs_it(
    gateway: FaultyGateway, field: str, words: str, lost: str, kept: str
) -> None:
    report = check_with(gateway, Fault(), "read-answered", "key-list-order", **{field: "nex-nobody-knows-this"})
    assert report.all_kept, str(report)
    assert str(report).startswith(words)
    # the first sentence says how, and nothing else repeats it
    assert report.matrix["read-answered"][lost].reason in words.replace("The ", "the ")
    assert str(report).count("is rejected") == 1
    assert report.matrix["read-answered"][kept].state == "kept"
    assert "nobody-knows" not in str(report) + str(report.matrix)


def test_a_bad_token_of_the_second_organisation_breaks_no_law(gateway: FaultyGateway) -> None:
    report = check_with(gateway, Fault(), "isolation", "key-list-order", other_token="nex-nobody-knows-this")
    assert report.all_kept, str(report)
    assert {cell.state for cell in report.matrix["isolation-listed"].values()} == {"not checked"}


def test_only_what_the_plan_needs_is_asked(gateway: FaultyGateway) -> None:
    check_with(gateway, Fault(), "signature-right")
    operations = [request.path for request in gateway.seen if "no-such-path" not in request.path]
    assert {path.rpartition("/")[0] for path in operations} == {"/api/v1/modelRouter/open/observation"}


@pytest.mark.parametrize("location", ["https://gw.example/ai/v1/models", "/ai/v1/models"])
def test_a_redirect_says_which_url_to_give(location: str) -> None:
    async def answer(scope: Any, send: Any) -> None:
        headers = [(b"location", location.encode())]
        await send({"type": "http.response.start", "status": 308, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    with Server(app(answer)) as server:
        report = check(Target(server.url, key=KEY))
        base = "https://gw.example/ai" if location.startswith("https") else f"{server.url}/ai"
    assert report.exit_code == EXIT_COULD_NOT
    assert f"give {base} as the URL" in report.verdict


def test_a_url_with_a_part_of_the_paths_says_which_url_to_give(gateway: FaultyGateway) -> None:
    gateway.fault = Fault()
    report = check(target(f"{gateway.url}/v1"), only=("area:basics",), phases=())
    assert f"the operations do not exist; give {gateway.url} as the URL" in report.verdict


def test_why_nothing_could_be_checked_is_printed_once(
    gateway: FaultyGateway, capsys: pytest.CaptureFixture[str]
) -> None:
    gateway.fault = Fault()
    assert main(["check", f"{gateway.url}/v1", "--key", KEY, "--only", "area:basics"]) == EXIT_COULD_NOT
    printed = capsys.readouterr()
    assert printed.err.count("Could not check: the operations do not exist") == 1
    assert "the operations do not exist" not in printed.out


def test_a_remedy_is_named_where_nothing_can_be_checked(
    gateway: FaultyGateway, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)
    gateway.fault = Fault()
    secure = gateway.url.replace("http://", "https://")
    cases = {
        (gateway.url,): ("$AIONE_API_KEY", "aione-mock keys --format env"),
        (secure, "--key", KEY): ("try http://",),
        (gateway.url, "--key", KEY, "--only", "law:foo"): ("`aione-mock check --list` shows all names",),
        (gateway.url, "--key", KEY, "--baseline", "no-such-file.txt"): ("create it with --update-baseline",),
    }
    for words, remedies in cases.items():
        assert main(["check", *words]) == EXIT_COULD_NOT
        shown = capsys.readouterr().err
        assert all(remedy in shown for remedy in remedies), shown


def test_a_catch_all_is_recognised() -> None:
    with Server(make_application(200, "application/json", b'{"ok": true}')) as server:
        report = check(target(server.url))
    assert report.exit_code == EXIT_COULD_NOT
    assert "every path is answered alike" in report.verdict
    assert report.counts.requests < 10


def test_compression_that_nobody_asked_for_is_named() -> None:
    headers = {"content-encoding": "gzip"}
    with Server(make_application(200, "application/json", b"\x1f\x8b\x08\x00", **headers)) as server:
        report = check(target(server.url))
    assert report.exit_code == EXIT_COULD_NOT
    assert "answers are compressed although the request does not accept it" in report.verdict


def test_the_status_of_an_error_page_is_what_is_told() -> None:
    with Server(make_application(503, "text/html", b"<html>down</html>")) as server:
        assert "the server fails: GET /v1/models answered 503" in check(target(server.url)).verdict


def test_every_request_has_the_given_headers_and_no_report_has_their_secrets(
    gateway: FaultyGateway, check_gateway: CheckGateway
) -> None:
    gate = answer_with(
        "", 403, {"detail": "gate"}, when=lambda request: request.headers.get("x-gate-token") != "open-sesame"
    )
    headers = (("X-Gate-Token", "open-sesame"), ("x-plain", "openai"))
    report = check_with(gateway, gate, "read-answered", "key-list-order", headers=headers)
    assert report.all_kept, str(report)
    broken = check_with(gateway, answer_with("/plan$", 503, {}), "read-answered", headers=headers)
    shown = RENDERERS["json"](broken).decode()
    assert "AIONE_HEADER_X_GATE_TOKEN" in shown
    assert "x-plain: openai" in shown
    assert "open-sesame" not in shown


@pytest.mark.parametrize("text", ["no colon", ": x", "a b: c", "name: a\nb: c"])
def test_a_header_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="'Name: value'"):
        parse_header(text)
