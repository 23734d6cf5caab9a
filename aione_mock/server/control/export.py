"""Give the calls of a session as a cassette, which `serve --replay` plays, and as an HTTP archive, masked."""

from __future__ import annotations

import asyncio

import orjson

from aione_mock.asgi import SESSION_PREFIX
from aione_mock.clock import format_timestamp
from aione_mock.server.har import describe_archive
from aione_mock.server.journal import Exchange
from aione_mock.server.pipeline import Pipeline
from aione_mock.server.request import find_root_url
from aione_mock.server.sessions import Session
from aione_mock.text.credentials import mask_bytes
from aione_mock.types import Call, Headers, Reply


class ExportControl:
    """Handlers that give all calls of a session as a file."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._contract, self._scheme = pipeline.contract, pipeline.settings.scheme

    async def export_cassette(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/cassette`."""
        # the recorder imports an HTTP client, which would take a tenth of a second of every start
        from aione_mock.server.session_cassette import dump_session

        exchanges, url = list(session.journal), self._find_url(call, session)
        started = format_timestamp(exchanges[0].at) if exchanges else ""
        # YAML of a whole journal takes seconds, in which others are answered
        text = await asyncio.to_thread(dump_session, self._contract, exchanges, url, started)
        return Reply(text.encode(), headers=_name_file(session, "yaml"), media_type="application/yaml")

    async def export_har(self, call: Call, session: Session) -> Reply:
        """Answer `GET /_mock/har`."""
        exchanges, url = list(session.journal), self._find_url(call, session)
        raw = await asyncio.to_thread(_dump_archive, exchanges, url)
        return Reply(raw, headers=_name_file(session, "har"))

    def _find_url(self, call: Call, session: Session) -> str:
        return f"{find_root_url(call, self._scheme)}{SESSION_PREFIX}{session.name}"


def _dump_archive(exchanges: list[Exchange], url: str) -> bytes:
    return mask_bytes(orjson.dumps(describe_archive(exchanges, url), option=orjson.OPT_INDENT_2))


def _name_file(session: Session, ending: str) -> Headers:
    # names of sessions need no quotes
    return (("content-disposition", f'attachment; filename="{session.name}.{ending}"'),)
