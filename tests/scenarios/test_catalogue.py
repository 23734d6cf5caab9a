import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.errors import APIError, ScenarioError
from aione_mock.scenarios.catalogue import ScenarioCatalogue
from aione_mock.scenarios.faults import FAULTS
from aione_mock.types import Fault

ERRORS = [("openai", "rate_limit_exceeded", 429), ("anthropic", "rate_limit_exceeded", 429)]
ERRORS += [("openai", "internal_error", 500), ("openai", "upstream_failed", 502)]
CATALOGUE = ScenarioCatalogue(ERRORS)


def test_an_error_with_its_options():
    step = CATALOGUE.parse_header("rate_limit_exceeded; times=2; retry_after=3")
    assert (step.action.error, step.action.retry_after, step.times) == ("rate_limit_exceeded", 3, 2)


def test_several_faults_in_their_order():
    action = CATALOGUE.parse_header("cut; after=5; mid=true, stall; seconds=2s").action
    assert action.faults == (Fault("cut", {"after": 5, "mid": True}), Fault("stall", {"seconds": 2.0}))
    assert action.label == "cut+stall"


def test_quotes_keep_commas():
    step = CATALOGUE.parse_header('reply; text="Yes, you; and \\"he\\""; finish=length')
    assert step.action.reply == {"text": 'Yes, you; and "he"', "finish": "length"}


def test_paces():
    assert CATALOGUE.parse_header("realistic; ttft=2, pace; tps=7").action.pace == {
        "profile": "realistic",
        "ttft": 2.0,
        "tps": 7.0,
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rate_limted", "unknown scenario 'rate_limted'; did you mean 'rate_limit_exceeded'?"),
        ("", "unknown scenario ''"),
        ("cut after=3", "'cut after=3' is not the name of a scenario; put `;` before each option, as in cut; after=3"),
        ("reply; text=Hello {{modle}}", "unknown template '{{modle}}'; did you mean 'model'?"),
        ("internal_error; message={{nobody}}", "unknown template '{{nobody}}'; known: model, last_user, "),
        ("cut; aftr=1", "scenario 'cut' has no option 'aftr'; did you mean 'after'?"),
        ("cut; after=x", "option 'after' is 'x', but should be an integer of at least 0"),
        ("cut; after=-1", "option 'after' is '-1', but should be an integer of at least 0"),
        ("cut; mid=perhaps", "option 'mid' is 'perhaps', but should be true or false"),
        ("stall; then=stop", "option 'then' is 'stop', but should be 'go' or 'cut' or 'hang'"),
        ("cut; after", "option 'after' of 'cut' has no value; write after=VALUE"),
        ("crlf; size=3", "scenario 'crlf' has no option 'size'; it takes times, delay"),
        ("internal_error, upstream_failed", "has more than one error"),
        ("internal_error, reply; text=x", "has both an error and a reply"),
        ("reply", "needs a text"),
        ("pace", "needs ttft, tps, jitter or tail"),
        ('reply; text="open', "has a quote that is not closed"),
        ("error_event; error=internal_eror", "unknown error 'internal_eror'; did you mean 'internal_error'?"),
        ("html_page; status=99", "should be an integer from 200 to 599"),
        ("internal_error; retry_after=-1", "should be an integer of at least 0"),
    ],
)
def test_mistakes_say_what_would_be_right(text, says):
    with pytest.raises(APIError) as caught:
        CATALOGUE.parse_header(text)
    assert caught.value.name == "invalid_request"
    assert says in caught.value.message


@given(st.text(max_size=40))
def test_no_header_gives_a_traceback(text):
    with contextlib.suppress(APIError):
        assert CATALOGUE.parse_header(text)


def test_every_scenario_understands_its_own_header():
    for scenario in CATALOGUE:
        text = scenario.header.removeprefix("X-Mock-Scenario: ")
        assert CATALOGUE.parse_header(text), scenario.name


OPTIONS = {
    "*": {"times": (None, 1, None), "delay": (None, 0, None)},
    "internal_error": {"retry_after": (None, 0, None), "message": (None, None, None)},
    "cut": {"after": (1, 0, None), "mid": (False, None, None)},
    "stall": {"after": (1, 0, None), "seconds": (30.0, 0, None), "then": ("go", None, None)},
    "drip": {"size": (16, 1, 64 << 20), "seconds": (0.05, 0, None)},
    "malformed_json": {"at": (2, 1, None)},
    "error_event": {"after": (2, 0, None), "error": ("internal_error", None, None)},
    "wrong_usage": {"add": (7, None, None)},
    "empty_choices": {"at": (2, 1, None)},
    "duplicate_event": {"at": (2, 1, None)},
    "reorder_events": {"at": (2, 1, None)},
    "changed_id": {"at": (3, 1, None)},
    "comments": {"every": (1, 1, None)},
    "split_events": {"size": (7, 1, 64 << 20)},
    "big_event": {"at": (2, 1, None), "size": (1 << 20, 1, 64 << 20)},
    "wrong_content_type": {"value": ("text/plain", None, None)},
    "content_length_long": {"by": (16, 1, None)},
    "content_length_short": {"by": (16, 1, None)},
    "html_page": {"status": (502, 200, 599)},
    "slow_body": {"seconds": (2.0, 0, None), "parts": (10, 1, 10_000)},
    "pace": {name: (None, *bounds) for name, bounds in {
        "ttft": (0, None), "tps": (0.001, None), "jitter": (0, 1), "tail": (0, None),
    }.items()},
}  # fmt: skip
"""Scenarios and their options: default, minimum and maximum."""


@pytest.mark.parametrize("name", [*FAULTS, "internal_error", "pace"])
def test_options_have_their_defaults_and_bounds(name):
    options = CATALOGUE.scenarios[name].options
    assert {o.name: (o.default, o.minimum, o.maximum) for o in options} == OPTIONS["*"] | OPTIONS.get(name, {})


def test_every_error_and_every_fault_is_a_scenario():
    names = [scenario.name for scenario in CATALOGUE]
    assert {name for _, name, _ in ERRORS} | set(FAULTS) <= set(names)
    assert CATALOGUE.scenarios["rate_limit_exceeded"].title == "HTTP 429 (openai, anthropic)"


def test_as_one_then(compiler):
    then = CATALOGUE.parse_then("cut; after=5; times=9, stall; seconds=2; times=3, pace; tps=4")
    assert then == {
        "faults": [{"name": "cut", "after": 5}, {"name": "stall", "seconds": 2.0}],
        "pace": {"tps": 4.0},
        "times": 3,
    }
    assert compiler.find_mistakes({"rules": [{"then": then}]}) == []
    assert CATALOGUE.parse_then("internal_error; times=4", times=1) == {"error": "internal_error", "times": 1}


def test_every_scenario_is_a_valid_then(compiler):
    for scenario in CATALOGUE:
        then = CATALOGUE.parse_then(scenario.header.removeprefix("X-Mock-Scenario: "))
        assert compiler.find_mistakes({"rules": [{"then": then}]}) == [], scenario.name


def test_an_error_may_not_have_the_name_of_a_fault():
    with pytest.raises(ScenarioError):
        ScenarioCatalogue([("openai", "cut", 500)])
