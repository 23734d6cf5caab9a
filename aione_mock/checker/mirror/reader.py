"""Ask a gateway for what it shows of itself, and note what cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus

import orjson

from aione_mock.checker.client import Auth, AuthChoice
from aione_mock.checker.context import LawContext
from aione_mock.checker.errors import AnswerTimedOut, NotChecked, StopRun, UnreadableAnswer
from aione_mock.checker.exchange import HttpExchange, shorten_body
from aione_mock.checker.json_reader import JsonReader
from aione_mock.checker.target import OPTIONS
from aione_mock.contract.json_pointer import resolve_pointer
from aione_mock.types import Json

_MAX_PAGES = 1000
_MAX_TIMEOUTS = 2
"""Answers that do not come in time, after which a gateway that has shown nothing is asked no more."""
_BODY = "$response.body#"
"""Begins the expressions of links that take a value from the answer."""
_PAGE = "page"
"""The console's parameter for pages, as its list of invoices has it."""
_REASONS: Mapping[int, str] = {
    HTTPStatus.UNAUTHORIZED: "{} is rejected",
    HTTPStatus.FORBIDDEN: "{} has no right to it",
    HTTPStatus.NOT_FOUND: "the gateway does not have it",
    HTTPStatus.METHOD_NOT_ALLOWED: "the gateway does not have it",
}
_SHOWN_CHARACTERS = 120


class GatewayReader:
    """Reads answers of a gateway. Notes are kept by the section of the file that they belong to."""

    def __init__(self, context: LawContext, watch: Callable[[str], None]) -> None:
        self.context, self.watch = context, watch
        self.answers: list[HttpExchange] = []
        self.used = 0
        """Answers of which something could be used."""
        self.accepted: set[str] = set()
        """Credentials, fields of the target, with which something could be read."""
        self._notes: dict[str, dict[str, tuple[int, str]]] = {}
        """Section → text → how often, and an example."""
        self._timeouts = 0
        self.stopped = ""
        """Why nothing more is asked; empty if nothing ended it."""
        context.client.observers = [self.answers.append]

    def mask(self, text: str) -> str:
        """Return a text of the gateway without credentials."""
        return self.context.client.mask.apply_to_answer(text)

    # Notes

    def note(self, section: str, text: str, example: str = "") -> None:
        """Note something; the same text is counted."""
        texts = self._notes.setdefault(section, {})
        count, first = texts.get(text, (0, example))
        texts[text] = count + 1, first

    def list_notes(self) -> dict[str, list[str]]:
        """Return the notes of each section, without credentials."""
        return {
            section: [self.mask(_format_note(text, *counted)) for text, counted in texts.items()]
            for section, texts in self._notes.items()
        }

    # Answers

    def read(
        self, section: str, operation: str, lost: str, field: str, params: dict[str, str] | None = None, **query: Json
    ) -> JsonReader | None:
        """Return an answer, or note that `lost` could not be read. `field` names a credential of the target."""
        answer, reason = self.ask(operation, field, params, **query)
        if answer is None:
            self.note(section, f"{lost} could not be read: {operation}: {reason}")
        return answer

    def ask(
        self, operation: str, field: str, params: dict[str, str] | None = None, **query: Json
    ) -> tuple[JsonReader | None, str]:
        """Return an answer, or None and why there is none."""
        try:
            exchange = self._call(operation, field, params, query)
            if exchange.is_success and not exchange.failure:
                self.accepted.add(field)
                return exchange.data, ""
            return None, _explain_answer(exchange, field)
        except NotChecked as error:
            self._timeouts += isinstance(error, AnswerTimedOut)
            return None, str(error)
        except StopRun as error:
            self.stopped = str(error)
            return None, self.stopped

    def _call(
        self, operation: str, field: str, params: dict[str, str] | None, query: Mapping[str, Json]
    ) -> HttpExchange:
        if self.stopped:
            raise NotChecked(self.stopped)
        if self._timeouts >= _MAX_TIMEOUTS and not self.used:
            raise NotChecked("the gateway does not answer in time")
        return self.context.call(operation, params, query=query, auth=self._choose_auth(field))

    def _choose_auth(self, field: str) -> AuthChoice:
        if field not in ("business_token", "other_token"):
            return "target"
        return Auth("consoleToken", getattr(self.context.target, field))

    def read_rows(
        self, section: str, operation: str, lost: str, field: str, *members: str, **first: Json
    ) -> list[JsonReader] | None:
        """Return the rows of all pages of a list; None if not even the first page could be read.

        `members` lead to the list in an answer, `first` is the query of the first page.
        """
        rows: dict[bytes, JsonReader] = {}
        query: dict[str, Json] = dict(first)
        page: JsonReader | None = None
        for number in range(1, _MAX_PAGES + 1):
            page = self.read(section, operation, lost, field, **query)
            found = None if page is None else self._find_rows(section, page, members, lost)
            if page is None or found is None:
                return list(rows.values()) if number > 1 else None
            known = len(rows)
            rows |= found
            self.watch(f"{operation}: {len(rows)} read")
            query = self._find_next_page(operation, page, number, len(rows))
            if not query or len(rows) == known:
                break
        total = page.find("total") if page else None
        if type(total) is int and total > len(rows):
            self.note(section, f"{operation} showed {len(rows)} of {total}; no further page could be found")
        return list(rows.values())

    def _find_rows(
        self, section: str, page: JsonReader, members: tuple[str, ...], lost: str
    ) -> dict[bytes, JsonReader] | None:
        """Return the rows of a page by their content."""
        try:
            return {orjson.dumps(row.value): row for row in page.list_rows(*members)}
        except UnreadableAnswer as error:
            self.note(section, f"{lost} could not be read: {error}")
            return None

    def _find_next_page(self, operation: str, page: JsonReader, number: int, count: int) -> dict[str, Json]:
        """Return the query of the next page: as the contract's link says, or its number if `total` tells of more."""
        spec = self.context.contract.operations[operation]
        links = map(spec.resolve, spec.responses[str(spec.success)].get("links", {}).values())
        for link in links:
            if link["operationId"] == operation:
                values = {name: _evaluate(page.value, text) for name, text in link["parameters"].items()}
                return {name: value for name, value in values.items() if value}
        total = page.find("total")
        return {_PAGE: number + 1} if type(total) is int and total > count else {}


def _evaluate(body: Json, expression: str) -> Json:
    """Return the value of a link's expression in the body of an answer, None if it has none."""
    return resolve_pointer(body, expression.removeprefix(_BODY), None)


def _explain_answer(exchange: HttpExchange, field: str) -> str:
    """Return status and text of an answer that failed, and the right that is missing."""
    reason = _REASONS.get(exchange.status, "").format(OPTIONS[field])
    shown = shorten_body(exchange.body, _SHOWN_CHARACTERS) if exchange.body else ""
    return "; ".join(filter(None, (exchange.summary, reason, shown)))


def _format_note(text: str, count: int, example: str) -> str:
    such = f", such as {example}" if example else ""
    return f"{text} ({count} times{such})" if count > 1 else f"{text}{such and f': {example}'}"
