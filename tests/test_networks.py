"""Serve HTTPS, on a Unix socket, and behind a proxy."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from aione_mock.cli import main
from tests.test_cli import run_server

KEY = "sk-nex-demo-every-model"
MODELS, CHAT = "/v1/models", "/v1/chat/completions"
HEADERS = {"authorization": f"Bearer {KEY}"}
BODY = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
PROGRAM = """
from openai import OpenAI
client = OpenAI()
print(client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "Hello"}]).object)
events = client.chat.completions.create(model="gpt-5.4", messages=[{"role": "user", "content": "Hello"}], stream=True)
print(len(list(events)) > 2)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short, as those of Unix sockets must be."""
    with tempfile.TemporaryDirectory(prefix="am-") as name:
        yield Path(name)


class Pair:
    """A certificate and its key in files."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.certificate, self.key = folder / "cert.pem", folder / "key.pem"
        issued = self.authority.issue_cert("127.0.0.1")
        issued.private_key_pem.write_to_path(str(self.key))
        for part in issued.cert_chain_pems:
            part.write_to_path(str(self.certificate), append=True)

    @property
    def options(self) -> tuple[str, ...]:
        return "--tls-cert", str(self.certificate), "--tls-key", str(self.key)

    def trusting(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context


# --- HTTPS


def test_the_openai_sdk_works_after_what_serve_prints(folder: Path) -> None:
    with run_server("--tls-self-signed", env={**os.environ, "XDG_CACHE_HOME": str(folder)}) as running:
        assert running.url.startswith("https://127.0.0.1:")
        shell = running.lines[running.lines.index("Shell") + 1 : running.lines.index("Python") - 1]
        (folder / "program.py").write_text(PROGRAM)
        script = "\n".join([*shell, f"{sys.executable} {folder / 'program.py'}"])
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60)
        assert done.stdout.split() == ["chat.completion", "True"], done.stderr
        (ca_file,) = folder.glob("aione-mock/ca-*.pem")
        assert any(str(ca_file) in line for line in running.lines if line.startswith("Trust "))
        trusting = ssl.create_default_context(cafile=ca_file)
        port = running.url.rpartition(":")[2]
        assert httpx.get(f"https://localhost:{port}{MODELS}", headers=HEADERS, verify=trusting).status_code == 200
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx.get(running.url + MODELS)
        running.end(signal.SIGTERM)
    assert not ca_file.exists()


def test_own_certificate_faults_and_refusals(folder: Path) -> None:
    pair = Pair(folder)
    with run_server(*pair.options, "--root-path", "/llm/") as running:
        assert running.url.endswith("/llm")
        base, trusting = running.url.removesuffix("/llm"), pair.trusting()
        with httpx.Client(verify=trusting, headers=HEADERS) as client:
            # a proxy may remove the root path or not
            assert [client.get(base + path + MODELS).status_code for path in ("/llm", "", "/llmx")] == [200, 200, 404]
            created = client.post(f"{base}/llm/_mock/sessions", json={"name": "one"}).json()
            assert created["base_url"] == f"{running.url}/_session/one"
            assert client.get(created["base_url"] + MODELS).status_code == 200
            commands = client.get(f"{base}/llm/_mock/errors", params={"status": 404}).text
            assert f"{running.url}/v1/" in commands
            assert "http://" not in commands
            for scenario in ("cut", "reset"):
                with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
                    client.post(base + CHAT, json=BODY | {"stream": True}, headers={"x-mock-scenario": scenario})
            forwarded = {"x-forwarded-proto": "http", "origin": base.replace("https", "http")}
            assert client.get(f"{base}/_mock/health", headers=forwarded).status_code == 200
        plain = socket.create_connection(("127.0.0.1", int(base.rpartition(":")[2])))
        with trusting.wrap_socket(plain, server_hostname="127.0.0.1") as secure:
            secure.sendall(b"GET /llm/v1beta/models HTTP/1.1\r\ngarbage\r\n\r\n")
            refusal = secure.recv(4096)
            assert refusal.startswith(b"HTTP/1.1 400 ")
            assert b'"status":"INVALID_ARGUMENT"' in refusal
        log = running.end(signal.SIGTERM)[2]
    # requests are logged on a terminal only
    assert log == "WARNING uvicorn.error: Invalid HTTP request received.\n"


def refuse(capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """Run `serve`, which has to end with 2; return its one line."""
    assert main(["serve", *options]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error.removeprefix("aione-mock: ").rstrip("\n")


def test_wrong_certificates_are_refused(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    pair, other = Pair(folder), folder / "other"
    other.mkdir()
    wrong_key = str(Pair(other).key)
    encrypted = folder / "encrypted.pem"
    key = load_pem_private_key(pair.key.read_bytes(), None)
    encrypted.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"1234")))

    def refuse_pair(certificate: Path, key: str) -> str:
        return refuse(capsys, "--port", "0", "--tls-cert", str(certificate), "--tls-key", key)

    assert refuse_pair(folder / "none.pem", wrong_key) == f"cannot read '{folder}/none.pem': No such file or directory"
    assert refuse_pair(pair.certificate, wrong_key).endswith(": the key is not that of the certificate")
    assert refuse_pair(Path(__file__), wrong_key).endswith(": they are no certificate and key in PEM form")
    assert "is encrypted; write it without a password: openssl pkey" in refuse_pair(pair.certificate, str(encrypted))


def test_without_trustme_it_is_said_what_to_install(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)
    assert "needs trustme: pip install 'aione-mock[tls]'" in refuse(capsys, "--port", "0", "--tls-self-signed")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--tls-cert a.pem", "--tls-cert needs --tls-key too"),
        ("--tls-key a.pem", "--tls-key needs --tls-cert too"),
        ("--tls-cert a.pem --tls-key b.pem --tls-self-signed", "--tls-cert and --tls-self-signed exclude each other"),
        ("--uds x.sock --port 8000", "--uds and --port exclude each other; remove one"),
        ("--uds x.sock --host 0.0.0.0 --control open", "--uds and --host exclude each other; remove one"),
        ("--uds x.sock --tls-self-signed", "--uds and --tls-self-signed exclude each other; remove one"),
        ("--root-path llm", "--root-path: 'llm' is no path such as /llm"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(
    capsys: pytest.CaptureFixture[str], options: str, says: str
) -> None:
    assert refuse(capsys, *options.split()).startswith(says)


# --- Unix sockets


def test_a_unix_socket(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "mock.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))  # left by a server that was killed
    with run_server("--uds", str(path)) as running:
        assert running.lines[0] == f"aione-mock is ready on http://localhost over the Unix socket {path} (seed 0)"
        with httpx.Client(
            transport=httpx.HTTPTransport(uds=str(path)), base_url=running.url, headers=HEADERS
        ) as client:
            assert client.post(CHAT, json=BODY).status_code == 200
            assert client.get("/_mock/health").status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                client.post(CHAT, json=BODY | {"stream": True}, headers={"x-mock-scenario": "cut"})
        python = running.lines[running.lines.index("Python") + 1 : running.lines.index("curl") - 1]
        names: dict[str, Any] = {}
        exec("\n".join([line.strip() for line in python]), names)
        assert names["client"].models.list().data
        assert refuse(capsys, "--uds", str(path)) == (
            f"cannot listen on {path}: Address already in use; choose another with --uds"
        )
        running.end(signal.SIGTERM)
    assert not path.exists()
    path.write_text("a file of the user's")
    assert "Address already in use" in refuse(capsys, "--uds", str(path))
    assert path.read_text() == "a file of the user's"
