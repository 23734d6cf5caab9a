"""The text that `serve` prints when it is ready: base URLs, and snippets to paste."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from ipaddress import IPv4Address

import typer

from aione_mock.cli import terminal

_WILDCARDS = {str(IPv4Address(0)): "127.0.0.1", "::": "::1", "": "127.0.0.1"}
CLIENTS = {
    "OpenAI": ("/v1", ""),
    "Anthropic": ("", ""),
    "Gemini": ("", "with http_options api_version='v1beta'"),
    "Console": ("/api/v1", ""),
    "ModelRouter": ("", "as endpoint, protocol {scheme}"),
    "Control": ("/_mock", ""),
}
"""The path of each client's base URL, to which it adds the rest, and what else it needs."""


@dataclass(frozen=True, slots=True)
class StartupBanner:
    """What to print about a running server."""

    url: str
    seed: str
    key: str
    """The demo key."""
    model: str
    """A model for chat completions."""
    chat: str | None
    """Path of chat completions; None if an overlay has removed them."""
    control: bool = True
    exposed: bool = False
    """Whether other machines can reach the control API without a token."""
    uds: str = ""
    """The Unix socket that is listened on, if there is one."""
    ca_file: str = ""
    """The certificate of the authority that clients have to trust, if there is one."""
    workers: int = 1
    store: str = ""
    """Where workers share their state, without credentials; empty if it is in the process."""

    def list_base_urls(self) -> list[tuple[str, str, str]]:
        """Return name, base URL and note of every client."""
        scheme = self.url.partition(":")[0]
        return [
            (name, self.url + path, note.format(scheme=scheme))
            for name, (path, note) in CLIENTS.items()
            if self.control or name != "Control"
        ]

    def list_snippets(self) -> dict[str, tuple[str, ...]]:
        """Return lines to paste, by language."""
        openai, quoted = self.url + CLIENTS["OpenAI"][0], shlex.quote(self.ca_file)
        trust = (f"export SSL_CERT_FILE={quoted} NODE_EXTRA_CA_CERTS={quoted}",) if self.ca_file else ()
        variables = (
            f"export OPENAI_BASE_URL={openai} OPENAI_API_KEY={self.key}",
            f"export ANTHROPIC_BASE_URL={self.url} ANTHROPIC_API_KEY={self.key}",
        )
        python = (
            "from openai import OpenAI",
            f'client = OpenAI(base_url="{openai}", api_key="{self.key}")',
        )
        over_socket = (
            "from openai import OpenAI, DefaultHttpxClient",
            "from httpx2 import HTTPTransport",
            f"http = DefaultHttpxClient(transport=HTTPTransport(uds={self.uds!r}))",
            f'client = OpenAI(base_url="{openai}", api_key="{self.key}", http_client=http)',
        )
        curl = (
            f"curl {self._list_curl_options()}{self.url}{self.chat} -H 'Authorization: Bearer {self.key}' "
            "-H 'Content-Type: application/json' "
            f'-d \'{{"model": "{self.model}", "messages": [{{"role": "user", "content": "Hello"}}]}}\'',
        )
        sdk = {"Python": over_socket} if self.uds else {"Shell": (*trust, *variables), "Python": python}
        return sdk | ({"curl": curl} if self.chat else {})

    def _list_curl_options(self) -> str:
        options = (("--unix-socket", self.uds), ("--cacert", self.ca_file))
        return "".join([f"{option} {shlex.quote(path)} " for option, path in options if path])


def format_base_url(host: str, port: int, scheme: str = "http") -> str:
    """Return `http://host:port` for a client on this machine."""
    name = _WILDCARDS.get(host, host)
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


def _format_workers(count: int) -> str:
    return "1 worker uses" if count == 1 else f"{count} workers share"


def print_banner(banner: StartupBanner) -> None:
    """Print base URLs, key and snippets."""
    socket = f" over the Unix socket {banner.uds}" if banner.uds else ""
    terminal.print_heading(f"aione-mock is ready on {banner.url}{socket} (seed {banner.seed})")
    if banner.store:
        typer.echo(f"{_format_workers(banner.workers)} the store {banner.store}")
    for line in terminal.align_columns([(f"  {name}", url, note) for name, url, note in banner.list_base_urls()]):
        typer.echo(line)
    typer.echo(f"\nDemo key: {banner.key} (`aione-mock keys` lists all)")
    if banner.ca_file:
        typer.echo(f"Trust {banner.ca_file} in clients; it is another one after each start.")
    for title, lines in banner.list_snippets().items():
        typer.echo()
        terminal.print_heading(title)
        for line in lines:
            typer.echo(f"  {line}")
    if banner.exposed:
        typer.echo(
            "\nAnyone who can reach this address can change the mock. --control-token or --no-control prevents it."
        )
    typer.echo("\nCtrl-C stops it.")
