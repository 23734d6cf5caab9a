"""Each fault of plain answers on the wire, byte by byte, and nothing but that fault."""

from __future__ import annotations

import gzip
import zlib
from typing import Any

import orjson
import pytest

from aione_mock.scenarios.faults import FAULTS
from tests.faults.conftest import CONTRACT, PROTOCOLS, SessionClient, build_call, build_chat
from tests.timing import at_best
from tests.wire_reader import Wire


class Damage:
    """One plain answer, without and with a fault."""

    def __init__(self, asking: SessionClient, raw: Any) -> None:
        self.asking, self.raw = asking, raw
        self.usual = asking(raw(""))
        assert self.usual.whole

    def __call__(self, scenario: str, **more: Any) -> Wire:
        return self.asking(self.raw(scenario), **more)

    def headers(self, **changed: Any) -> dict[str, str]:
        """Return the usual headers with some changed."""
        return self.usual.headers | {name.replace("_", "-"): str(value) for name, value in changed.items()}

    @property
    def body(self) -> bytes:
        return self.usual.body


@pytest.fixture(params=[*PROTOCOLS, "listKeys", "listModels"])
def damage(asking: SessionClient, request: pytest.FixtureRequest) -> Damage:
    name = request.param
    if name in PROTOCOLS:
        return Damage(asking, lambda scenario: build_chat(name, stream=False, scenario=scenario))
    operation = CONTRACT.operations[name]
    return Damage(asking, lambda scenario: build_call(operation, **({"x_mock_scenario": scenario} if scenario else {})))


def test_cut_body(damage: Damage) -> None:
    wire = damage("cut_body")
    assert wire.headers == damage.usual.headers, "it announces all"
    assert (wire.end, wire.whole) == ("closed", False)
    assert wire.body == damage.body[: len(damage.body) // 2]


def test_content_length_long(damage: Damage) -> None:
    wire = damage("content_length_long; by=5")
    assert wire.headers == damage.headers(content_length=len(damage.body) + 5, connection="close")
    assert (wire.end, wire.whole, wire.body) == ("closed", False, damage.body)


def test_content_length_short(damage: Damage) -> None:
    wire = damage("content_length_short; by=5")
    assert wire.headers == damage.headers(content_length=len(damage.body) - 5, connection="close")
    assert (wire.end, wire.whole, wire.body) == ("closed", False, damage.body)


def test_malformed_json(damage: Damage) -> None:
    wire = damage("malformed_json")
    assert wire.headers == damage.headers(content_length=len(damage.body) - 1)
    assert (wire.whole, wire.body) == (True, damage.body[:-1])


def test_wrong_content_type(damage: Damage) -> None:
    wire = damage("wrong_content_type")
    assert wire.headers == damage.headers(content_type="text/plain")
    assert (wire.whole, wire.body) == (True, damage.body)


def test_html_page(damage: Damage) -> None:
    wire = damage("html_page")
    assert wire.head == "HTTP/1.1 502 Bad Gateway"
    assert wire.headers == {"content-type": "text/html", "content-length": str(len(wire.body))}
    assert wire.body.startswith(b"<!DOCTYPE html>")


def test_gzip_garbage(damage: Damage) -> None:
    wire = damage("gzip_garbage")
    assert wire.headers == damage.headers(content_encoding="gzip", content_length=len(wire.body))
    assert wire.whole
    assert wire.body.startswith(b"\x1f\x8b\x08")
    with pytest.raises((zlib.error, gzip.BadGzipFile, EOFError)):
        gzip.decompress(wire.body)


def test_empty_body(damage: Damage) -> None:
    wire = damage("empty_body")
    assert wire.headers == damage.headers(content_length=0)
    assert (wire.whole, wire.body) == (True, b"")


def test_slow_body(damage: Damage) -> None:
    wire = damage("slow_body; seconds=0.4; parts=5")
    assert wire.headers == damage.usual.headers
    assert (wire.whole, wire.body) == (True, damage.body)
    assert wire.last >= 0.39
    assert max(wire.segments, len(wire.reads)) >= 5


def test_drip(damage: Damage) -> None:
    wire = damage("drip; size=100; seconds=0.02")
    assert wire.headers == damage.usual.headers
    assert (wire.whole, wire.body) == (True, damage.body)
    assert wire.last >= 0.019 * (-(-len(damage.body) // 100) - 1)


def test_reset(damage: Damage) -> None:
    wire = damage("reset")
    assert (wire.raw, wire.end) == (b"", "reset")


def test_hang(damage: Damage) -> None:
    wire = damage("hang", patience=0.3)
    assert (wire.raw, wire.end) == (b"", "open")


def test_faults_compose(damage: Damage) -> None:
    """Two that disagree about the length: the one that lies wins, the other one's bytes are as many as it says."""
    wire = damage("malformed_json, content_length_long; by=3, wrong_content_type")
    length = len(damage.body) - 1 + 3
    assert wire.headers == damage.headers(content_length=length, content_type="text/plain", connection="close")
    assert (wire.end, wire.body) == ("closed", damage.body[:-1])


def test_every_fault_of_plain_answers_is_tested_here() -> None:
    """A fault that is added to the table needs a test in this module."""
    names = {name.removeprefix("test_") for name in globals()}
    assert [f.name for f in FAULTS.values() if f.applies_to != "stream" and f.name not in names] == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_fault_for_streams_is_refused_where_there_is_none(asking: SessionClient, protocol: str) -> None:
    wire = asking(build_chat(protocol, stream=False, scenario="no_end"))
    assert wire.status == 400
    assert "fault 'no_end' needs a stream" in wire.body.decode()


def test_a_refused_call_is_damaged_too(asking: SessionClient) -> None:
    raw = build_chat("openai", stream=False, scenario="internal_error, malformed_json")
    usual, wire = asking(build_chat("openai", stream=False, scenario="internal_error")), asking(raw)
    assert (wire.status, wire.body) == (500, usual.body[:-1])


@at_best
def test_the_connection_can_be_used_again(asking: SessionClient) -> None:
    """What ends as HTTP says leaves the connection good for the next request."""
    raw = build_chat("openai", stream=False, scenario="slow_body; seconds=0.05")
    wire = asking(raw + build_chat("openai", stream=False), patience=0.5)
    assert wire.raw.count(b"HTTP/1.1 200 OK") == 2


def test_nothing_is_logged(asking: SessionClient, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("cut_body", "content_length_long", "content_length_short", "reset", "empty_body", "gzip_garbage"):
        asking(build_chat("openai", stream=False, scenario=name))
    assert [record.getMessage() for record in caplog.records] == []
    assert orjson.loads(asking(build_chat("openai", stream=False)).body)["object"] == "chat.completion"
