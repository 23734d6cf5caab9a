"""Changes of requests and responses from which mutants are built."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qsl, urlencode

import orjson

from aione_mock.mutants.mutant import MutantRequest, MutantResponse, RequestChange, ResponseChange
from aione_mock.structs import replace
from aione_mock.types import Json

JsonChange = Callable[[Json], Json]


def remove_members(*names: str) -> RequestChange:
    """Remove members from the JSON body of a request."""

    def change(request: MutantRequest) -> MutantRequest:
        data = request.data
        if not isinstance(data, dict) or not set(names) & set(data):
            return request
        return request.with_data({name: value for name, value in data.items() if name not in names})

    return change


def remove_parameters(*names: str) -> RequestChange:
    """Remove query parameters from a request."""

    def change(request: MutantRequest) -> MutantRequest:
        pairs = parse_qsl(request.query.decode("latin-1"), keep_blank_values=True)
        return replace(request, query=urlencode([pair for pair in pairs if pair[0] not in names]).encode())

    return change


def change_body(change: JsonChange) -> ResponseChange:
    """Change the JSON body of a success that is not a stream."""

    def apply(response: MutantResponse, request: MutantRequest) -> MutantResponse:
        data = response.data
        if not response.is_success or response.is_event_stream or data is None:
            return response
        return response.with_data(change(data))

    return apply


def change_error(change: JsonChange) -> ResponseChange:
    """Change the JSON body of an error."""

    def apply(response: MutantResponse, request: MutantRequest) -> MutantResponse:
        data = response.data
        return response if response.is_success or data is None else response.with_data(change(data))

    return apply


def change_events(change: Callable[[list[bytes]], list[bytes]]) -> ResponseChange:
    """Change the list of events of a stream."""

    def apply(response: MutantResponse, request: MutantRequest) -> MutantResponse:
        return response.with_body(b"".join(change(response.events))) if response.is_event_stream else response

    return apply


def change_each_event(change: Callable[[int, Json], Json]) -> ResponseChange:
    """Change the data of each event that is JSON; `change` gets its index and data."""

    def rewrite(index: int, event: bytes) -> bytes:
        head, marker, text = event.rpartition(b"data: ")
        try:
            return head + marker + orjson.dumps(change(index, orjson.loads(text))) + b"\n\n"
        except orjson.JSONDecodeError:
            return event

    return change_events(lambda events: [rewrite(index, event) for index, event in enumerate(events)])


def change_status(old: int, new: int) -> ResponseChange:
    """Replace one status by another."""
    return lambda response, request: replace(response, status=new) if response.status == old else response


def change_header(name: bytes, change: Callable[[bytes], bytes]) -> ResponseChange:
    """Change the value of a header that a response has."""

    def apply(response: MutantResponse, request: MutantRequest) -> MutantResponse:
        return replace(response, headers=tuple((n, change(v) if n == name else v) for n, v in response.headers))

    return apply


def remove_headers(*names: bytes) -> ResponseChange:
    """Remove headers from responses."""

    def apply(response: MutantResponse, request: MutantRequest) -> MutantResponse:
        return replace(response, headers=tuple(pair for pair in response.headers if pair[0] not in names))

    return apply


def change_member(*path: str, to: JsonChange) -> JsonChange:
    """Change a member of a JSON value where it exists; `*` in the path stands for all items of a list."""

    def change(value: Json, steps: tuple[str, ...]) -> Json:
        if not steps:
            return to(value)
        step, rest = steps[0], steps[1:]
        if step == "*" and isinstance(value, list):
            return [change(item, rest) for item in value]
        if isinstance(value, dict) and step in value:
            return {**value, step: change(value[step], rest)}
        return value

    return lambda value: change(value, path)


def drop_member(name: str) -> JsonChange:
    """Remove a member from an object."""
    return lambda value: {key: member for key, member in value.items() if key != name}
