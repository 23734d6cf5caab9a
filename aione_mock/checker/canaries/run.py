"""Run a check: find out what the gateway speaks, ask, and judge."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

import httpx2

from aione_mock.checker.canaries.asking import Asker, ReceivedAnswer, make_headers, open_client
from aione_mock.checker.canaries.questions import make_questions
from aione_mock.checker.canaries.report import CanaryReport
from aione_mock.checker.canaries.upstream import UpstreamJournal
from aione_mock.checker.canaries.verdicts import CanaryFinding, CanaryJudge
from aione_mock.checker.protocols import PROTOCOLS, ChatProtocol
from aione_mock.checker.target import SecretMask, Target
from aione_mock.contract import Contract
from aione_mock.errors import ConfigError, did_you_mean
from aione_mock.seed import Seed


@dataclass(frozen=True, slots=True)
class CanaryOptions:
    """What to ask."""

    upstream: str
    control_token: str | None = None
    calls: int = 200
    concurrency: int = 16
    protocols: tuple[str, ...] = ()
    """Empty: those that the gateway speaks."""
    streams: tuple[bool, ...] = (False, True)
    model: str | None = None
    """None: the first that the gateway lists."""
    timeout: float = 60.0
    """Longest time in seconds for an answer."""


Progress = Callable[[int, int], None]
"""Called with how many questions are answered, and how many there are."""


def check_canaries(target: Target, contract: Contract, options: CanaryOptions, progress: Progress) -> CanaryReport:
    """Ask marked questions through a gateway and report what was lost, doubled, altered or crossed.

    `contract` has the control API. Raises ConfigError if the upstream, the gateway or its model cannot be used.
    """
    for name in options.protocols:
        if name not in PROTOCOLS:
            raise ConfigError(
                f"--protocol {name}: unknown{did_you_mean(name, PROTOCOLS)}; known: {', '.join(PROTOCOLS)}"
            )
    with closing(UpstreamJournal(options.upstream, contract, options.control_token)) as journal:
        return asyncio.run(_CanaryRun(target, contract, options, journal, progress).run())


class _CanaryRun:
    def __init__(
        self, target: Target, contract: Contract, options: CanaryOptions, journal: UpstreamJournal, progress: Progress
    ) -> None:
        self._target, self._contract, self._options = target, contract, options
        self._journal, self._progress = journal, progress
        # the journal may hold marks of runs before, which had another start
        self._run = Seed.of("canaries").digest(journal.start, size=4).hex()

    async def run(self) -> CanaryReport:
        options = self._options
        async with open_client(options.concurrency) as client:
            model = options.model or await self._find_model(client)
            asker = Asker(self._target, self._contract, model, client, options.timeout)
            protocols, not_spoken = await self._choose_protocols(asker)
            questions = [*make_questions(self._run, options.calls, protocols, options.streams)]
            answers: list[ReceivedAnswer] = []
            async for answer in asker.ask_all(questions, options.concurrency):
                answers.append(answer)
                self._progress(len(answers), len(questions))
        judge = CanaryJudge(self._journal.read_calls())
        order = {question.mark: place for place, question in enumerate(questions)}
        answers.sort(key=lambda answer: order[answer.question.mark])
        return CanaryReport(
            self._target.url,
            options.upstream,
            model,
            len(questions),
            options.concurrency,
            tuple(dict.fromkeys([question.kind for question in questions])),
            not_spoken,
            tuple([self._mask_finding(finding) for answer in answers for finding in judge.judge(answer)]),
        )

    def _mask_finding(self, finding: CanaryFinding) -> CanaryFinding:
        return replace(finding, detail=SecretMask(self._target).apply_to_answer(finding.detail))

    async def _choose_protocols(self, asker: Asker) -> tuple[Sequence[ChatProtocol], tuple[str, ...]]:
        """Return the protocols to ask in, and why others are left out."""
        if self._options.protocols:
            return [PROTOCOLS[name] for name in self._options.protocols], ()
        spoken, reasons = [], []
        # after those of the run
        for number, protocol in enumerate(PROTOCOLS.values(), start=self._options.calls + 1):
            answer = await asker.ask(next(make_questions(self._run, 1, [protocol], [False], number)))
            if answer.text is not None:
                spoken.append(protocol)
            else:
                reasons.append(f"{protocol.name}: {answer.problem}")
        if not spoken:
            raise ConfigError(f"{self._target.url} answers in no protocol: {'; '.join(reasons)}")
        return spoken, tuple(reasons)

    async def _find_model(self, client: httpx2.AsyncClient) -> str:
        operation = self._contract.operations["listModels"]
        url = self._target.url.rstrip("/") + operation.path
        try:
            response = await client.get(
                url, timeout=self._options.timeout, headers=make_headers(self._target, self._contract, operation)
            )
            response.raise_for_status()
            return str(response.json()["data"][0]["id"])
        except httpx2.ConnectError as error:
            raise ConfigError(f"{self._target.url} cannot be reached: {error}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError, LookupError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConfigError(f"{self._target.url} lists no models ({reason}); name one with --model") from None
