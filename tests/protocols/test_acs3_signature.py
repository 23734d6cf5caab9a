"""The ACS3-HMAC-SHA256 verifier: known answers, round trips, refusals, and the vendor's own client."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.errors import APIError
from aione_mock.protocols import acs3_signature
from aione_mock.structs import replace

CHARTS = "/api/v1/modelRouter/open/observation/charts"
EMPTY = hashlib.sha256(b"").hexdigest()
NOW = 1704067200.0  # 2024-01-01T00:00:00Z
KEYS = {
    "testAK": acs3_signature.SigningKey("testAK", "testSK"),
    "goneAK": acs3_signature.SigningKey("goneAK", "testSK", active=False),
}
PYTHON_CORE = {"accept": "application/json", "user-agent": "test-agent/1.0"}


@dataclass(frozen=True)
class Request:
    method: str = "GET"
    path: str = CHARTS
    query: str = "clientId=1&timeRange=24h"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def signed(self, access_key_id: str = "testAK", secret: str = "testSK") -> Request:
        return self.having(authorization=acs3_signature.sign_request(*self.parts(), access_key_id, secret))

    def parts(self) -> tuple[str, str, str, tuple[tuple[str, str], ...], bytes]:
        return self.method, self.path, self.query, tuple(self.headers.items()), self.body

    def having(self, **headers: str | None) -> Request:
        changed = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return replace(self, headers={name: value for name, value in changed.items() if value is not None})

    def verify(self, now: float = NOW) -> acs3_signature.RequestSignature:
        return acs3_signature.verify_request(*self.parts(), KEYS.get, now)

    def refusal(self, now: float = NOW) -> str:
        with pytest.raises(APIError) as caught:
            self.verify(now)
        assert caught.value.name == "permission_denied"
        return caught.value.message


def request(action: str = "ModelRouterQueryObservationCharts", **parts: Any) -> Request:
    body = parts.get("body", b"")
    headers = {
        "host": "127.0.0.1:8080",
        "x-acs-action": action,
        "x-acs-version": "20240611",
        "x-acs-date": "2024-01-01T00:00:00Z",
        "x-acs-signature-nonce": "0123456789abcdef0123456789abcdef",
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-acs-credentials-provider": "static_ak",
    }
    return Request(**(parts | {"headers": headers | parts.get("headers", {})}))


A1 = request(headers=PYTHON_CORE)
A2 = request(
    query="endTime=2024-01-02T00%3A00%3A00Z&memberUserIds=30001%2C30002&startTime=2024-01-01T00%3A00%3A00Z",
    headers=PYTHON_CORE,
)
B = request()
C = request(query="memberUserIds=a+b~*%2B&clientId=1")
D = request(
    "ModelRouterUpdateUser",
    method="PUT",
    path="/api/v1/modelRouter/open/users/5",
    query="",
    body='{"name":"é","phone":"13800000000"}'.encode(),
    headers={"content-type": "application/json; charset=utf-8"},
)
RUN_INSTANCES = Request(
    "POST",
    "/",
    "ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai",
    {
        "host": "ecs.cn-shanghai.aliyuncs.com",
        "x-acs-action": "RunInstances",
        "x-acs-version": "2014-05-26",
        "x-acs-date": "2023-10-26T10:22:32Z",
        "x-acs-signature-nonce": "3156853299f313e23d1673dc12e1703d",
        "x-acs-content-sha256": EMPTY,
    },
)


@pytest.mark.parametrize(
    ("request_", "secret", "canonical", "signature"),
    [
        pytest.param(
            A1, "testSK", "5b916012", "8067baf1df63e2dce26b23d7f3ac9c126a1540322f10dd50c1f053fcb6ebaf4a", id="A1"
        ),
        pytest.param(
            A2, "testSK", "16463c72", "c3b6e2c23b3b8671c78e06e2538d4e1e986fcad31766174acccae981b6bf7469", id="A2"
        ),
        pytest.param(
            B, "testSK", "e3cbb1c3", "38778bc48e800738c7d26af8bffab476ba2abd3604d1411ee774840c1365c5b6", id="B"
        ),
        pytest.param(
            C, "testSK", "5b713426", "e486b20ad810df930aa47dc89f487afd0bbbaa7f15edaaf400ba62ebcfad6058", id="C"
        ),
        pytest.param(
            D, "testSK", "0178e1cb", "c3ebaad3cb328ee1ed89bfdafd4f72d11c8470875ed598c12644adf6918150d3", id="D"
        ),
        pytest.param(
            RUN_INSTANCES,
            "YourAccessKeySecret",
            "7ea06492",
            "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0",
            id="RunInstances",
        ),
    ],
)
def test_known_answers(request_: Request, secret: str, canonical: str, signature: str) -> None:
    names = ";".join(sorted(request_.headers))
    text = acs3_signature.build_canonical_request(
        *request_.parts()[:4], names, request_.headers["x-acs-content-sha256"]
    )
    assert hashlib.sha256(text.encode()).hexdigest().startswith(canonical)
    authorization = acs3_signature.sign_request(*request_.parts(), "testAK", secret)
    assert authorization == f"ACS3-HMAC-SHA256 Credential=testAK,SignedHeaders={names},Signature={signature}"
    signed = request_.having(authorization=authorization)
    claim = acs3_signature.parse_signature(signed.headers.items())
    assert claim.value == signature
    acs3_signature.check_signature(claim, *signed.parts(), secret, claim.date)


def test_the_same_query_in_another_spelling_verifies() -> None:
    assert replace(C.signed(), query="clientId=1&memberUserIds=a%20b%7e%2a%2B").verify().access_key_id == "testAK"


@pytest.mark.parametrize(
    ("raw", "canonical"),
    [
        ("", ""),
        ("b=2&a=1", "a=1&b=2"),
        ("memberUserIds=", "memberUserIds="),
        ("flag&&x==%3d", "flag=&x=%3D%3D"),
        ("q=%E4%B8%AD+%zz", "q=%E4%B8%AD%20%25zz"),
    ],
)
def test_canonical_query(raw: str, canonical: str) -> None:
    assert acs3_signature.canonicalize_query(raw) == canonical


def test_the_path_is_signed_as_it_came() -> None:
    slash = replace(B, path="/api/v1/modelRouter/open/users/4%2F2%20%C3%A9").signed()
    assert slash.verify().action == "ModelRouterQueryObservationCharts"
    assert "does not match" in replace(slash, path="/api/v1/modelRouter/open/users/4/2%20%C3%A9").refusal()


def test_blanks_after_commas_and_unsigned_headers_do_no_harm() -> None:
    signed = B.signed()
    spaced = signed.having(
        authorization=signed.headers["authorization"].replace(",", ", "), content_type="application/octet-stream"
    )
    assert spaced.verify().access_key_id == "testAK"


def test_a_temporary_credential_is_not_shown() -> None:
    request_ = B.having(x_acs_security_token="st-secret").signed()
    message = replace(request_, method="POST").refusal()
    assert "x-acs-security-token:***\\n" in message
    assert "st-secret" not in message


GOOD = B.signed().headers["authorization"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"authorization": None}, "Header Authorization is missing: sign the request with ACS3-HMAC-SHA256."),
        ({"authorization": None, "x_acs_bearer_token": "t"}, "bearer tokens are not supported here"),
        ({"authorization": "acs testAK:c2ln"}, "acs (HMAC-SHA1) is not supported: sign with ACS3-HMAC-SHA256"),
        ({"authorization": GOOD.replace("SHA256", "SM3")}, "'ACS3-HMAC-SM3' is not supported"),
        ({"authorization": "Bearer sk-nex-1"}, "'Bearer' is not supported"),
        ({"authorization": GOOD[:-1]}, "malformed"),
        ({"authorization": "ACS3-HMAC-SHA256"}, "malformed"),
        ({"authorization": GOOD.replace("testAK", "otherAK")}, "not found: 'otherAK'"),
        ({"authorization": GOOD.replace("testAK", "goneAK")}, "'goneAK' is disabled"),
        ({"authorization": GOOD[:-64] + "0" * 64}, "does not match"),
        ({"x_acs_action": "Other"}, "does not match"),
        ({"x_acs_date": None}, "x-acs-date is missing"),
        ({"x_acs_signature_nonce": ""}, "x-acs-signature-nonce is missing"),
        ({"authorization": GOOD.replace("host;", "")}, "host is not signed"),
        ({"authorization": GOOD.replace("x-acs-signature-nonce;", "")}, "x-acs-signature-nonce is not signed"),
        ({"x_acs_credentials_provider": None}, "x-acs-credentials-provider is in SignedHeaders but not in"),
        ({"x_acs_date": "Mon, 01 Jan 2024 00:00:00 GMT"}, "is not a UTC time such as"),
        ({"x_acs_date": "2024-02-30T00:00:00Z"}, "is not a UTC time such as"),
        ({"x_acs_date": "2024-01-01T00:00:00+08:00"}, "is not a UTC time such as"),
        ({"x_acs_content_sha256": "0" * 64}, "not the SHA-256 of the body"),
    ],
)
def test_refusals_name_their_reason(changed: dict[str, str | None], message: str) -> None:
    assert message in B.signed().having(**changed).refusal()


def test_another_body_or_secret_is_refused() -> None:
    assert "not the SHA-256 of the body" in replace(D.signed(), body=b"{}").refusal()
    assert "does not match" in D.signed(secret="wrong").refusal()


def test_the_date_window_is_fifteen_minutes_either_way() -> None:
    signed = B.signed()
    for now in (NOW - 900, NOW + 900):
        assert signed.verify(now).date == NOW
    assert "901 seconds behind" in signed.refusal(NOW + 901)
    assert "901 seconds ahead" in signed.refusal(NOW - 901)


def test_a_used_nonce_has_its_refusal() -> None:
    assert "'n1' was used before" in acs3_signature.make_nonce_used_error("n1").message


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)


@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    path=TEXT.map(lambda text: "/" + text),
    query=TEXT,
    body=st.binary(max_size=30),
    secret=st.text(max_size=20),
    extra=TEXT,
)
def test_what_is_signed_verifies(method: str, path: str, query: str, body: bytes, secret: str, extra: str) -> None:
    request_ = request(method=method, path=path, query=query, body=body, headers={"user-agent": extra})
    signed = request_.signed("AK", secret)
    key = acs3_signature.SigningKey("AK", secret)
    assert (
        acs3_signature.verify_request(*signed.parts(), {"AK": key}.get, NOW).nonce
        == request_.headers["x-acs-signature-nonce"]
    )
    with pytest.raises(APIError):
        acs3_signature.verify_request(*replace(signed, path=path + "x").parts(), {"AK": key}.get, NOW)


@given(st.lists(st.tuples(st.sampled_from([*B.headers, "authorization"]), st.text()), max_size=12), st.text())
def test_hostile_headers_are_refused_not_crashed(headers: list[tuple[str, str]], tail: str) -> None:
    headers.append(("authorization", f"{acs3_signature.ALGORITHM} {tail}"))
    with pytest.raises(APIError):
        acs3_signature.verify_request("GET", tail, tail, headers, b"", KEYS.get, NOW)


# --- the vendor's client over a real socket


class Capture(ThreadingHTTPServer):
    """Answers every request with an empty success and keeps what arrived."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[Request] = []


class _Handler(BaseHTTPRequestHandler):
    server: Capture
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        path, _, query = self.path.partition("?")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append(Request(self.command, path, query, headers, body))
        answer = b'{"requestId":"r","success":true,"httpStatusCode":200}'
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_PUT = _answer

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> Iterator[Capture]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):  # the client sends even loopback through them
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Capture() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def sdk(endpoint: str, **credentials: str) -> Any:
    from alibabacloud_aicontent20240611.client import Client
    from alibabacloud_tea_openapi.utils_models import Config

    credentials = {"access_key_id": "testAK", "access_key_secret": "testSK"} | credentials
    return Client(Config(endpoint=endpoint, protocol="http", **credentials))


def test_the_official_client_verifies_plain_and_async(capture: Capture) -> None:
    from alibabacloud_aicontent20240611 import models

    charts = models.ModelRouterQueryObservationChartsRequest(
        client_id=1, time_range="24h", member_user_ids="1,2 3~*+é", start_time="2024-01-01T00:00:00Z"
    )
    update = models.ModelRouterUpdateUserRequest(name="é", phone="13800000000")
    port = capture.server_port
    client = sdk(f"127.0.0.1:{port}")
    client.model_router_query_observation_charts(charts)
    client.model_router_update_user("4/2 é", update)
    sdk(f"127.0.0.1:{port}", security_token="st").model_router_query_observation_charts(charts)
    asyncio.run(client.model_router_query_observation_charts_async(charts))

    signatures = [request_.verify(time.time()) for request_ in capture.requests]
    assert [signature.action.removeprefix("ModelRouter") for signature in signatures] == [
        "QueryObservationCharts",
        "UpdateUser",
        "QueryObservationCharts",
        "QueryObservationCharts",
    ]
    assert len({signature.nonce for signature in signatures}) == 4
    assert capture.requests[1].path.endswith("/4%2F2%20%C3%A9")
    assert "does not match" in capture.requests[0].having(user_agent="proxy/1").refusal(time.time())


def test_behind_a_base_path_the_client_signs_the_path_without_it(capture: Capture) -> None:
    from alibabacloud_aicontent20240611 import models

    client = sdk(f"127.0.0.1:{capture.server_port}/_session/a")
    client.model_router_query_observation_charts(models.ModelRouterQueryObservationChartsRequest(client_id=1))
    (arrived,) = capture.requests
    assert arrived.path == "/_session/a" + CHARTS
    assert "does not match" in arrived.refusal(time.time())
    assert replace(arrived, path=CHARTS).verify(time.time()).access_key_id == "testAK"
