"""The text that `serve` prints when it is ready: base URLs, and snippets to paste."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from aione_mock.cli import terminal

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
CLIENTS = {
    "OpenAI": ("/v1", ""),
    "Anthropic": ("", ""),
    "Gemini": ("", "with http_options api_version='v1beta'"),
    "Console": ("/api/v1", ""),
    "ModelRouter": ("", "as endpoint, protocol http"),
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
    chat: str
    """Path of chat completions."""
    control: bool = True
    exposed: bool = False
    """Whether other machines can reach the control API without a token."""

    def list_base_urls(self) -> list[tuple[str, str, str]]:
        """Return name, base URL and note of every client."""
        return [
            (name, self.url + path, note) for name, (path, note) in CLIENTS.items() if self.control or name != "Control"
        ]

    def list_snippets(self) -> dict[str, tuple[str, ...]]:
        """Return lines to paste, by language."""
        openai = self.url + CLIENTS["OpenAI"][0]
        return {
            "Shell": (
                f"export OPENAI_BASE_URL={openai} OPENAI_API_KEY={self.key}",
                f"export ANTHROPIC_BASE_URL={self.url} ANTHROPIC_API_KEY={self.key}",
            ),
            "Python": (
                "from openai import OpenAI",
                f'client = OpenAI(base_url="{openai}", api_key="{self.key}")',
            ),
            "curl": (
                f"curl {self.url}{self.chat} -H 'Authorization: Bearer {self.key}' -H 'Content-Type: application/json' "
                f'-d \'{{"model": "{self.model}", "messages": [{{"role": "user", "content": "Hello"}}]}}\'',
            ),
        }


def format_base_url(host: str, port: int) -> str:
    """Return `http://host:port` for a client on this machine."""
    name = _WILDCARDS.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def print_banner(banner: StartupBanner) -> None:
    """Print base URLs, key and snippets."""
    terminal.print_heading(f"aione-mock is ready on {banner.url} (seed {banner.seed})")
    for line in terminal.align_columns([(f"  {name}", url, note) for name, url, note in banner.list_base_urls()]):
        typer.echo(line)
    typer.echo(f"\nDemo key: {banner.key} (`aione-mock keys` lists all)")
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
