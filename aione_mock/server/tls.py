"""Certificates for serving HTTPS: the user's own, or one that is made for this run."""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from pathlib import Path

from aione_mock.errors import ConfigError

_LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
_REASONS = {"KEY_VALUES_MISMATCH": "the key is not that of the certificate"}
_INSTALL_HINT = "needs trustme: pip install 'aione-mock[tls]'"


def load_certificate(certificate: Path, key: Path) -> ssl.SSLContext:
    """Return the context that serves a certificate, in PEM form with its chain. Raises ConfigError."""
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise ConfigError(f"cannot read '{path}': {error.strerror or error}") from None
    context = _create_context()
    try:
        context.load_cert_chain(certificate, key, password=lambda: _refuse_encrypted(key))
    except ssl.SSLError as error:
        reason = _REASONS.get(error.reason or "", "they are no certificate and key in PEM form")
        raise ConfigError(f"cannot use '{certificate}' with the key '{key}': {reason}") from None
    return context


def create_self_signed(names: Iterable[str], ca_file: Path) -> ssl.SSLContext:
    """Return a context for this machine and `names`, whose authority is new. Clients that trust `ca_file` accept it.

    The keys are never written to a disk. Raises ConfigError.
    """
    try:
        import trustme
    except ImportError:
        raise ConfigError(f"--tls-self-signed {_INSTALL_HINT}, or give --tls-cert and --tls-key") from None
    authority = trustme.CA(organization_name="aione-mock")
    context = _create_context()
    try:
        authority.issue_cert(*dict.fromkeys([*_LOCAL_NAMES, *names])).configure_cert(context)
    except ValueError as error:
        raise ConfigError(f"no certificate can be made for the names of this host: {error}") from None
    try:
        ca_file.parent.mkdir(parents=True, exist_ok=True)
        authority.cert_pem.write_to_path(str(ca_file))
    except OSError as error:
        raise ConfigError(f"cannot write '{ca_file}': {error.strerror or error}") from None
    return context


def _create_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _refuse_encrypted(key: Path) -> str:
    # without this, OpenSSL would ask on the terminal
    raise ConfigError(
        f"the key '{key}' is encrypted; write it without a password: openssl pkey -in {key} -out plain.pem"
    )
