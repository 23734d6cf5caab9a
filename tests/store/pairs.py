"""Two workers on one store, in this process, what they answer, and what the store holds of them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.resources import files
from typing import Any

import httpx2
import msgspec
import redis

from aione_mock.clock import parse_instant
from aione_mock.server.app import create_app
from aione_mock.server.http import Server
from aione_mock.settings import Settings
from tests.conftest import KEY, NOW
from tests.store.servers import new_prefix, require_store, shared_redis
from tests.timing import PATIENCE, wait_until
from tests.wire_reader import build_request

TECH = {"authorization": "Bearer nex-console-tech"}
_SCRIPT = (files("aione_mock") / "store" / "scripts.lua").read_text(encoding="utf-8")


class Worker:
    """A server, and a client of it."""

    def __init__(self, settings: Settings) -> None:
        self.server = Server(create_app(settings))
        self.state: Any = self.server.app.pipeline.state

    def __enter__(self) -> Worker:
        self.server.start()
        self.http = httpx2.Client(base_url=self.server.url, timeout=PATIENCE, trust_env=False)
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.server.stop()

    def ask(
        self, method: str, path: str, body: Any = None, session: str = "default", **headers: str
    ) -> httpx2.Response:
        """Send a request in a session."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.request(method, path, json=body, headers={"x-mock-session": session, **named})

    def control(self, method: str, path: str, body: Any = None, session: str = "default") -> Any:
        """Call the control API, which must succeed; return its JSON."""
        answer = self.ask(method, f"/_mock/{path}", body, session)
        assert answer.is_success, (answer.status_code, answer.text)
        return answer.json() if answer.content else None

    def chat(self, text: str = "Hello", session: str = "default", key: str = KEY, **headers: str) -> httpx2.Response:
        """Ask a model, and ask how the answer came to be."""
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": text}]}
        head = {"authorization": f"Bearer {key}", "x_mock_explain": "1", **headers}
        return self.ask("POST", "/v1/chat/completions", body, session, **head)

    def read(self, text: str = "Hello", session: str = "default") -> str:
        """Return what a model says."""
        answer = self.chat(text, session)
        assert answer.status_code == 200, answer.text
        said: str = answer.json()["choices"][0]["message"]["content"]
        return said

    def list_numbers(self, session: str = "default") -> list[int]:
        """Return the numbers of the entries of the journal, newest first."""
        return [item["number"] for item in self.control("GET", "journal?limit=1000", session=session)["items"]]

    def count_under_way(self, session: str = "default") -> int:
        """Return how many calls count as being answered."""
        items = self.control("GET", "limits", session=session)["items"]
        return sum(item["concurrent_calls"]["used"] for item in items)

    def count_booked(self, session: str = "default") -> int:
        """Return how many calls the ledger has for today."""
        answer = self.ask("GET", f"/api/v1/obs/usage?start_date={NOW[:10]}&end_date={NOW[:10]}", None, session, **TECH)
        assert answer.status_code == 200, answer.text
        return sum(row["requests"] for row in answer.json())

    @contextmanager
    def hanging(self, session: str = "default", key: str = KEY) -> Iterator[None]:
        """Keep the stream of a call open that never ends, until the block ends."""
        headers = {"authorization": f"Bearer {key}", "x-mock-scenario": "hang", "x-mock-session": session}
        body = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hang"}], "stream": True}
        with socket.create_connection(("127.0.0.1", self.server.port)) as connection:
            connection.sendall(build_request("/v1/chat/completions", body, headers=headers))
            assert wait_until(lambda: self.count_under_way(session), 10)
            yield


class Store:
    """What a store holds under a prefix."""

    def __init__(self, url: str, prefix: str) -> None:
        self.db = redis.Redis.from_url(url, protocol=2)
        self.prefix = prefix

    def list_keys(self, part: str = "") -> set[str]:
        """Return the names of keys without the prefix, those that contain `part`."""
        names = {name.decode() for name in self.db.scan_iter(f"{self.prefix}:*", 1000)}
        return {name.removeprefix(f"{self.prefix}:") for name in names if part in name}

    def name(self, name: str) -> str:
        """Return the name of a key with the prefix."""
        return f"{self.prefix}:{name}"

    def delete(self, *names: str) -> None:
        """Delete keys, which must exist."""
        assert self.db.delete(*map(self.name, names)) == len(names), names

    def lose_all(self) -> None:
        """Delete all keys."""
        self.delete(*self.list_keys())

    def save(self) -> dict[str, bytes]:
        """Return all keys with their values."""
        held = {name: self.db.dump(self.name(name)) for name in self.list_keys()}
        return {name: value for name, value in held.items() if value is not None}  # an answer may just have ended

    def load(self, saved: dict[str, bytes]) -> None:
        """Have the keys of an earlier time again, as a server that is started with an older dump."""
        self.lose_all()
        for name, value in saved.items():
            self.db.restore(self.name(name), 0, value)

    def get_generation(self, session: str) -> int:
        """Return the generation of a session."""
        return int(self.db.hget(self.name("sessions"), session) or 0)

    def list_parts(self, session: str) -> set[str]:
        """Return the names of the keys of a session, of all its generations, without what precedes all of them."""
        return {name.split(":", 2)[2] for name in self.list_keys(f":s:{session}:")}

    def run(self, operation: str, further: bytes = b"", **arguments: Any) -> Any:
        """Run an operation of the script."""
        (answer,) = self.db.eval(_SCRIPT, 0, self.prefix, operation, msgspec.msgpack.encode(arguments), further)
        return msgspec.msgpack.decode(answer[0])


class Pair(tuple[Worker, Worker]):
    """Two workers, and their store."""

    store: Store
    settings: Settings


@contextmanager
def two_workers(url: str = "", **options: Any) -> Iterator[Pair]:
    """Run two workers on a state of their own."""
    require_store()
    place, prefix = url or shared_redis(), new_prefix()
    settings = Settings(now=parse_instant(NOW), store=place, store_prefix=prefix, **options)
    with ExitStack() as stack:
        pair = Pair([stack.enter_context(Worker(settings)) for _ in range(2)])
        pair.store, pair.settings = Store(place, prefix), settings
        stack.callback(pair.store.db.close)
        yield pair
