"""Serve the page under `/_mock/ui`: the files that `web/` is built into, or in their place what to do without them."""

from __future__ import annotations

import html
from hashlib import blake2b
from pathlib import Path

from aione_mock.server.request import Request, find_root_url
from aione_mock.types import Headers, Reply

_ROOT = "/_mock/ui"
_ENTRANCES = {"/": "", "/docs": "#/reference"}
"""Where a browser is led to the page, and to which of its views."""
_MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_PROTECTION = (
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
)
# generated pictures are data URLs; no request leaves the origin
_POLICY = "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_PLAIN_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
_PLAIN_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>aione-mock</title>
<style>body{{font:1rem/1.5 system-ui;margin:3rem auto;max-width:42rem;padding:0 1rem}}td{{padding-right:2rem}}</style>
</head><body><h1>aione-mock</h1><p>This is a mock of an LLM gateway. Give your client one of these base URLs:</p>
<table>{rows}</table>
{more}<p><code>aione-mock keys</code> lists the keys.</p></body></html>
"""
_CONTROL = """<p><a href="{root}/_mock/journal">Calls so far</a>,
<a href="{root}/_mock/scenarios">errors and faults</a>,
<a href="{root}/_mock">the control API</a>, <a href="{root}/openapi.json">the contract</a>.</p>
"""
_NOT_BUILT = """<p>The page that shows your calls as they come is not built. In the checkout, run <code>make web</code>,
which needs Node 20.19 or newer, or a network to install one. The package from an index contains it.</p>
"""
CLIENTS = (("OpenAI", "/v1"), ("Anthropic", ""), ("Gemini", ""), ("Console", "/api/v1"), ("ModelRouter", ""))
"""What the base URL of each client ends in."""


class PageFiles:
    """Find the answer to a browser's request for the page."""

    def __init__(self, folder: Path, *, enabled: bool, control: bool, scheme: str) -> None:
        """`folder`: the built files, if they were built. `enabled`: whether the page is served at all."""
        self._folder, self._enabled, self._control, self._scheme = folder, enabled and control, control, scheme

    def find(self, request: Request) -> Reply | None:
        """Return the page, one of its files, or a redirect to it; None for every other request.

        Programs, which ask for no HTML at `/` and `/docs`, get None there.
        """
        if request.method != "GET":
            return None
        if request.path in _ENTRANCES and "text/html" in (request.header("accept") or ""):
            if self._enabled and self._built:
                return self._redirect(request, _ENTRANCES[request.path])
            return self._make_plain_page(request) if self._enabled or request.path == "/" else None
        if not self._enabled or not request.path.startswith(_ROOT):
            return None
        if request.path == _ROOT:
            return self._redirect(request)
        name = request.path.removeprefix(_ROOT + "/")
        if not name and not self._built:
            return self._make_plain_page(request)
        return self._read(name or "index.html", request)

    @property
    def _built(self) -> bool:
        return (self._folder / "index.html").is_file()

    def _redirect(self, request: Request, view: str = "") -> Reply:
        session = f"/_session/{request.session_name}" if request.session_name else ""
        location = f"{request.mount_path}{session}{_ROOT}/{view}"
        return Reply(b"", 307, headers=(("location", location), ("vary", "accept"), ("cache-control", "no-cache")))

    def _read(self, name: str, request: Request) -> Reply | None:
        path = self._folder / name
        # only names that the folder lists: a name may try to lead out of it
        if path.suffix not in _MEDIA_TYPES or path.name != name or path not in [*self._folder.glob("*")]:
            return None
        content = path.read_bytes()
        tag = f'"{blake2b(content, digest_size=12).hexdigest()}"'
        # every name but this one has a digest of the content in it
        keep = "no-cache" if name == "index.html" else "public, max-age=31536000, immutable"
        headers: Headers = (("etag", tag), ("cache-control", keep), ("content-security-policy", _POLICY), *_PROTECTION)
        if tag in (request.header("if-none-match") or ""):
            return Reply(b"", 304, headers=headers, media_type=_MEDIA_TYPES[path.suffix])
        return Reply(content, headers=headers, media_type=_MEDIA_TYPES[path.suffix])

    def _make_plain_page(self, request: Request) -> Reply:
        root = html.escape(request.mount_path)
        url = html.escape(find_root_url(request, self._scheme))
        rows = "".join([f"<tr><td>{name}</td><td><code>{url}{path}</code></td></tr>" for name, path in CLIENTS])
        more = (_CONTROL.format(root=root) if self._control else "") + (_NOT_BUILT if self._enabled else "")
        headers = (("content-security-policy", _PLAIN_POLICY), ("cache-control", "no-cache"), *_PROTECTION)
        page = _PLAIN_PAGE.format(rows=rows, more=more).encode()
        return Reply(page, media_type=_MEDIA_TYPES[".html"], headers=headers)
