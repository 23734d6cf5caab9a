"""Compare what was asked and received with what the upstream got and gave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from aione_mock.checker.canaries.asking import ReceivedAnswer
from aione_mock.checker.canaries.upstream import UpstreamCall
from aione_mock.text.canaries import CANARY, MARK

Verdict = Literal["lost", "doubled", "altered", "crossed"]
VERDICTS: dict[Verdict, str] = {
    "lost": "no answer came back",
    "doubled": "the upstream answered one question twice, or one answer came twice",
    "altered": "a question or an answer was changed on its way",
    "crossed": "an answer came back to another question",
}
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class CanaryFinding:
    """Something wrong with one question."""

    verdict: Verdict
    mark: str
    kind: str
    """Protocol and way of asking."""
    detail: str


class CanaryJudge:
    """Judge answers against the calls of the upstream."""

    def __init__(self, calls: Iterable[UpstreamCall]) -> None:
        self._by_canary: dict[str, UpstreamCall] = {}
        self._by_mark: dict[str, list[UpstreamCall]] = {}
        for call in calls:
            self._by_canary[call.canary] = call
            for mark in dict.fromkeys(MARK.findall(call.question or "")):
                self._by_mark.setdefault(mark, []).append(call)

    def judge(self, answer: ReceivedAnswer) -> list[CanaryFinding]:
        """Return what is wrong with the answer to a question; empty if nothing is."""
        question = answer.question
        found = [*self._judge_calls(answer), *self._judge_answer(answer)]
        return [CanaryFinding(verdict, question.mark, question.kind, detail) for verdict, detail in found]

    def _judge_calls(self, answer: ReceivedAnswer) -> Iterator[tuple[Verdict, str]]:
        calls = self._by_mark.get(answer.question.mark, [])
        answered = [call for call in calls if 200 <= call.status < 300]
        if len(answered) > 1:
            numbers = ", ".join([str(call.number) for call in answered])
            yield "doubled", f"the upstream answered it {len(answered)} times: its exchanges {numbers}"
        for call in calls:
            if call.question != answer.question.text:
                yield "altered", f"the question reached the upstream as {_quote(call.question or '')}"
                return

    def _judge_answer(self, answer: ReceivedAnswer) -> Iterator[tuple[Verdict, str]]:
        calls = self._by_mark.get(answer.question.mark, [])
        if answer.text is None:
            yield "lost", f"{answer.problem}; {_describe_calls(calls)}"
            return
        canaries = CANARY.findall(answer.text)
        own = {call.canary: call for call in calls}
        foreign = [canary for canary in dict.fromkeys(canaries) if canary not in own]
        if foreign:
            yield from map(self._judge_foreign, foreign)
        elif not canaries:
            what = f"no canary is in {_quote(answer.text)}" if answer.text.strip() else "the answer is empty"
            yield ("altered" if answer.text.strip() else "lost"), f"{what}; {_describe_calls(calls)}"
        else:
            if len(canaries) > 1:
                yield "doubled", f"{canaries[0]} is {len(canaries)} times in the answer"
            sent = own[canaries[0]].answer
            if len(canaries) == 1 and sent is not None and sent.strip() != answer.text.strip():
                yield "altered", _describe_difference(sent.strip(), answer.text.strip())

    def _judge_foreign(self, canary: str) -> tuple[Verdict, str]:
        call = self._by_canary.get(canary)
        if call is None:
            return "crossed", f"the answer has {canary}, which the upstream gave before this run or never"
        marks = MARK.findall(call.question or "")
        if not marks:
            return "altered", f"the question reached the upstream without its mark, as exchange {call.number}"
        return "crossed", f"the answer is the one to {marks[0]}, exchange {call.number} of the upstream"


def _describe_calls(calls: list[UpstreamCall]) -> str:
    if not calls:
        return "the upstream never got the question"
    statuses = [f"{call.status}" + ("" if call.end == "finish" else f", {call.end}") for call in calls]
    return f"the upstream answered {' and '.join(statuses)}"


def _describe_difference(sent: str, got: str) -> str:
    if sent.startswith(got):
        return f"the answer ends after {len(got)} of {len(sent)} characters"
    place = next((i for i, (a, b) in enumerate(zip(sent, got, strict=False)) if a != b), min(len(sent), len(got)))
    here, there = _quote(got[place:]), _quote(sent[place:])
    return f"from character {place + 1} on the answer is {here}, and the upstream said {there}"


def _quote(text: str) -> str:
    line = " ".join(text.split())
    return f"“{line if len(line) <= _SHOWN_CHARACTERS else line[: _SHOWN_CHARACTERS - 1] + '…'}”"
