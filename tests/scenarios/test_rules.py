import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aione_mock.errors import ScenarioError
from aione_mock.scenarios.conditions import MatchContext
from aione_mock.scenarios.rules import compile_rule, find_nearest, match_conditions, select_rule
from aione_mock.seed import Seed
from aione_mock.structs import replace
from aione_mock.types import Fault, ToolCall


def rule(when=None, then=None, rule_id="r"):
    return compile_rule({"when": when or {}, "then": then or {"error": "internal_error"}}, rule_id)


def match(one, context):
    return match_conditions(one.id, one.conditions, context)


@pytest.mark.parametrize(
    "reply",
    [
        {"text": "{{modle}}"},
        {"tool_calls": [{"name": "f", "arguments": {"a": {"b": "{{modle}}"}}}]},
        {"tool_calls": [{"name": "f", "arguments": {"a": ["x", "{{modle}}"]}}]},
    ],
)
def test_unknown_templates_are_found_wherever_they_stand(compiler, reply):
    (mistake,) = compiler.find_mistakes({"rules": [{"then": {"reply": reply}}]})
    assert "unknown template '{{modle}}'; did you mean 'model'?" in str(mistake)


FITS = [
    {"operation": "createChatCompletion"},
    {"operation": ["listModels", "createChat*"]},
    {"model": "gpt-*"},
    {"model": ["claude-*", "gpt-5.?"]},
    {"key": "key_1"},
    {"key": "demo key"},
    {"key": "sk-nex-demo*"},
    {"team": "team_1"},
    {"header": {"X-User": "A*"}},
    {"header": {"x-user": "*", "x-test": "busy"}},
    {"text": "ORDER"},
    {"pattern": r"#\d+\?$"},
    {"tool_offered": True},
    {"tool_offered": "find_*"},
    {"tool_result": False},
    {"stream": False},
    {"body": {"/max_tokens": 5, "/messages/0/content": "h?"}},
    {"body": {"": {"model": "gpt-5.4", "max_tokens": 5, "stream": False, "messages": [{"content": "hi"}], "n": 1}}},
    {"probability": 1},
    {"and": [{"model": "gpt-*"}, {"text": "order"}]},
    {"or": [{"model": "claude-*"}, {"text": "order"}]},
    {"not": [{"model": "claude-*"}, {"text": "refund", "model": "gpt-*"}]},
    {},
]
FAILS = [
    ({"operation": "createMessage"}, "operation is 'createChatCompletion', not 'createMessage'"),
    ({"operation": "createChat?"}, "operation is"),
    ({"model": "GPT-*"}, "model is 'gpt-5.4', not 'GPT-*'"),
    ({"model": "gpt-5.4x"}, "model is"),
    ({"key": "key_2"}, "key is 'demo key', not 'key_2'"),
    ({"team": "team"}, "team is 'team_1'"),
    ({"header": {"x-nope": "*"}}, "header x-nope is missing"),
    ({"header": {"x-user": "Bob"}}, "header x-user is 'Ada', not 'Bob'"),
    ({"text": "refund"}, "does not contain 'refund'"),
    ({"pattern": "^order"}, "does not match /^order/"),
    ({"tool_offered": False}, "there are tools on offer: find_order"),
    ({"tool_offered": "find"}, "'find' is not among the tools on offer: find_order"),
    ({"tool_result": True}, "there are no tool results"),
    ({"tool_result": "find_order"}, "'find_order' is not among the tool results: none"),
    ({"stream": True}, "it asks for no stream"),
    ({"body": {"/max_tokens": 6}}, "body /max_tokens is 5, not 6"),
    ({"body": {"/n": True}}, "body /n is 1, not True"),
    ({"body": {"/nope": None}}, "body /nope is missing, not None"),
    ({"probability": 0}, "chance (0) decided against it"),
    ({"or": [{"model": "claude-*"}, {"text": "refund"}]}, "neither model is 'gpt-5.4', not 'claude-*', nor"),
    ({"not": [{"model": "gpt-*"}]}, "`not` excludes it by model"),
    ({"not": [{"model": "claude-*"}, {"text": "order"}]}, "`not` excludes it by text"),
]


@pytest.mark.parametrize("when", FITS, ids=str)
def test_conditions_that_fit(when, context, compiler):
    assert compiler.find_mistakes({"rules": [{"when": when, "then": {"error": "internal_error"}}]}) == []
    assert match(rule(when), context).reasons == ()


@pytest.mark.parametrize(("when", "says"), FAILS, ids=str)
def test_conditions_that_do_not_fit_say_why(when, says, context, compiler):
    assert compiler.find_mistakes({"rules": [{"when": when, "then": {"error": "internal_error"}}]}) == []
    found = match(rule(when), context)
    assert not found.ok
    assert says in found.reasons[0]


def test_what_is_unknown_about_a_call_fits_nothing():
    bare = MatchContext("listModels", Seed.of(0), "c")
    for when in ({"model": "*"}, {"key": "*"}, {"team": "*"}, {"header": {"x": "*"}}, {"body": {"/a": None}}):
        assert not match(rule(when), bare).ok
    assert match(rule({"model": "gpt"}), bare).reasons == ("there is no model; wanted 'gpt'",)


BODIES = [
    ([1, 2], [1, 2], True),
    ([1, 2], [1], False),
    ([1, 2], [1, 3], False),
    ([1], [True], False),
    (["a", "b"], "ab", False),
    ("ab", ["a", "b"], False),
    ([{"a": 1}], [{"a": 1}], True),
    ([{"a": 1}], [{"a": True}], False),
    ({"a": [0]}, {"a": [False]}, False),
    ({}, [], False),
]


@pytest.mark.parametrize(("value", "wanted", "fits"), BODIES, ids=str)
def test_a_member_of_the_body_must_be_the_same_json(value, wanted, fits, context):
    asked = replace(context, body={"x": value})
    assert match(rule({"body": {"/x": wanted}}), asked).ok is fits


@pytest.mark.parametrize(("length", "shown"), [(60, "x" * 60), (61, "x" * 57 + "…")])
def test_a_long_text_is_shown_shortened(length, shown, context):
    asked = replace(context, last_user="x" * length)
    assert f"'{shown}'" in match(rule({"text": "refund"}), asked).reasons[0]


async def list_labels(rules, context, counter, calls):
    return [(await select_rule(rules, context, counter)).action.label for _ in range(calls)]


async def test_fail_twice_then_succeed(context, counter):
    rules = [rule(then={"error": "internal_error", "times": 2})]
    assert await list_labels(rules, context, counter, 4) == ["internal_error", "internal_error", "ordinary", "ordinary"]


async def test_exactly_so_many_fail_whoever_calls_at_once(context, counter):
    rules = [rule(then={"error": "internal_error", "times": 2})]
    fates = await asyncio.gather(*[select_rule(rules, context, counter) for _ in range(100)])
    assert sum(fate.rule is not None for fate in fates) == 2


async def test_a_sequence_then_the_rules_after_it(context, counter):
    then = {"sequence": [{"error": "internal_error", "times": 2}, {}, {"faults": [{"name": "cut"}]}]}
    rules = [rule(then=then), rule(then={"error": "upstream_failed"}, rule_id="s")]
    expected = ["internal_error", "internal_error", "ordinary", "cut", "upstream_failed", "upstream_failed"]
    assert await list_labels(rules, context, counter, 6) == expected


async def test_a_sequence_that_begins_again(context, counter):
    rules = [rule(then={"sequence": [{"error": "internal_error"}, {}], "cycle": True})]
    assert await list_labels(rules, context, counter, 5) == ["internal_error", "ordinary"] * 2 + ["internal_error"]


@pytest.mark.parametrize(
    ("when", "calls"),
    [({"nth": 3}, {3}), ({"nth": [5, 2]}, {2, 5}), ({"every": 3}, {3, 6, 9}), ({"nth": [2, 3, 4], "every": 2}, {2, 4})],
)
async def test_nth_and_every(when, calls, context, counter):
    labels = await list_labels([rule(when)], context, counter, 10)
    assert {n for n, label in enumerate(labels, 1) if label == "internal_error"} == calls


async def test_turns_and_times_combine(context, counter):
    labels = await list_labels([rule({"every": 3}, {"error": "internal_error", "times": 2})], context, counter, 12)
    assert [n for n, label in enumerate(labels, 1) if label == "internal_error"] == [3, 6]


async def test_only_calls_that_fit_are_counted(context, counter):
    rules = [rule({"model": "gpt-*", "nth": 2})]
    other = replace(context, model="claude")
    for call in (context, other, other):
        assert (await select_rule(rules, call, counter)).rule is None
    assert (await select_rule(rules, context, counter)).rule is rules[0]


@given(st.integers(0, 50), st.integers(1, 5), st.integers(1, 4))
def test_spent_says_what_turns_do(seen, times, every):
    one = rule({"every": every}, {"error": "internal_error", "times": times})
    left = [n for n in range(seen + 1, seen + 200) if (t := one.get_turn(n)) is not None and one.get_action(t)]
    assert one.is_spent(seen) == (not left)


@given(st.randoms(use_true_random=False), st.floats(0, 1))
def test_chance_gives_the_same_calls_the_same_fate_in_any_order(rng, chance):
    one = rule({"probability": chance})
    calls = [MatchContext("listModels", Seed.of(1), f"c{n}") for n in range(40)]
    fates = {call.call: match(one, call).ok for call in calls}
    rng.shuffle(calls)
    assert {call.call: match(one, call).ok for call in calls} == fates


def test_chance_is_as_likely_as_it_says_and_depends_on_seed_and_rule():
    calls = [MatchContext("listModels", Seed.of(1), f"c{n}") for n in range(4000)]
    one, two = rule({"probability": 0.2}), rule({"probability": 0.2}, rule_id="other")
    hits = [match(one, call).ok for call in calls]
    assert 700 < sum(hits) < 900
    assert hits != [match(two, call).ok for call in calls]
    assert hits != [match(one, replace(call, seed=Seed.of(2))).ok for call in calls]


async def test_the_nearest_rule_and_why_not(context, counter):
    far = rule({"operation": "listModels", "model": "claude-*"}, rule_id="far")
    near = rule({"operation": "createChatCompletion", "model": "claude-*"}, rule_id="near")
    found = await select_rule([far, near], context, counter)
    assert found.rule is None
    assert find_nearest([far, near], context, found.passed).rule_id == "near"
    assert find_nearest([far, near], context, found.passed).satisfied == 1
    spent = rule({"nth": 7}, rule_id="spent")
    found = await select_rule([far, spent], context, counter)
    first = find_nearest([far, spent], context, found.passed)
    assert (first.rule_id, first.reasons) == ("spent", ("this is call 1, the rule is for 7",))
    assert len(find_nearest([far], context, found.passed).reasons) == 2
    assert find_nearest([], context) is None


def make_script(reply, context, call=1):
    return rule(then={"reply": reply}).steps[0].action.make_script(context, call)


def test_scripted_text_with_values_of_the_request(context):
    text = "{{model}} {{ last_user }} {{header.X-User}} {{json./max_tokens}} {{json./nope}}| {{call}} {{key}}"
    said = make_script({"text": text, "finish": "length", "usage": {"prompt": 3}, "reasoning": "{{team}}"}, context, 4)
    assert said.text == "gpt-5.4 Where is order #42? Ada 5 | 4 demo key"
    assert (said.finish, said.usage, said.reasoning) == ("length", {"prompt": 3}, "team_1")


def test_scripted_json_keeps_types(context):
    said = make_script(
        {"json": {"n": "{{json./max_tokens}}", "m": ["{{json./messages}}", "n={{json./stream}}"]}}, context
    )
    assert said.text == '{"n":5,"m":[[{"content":"hi"}],"n=false"]}'


def test_scripted_chunks_tool_calls_and_bodies(context):
    assert make_script({"chunks": ["a", "{{model}}"]}, context).chunks == ("a", "gpt-5.4")
    assert make_script({"chunks": ["a", "{{model}}"]}, context).text == "agpt-5.4"
    calls = [{"name": "f", "arguments": {"q": "{{last_user}}"}}, {"name": "g", "id": "x"}]
    assert make_script({"tool_calls": calls}, context).tool_calls == (
        ToolCall("", "f", '{"q":"Where is order #42?"}'),
        ToolCall("x", "g", "{}"),
    )
    assert make_script({"text": ""}, context).text == ""
    assert make_script({"tool_calls": calls}, context).text is None
    assert make_script({"body": {"id": "{{model}}"}}, context).body == {"id": "gpt-5.4"}
    assert make_script({"body": None}, context).whole


def test_header_changes(context):
    action = (
        rule(then={"headers": {"set": {"X-User": "{{header.x-user}}\r\nevil: 1"}, "remove": ["Server"]}})
        .steps[0]
        .action
    )
    assert action.change_headers((("server", "x"), ("x-user", "old"), ("a", "b")), context, 1) == (
        ("a", "b"),
        ("x-user", "Ada evil: 1"),
    )


def test_faults_keep_their_order():
    then = {"faults": [{"name": "crlf"}, {"name": "cut", "after": 2}], "delay": "250ms", "pace": {"tps": 3}}
    action = rule(then=then).steps[0].action
    assert action.faults == (Fault("crlf"), Fault("cut", {"after": 2}))
    assert (action.delay, action.pace, action.label) == (0.25, {"tps": 3}, "crlf+cut+pace")


def test_ids_come_from_content_and_stay(compiler):
    specs = [{"then": {"error": "internal_error"}}, {"id": "x", "then": {"error": "upstream_failed"}}]
    ids = [r.id for r in compiler.compile(specs)]
    shuffled = list(reversed(specs))
    assert [r.id for r in compiler.compile(shuffled)] == list(reversed(ids))
    assert [r.id for r in compiler.compile([specs[0], specs[0]])] == [ids[0], ids[0] + "-2"]
    assert compiler.compile([specs[1]], taken=["x"])[0].id == "x-2"


def test_rules_that_are_wrong_are_refused_with_a_pointer(compiler):
    with pytest.raises(ScenarioError, match=r"rules/0/then/eror: unknown member 'eror'; did you mean 'error'\?"):
        compiler.compile([{"then": {"eror": "x"}}])
    for unfit in ([1], None, {}, [{"then": {}}], [{}], "x"):
        with pytest.raises(ScenarioError):
            compiler.compile(unfit)


def test_conditions_for_looking_back(compiler):
    compiler.check_when({"model": "gpt-*", "not": [{"stream": True}]})
    for when in ({"nth": 1}, {"and": [{"probability": 0.5}]}, {"mdel": "x"}, []):
        with pytest.raises(ScenarioError):
            compiler.check_when(when)
