"""Credentials are found by name, by form and because they were presented, in every encoding and at every place."""

from __future__ import annotations

import base64
import html
import json
import logging
import re
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aione_mock.checker.target import SecretMask, Target
from aione_mock.contract import Contract
from aione_mock.recorder.cassette import CassetteWriter, load_cassette
from aione_mock.recorder.proxy import Recorder
from aione_mock.server.app import Mock
from aione_mock.server.http import Server
from aione_mock.text.credentials import MASK, CredentialMask, MaskLogs, fill_with_letters, is_secret_header
from tests.timing import PATIENCE

# none of these may ever become readable in the journal
JOURNAL_HEADERS = (
    "authorization x-api-key x-goog-api-key cookie proxy-authorization x-acs-security-token x-acs-bearer-token"
).split()


@pytest.mark.parametrize(
    "name",
    [
        *JOURNAL_HEADERS,
        "api-key",
        "set-cookie",
        "x-signature",
        "client-secret",
        "X-Api-Key",
        "x-auth",
        "authentication",
    ],
)
def test_headers_with_credentials_are_secret(name: str) -> None:
    assert is_secret_header(name.encode())


@pytest.mark.parametrize(
    "name", ["accept", "idempotency-key", "x-acs-signature-nonce", "monkey", "x-mock-session", "x-author"]
)
def test_other_headers_are_not_secret(name: str) -> None:
    assert not is_secret_header(name.encode())


def test_other_parameters_are_masked_as_text() -> None:
    mask = CredentialMask(["odd.secret"])
    assert mask.mask_parameters("token=a=b&q=odd.secret&Signature=plum") == "token=***&q=***&Signature=***"
    assert mask.mask_parameters("") == ""


@pytest.mark.parametrize(
    "name", ["SecurityToken", "subscription-key", "access_key", "X-Amz-Security-Token", "api%5Fkey"]
)
def test_parameters_with_credentials_are_masked(name: str) -> None:
    assert CredentialMask().mask_parameters(f"a=1&{name}=plum&b=2") == f"a=1&{name}=***&b=2"


# --- every place and every encoding


FOREIGN = "sk-proj-0a1B2c3D4e5F6g7H8i9J"
SECRETS = ("sk-nex-demo-every-model", "nex-console-tech", "aione-mock-access-secret", FOREIGN)


def escape(text: str) -> str:
    return "".join([f"\\u{ord(char):04x}" for char in text])


def quote_all(text: str) -> str:
    return "".join([f"%{ord(char):02X}" for char in text])


def encode(raw: str | bytes) -> str:
    return base64.b64encode(raw.encode() if isinstance(raw, str) else raw).decode()


ENCODINGS: dict[str, Callable[[str], str]] = {
    "clear": str,
    "percent": quote_all,
    "percent dashes": lambda text: text.replace("-", "%2D"),
    "percent twice": lambda text: quote_all(text).replace("%", "%25"),
    "escaped": escape,
    "escaped dashes": lambda text: text.replace("-", "\\u002d"),
    "JSON in JSON": lambda text: json.dumps(json.dumps({"deep": escape(text)})),
    "base64": encode,
    "base64 of a pair": lambda text: encode(f"user:{text}"),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"??>>{text}".encode()).decode().rstrip("="),
    "base64 with lines": lambda text: base64.encodebytes(b"." * 50 + text.encode()).decode(),
    "base64 of UTF-16": lambda text: encode(text.encode("utf-16-le")),
    "base64 twice": lambda text: encode(encode(text)),
    "percent-encoded base64": lambda text: quote_all(encode(text)),
    "UTF-16": lambda text: text.encode("utf-16-be").decode("latin-1"),
    "HTML": lambda text: "".join([f"&#{ord(char)};" for char in text]),
}


def readable(text: str, depth: int = 4) -> Iterator[str]:
    """Yield a text and what it says after any decoding. It shares no code with what it tests."""
    yield text
    if not depth:
        return
    plain = urllib.parse.unquote(html.unescape(text), "latin-1").replace("\0", "").replace("\\\\", "\\")
    plain = re.sub(r"\\+u00([0-7][0-9a-fA-F])", lambda match: chr(int(match[1], 16)), plain)
    plain = re.sub(r"\\+[nr]", "\n", plain)
    if plain != text:
        yield from readable(plain, depth - 1)
    for run in re.findall(r"[A-Za-z0-9+/_-]{16,}(?:\n[A-Za-z0-9+/_-]+)*", text):
        for start in range(4):
            piece = run.replace("\n", "").replace("-", "+").replace("_", "/")[start:]
            decoded = base64.b64decode(piece + "A" * (-len(piece) % 4)).decode("latin-1")
            if re.search(r"[ -~]{8}", decoded.replace("\0", "")):
                yield from readable(decoded, depth - 1)


@pytest.fixture(scope="module")
def contract(app: Mock) -> Contract:
    return app.contract


def leaks(text: str) -> list[str]:
    return [secret for secret in SECRETS if any(secret in said for said in readable(text))]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("secret", [*SECRETS, "odd.credential+42"])
def test_a_credential_is_found_in_every_encoding(encoding: str, secret: str) -> None:
    encoded = ENCODINGS[encoding](secret)
    for before, after in (("", ""), ("key=", "&x=1"), ('{"a": "', '"}'), ("喜 ", " 喜"), ("/v1/models/", "/x")):
        text = before + encoded + after
        assert secret in "".join(readable(text)), "the decoder of the test finds it"
        masked = CredentialMask(["odd.credential+42"]).mask_text(text)
        assert secret not in "".join(readable(masked))
        assert masked.startswith(before)
        assert masked.endswith(after)
        letters = CredentialMask(["odd.credential+42"], fill_with_letters)
        assert len(letters.mask_text(text)) == len(text)
        assert letters.mask_text(letters.mask_text(text)) == letters.mask_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "sk-ant-api03-0123456789abcdef", "AIzaSyA0123456789012345678901234567890", "hf_" + "aB3" * 12,
        "AKIAIOSFODNN7EXAMPLE99", "ghp_" + "a1B2" * 9,
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
        "api-key: 0a1b2c3d4e5f", "x-api-key=0a1b2c3d4e5f", "https://x.example/?api_key=plum", "?a=1&key=plum",
        "Authorization: Token 0a1b2c3d4e5f", "authorization: 0a1b2c3d4e5f", "Cookie: a=plum5678; b=c",
        '{"api_key": "plum"}', "{'Authorization': 'Token plum'}", '{\\"client_secret\\":\\"plum\\"}',
        '{"x-api-key":"plum"}',
    ],
)  # fmt: skip
def test_credentials_of_other_makers_are_known_by_form_or_name(text: str) -> None:
    masked = CredentialMask().mask_text(text)
    assert MASK in masked
    assert not re.search("plum|0a1b2c|A012345|aB3aB3|IOSFODNN|a1B2a1|dozjg", masked)


@pytest.mark.parametrize(
    "text",
    [
        "api_key=YOUR_API_KEY", '{"api_key": {"type": "string"}}', "The key: a good night's sleep", "sk-nex-4Zp9",
        "task-0123456789abcdefgh", "chatcmpl-8f2c9aB7c1D4e6F8a0b2C4d6E8f0", '{"monkey":"banana","tokens":12345678}',
        "the secret: patience", "%E5%96%9C %41", "\\u559c\\n", "cGxhaW4gd29yZHMgaW4gYmFzZTY0", "password?",
    ],
)  # fmt: skip
def test_other_texts_stay(text: str) -> None:
    assert CredentialMask().mask_text(text) is text


@pytest.mark.parametrize(
    "text",
    [
        "apikey=" * 40_000, "-eyJ" * 80_000, 'password"' * 40_000, "%25" * 100_000, "\\" * 300_000, "sk-" * 100_000,
        "eyJ" + "a" * 300_000, "Aa" * 150_000, "a/" * 150_000, "api_key: " + "a" * 300_000, '"secret":"' * 30_000,
        "\0a" * 150_000,
    ],
    ids=lambda text: text[:10],
)  # fmt: skip
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    CredentialMask(["odd.credential+42"]).mask_text(text)
    assert time.process_time() - began < 3


PLACES = ("header", "referer", "path", "query", "session", "body", "form", "system", "tool", "answer", "stream")


def place(url: str, where: str, text: str) -> httpx2.Response:
    """Send a request with a text at one place. `answer` and `stream` make the server repeat it."""
    headers = {"authorization": "Bearer sk-nex-demo-every-model", "content-type": "application/json"}
    body: dict[str, Any] = {"model": "gpt-5.4", "messages": [{"role": "user", "content": "Hello"}]}
    path, ascii_text = "/v1/chat/completions", urllib.parse.quote(text, safe="%=&+/:;")
    if where in ("header", "referer"):
        value = text if where == "header" else f"https://app.example/?api_key={text}"
        headers |= {"x-note" if where == "header" else "referer": re.sub(r"[\r\n\0]", "", value)}
    elif where in ("path", "query", "session"):
        path = {"path": "/v1/models/", "query": "/v1/models?foo=", "session": "/_session/"}[where] + ascii_text
        return httpx2.get(url + path, headers=headers, timeout=PATIENCE)
    elif where == "form":
        return httpx2.post(url + path, headers=headers, content=f"not JSON: {text}".encode("latin-1"), timeout=PATIENCE)
    elif where == "tool":
        body["tools"] = [{"type": "function", "function": {"name": "f", "description": text, "parameters": {}}}]
    elif where == "system":
        body["messages"].insert(0, {"role": "system", "content": text})
    else:
        body["messages"][0]["content"] = f"Please repeat: {text}"
        body["stream"] = where == "stream"
    return httpx2.post(url + path, headers=headers, json=body, timeout=PATIENCE)


@pytest.mark.parametrize("where", PLACES)
def test_no_credential_is_readable_in_the_journal_or_a_cassette(
    session_url: str, contract: Contract, tmp_path: Path, where: str
) -> None:
    """The placements of the attack: all secrets, at each place, in each encoding."""
    writer = CassetteWriter.create(tmp_path / "calls.yaml", session_url)
    reported: list[str] = []
    rule = {"id": "far", "when": {"text": "other words", "model": "gpt-*"}, "then": {"error": "internal_error"}}
    httpx2.post(f"{session_url}/_mock/rules", json=rule)
    with Server(Recorder(contract, session_url, writer, report=reported.append)) as recorder:
        for encode_secret in ENCODINGS.values():
            place(recorder.url, where, " ".join(map(encode_secret, SECRETS)))
    count = len(ENCODINGS)
    wanted = {"when": {"body": {"/messages/0/content": "other"}, "header": {"x-note": "other"}}, "at_least": 1000}
    shown = [httpx2.post(f"{session_url}/_mock/verify", json=wanted).text]
    shown += [httpx2.get(f"{session_url}/_mock/journal?limit=1000").text]
    shown += [httpx2.get(f"{session_url}/_mock/journal/{number}").text for number in range(1, count + 1)]
    assert all("response" in text for text in shown[2:])
    assert load_cassette(writer.path).interactions[count - 1]
    written = writer.path.read_text("utf-8")
    assert [leaks(text) for text in [*shown, *written.split("\n- request:"), "\n".join(reported)] if leaks(text)] == []


def test_no_credential_reaches_a_log(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("aione_mock.test")
    caplog.handler.addFilter(mask := MaskLogs())
    try:
        try:
            raise ValueError(f"no such key: {quote_all(SECRETS[0])}")
        except ValueError:
            log.exception("bug while answering %s", f"/v1/models/{encode(FOREIGN)}")
        log.warning("%d models", f"/v1/models/{encode(FOREIGN)}")
    finally:
        caplog.handler.removeFilter(mask)
    assert "bug while answering /v1/models/" in caplog.text
    assert "Traceback" in caplog.text
    assert "%d models (its arguments do not fit: (" in caplog.text
    assert leaks(caplog.text) == []


def test_reports_hold_variables_in_place_of_secrets() -> None:
    target = Target("http://127.0.0.1", key="odd.credential+42")
    mask = SecretMask(target)
    for encode_secret in ENCODINGS.values():
        text = f"a {encode_secret('odd.credential+42')} b"
        assert "$AIONE_API_KEY" in mask.apply(text)
        assert "odd.cred" not in "".join(readable(mask.apply(text)))
    assert mask.apply(f"Bearer {FOREIGN}") == f"Bearer {FOREIGN}", "what the check itself made up can be repeated"
    assert mask.apply_to_answer(f"Bearer {FOREIGN}") == "Bearer sk-proj-***"
