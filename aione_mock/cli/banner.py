"""What `serve` says when it is ready: where everything is, and lines to paste."""

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
"""What each client takes as its base URL (it adds the rest of the path by itself), and what else it needs."""


@dataclass(frozen=True, slots=True)
class Welcome:
    """What there is to say of a running server."""

    url: str
    seed: str
    key: str
    """The demo key."""
    model: str
    """One that speaks over chat completions."""
    chat: str
    """Path of chat completions."""
    control: bool = True
    open: bool = False
    """Whether other machines can reach the control API without a token."""

    def bases(self) -> list[tuple[str, str, str]]:
        """Name, base URL and note of every client."""
        return [
            (name, self.url + path, note) for name, (path, note) in CLIENTS.items() if self.control or name != "Control"
        ]

    def samples(self) -> dict[str, tuple[str, ...]]:
        """Lines to paste, by where they go."""
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


def base_url(host: str, port: int) -> str:
    """`http://host:port`, as a client on this machine has to spell it."""
    name = _WILDCARDS.get(host, host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def show(welcome: Welcome) -> None:
    """Print it."""
    terminal.heading(f"aione-mock is ready on {welcome.url} (seed {welcome.seed})")
    for line in terminal.aligned([(f"  {name}", url, note) for name, url, note in welcome.bases()]):
        typer.echo(line)
    typer.echo(f"\nDemo key: {welcome.key} (`aione-mock keys` lists all)")
    for title, lines in welcome.samples().items():
        typer.echo()
        terminal.heading(title)
        for line in lines:
            typer.echo(f"  {line}")
    if welcome.open:
        typer.echo(
            "\nEverybody who reaches this address can change the mock: think of --control-token or --no-control."
        )
    typer.echo("\nCtrl-C ends it.")
