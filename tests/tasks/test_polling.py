import math
import random
from collections.abc import Sequence
from functools import cache
from itertools import pairwise
from statistics import NormalDist, fmean, median

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.effort import Effort

from kie_mcp.tasks.polling import (
    DOUBT_SECONDS,
    FEWEST_DURATIONS,
    NEWEST_DURATIONS,
    REPEAT_SECONDS,
    SPREAD,
    DurationEstimate,
    estimate_duration,
    estimate_seconds,
    next_poll,
    poll_delay,
)

LONG_AGO = 14 * 24 * 3600.0

seconds = st.floats(0, LONG_AGO)
usuals = st.builds(DurationEstimate, st.floats(0.5, 3600), st.floats(0.1, 1))
calm = st.builds(DurationEstimate, st.floats(0.5, 600), st.floats(0.1, 0.3))


def looks(usual: DurationEstimate, until: float) -> list[float]:
    """The ages at which a task of this length is looked at."""
    ages = [next_poll(0, usual)]
    while ages[-1] < until:
        ages.append(ages[-1] + next_poll(ages[-1], usual))
    return ages


@cache
def lengths(usual: float, count: int = 200) -> Sequence[float]:
    """Equally likely lengths of tasks, in any order."""
    normal = NormalDist(math.log(usual), SPREAD)
    found = [math.exp(normal.inv_cdf((number + 0.5) / count)) for number in range(count)]
    random.Random(1).shuffle(found)
    return found


def noticed(taken: Sequence[float], built_in: float) -> list[float]:
    """The ages at which tasks of these lengths, one after the other, are found ended by what was learned so far."""
    found, learned = list[float](), list[float]()
    for length in taken:
        ages = looks(estimate_duration(learned, built_in), length)
        found.append(ages[-1])
        learned.append(estimate_seconds(ages[-1], ages[-2] if len(ages) > 1 else 0))
    return found


def test_the_built_in_figure_counts_only_until_the_first_task_was_measured() -> None:
    assert estimate_duration([], 40) == DurationEstimate(40, SPREAD, is_measured=False)
    assert estimate_duration([900.0], 40).seconds == pytest.approx(900)


@pytest.mark.parametrize("count", range(1, FEWEST_DURATIONS))
def test_the_fewer_lengths_there_are_the_wider_is_the_time_in_which_an_end_is_expected(count: int) -> None:
    few, more = estimate_duration([60.0] * count, 1), estimate_duration([60.0] * (count + 1), 1)
    assert few.spread > more.spread
    assert looks(few, 0)[0] < looks(more, 0)[0]


@given(st.floats(0.5, 3600), st.floats(0, 3600))
def test_a_task_of_unknown_length_is_noticed_within_three_seconds_or_a_thirteenth(
    built_in: float, length: float
) -> None:
    """However wrong the built-in figure is."""
    assert looks(estimate_duration([], built_in), length)[-1] - length <= max(2.9, length / 13)


def measure_first_task(usual: float, built_in: float) -> tuple[float, float]:
    """The mean lag and the mean number of looks for tasks of about this usual length, with only a built-in figure."""
    taken = [usual * length for length in lengths(1, 1000)]
    ages = [looks(estimate_duration([], built_in), length) for length in taken]
    return fmean(each[-1] for each in ages) - fmean(taken), fmean(len(each) for each in ages)


FACTORS = (0.1, 0.3, 0.5, 1, 2, 3, 10)
USUAL = range(2, 21) if Effort.is_thorough else (2, 3, 4, 6, 9, 13, 20)


@pytest.mark.parametrize("usual", USUAL)
def test_a_first_task_is_noticed_within_a_second_however_wrong_the_figure_is(usual: float) -> None:
    assert max(measure_first_task(usual, usual * factor)[0] for factor in FACTORS) <= 1.005


@pytest.mark.parametrize("usual", USUAL)
def test_a_first_task_needs_no_more_looks_than_about_one_every_two_seconds(usual: float) -> None:
    flat = fmean(math.ceil(usual * length / 1.9) for length in lengths(1, 1000))
    assert max(measure_first_task(usual, usual * factor)[1] for factor in FACTORS) <= flat


@pytest.mark.parametrize("usual", [60, 120, 180])
def test_a_right_figure_lets_the_end_of_a_long_first_task_be_noticed_sooner(usual: float) -> None:
    right = measure_first_task(usual, usual)[0]
    assert right < 0.6 * min(measure_first_task(usual, usual * factor)[0] for factor in (0.3, 3))


@pytest.mark.parametrize(("running_age", "age", "expected"), [(4, 6, 5), (0, 6, 4.5), (2, 6, 4.5), (5.5, 6, 5.75)])
def test_a_task_ended_between_two_polls(running_age: float, age: float, expected: float) -> None:
    assert estimate_seconds(age, running_age) == expected


@given(st.lists(st.floats(1, 3600), min_size=FEWEST_DURATIONS, max_size=NEWEST_DURATIONS))
def test_the_usual_time_is_the_median(taken: list[float]) -> None:
    usual = estimate_duration(taken, 40)
    below, above = sorted(taken)[(len(taken) - 1) // 2], sorted(taken)[len(taken) // 2]
    assert below * 0.999 <= usual.seconds <= above * 1.001
    assert 0.1 <= usual.spread <= 1


@given(st.lists(seconds, max_size=4), st.integers(0, 16))
def test_a_few_odd_lengths_hardly_matter(odd: list[float], at: int) -> None:
    taken = lengths(60, NEWEST_DURATIONS - len(odd))
    usual = estimate_duration([*taken[:at], *odd, *taken[at:]], 1)
    assert 48 < usual.seconds < 75
    assert 0.2 < usual.spread < 0.5


@given(st.lists(seconds, max_size=30))
def test_only_the_newest_lengths_count(older: list[float]) -> None:
    newest = lengths(20, NEWEST_DURATIONS)
    assert estimate_duration([*older, *newest], 1) == estimate_duration(newest, 1)


def test_equal_lengths_make_the_looks_closer_but_promise_nothing() -> None:
    few, many = estimate_duration([60.0] * FEWEST_DURATIONS, 1), estimate_duration([60.0] * NEWEST_DURATIONS, 1)
    assert few.seconds == many.seconds == pytest.approx(60)
    assert SPREAD > few.spread > many.spread > 0.1
    assert sum(50 < age < 70 for age in looks(many, 80)) > sum(50 < age < 70 for age in looks(DurationEstimate(60), 80))


def test_lengths_that_differ_widely_are_looked_for_sooner_and_longer() -> None:
    usual = estimate_duration([5.0, 20.0, 60.0, 180.0, 700.0], 1)
    assert usual.spread > 0.35
    assert looks(usual, 0)[0] < looks(DurationEstimate(usual.seconds), 0)[0]


@pytest.mark.parametrize("length", [0.0, -3.0, 1e-9, math.nan])
def test_what_took_no_time_is_usual_too(length: float) -> None:
    usual = estimate_duration([length] * NEWEST_DURATIONS, 40)
    assert usual.seconds == pytest.approx(0.5)
    assert looks(usual, 3) == [0.5, 1, 1.5, 2, 2.5, 3]


def test_a_built_in_figure_of_nothing_is_no_trouble() -> None:
    assert looks(estimate_duration([], 0), 3) == [2.9, pytest.approx(4.85)]


@given(st.floats(-LONG_AGO, 1e12), usuals)
def test_no_look_is_far_off_or_at_once(age: float, usual: DurationEstimate) -> None:
    assert 0.5 <= next_poll(age, usual) <= 60


@given(st.floats(-LONG_AGO, 0), usuals)
def test_a_clock_that_was_set_back_changes_nothing(age: float, usual: DurationEstimate) -> None:
    assert next_poll(age, usual) == next_poll(0, usual)


@given(usuals)
def test_the_first_look_comes_before_the_usual_time(usual: DurationEstimate) -> None:
    assert next_poll(0, usual) <= max(0.5, 0.85 * usual.seconds)


@pytest.mark.parametrize(("usual", "first"), [(2, 0.85), (8, 0.85), (20, 0.7), (60, 0.54), (150, 0.43)])
def test_the_longer_tasks_take_the_sooner_in_proportion_is_the_first_look(usual: float, first: float) -> None:
    assert next_poll(0, DurationEstimate(usual)) / usual == pytest.approx(first, abs=0.03)


@pytest.mark.parametrize("usual", [8, 20, 60, 180, 450])
def test_about_the_usual_time_a_look_comes_every_second(usual: float) -> None:
    ages = [age for age in looks(DurationEstimate(usual), 1.5 * usual) if age > 0.95 * usual]
    assert all(0.6 < after - before < 1.6 for before, after in pairwise(ages))


@given(usuals, st.floats(0.991, 1))
def test_a_sleep_that_ended_a_little_early_costs_no_extra_look(usual: DurationEstimate, share: float) -> None:
    first = looks(usual, 0)[0]
    wait = next_poll(first * share, usual)
    assert wait >= 0.9 * next_poll(first, usual) or first == 60


@given(calm, st.floats(0, 1))
def test_what_ends_early_is_noticed_by_the_first_look_or_within_a_minute(usual: DurationEstimate, share: float) -> None:
    length = share * usual.seconds
    assert looks(usual, length)[-1] <= max(0.85 * usual.seconds, length + 60, 0.5)
    assert looks(usual, length)[-1] - length <= 60


@given(calm, st.floats(0, 4 * 3600))
def test_what_is_late_is_noticed_within_seconds_or_a_tenth_of_the_delay(usual: DurationEstimate, delay: float) -> None:
    length = usual.seconds + delay
    assert looks(usual, length)[-1] - length <= min(max(5, delay / 9), 60)


@given(calm)
def test_the_looks_at_what_is_late_come_ever_farther_apart(usual: DurationEstimate) -> None:
    late = 2.5 * usual.seconds
    steps = [after - before for before, after in pairwise(age for age in looks(usual, late + 3600) if age > late)]
    assert all(before <= after + 1e-6 for before, after in pairwise(steps))
    assert steps[-1] == pytest.approx(60)


def test_a_task_that_never_ends_is_asked_after_as_seldom_as_before() -> None:
    """Once a minute, after the first quarter of an hour."""
    hour, day = looks(DurationEstimate(20), 3600), looks(DurationEstimate(20), 24 * 3600)
    assert len(hour) < 150
    assert len(day) - len(hour) == pytest.approx(23 * 60, abs=2)


@pytest.mark.parametrize("kie_states_times", [True, False])
@pytest.mark.parametrize(("usual", "most"), [(2, 2), (8, 3.26), (20, 7.4), (60, 21.2), (180, 62.5)])
def test_an_end_is_noticed_twice_as_soon_as_by_a_look_every_3_s(
    usual: float, most: float, kie_states_times: bool
) -> None:
    """With no more reads than that takes, except for the shortest tasks, most of which it reads once."""
    taken, found, reads, learned = lengths(usual, 1500), list[float](), list[int](), list[float]()
    for length in taken:
        ages = looks(estimate_duration(learned, usual), length)
        found.append(ages[-1])
        reads.append(len(ages))
        learned.append(length if kie_states_times else estimate_seconds(ages[-1], ages[-2] if len(ages) > 1 else 0))
    flat = [math.ceil(length / 3) for length in taken]
    assert fmean(reads) <= most <= max(fmean(flat) * 1.01, 2)
    assert fmean(found) - fmean(taken) <= (3 * fmean(flat) - fmean(taken)) / 2


@pytest.mark.parametrize("usual", [1, 2, 8])
def test_the_usual_time_does_not_run_away_with_what_looking_adds(usual: float) -> None:
    found = noticed(lengths(usual, 1000), usual)
    assert median(found[-200:]) < usual + 1


@pytest.mark.parametrize(("usual", "built_in"), [(2, 20), (8, 60), (20, 180), (180, 20), (60, 5)])
def test_a_wrong_figure_is_outgrown(usual: float, built_in: float) -> None:
    taken = lengths(usual)
    found = noticed(taken, built_in)
    assert fmean(found[2:]) - fmean(taken[2:]) < 1


@pytest.mark.parametrize(
    ("failed_polls", "expected"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (7, 32), (8, 60), (9, 60), (10_000, 60)]
)
@pytest.mark.parametrize("doubted", [False, True])
def test_the_backoff_after_failed_polls_doubles(failed_polls: int, doubted: bool, expected: float) -> None:
    estimate = DurationEstimate(180)
    assert poll_delay(0, estimate, failed_polls=failed_polls, doubted=doubted) == expected
    found = poll_delay(0, estimate, failed_polls=failed_polls, doubted=doubted, repeated=True)
    assert found == max(expected, REPEAT_SECONDS)


def test_a_task_that_kie_should_know_is_polled_again_after_five_seconds() -> None:
    assert poll_delay(100, DurationEstimate(180), doubted=True) == DOUBT_SECONDS
    assert poll_delay(100, DurationEstimate(180), doubted=True, repeated=True) == REPEAT_SECONDS


@given(seconds, usuals)
def test_else_the_schedule_counts_and_a_repeated_create_waits_longer(age: float, estimate: DurationEstimate) -> None:
    assert poll_delay(age, estimate) == next_poll(age, estimate)
    assert poll_delay(age, estimate, repeated=True) == max(next_poll(age, estimate), REPEAT_SECONDS)
