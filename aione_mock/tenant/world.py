"""The world behind one session: a pure function of seed, start and catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from aione_mock.seed import Seed
from aione_mock.structs import frozen
from aione_mock.tenant.api_keys import KeyBook, hash_secret
from aione_mock.tenant.billing import Billing
from aione_mock.tenant.calendar import HOUR
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.tenant.ledger import Ledger
from aione_mock.tenant.organisation import AccessKey, Credential, Organisation, organisations
from aione_mock.types import Caller


@frozen
class World:
    """Organisations with what they own and owe. What a session changes lies in its store, never here."""

    seed: Seed
    epoch: float
    """Unix seconds at the session's start, a full hour."""
    catalogue: ModelCatalogue
    organisations: Mapping[str, Organisation]
    """By id; the first one is the main one."""
    keys: KeyBook
    tokens: Mapping[str, Caller]
    """Console tokens of all organisations, by hash."""
    access_keys: Mapping[str, AccessKey]
    """ModelRouter's access keys of all organisations, by their id."""
    ledgers: Mapping[str, Ledger]
    """By organisation id."""
    billing: Mapping[str, Billing]
    """By organisation id."""

    @classmethod
    def of(cls, seed: Seed, epoch: float, catalogue: ModelCatalogue) -> World:
        """The world of a session that starts at `epoch`, which counts by the full hour.

        So sessions with the same seed that start in the same hour can share one. Raises ConfigError when the
        catalogue lacks a model of the past.
        """
        epoch = epoch // HOUR * HOUR
        found = organisations(seed, epoch)
        ledgers = {org.id: Ledger.of(org, seed, epoch, catalogue) for org in found}
        return cls(
            seed=seed,
            epoch=epoch,
            catalogue=catalogue,
            organisations={org.id: org for org in found},
            keys=KeyBook.of(record for org in found for record in org.keys),
            tokens={digest: caller for org in found for digest, caller in org.tokens.items()},
            access_keys={pair.id: pair for org in found for pair in org.access_keys},
            ledgers=ledgers,
            billing={org.id: Billing(org, ledgers[org.id], catalogue, epoch) for org in found},
        )

    def token(self, secret: str) -> Caller | None:
        """Who stands behind a console token."""
        return self.tokens.get(hash_secret(secret))

    def credentials(self) -> tuple[Credential, ...]:
        """Every seeded secret, in the order of the data file."""
        return tuple([credential for org in self.organisations.values() for credential in org.credentials])
