"""Hostile requests in large numbers: every answer keeps the contract, and memory ends where it was."""

from __future__ import annotations

import pytest

from benchmarks import soak


def test_a_short_soak_finds_nothing_wrong() -> None:
    result = soak.run("mutations", 1500, seed=1)
    assert result.requests == 1500
    assert not result.problems, "\n".join(result.problems[:10])
    assert len(result.statuses) > 6


def test_a_soak_tells_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers what the contract does not declare would be seen."""
    monkeypatch.setattr(
        soak.Mutator, "make_request", lambda _: ("GET", b"/v1/models", [("x-mock-scenario", b"html_page")], b"")
    )
    answered = soak.Connection.send

    def send(self: soak.Connection, request: soak.SoakRequest) -> tuple[int, dict[str, str], bytes]:
        _, fields, _ = answered(self, request)
        return 418, fields, b"teapot"

    monkeypatch.setattr(soak.Connection, "send", send)
    result = soak.run("mutations", 4)
    assert len(result.problems) == 4
    assert "does not declare 418" in result.problems[0]


@pytest.mark.slow
def test_a_hundred_thousand_mutated_requests() -> None:
    """A tenth of what `python -m benchmarks.soak mutations` sends."""
    result = soak.run("mutations", 100_000, seed=2)
    assert result.requests == 100_000
    assert not result.problems, "\n".join(result.problems[:10])


@pytest.mark.slow
def test_memory_ends_where_it_was() -> None:
    """A part of what `python -m benchmarks.soak memory` sends; the start is where caches and journals are full."""
    result = soak.run("memory", 24_000)
    assert not result.problems, "\n".join(result.problems[:10])
    assert result.megabytes[-1] - result.megabytes[9] < soak.MEMORY_MB, result.megabytes
