"""Read from the mock behind a gateway what it was asked, and which canary it answered with."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx2
import orjson

from aione_mock.contract import Contract
from aione_mock.errors import ConfigError
from aione_mock.text.addresses import parse_base_url
from aione_mock.text.credentials import make_bearer_header

_SETTLE_SECONDS = 0.2
"""Without a new call for so long, the gateway is taken to have asked everything."""
_MAX_SETTLES = 50


@dataclass(frozen=True, slots=True)
class UpstreamCall:
    """A call that the upstream got."""

    number: int
    canary: str
    question: str | None
    """The text with a mark."""
    answer: str | None
    """The text with the canary."""
    status: int
    end: str


class UpstreamJournal:
    """The journal of a mock that was started with `serve --as-upstream`."""

    def __init__(self, url: str, contract: Contract, token: str | None = None) -> None:
        """Connect to the mock. Raises ConfigError if no such mock answers at `url`."""
        operation = contract.operations["listCanaries"]
        headers = {} if token is None else make_bearer_header(token, "the control token")
        self._url, self._path = parse_base_url(url, "--upstream"), operation.path
        self._http = httpx2.Client(headers=headers, trust_env=False, timeout=30)
        found = self._read(0)
        if not found["active"]:
            self.close()
            raise ConfigError(f"the mock at {url} gives no canaries; start it with `aione-mock serve --as-upstream`")
        self.start: int = found["total"]
        """Calls before this run."""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def read_calls(self) -> list[UpstreamCall]:
        """Return the calls since the start, once no more come. Raises ConfigError if some are no longer held."""
        total, found = -1, self._read(self.start)
        for _ in range(_MAX_SETTLES):
            if found["total"] == total:
                break
            total = found["total"]
            time.sleep(_SETTLE_SECONDS)
            found = self._read(self.start)
        if found["first_held"] > self.start + 1:
            raise ConfigError(
                f"the journal at {self._url} is too short for this run; ask less with --calls, or start the mock with "
                "more --journal-entries and --journal-bytes"
            )
        names = UpstreamCall.__dataclass_fields__
        return [UpstreamCall(**{name: item[name] for name in names}) for item in found["items"]]

    def _read(self, after: int) -> Mapping[str, Any]:
        try:
            response = self._http.get(self._url + self._path, params={"after": after})
            response.raise_for_status()
            found: Mapping[str, Any] = orjson.loads(response.content)
            return {name: found[name] for name in ("active", "items", "first_held", "total")}
        except httpx2.HTTPStatusError as error:
            if error.response.status_code == 401:
                raise ConfigError(f"the mock at {self._url} wants its --control-token") from None
            raise self._explain(f"status {error.response.status_code}") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise self._explain(str(error) or type(error).__name__) from None
        except (ValueError, TypeError, KeyError):
            raise self._explain("something else answers there") from None

    def _explain(self, reason: str) -> ConfigError:
        self.close()
        remedy = "start one with `aione-mock serve --as-upstream`, and name it with --upstream"
        return ConfigError(f"no mock tells of canaries at {self._url}: {reason}; {remedy}")
