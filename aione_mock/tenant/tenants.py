"""All organisations of a session with what they own and owe: a pure function of seed, start and catalogue."""

from __future__ import annotations

from collections.abc import Mapping

from aione_mock.seed import Seed
from aione_mock.structs import frozen
from aione_mock.tenant.api_keys import KeyStore, hash_secret
from aione_mock.tenant.billing import Billing
from aione_mock.tenant.calendar import HOUR
from aione_mock.tenant.catalogue import ModelCatalogue
from aione_mock.tenant.ledger import Ledger
from aione_mock.tenant.organisation import AccessKeyRecord, Organisation, create_organisations
from aione_mock.tenant.organisation_file import OrganisationFile, load_organisation_file
from aione_mock.types import Caller


@frozen
class Tenants:
    """The organisations of a session. What the session changes is in its store, never here."""

    epoch: float
    """Unix seconds at the session's start, a full hour."""
    catalogue: ModelCatalogue
    organisations: Mapping[str, Organisation]
    """By id; the first one is the main one."""
    keys: KeyStore
    tokens: Mapping[str, Caller]
    """Callers by the hash of their console token."""
    access_keys: Mapping[str, AccessKeyRecord]
    """ModelRouter's access keys by id."""
    ledgers: Mapping[str, Ledger]
    """By organisation id."""
    billing: Mapping[str, Billing]
    """By organisation id."""

    demo_key: str
    """The secret of the first key that can be used."""

    @classmethod
    def create(
        cls, seed: Seed, epoch: float, catalogue: ModelCatalogue, file: OrganisationFile | None = None
    ) -> Tenants:
        """Create the organisations of a session that starts at `epoch`, rounded down to the full hour.

        Sessions with the same seed that start in the same hour can therefore share one value. Raises ConfigError when
        the catalogue lacks a model that was used in the past.
        """
        epoch, file = epoch // HOUR * HOUR, file or load_organisation_file()
        created = create_organisations(seed, epoch, file)
        return cls(
            epoch=epoch,
            catalogue=catalogue,
            organisations={org.id: org for org in created},
            keys=KeyStore.create(record for org in created for record in org.keys),
            tokens={digest: caller for org in created for digest, caller in org.tokens.items()},
            access_keys={pair.id: pair for org in created for pair in org.access_keys},
            ledgers={org.id: Ledger.create(org, seed, epoch, catalogue) for org in created},
            billing={org.id: Billing.create(org, catalogue, epoch) for org in created},
            demo_key=file.find_demo_key(),
        )

    def find_organisation(self, caller: Caller | None) -> Organisation:
        """Return the caller's organisation, or the main one where an overlay admits requests without a caller."""
        return self.organisations[caller.org_id] if caller else next(iter(self.organisations.values()))

    def find_token(self, secret: str) -> Caller | None:
        """Return the caller that a console token stands for."""
        return self.tokens.get(hash_secret(secret))
