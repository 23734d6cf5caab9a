"""Headers and query parameters that hold credentials, for the journal and for cassettes."""

from __future__ import annotations

import pytest

from aione_mock.recorder.credentials import is_secret_header, mask_parameters
from aione_mock.server.journal import mask_query, safe_headers

# none of these may ever become readable in the journal
JOURNAL_HEADERS = (
    "authorization x-api-key x-goog-api-key cookie proxy-authorization x-acs-security-token x-acs-bearer-token"
).split()


@pytest.mark.parametrize(
    "name", [*JOURNAL_HEADERS, "api-key", "set-cookie", "x-signature", "client-secret", "X-Api-Key"]
)
def test_headers_with_credentials_are_secret(name: str) -> None:
    assert is_secret_header(name.encode())


@pytest.mark.parametrize("name", ["accept", "idempotency-key", "x-acs-signature-nonce", "monkey", "x-mock-session"])
def test_other_headers_are_not_secret(name: str) -> None:
    assert not is_secret_header(name.encode())


def test_the_journal_masks_what_cassettes_mask() -> None:
    assert safe_headers(((b"api-key", b"plum"), (b"accept", b"plum"))) == ((b"api-key", b"***"), (b"accept", b"plum"))
    assert mask_query("key=plum&Signature=plum&q=plum") == "key=***&Signature=***&q=plum"


def test_other_parameters_are_masked_as_text() -> None:
    assert mask_parameters("token=a=b&q=secret", lambda text: text.replace("secret", "***")) == "token=***&q=***"
    assert mask_parameters("", str.upper) == ""
