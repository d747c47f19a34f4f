"""Problems to compare on: many trainings in one array equal each training alone, and say honestly how it went."""

import dataclasses

import numpy as np
import pytest

from lossopt import nn
from lossopt.compare import compare, log_grid
from lossopt.data import Data, Examples, batches
from lossopt.landscapes import LANDSCAPES, quadratic
from lossopt.losses import squared_error
from lossopt.problems import Classifier, LandscapeProblem, LinearModel, digits_mlp, separable, sparse_logistic
from lossopt.rules import RULES

# Landscapes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [4.0, 10.0])
def test_the_best_rate_of_gradient_descent_on_a_quadratic_is_two_over_the_sum_of_its_curvatures(condition):
    best = 2 / (1 + condition)
    grid = best * 1.1 ** np.arange(-6, 6)

    found = compare(
        LandscapeProblem(quadratic(condition=condition)), ["sgd"], rates=grid,
        tuning_seeds=range(20), reporting_seeds=range(20, 25), steps=60,
    )  # fmt: skip

    assert found.results["sgd"].rate == pytest.approx(best, rel=1e-12)


def test_many_runs_on_a_landscape_equal_each_run_alone():
    problem = LandscapeProblem(LANDSCAPES["beale"])
    rates, seeds = np.array([0.001, 0.003, 0.01]), np.array([5, 6, 5])
    together, _ = problem.run(RULES["adam"].rule, {"lr": rates}, seeds, 50)

    for i in range(3):
        alone, _ = problem.run(RULES["adam"].rule, {"lr": rates[i : i + 1]}, seeds[i : i + 1], 50)
        assert together[i] == alone[0]
    assert len(set(together)) == 3


def test_a_seed_is_a_start_near_that_of_the_landscape():
    landscape = quadratic(condition=10.0)
    standing = {"lr": np.array([0.0, 0.0, 0.0])}
    gaps, _ = LandscapeProblem(landscape).run(RULES["sgd"].rule, standing, np.array([5, 6, 5]), 1)
    still, _ = LandscapeProblem(landscape, jitter=0).run(RULES["sgd"].rule, standing, np.array([5, 6, 5]), 1)

    assert gaps[0] == gaps[2] != gaps[1]
    np.testing.assert_allclose(still, landscape(*landscape.start), rtol=1e-12)


def test_a_run_that_leaves_a_landscape_for_good_has_diverged():
    problem = LandscapeProblem(quadratic(condition=10.0))

    score, _ = problem.run(RULES["sgd"].rule, {"lr": np.array([0.1, 5.0])}, np.array([0, 0]), 200)

    assert np.isfinite(score[0])
    assert score[1] == np.inf


def test_a_landscape_without_a_minimum_is_no_problem_to_compare_on():
    with pytest.raises(ValueError, match="saddle: has no minimum"):
        LandscapeProblem(LANDSCAPES["saddle"]).run(RULES["sgd"].rule, {"lr": np.array([0.1])}, np.array([0]), 5)


# Classifiers ------------------------------------------------------------------------------------------------


def two_clouds():
    """Points on two sides of a line, with wrong labels for all of the test part and the last 250 of the validation."""
    rng = np.random.default_rng(0)
    parts = []
    for n in (64, 1250, 24):
        y = rng.integers(2, size=n)
        x = rng.normal(size=(n, 3)) * 0.3
        x[:, 0] += 2 * y - 1
        parts.append(Examples(x.astype(np.float32), y))
    train, validation, test = parts
    validation.y[1000:] = 1 - validation.y[1000:]
    data = Data(train, validation, Examples(test.x, 1 - test.y))

    def network(rngs, runs):
        layers = nn.Linear(3, 8, rng=rngs, runs=runs), nn.ReLU(), nn.Linear(8, 2, rng=rngs, runs=runs)
        return nn.Sequential(*layers)

    return Classifier("clouds", data, network, batch=16)


def test_a_classifier_learns_and_reports_percent_wrong_on_each_part():
    validation, test = two_clouds().run(RULES["sgd"].rule, {"lr": np.array([0.5])}, np.array([0]), 100)

    assert validation[0] == pytest.approx(20, abs=1)
    assert test[0] == pytest.approx(100, abs=5)


def test_two_steps_of_a_classifier_are_those_made_by_hand():
    problem = two_clouds()
    made = []

    def network(rngs, runs):
        made.append(nn.Linear(3, 2, rng=rngs, runs=runs, dtype=np.float64))
        return made[0]

    dataclasses.replace(problem, network=network).run(RULES["sgd"].rule, {"lr": np.array([0.5])}, np.array([7]), 2)

    rng = np.random.default_rng(7)
    start = nn.Linear(3, 2, rng=rng, dtype=np.float64)
    weight, bias = start.weight.data, start.bias.data
    for index in list(batches(64, 16, rng))[:2]:
        x, y = problem.data.train.x[index], problem.data.train.y[index]
        odds = np.exp(x @ weight.T + bias)
        gradient = odds / odds.sum(1, keepdims=True) - np.eye(2)[y]
        weight, bias = weight - 0.5 * gradient.T @ x / 16, bias - 0.5 * gradient.mean(0)
    np.testing.assert_allclose(made[0].weight.data[0], weight, rtol=1e-12)
    np.testing.assert_allclose(made[0].bias.data[0], bias, rtol=1e-12)


@pytest.mark.parametrize("name", [rule.name for rule in RULES.values() if not rule.matrices_only])
def test_many_networks_equal_each_network_alone(name):
    problem = two_clouds()
    rates, seeds = np.array([0.02, 0.02, 0.3, 0.02]), np.array([5, 6, 5, 6])

    class Watched(Classifier):
        """Remembers the trained weights, which say more than percentages."""

        def run(self, *arguments):
            made = []
            keep = dataclasses.replace(problem, network=lambda *a: made.append(problem.network(*a)) or made[0])
            keep.run(*arguments)
            return made[0].state_dict()

    watched = Watched("clouds", problem.data, problem.network)
    together = watched.run(RULES[name].rule, {"lr": rates}, seeds, 12)
    for i in range(4):
        alone = watched.run(RULES[name].rule, {"lr": rates[i : i + 1]}, seeds[i : i + 1], 12)
        for key, weights in alone.items():
            np.testing.assert_array_equal(together[key][i], weights[0])
    assert not np.array_equal(together["0.weight"][0], together["0.weight"][1])  # the seed matters
    assert not np.array_equal(together["0.weight"][0], together["0.weight"][2])  # the rate matters
    np.testing.assert_array_equal(together["0.weight"][1], together["0.weight"][3])  # a seed repeats


def test_a_network_that_blows_up_has_diverged():
    with np.errstate(all="ignore"):
        rates = {"lr": np.array([0.1, 1e30])}
        validation, test = two_clouds().run(RULES["sgd"].rule, rates, np.array([0, 0]), 60)

    assert np.isfinite([validation[0], test[0]]).all()
    assert np.isnan([validation[1], test[1]]).all()


def test_the_loss_of_a_classifier_can_be_another():
    problem = two_clouds()
    flat = dataclasses.replace(problem, loss=lambda logits, labels: 0 * logits.sum(-1))
    arguments = RULES["sgd"].rule, {"lr": np.array([0.5])}, np.array([0])

    assert flat.run(*arguments, 50) == flat.run(*arguments, 1) != problem.run(*arguments, 50)


def test_the_digits_are_learnt_by_rules_tuned_on_equal_budgets():
    pytest.importorskip("sklearn")
    found = compare(
        digits_mlp(hidden=16), ["sgd", "adam"],
        rates={"sgd": log_grid(0.05, 5.0, 1), "adam": log_grid(1e-3, 0.1, 1)},
        tuning_seeds=[0], reporting_seeds=[1, 2], steps=204, extend=1,
        schedule=lambda t, lr: lr * (1 - (t - 1) / 204),
    )  # fmt: skip

    assert found.problem == "digits 64-16-10"
    assert {len(result.rates) for result in found.results.values()} == {4}
    for name in found.results:
        assert found.tuned(name).mean < 15
    assert found.untuned("sgd").mean > 50  # the default rate, 0.001, hardly moves it: defaults rank the defaults


# Linear models ----------------------------------------------------------------------------------------------


def line(batch=2):
    """Six training examples with two features; the answers of the validation and test parts are 1 and 3 above them."""

    def draw(rng):
        x = rng.normal(size=(6, 2))
        y = x @ [1.0, -2.0]
        return Data(Examples(x, y), Examples(x, y + 1), Examples(x, y + 3))

    return LinearModel("line", draw, squared_error, batch)


def test_steps_of_a_linear_model_are_those_made_by_hand_and_go_through_the_data_again_and_again():
    validation, test = line().run(RULES["sgd"].rule, {"lr": np.array([0.1])}, np.array([7]), 4)

    train = line().draw(np.random.default_rng(7)).train
    w = np.zeros(2)
    for rows in (slice(0, 2), slice(2, 4), slice(4, 6), slice(0, 2)):
        x, y = train.x[rows], train.y[rows]
        w -= 0.1 * 2 * (x @ w - y) @ x / 2
    rest = train.x @ w - train.y
    np.testing.assert_allclose(validation, ((rest - 1) ** 2).mean(), rtol=1e-12)
    np.testing.assert_allclose(test, ((rest - 3) ** 2).mean(), rtol=1e-12)


@pytest.mark.parametrize(
    "problem", [line(), line(batch=6), separable(4), sparse_logistic(20, 40)], ids=lambda p: p.name
)
def test_many_linear_models_equal_each_alone(problem):
    rates, seeds = np.array([0.02, 0.02, 0.1, 0.02]), np.array([5, 6, 5, 6])
    together = np.array(problem.run(RULES["adam"].rule, {"lr": rates}, seeds, 12))

    for i in range(4):
        alone = problem.run(RULES["adam"].rule, {"lr": rates[i : i + 1]}, seeds[i : i + 1], 12)
        np.testing.assert_allclose(together[:, [i]], alone, rtol=1e-12)
    assert len(set(together[1])) == 3


def test_a_linear_model_that_blows_up_has_diverged():
    with np.errstate(all="ignore"):
        _, test = line().run(RULES["sgd"].rule, {"lr": np.array([0.1, 1e200])}, np.array([0, 0]), 60)

    assert np.isfinite(test).tolist() == [True, False]


def test_a_batch_that_does_not_divide_the_examples_is_refused():
    with pytest.raises(ValueError, match="line: batch 4 does not divide the 6 training examples"):
        line(batch=4).run(RULES["sgd"].rule, {"lr": np.array([0.1])}, np.array([0]), 1)


def test_in_the_separable_data_each_training_example_has_features_of_its_own_and_unseen_ones_have_none():
    data = separable(20).draw(np.random.default_rng(0))

    for examples in data:
        np.testing.assert_array_equal(examples.x[:, 0], examples.y)
        assert (examples.x[:, 1:3] == 1).all()
        assert 0.4 < (examples.y == 1).mean() < 0.8
    own = data.train.x[:, 3:]
    assert own.sum(axis=0).max() == 1
    np.testing.assert_array_equal(own.sum(axis=1), np.where(data.train.y == 1, 1, 5))
    assert not data.test.x[:, 3:].any()


def test_in_the_sparse_data_the_features_grow_rare_and_an_example_has_about_ten():
    x = sparse_logistic().draw(np.random.default_rng(0)).train.x

    assert set(np.unique(x)) == {0, 1}
    assert 8 < x.sum(axis=1).mean() < 11
    assert x[:, 19].mean() == pytest.approx(2 * x[:, 39].mean(), rel=0.3)
    assert x[:, 0].mean() == pytest.approx(0.5, abs=0.05)


def test_the_truth_of_the_sparse_data_can_be_learnt_and_is_one_for_all_seeds():
    low, _ = sparse_logistic(20, 400).run(RULES["adam"].rule, {"lr": np.array([0.1])}, np.array([3]), 300)
    never, _ = sparse_logistic(20, 400).run(RULES["adam"].rule, {"lr": np.array([0.0])}, np.array([3]), 300)

    assert never[0] == pytest.approx(np.log(2), rel=1e-12)
    assert low[0] < 0.6 * never[0]
