"""The comparison: equal budgets, no rate at the edge of its grid, and seeds that had no part in the choice."""

import contextlib
import dataclasses
import math
import os
import sys

import numpy as np
import pytest

from lossopt import compare as module
from lossopt.compare import (
    Comparison,
    EdgeError,
    Result,
    Table,
    best_rate,
    compare,
    estimate,
    log_grid,
    performance_profile,
)
from lossopt.landscapes import LANDSCAPES
from lossopt.problems import LandscapeProblem, digits_mlp


def steady(w, g, t, lr=0.5):
    return w - lr * g


def other(w, g, t, lr=0.25):
    return w - lr * g


def rateless(w, g, t, eta=0.1):
    return w - eta * g


class Valley:
    """A problem whose answer is known: the metric is |log2(lr / best)|, plus the seed on the test side."""

    name = "valley"
    metric = "distance"

    def __init__(self, best=1.0, diverges_above=math.inf):
        self.best = best
        self.diverges_above = diverges_above
        self.calls = []

    def run(self, rule, hyper, seeds, steps):
        lr = hyper["lr"](1) if callable(hyper["lr"]) else hyper["lr"]
        self.calls.append((rule.__name__, np.array(lr), np.array(seeds), steps, hyper))
        distance = abs(np.log2(lr / self.best))
        distance[lr > self.diverges_above] = np.nan
        return distance, 10 * distance + seeds


SEEDS = {"tuning_seeds": [0, 1, 2], "reporting_seeds": [10, 20], "steps": 7}
GRID = [0.25, 0.5, 1.0, 2.0, 4.0]


def test_each_rule_gets_the_rate_that_is_best_on_the_tuning_seeds():
    found = compare(Valley(best=1.9), [steady], rates=GRID, **SEEDS)

    assert found.results["steady"].rate == 2.0
    assert found.results["steady"].validation.shape == (5, 3)


def test_the_report_is_of_the_test_metric_at_the_chosen_rate_on_the_reporting_seeds():
    found = compare(Valley(best=2.0), [steady], rates=GRID, **SEEDS)

    np.testing.assert_array_equal(found.results["steady"].test, [10, 20])  # distance 0, seeds 10 and 20
    np.testing.assert_array_equal(found.results["steady"].default_test, [30, 40])  # at the default 0.5: distance 2
    assert found.tuned("steady").mean == 15
    assert found.untuned("steady").mean == 35


def test_the_choice_is_made_by_the_mean_over_seeds_not_by_one_lucky_run():
    class Lucky(Valley):
        def run(self, rule, hyper, seeds, steps):
            score = np.select([hyper["lr"] == 0.5, hyper["lr"] == 1.0], [np.where(seeds == 1, 0.0, 9.0), 5.0], 8.0)
            return score, score

    found = compare(Lucky(), [steady], rates=GRID, **SEEDS)

    assert found.results["steady"].rate == 1.0


def test_no_run_of_the_tuning_sees_a_reporting_seed_nor_the_other_way_round():
    problem = Valley()
    compare(problem, [steady, other], rates=GRID, **SEEDS, extend=1)

    tuning, reporting = problem.calls[:4], problem.calls[4:]
    assert all(set(seeds) == {0, 1, 2} for _, _, seeds, _, _ in tuning)
    assert all(set(seeds) == {10, 20} for _, _, seeds, _, _ in reporting)


def test_every_rule_gets_the_same_rates_seeds_and_steps():
    problem = Valley(best=3.9)
    compare(problem, [steady, other], rates=GRID, **SEEDS, extend=2)

    budgets = {name: sum(len(lr) for rule, lr, *_ in problem.calls if rule == name) for name in ("steady", "other")}
    assert budgets["steady"] == budgets["other"] == (5 + 2) * 3 + 2 * 2
    assert {steps for *_, steps, _ in problem.calls} == {7}


def test_all_runs_of_a_rule_are_handed_over_as_one_array():
    problem = Valley()
    compare(problem, [steady], rates=GRID, **SEEDS)

    _, lr, seeds, _, _ = problem.calls[0]
    assert list(zip(lr, seeds, strict=True)) == [(rate, seed) for rate in GRID for seed in (0, 1, 2)]


def results(comparison):
    return {name: {key: np.asarray(v).tolist() for key, v in vars(r).items()} for name, r in comparison.results.items()}


def piecewise(n_jobs):
    """A comparison of networks and one of descents, with all that `compare` can be told."""
    told = {"steps": 5, "schedule": lambda t, lr: lr / t, "extend": 1, "tuning_seeds": range(3), "n_jobs": n_jobs}
    rates = {"momentum": log_grid(0.05, 50, 1), "lars": log_grid(1, 1000, 1)}
    networks = compare(
        digits_mlp(batch=540), rates, rates=rates, hyper={"lars": {"momentum": 0.5}}, reporting_seeds=[8, 9], **told
    )
    rates = {"sgd": log_grid(1e-4, 1e-1, 1), "adam": log_grid(1e-2, 10, 1)}
    descents = compare(LandscapeProblem(LANDSCAPES["beale"]), rates, rates=rates, reporting_seeds=[8, 9], **told)
    return results(networks) | results(descents)


@pytest.mark.parametrize("backend", ["threading", "loky", "dask"])
def test_a_comparison_is_the_same_wherever_its_runs_are(backend):
    joblib = pytest.importorskip("joblib")
    pytest.importorskip("sklearn")

    class Where:  # inside, since workers cannot import a test
        name, metric = "where", "number of the process"

        def run(self, rule, hyper, seeds, steps):
            return abs(np.log2(hyper["lr"])), np.full(len(seeds), os.getpid())

    with contextlib.ExitStack() as cluster:
        if backend == "dask":
            distributed = pytest.importorskip("distributed")
            workers = distributed.SubprocessCluster(
                n_workers=2, worker_kwargs={"nthreads": 1}, scheduler_kwargs={"dashboard": False}
            )
            cluster.enter_context(distributed.Client(cluster.enter_context(workers)))
        with joblib.parallel_config(backend=backend):
            found = piecewise(n_jobs=2)
            where = compare(Where(), ["sgd"], rates=[0.5, 1.0, 2.0], **SEEDS, n_jobs=2).results["sgd"].test
    if backend == "loky":
        joblib.externals.loky.get_reusable_executor().shutdown()

    assert found == piecewise(n_jobs=1)
    assert (where == os.getpid()).all() == (backend == "threading")


def test_a_task_is_a_rule_at_one_rate_with_all_seeds():
    joblib = pytest.importorskip("joblib")
    problem = Valley(best=3.9)
    with joblib.parallel_config(backend="threading"):
        found = compare(problem, [steady, other], rates=GRID, **SEEDS, extend=2, n_jobs=2)

    assert results(found) == results(compare(Valley(best=3.9), [steady, other], rates=GRID, **SEEDS, extend=2))
    tasks = sorted((rule, *set(lr), *seeds) for rule, lr, seeds, _, _ in problem.calls)
    grid = [*GRID, 8.0, 16.0]
    tuned = [(name, rate, 0, 1, 2) for name in ("steady", "other") for rate in grid]
    reported = [(name, rate, 10, 20) for name, default in (("steady", 0.5), ("other", 0.25)) for rate in (4.0, default)]
    assert tasks == sorted(tuned + reported)


def test_joblib_is_asked_for_only_where_runs_go_elsewhere(monkeypatch):
    monkeypatch.setitem(sys.modules, "joblib", None)
    compare(Valley(), [steady], rates=GRID, **SEEDS)
    problem = Valley()

    with pytest.raises(ImportError, match=r'n_jobs other than 1 needs joblib: pip install "lossopt\[data\]"'):
        compare(problem, [steady], rates=GRID, **SEEDS, n_jobs=2)
    assert problem.calls == []


@pytest.mark.parametrize(("best", "edge", "direction"), [(4.1, "highest", "higher"), (0.2, "lowest", "lower")])
def test_a_best_rate_at_the_edge_of_its_grid_is_an_error_that_names_everything(best, edge, direction):
    with pytest.raises(EdgeError) as caught:
        compare(Valley(best=best), [steady], rates=GRID, **SEEDS)

    error = caught.value
    assert (error.rule, error.edge, error.rate) == ("steady", edge, GRID[0 if edge == "lowest" else -1])
    np.testing.assert_array_equal(error.rates, GRID)
    for part in ("steady", edge, f"{direction} rates", "from 0.25 to 4", "extend"):
        assert part in str(error)


@pytest.mark.parametrize(("best", "extend", "rate"), [(4.1, 1, 4.0), (8.0, 2, 8.0), (0.1, 2, 0.125), (0.2, 1, 0.25)])
def test_a_grid_may_grow_at_the_end_where_the_best_rate_lies(best, extend, rate):
    found = compare(Valley(best=best), [steady], rates=GRID, **SEEDS, extend=extend)

    result = found.results["steady"]
    assert result.rate == pytest.approx(rate, rel=1e-12)
    assert len(result.rates) == 5 + extend
    np.testing.assert_allclose(np.diff(np.log2(result.rates)), 1, rtol=1e-12)
    np.testing.assert_allclose(result.validation[:, 0], abs(np.log2(result.rates / best)), rtol=1e-9, atol=1e-12)


def test_a_grid_that_grew_and_still_has_its_best_rate_at_the_edge_is_an_error():
    with pytest.raises(EdgeError, match=r"grid of 7 from 0\.25 to 16"):
        compare(Valley(best=100), [steady], rates=GRID, **SEEDS, extend=2)


def test_a_rate_at_which_any_tuning_run_diverges_is_never_chosen():
    class Fragile(Valley):
        def run(self, rule, hyper, seeds, steps):
            validation, test = super().run(rule, hyper, seeds, steps)
            return np.where((hyper["lr"] == 2.0) & (seeds == 1), np.nan, validation), test

    found = compare(Fragile(best=2.0), [steady], rates=[0.25, 0.5, 1.0, 2.0, 8.0], **SEEDS)

    assert found.results["steady"].rate == 1.0
    assert found.results["steady"].validation[3, 1] == np.inf


def test_a_rule_that_diverges_at_every_rate_is_an_error():
    with pytest.raises(ValueError, match=r"steady diverged at every rate from 0\.25 to 4; give lower rates"):
        compare(Valley(diverges_above=0.1), [steady], rates=GRID, **SEEDS)


def test_a_run_that_diverges_in_the_report_is_counted_not_averaged_away():
    class Unlucky(Valley):
        def run(self, rule, hyper, seeds, steps):
            validation, test = super().run(rule, hyper, seeds, steps)
            return validation, np.where(seeds == 20, np.nan, test)

    found = compare(Unlucky(), [steady], rates=GRID, **SEEDS)

    assert found.tuned("steady").diverged == 1
    assert found.tuned("steady").mean == math.inf
    assert "diverged (1)" in str(found)


def test_rules_are_ranked_and_tabled_best_first_beside_their_default():
    class Favourite(Valley):
        def run(self, rule, hyper, seeds, steps):
            validation, test = super().run(rule, hyper, seeds, steps)
            return validation, test + (100 if rule is steady else 0)

    found = compare(Favourite(), [steady, other], rates=GRID, **SEEDS)

    assert found.ranking() == ["other", "steady"]
    table = found.table()
    assert list(table.header) == ["rule", "lr", "distance", "default lr", "distance at default lr"]
    half = 12.706204736432095 * math.sqrt(50) / math.sqrt(2)
    assert list(table.rows[0]) == [
        "other", "1", f"15 [{15 - half:.3g}, {15 + half:.3g}]", "0.25", f"35 [{35 - half:.3g}, {35 + half:.3g}]"
    ]  # fmt: skip
    assert table.rows[1][0] == "steady"
    assert found._repr_html_() == table._repr_html_()


def test_two_rules_are_compared_seed_by_seed():
    class Paired(Valley):
        def run(self, rule, hyper, seeds, steps):
            validation, test = super().run(rule, hyper, seeds, steps)
            return validation, test + (3 if rule is steady else 0)

    found = compare(Paired(), [steady, other], rates=GRID, **SEEDS)

    # The seeds differ by 10, the rules by exactly 3 on each: pairing takes the seeds out.
    difference = found.difference("steady", "other")
    assert (difference.mean, difference.low, difference.high) == (3, 3, 3)


def test_hyper_parameters_and_the_schedule_reach_every_run():
    problem = Valley(best=0.5)
    compare(problem, [steady], rates=GRID, **SEEDS, hyper={"steady": {"extra": 5}}, schedule=lambda t, lr: lr / (t + 1))

    for _, lr, _, _, hyper in problem.calls:
        assert hyper["extra"] == 5
        np.testing.assert_array_equal(hyper["lr"](1), lr)
        np.testing.assert_array_equal(hyper["lr"](3), lr / 2)
    assert problem.calls[0][1][0] == 0.25 / 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rules": []}, "at least one"),
        ({"rules": [steady, steady]}, "each rule once"),
        ({"rules": ["adamm"]}, "unknown rule 'adamm', did you mean 'adam'"),
        ({"rules": [rateless]}, "rateless has no hyper-parameter lr"),
        ({"rates": [0.1, 1.0]}, "at least 3 rates"),
        ({"rates": [1.0, 0.1, 10.0]}, "positive and increasing"),
        ({"rates": [0.0, 0.1, 1.0]}, "positive and increasing"),
        ({"rates": [0.1, 1.0, math.nan]}, "positive and increasing"),
        ({"rules": [steady, other], "rates": {"steady": GRID, "other": GRID[:4]}}, "same number of rates"),
        ({"rates": {"other": GRID}}, "rates are given for other"),
        ({"tuning_seeds": [1, 20, 10]}, r"seeds \[10, 20\] are in tuning_seeds and in reporting_seeds"),
        ({"tuning_seeds": [1, 1]}, "tuning_seeds repeats a seed"),
        ({"reporting_seeds": [7, 7]}, "reporting_seeds repeats a seed"),
        ({"tuning_seeds": []}, "tuning_seeds must hold at least 1"),
        ({"reporting_seeds": [9]}, "reporting_seeds must hold at least 2"),
        ({"steps": 0}, "steps must be >= 1"),
        ({"extend": -1}, "extend must be >= 0"),
        ({"level": 95}, "level must lie between 0 and 1"),
        ({"hyper": {"other": {}}}, "hyper names 'other'"),
        ({"hyper": {"steady": {"lr": 1}}}, "lr is what is tuned"),
    ],
)
def test_a_comparison_that_would_not_be_fair_is_refused_before_anything_runs(change, message):
    problem = Valley()
    arguments = {"rules": [steady], "rates": GRID, **SEEDS} | change

    with pytest.raises(ValueError, match=message):
        compare(problem, arguments.pop("rules"), **arguments)
    assert problem.calls == []


# Estimates and grids ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "freedom", "t"),
    [  # two-sided quantiles, as printed in any table of Student's distribution
        (0.95, 1, 12.706205), (0.95, 2, 4.302653), (0.95, 4, 2.776445), (0.95, 9, 2.262157), (0.95, 30, 2.042272),
        (0.99, 1, 63.656741), (0.99, 5, 4.032143), (0.90, 3, 2.353363), (0.50, 7, 0.711142),
    ],
)  # fmt: skip
def test_the_quantile_of_student_is_that_of_the_tables(level, freedom, t):
    assert module._student(level, freedom) == pytest.approx(t, abs=6e-7)


def test_an_interval_is_the_mean_and_t_standard_errors_to_each_side():
    found = estimate([1.0, 2.0, 3.0, 4.0])

    half = 3.182446305284263 * math.sqrt(5 / 3) / 2
    assert found.mean == 2.5
    assert found.low == pytest.approx(2.5 - half, rel=1e-12)
    assert found.high == pytest.approx(2.5 + half, rel=1e-12)


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    intervals = [estimate(rng.normal(5, 2, size=4), 0.9) for _ in range(2000)]

    covered = np.mean([found.low <= 5 <= found.high for found in intervals])
    assert covered == pytest.approx(0.9, abs=3 * math.sqrt(0.9 * 0.1 / 2000))


@pytest.mark.parametrize(("samples", "level"), [([1.0], 0.95), ([[1.0, 2.0]], 0.95), ([1.0, 2.0], 1.0), ([1, 2], 0)])
def test_an_interval_needs_two_samples_and_a_level(samples, level):
    with pytest.raises(ValueError, match="estimate: "):
        estimate(samples, level)


def test_a_log_grid_holds_both_ends_and_equal_ratios():
    np.testing.assert_allclose(log_grid(1e-3, 1.0, 2), 10 ** np.array([-3, -2.5, -2, -1.5, -1, -0.5, 0]), rtol=1e-12)
    assert log_grid(0.3, 2.9, 1)[-1] == pytest.approx(3)
    assert len(log_grid(1e-4, 1e-1, 3)) == 10


@pytest.mark.parametrize("arguments", [(0, 1, 2), (1, 1, 2), (2, 1, 2), (-1, 1, 2), (1, math.inf, 2), (0.1, 1, 0)])
def test_a_log_grid_without_range_or_points_is_refused(arguments):
    with pytest.raises(ValueError, match="log_grid: "):
        log_grid(*arguments)


# Tables -----------------------------------------------------------------------------------------------------


def test_a_table_reads_in_a_terminal_in_markdown_and_in_html():
    table = Table(["rule", "a|b"], [["x<y", "1"], ["zz", "200"]])

    assert str(table).splitlines() == ["rule  a|b", "----  ---", "x<y     1", "zz    200"]
    assert repr(table) == str(table)
    assert table._repr_markdown_().splitlines() == [
        "| rule | a\\|b |", "| --- | ---: |", "| x<y | 1 |", "| zz | 200 |"
    ]  # fmt: skip
    html = table._repr_html_()
    assert '<th scope="row">x&lt;y</th><td>1</td>' in html
    assert html.count("<tr>") == 3


def test_a_comparison_can_be_made_by_hand_and_shown():
    result = Result(np.array(GRID), np.ones((5, 3)), 2, 0.5, np.array([1.0, 2.0]), np.array([3.0, 5.0]))
    found = Comparison("p", "error", 10, (0, 1, 2), (3, 4), {"mine": result})

    assert result.rate == 1.0
    assert found.untuned("mine").mean == 4
    assert str(found).startswith("rule")


def test_a_comparison_comes_back_from_its_text_number_by_number():
    result = Result(np.array(GRID), np.full((5, 3), 1 / 3), 2, 0.5, np.array([1.0, np.inf]), np.array([np.nan, 5.0]))
    found = Comparison("p", "error", 10, (0, 1, 2), (3, 4), {"mine": result}, level=0.9)

    back = Comparison.from_json(found.to_json())

    assert dataclasses.replace(back, results={}) == dataclasses.replace(found, results={})
    for name, value in vars(result).items():
        np.testing.assert_array_equal(getattr(back.results["mine"], name), value)
    assert str(back) == str(found)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"results": {"mine": {"rates": [1]}}}', '{"results": 3}'])
def test_text_that_is_no_comparison_is_refused(text):
    with pytest.raises(ValueError, match=r"Comparison\.from_json: the text is not a comparison"):
        Comparison.from_json(text)


# The best rate of a grid ------------------------------------------------------------------------------------


def test_the_best_rate_is_the_lowest_of_those_with_the_lowest_score():
    assert best_rate("mine", GRID, [3, 1, 1, np.nan, np.inf]) == 1


@pytest.mark.parametrize(("scores", "edge"), [([0, 1, 1, 1, 1], "lowest"), ([1, 1, 1, 1, 0], "highest")])
def test_a_best_rate_at_an_edge_is_refused(scores, edge):
    with pytest.raises(EdgeError, match=f"mine's best rate .* is the {edge} of its grid of 5"):
        best_rate("mine", GRID, scores)


def test_a_best_rate_needs_a_finite_score_for_some_rate_and_one_score_for_each():
    with pytest.raises(ValueError, match=r"mine diverged at every rate from 0\.25 to 4"):
        best_rate("mine", GRID, [np.nan] * 5)
    with pytest.raises(ValueError, match=r"mine needs one score a rate, got shapes \(4,\) and \(5,\)"):
        best_rate("mine", GRID, [1, 2, 3, 4])


# Performance profiles ---------------------------------------------------------------------------------------


def test_a_profile_counts_the_problems_on_which_a_rule_comes_within_a_factor_of_the_best():
    scores = {"a": [1.0, 30.0, 0.2, 5.0], "b": [2.0, 10.0, 0.2, np.inf], "c": [4.0, 20.0, 0.3, np.nan]}

    profile = performance_profile(scores, [1, 2, 3, 4, 1e9])

    assert list(profile) == ["a", "b", "c"]
    # Ratios: a 1, 3, 1, 1; b 2, 1, 1, failed; c 4, 2, 1.5, failed.
    np.testing.assert_array_equal(profile["a"], [0.75, 0.75, 1, 1, 1])
    np.testing.assert_array_equal(profile["b"], [0.5, 0.75, 0.75, 0.75, 0.75])
    np.testing.assert_array_equal(profile["c"], [0, 0.5, 0.5, 0.75, 0.75])


def test_a_profile_has_the_shape_of_its_factors_and_begins_with_the_share_of_firsts():
    scores = {"a": [1.0, 3.0, 3.0], "b": [2.0, 1.0, 3.0]}

    assert {name: float(share) for name, share in performance_profile(scores).items()} == {"a": 2 / 3, "b": 2 / 3}
    assert performance_profile(scores, np.ones((2, 4)))["a"].shape == (2, 4)


def test_the_unit_of_a_problem_is_of_no_concern_to_a_profile():
    rng = np.random.default_rng(0)
    scores, unit = rng.lognormal(size=(3, 50)), 2.0 ** rng.integers(-60, 60, size=50)
    factors = np.linspace(1, 5, 9)

    before = performance_profile(dict(zip("abc", scores, strict=True)), factors)
    after = performance_profile(dict(zip("abc", scores * unit, strict=True)), factors)

    for name, share in before.items():
        np.testing.assert_array_equal(share, after[name])
        assert (np.diff(share) >= 0).all()
    assert sum(share[0] for share in before.values()) == pytest.approx(1)  # one first a problem: no ties here


@pytest.mark.parametrize(
    ("scores", "factors", "message"),
    [
        ({}, 1, "scores is empty"),
        ({"a": [1.0, 2.0], "b": [1.0]}, 1, r"one score a problem, but a has shape \(2,\), b has shape \(1,\)"),
        ({"a": [[1.0, 2.0]]}, 1, r"a has shape \(1, 2\)"),
        ({"a": []}, 1, r"a has shape \(0,\)"),
        ({"a": [1.0], "b": [0.0]}, 1, "scores must be positive, but b has 0"),
        ({"a": [1.0, -2.0]}, 1, "scores must be positive, but a has -2"),
        ({"a": [1.0]}, [2, 0.5], "a factor must be >= 1, got"),
        ({"a": [1.0]}, math.nan, "a factor must be >= 1, got nan"),
        ({"a": [1.0, np.nan], "b": [2.0, np.inf]}, 1, "every rule failed on problem 1"),
    ],
)
def test_scores_without_a_profile_are_refused(scores, factors, message):
    with pytest.raises(ValueError, match=f"performance_profile: .*{message}"):
        performance_profile(scores, factors)
