import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from aione_mock.scenarios.pace import INSTANT, Pace, make_realistic, schedule
from aione_mock.seed import Seed

paces = st.builds(
    Pace,
    ttft=st.floats(0, 10),
    tps=st.one_of(st.none(), st.floats(0.1, 1000)),
    jitter=st.floats(0, 1),
    tail=st.floats(0, 1),
)
weights = st.lists(st.integers(0, 5), max_size=40)


@given(weights, paces, st.integers(0, 99))
def test_due_times_ascend_and_repeat(weights, pace, number):
    dues = schedule(weights, pace, Seed.of(number))
    assert len(dues) == len(weights)
    assert list(dues) == sorted(dues)
    assert all(due >= 0 for due in dues)
    assert dues == schedule(weights, pace, Seed.of(number))


def test_instant_has_no_waiting():
    assert schedule([0, 1, 1, 5], INSTANT, Seed.of(1)) == (0.0, 0.0, 0.0, 0.0)


def test_without_chance_the_figures_are_exact():
    assert schedule([1, 1, 2, 0], Pace(0.5, 10), Seed.of(0)) == (0.5, 0.6, 0.8, 0.8)
    assert schedule([0, 1], Pace(0.5, None), Seed.of(0)) == (0.5, 0.5)


def test_jitter_stays_within_its_part_and_differs_by_seed():
    dues = schedule([1] * 200, Pace(0, 10, jitter=0.3), Seed.of(5))
    gaps = [b - a for a, b in pairwise(dues)]
    assert min(gaps) >= 0.0699
    assert max(gaps) <= 0.1301
    assert max(gaps) - min(gaps) > 0.03
    assert dues != schedule([1] * 200, Pace(0, 10, jitter=0.3), Seed.of(6))


def test_the_tail_is_log_normal():
    firsts = sorted(schedule([1], Pace(1.0, tail=0.5), Seed.of(n))[0] for n in range(2000))
    assert abs(firsts[1000] - 1.0) < 0.05
    assert abs(firsts[1980] / math.exp(2.33 * 0.5) - 1) < 0.25


def test_changes_begin_at_a_profile_or_at_the_present_pace():
    model = make_realistic(0.8, 60)
    assert INSTANT.change({"profile": "realistic"}, model) == model
    assert model.change({"profile": "instant", "ttft": 2}, model) == Pace(ttft=2)
    assert model.change({"tps": 5}, model) == Pace(0.8, 5, 0.3, 0.25)
