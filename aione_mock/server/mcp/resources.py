"""What agents may read: the documents of the contract as they are served, and the pages of the documentation."""

from __future__ import annotations

from collections.abc import Iterator

from aione_mock.errors import ScenarioError
from aione_mock.server.mcp.contract_lookup import NAMES
from aione_mock.server.mcp.control_api import ControlAPI
from aione_mock.settings import locate_docs
from aione_mock.structs import frozen

_CONTRACT, _DOCS = "aione-mock://contract/", "aione-mock://docs/"


@frozen
class AgentResource:
    """A text that agents may read."""

    uri: str
    title: str
    media_type: str


def list_resources() -> list[AgentResource]:
    """Return all texts. Pages are missing where the package was built without them."""
    documents = [AgentResource(f"{_CONTRACT}{name}.yaml", f"Contract: {name}", "application/yaml") for name in NAMES]
    return [*documents, *_list_pages()]


def _list_pages() -> Iterator[AgentResource]:
    for path in sorted(locate_docs().rglob("*.md")):
        lines = path.read_text(encoding="utf-8").splitlines()
        title = next((line.lstrip("# ") for line in lines if line.startswith("# ")), path.stem)
        yield AgentResource(_DOCS + path.relative_to(locate_docs()).as_posix(), title, "text/markdown")


async def read_resource(api: ControlAPI, uri: str) -> tuple[AgentResource, str]:
    """Return a resource and its text. Raises ScenarioError if there is none of that address."""
    # only what is listed: an address may try to lead out of the folder
    resource = next((each for each in list_resources() if each.uri == uri), None)
    if resource is None:
        raise ScenarioError(f"there is no resource '{uri}'")
    if uri.startswith(_CONTRACT):
        return resource, await api.read_document(f"/openapi/{uri.removeprefix(_CONTRACT)}")
    return resource, (locate_docs() / uri.removeprefix(_DOCS)).read_text(encoding="utf-8")
