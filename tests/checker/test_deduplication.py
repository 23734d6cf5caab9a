"""One cause is reported once."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from aione_mock.checker.client import TargetClient
from aione_mock.checker.deduplication import OPERATION_SERVED, clear_missing, remove_consequences
from aione_mock.checker.finding import LawFinding, MatrixCell
from aione_mock.checker.run_setup import GATEWAY_DOCUMENTS
from aione_mock.checker.target import Target
from aione_mock.contract.loading import load_contract
from aione_mock.settings import locate_document
from tests.checker.conftest import CheckGateway
from tests.checker.faulty_gateway import Fault, SeenRequest, SentResponse


def _make_finding(law: str, operation: str = "listKeys", answer: str = "") -> LawFinding:
    return LawFinding(law, law, operation, "documented", "this", "that", answer=answer)


def _list_laws(*findings: LawFinding) -> list[str]:
    return [finding.law for finding in remove_consequences(findings)]


def _answer_not_found(request: SeenRequest, response: SentResponse) -> SentResponse:
    gone = request.path.startswith("/api/v1/gateway/keys") or response.status == 404
    return response.with_json({"detail": "Not Found"}, 404) if gone else response


def test_an_operation_that_is_missing_is_told_once(check_gateway: CheckGateway) -> None:
    report = check_gateway("listKeys", fault=Fault(on_response=_answer_not_found))
    assert [finding.place for finding in report.findings] == ["operation-served:listKeys"]
    assert report.matrix["operation-served"]["listKeys"].state == "broken"
    states = {
        row["listKeys"].state
        for law, row in report.matrix.items()
        if law != OPERATION_SERVED.name and "listKeys" in row
    }
    assert states == {"not checked"}


def test_an_operation_that_is_there_is_not_missing_when_its_object_is(check_gateway: CheckGateway) -> None:
    report = check_gateway("error-unknown-model")
    assert report.all_kept
    assert "operation-served" not in report.matrix


def test_a_generated_check_is_left_out_where_a_law_says_the_same() -> None:
    assert _list_laws(_make_finding("access-none"), _make_finding("ignored_auth")) == ["access-none"]
    assert _list_laws(_make_finding("access-none", "getKey"), _make_finding("ignored_auth")) == [
        "access-none",
        "ignored_auth",
    ]


def test_a_failure_over_forbidden_data_is_not_its_acceptance() -> None:
    assert _list_laws(_make_finding("negative_data_rejection", answer="500 ''")) == []
    assert _list_laws(_make_finding("negative_data_rejection", answer="200 ''")) == ["negative_data_rejection"]


def test_a_row_says_nothing_of_missing_operations_but_keeps_why_others_were_not_checked() -> None:
    row = {"a": MatrixCell("broken", "x"), "b": MatrixCell("kept"), "c": MatrixCell("not checked", "no key")}
    assert clear_missing("schema", row, ["a", "c"]) == {
        "a": MatrixCell("not checked", "the gateway does not have this operation"),
        "b": MatrixCell("kept"),
        "c": MatrixCell("not checked", "no key"),
    }


@pytest.fixture
def closing() -> Iterator[str]:
    """Run a server that answers 500, closes the connection on the next request, then answers 200."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        for first in (b"500 Oops", b"200 OK"):
            peer, _ = server.accept()
            with peer:
                peer.recv(65536)
                peer.sendall(
                    b"HTTP/1.1 " + first + b"\r\ncontent-length: 2\r\ncontent-type: application/json\r\n\r\n{}"
                )
                peer.recv(65536)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    server.close()


def test_a_connection_that_a_failing_server_closed_is_not_held_against_the_next_request(closing: str) -> None:
    contract = load_contract([locate_document(name) for name in GATEWAY_DOCUMENTS])
    client = TargetClient(Target(closing, key="sk-any-key"), contract, timeout=5.0)
    assert [client.call("listModels").status for _ in range(2)] == [500, 200]
    client.close()
