from pathlib import Path

import pytest
import yaml

from aione_mock.scenarios.catalogue import ScenarioCatalogue
from aione_mock.scenarios.conditions import MatchContext
from aione_mock.scenarios.rule_compiler import RuleCompiler
from aione_mock.seed import Seed

ROOT = Path(__file__).parents[2]
ERRORS = [
    ("openai", "rate_limit_exceeded", 429),
    ("anthropic", "rate_limit_exceeded", 429),
    ("openai", "internal_error", 500),
    ("openai", "upstream_failed", 502),
    ("openai", "upstream_unavailable", 503),
    ("openai", "upstream_timeout", 504),
    ("console", "not_found", 404),
]
OPERATIONS = ("createChatCompletion", "createMessage", "listModels")


@pytest.fixture(scope="session")
def document():
    return yaml.load((ROOT / "openapi" / "control.yaml").read_text(), Loader=yaml.CSafeLoader)


@pytest.fixture(scope="session")
def catalogue():
    return ScenarioCatalogue(ERRORS)


@pytest.fixture(scope="session")
def compiler(document, catalogue):
    return RuleCompiler(document, catalogue, OPERATIONS)


@pytest.fixture
def context():
    return MatchContext(
        operation_id="createChatCompletion",
        seed=Seed.of(0),
        call="c1",
        model="gpt-5.4",
        key_id="key_1",
        key_label="demo key",
        key_prefix="sk-nex-demo",
        team_id="team_1",
        headers={"x-user": "Ada", "x-test": "busy"},
        last_user="Where is order #42?",
        tools=("find_order",),
        tool_results=(),
        stream=False,
        body={"model": "gpt-5.4", "max_tokens": 5, "stream": False, "messages": [{"content": "hi"}], "n": 1},
    )


class Counts:
    """The counter of a session, in memory."""

    def __init__(self):
        self.seen = {}

    async def __call__(self, rule_id):
        self.seen[rule_id] = self.seen.get(rule_id, 0) + 1
        return self.seen[rule_id]


@pytest.fixture
def counter():
    return Counts()
