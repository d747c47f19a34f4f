import io
import sys

import numpy as np
import pytest

from lossopt import optim
from lossopt.landscapes import LANDSCAPES
from lossopt.optim import minimize
from lossopt.rules import adam, adamw, momentum, muon, nadam, sgd
from lossopt.rules.registry import RULES

ROSENBROCK = LANDSCAPES["rosenbrock"]
STARTS = np.array([[-1.0, 0.5, 2.0], [1.5, -0.3, 0.1]])
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)


def bowl(x, y):
    return x * x + 10 * y * y


class HalfBowl:
    def __call__(self, x, y):
        return (x * x + y * y) / 2

    def gradient(self, x, y):
        return x, y


HALF_BOWL = HalfBowl()


def other_values(rule):
    """Every hyper-parameter that is not a whole number, as it is by default and otherwise."""
    return {name: np.array([d, 0.9 * d + 1e-3]) for name, d in rule.hyper.items() if isinstance(d, float)}


def assert_equals_runs_one_by_one(sweep, rule, f, w0, hyper, **others):
    runs = sweep.points.shape[2:]
    for run in np.ndindex(runs):
        own = {name: np.broadcast_to(value, runs)[run].item() for name, value in hyper.items()}
        single = minimize(rule, f, np.broadcast_to(w0, (2, *runs))[:, *run], len(sweep.points) - 1, **own, **others)
        assert single.points.shape == (len(sweep.points), 2)
        assert np.array_equal(sweep.points[:, :, *run], single.points, equal_nan=True)
        assert np.array_equal(sweep.loss[:, *run], single.loss, equal_nan=True)
        assert sweep.left_window[run] == single.left_window
        assert sweep.diverged[run] == single.diverged


@every_rule
def test_a_sweep_equals_its_runs_one_by_one(rule):
    values = {name: value[:, None] for name, value in other_values(rule).items()}
    sweep = minimize(rule.rule, ROSENBROCK, STARTS[:, None, :], 12, **values)
    assert sweep.points.shape == (13, 2, 2, 3)
    assert_equals_runs_one_by_one(sweep, rule.rule, ROSENBROCK, STARTS[:, None, :], values)


@every_rule
def test_an_open_grid_equals_its_runs_one_by_one(rule):
    axes = dict(zip(other_values(rule), ((2, 1), (2,), (2, 1, 1)), strict=False))
    values = {name: other_values(rule)[name].reshape(shape) for name, shape in axes.items()}
    sweep = minimize(rule.rule, ROSENBROCK, [-1.0, 0.5], 12, **values)
    w0 = np.array([-1.0, 0.5]).reshape(2, *[1] * (sweep.points.ndim - 2))
    assert_equals_runs_one_by_one(sweep, rule.rule, ROSENBROCK, w0, values)


@every_rule
def test_starting_points_equal_their_runs_one_by_one(rule):
    sweep = minimize(rule.rule, bowl, STARTS, 12)
    assert_equals_runs_one_by_one(sweep, rule.rule, bowl, STARTS, {})


@every_rule
def test_a_run_is_the_loop_written_out(rule):
    shape = (2, 1) if rule.matrices_only else (2,)
    w, state = np.array([-1.0, 0.5]).reshape(shape), [0.0] * len(rule.state)
    path = minimize(rule.rule, HALF_BOWL, [-1.0, 0.5], 10)
    for t in range(1, 11):
        g = w.copy()
        w, *state = rule.rule(w, g, t, *state, **rule.hyper) if rule.state else (rule.rule(w, g, t, **rule.hyper),)
        assert np.array_equal(path.points[t], w.reshape(2))
    assert path.loss[-1] == HALF_BOWL(*w.reshape(2))


def test_a_hundred_steps_by_hand_are_a_hundred_steps():
    path = minimize(sgd, bowl, [1.0, 1.0], 100, lr=0.01)
    assert path.points[:, 0] == pytest.approx(0.98 ** np.arange(101), rel=1e-12)
    assert path.points[:, 1] == pytest.approx(0.8 ** np.arange(101), rel=1e-12)
    assert path.loss[0] == 11


def test_a_function_of_tensors_and_a_landscape_give_the_same_path():
    def rosenbrock(x, y):
        return (1 - x) ** 2 + 100 * (y - x * x) ** 2

    assert ROSENBROCK(0.3, 0.7) == pytest.approx(rosenbrock(0.3, 0.7))
    by_tape = minimize(adam, rosenbrock, STARTS, 50, lr=0.01)
    by_hand = minimize(adam, ROSENBROCK, STARTS, 50, lr=0.01)
    assert by_tape.points == pytest.approx(by_hand.points, rel=1e-9)


def test_a_coordinate_that_the_function_ignores_stays():
    path = minimize(sgd, lambda x, y: x * x, [1.0, 2.0], 3, lr=0.1)
    assert path.points[:, 1].tolist() == [2.0] * 4


def test_functions_of_the_step_are_called_with_steps_from_one():
    path = minimize(sgd, lambda x: x, [0.0], 4, lr=lambda t: 10.0**-t)
    assert np.diff(-path.points[:, 0]) == pytest.approx([0.1, 0.01, 0.001, 0.0001])


@every_rule
def test_a_constant_function_of_the_step_is_the_constant(rule):
    constants = {name: (lambda t, d=d: d) for name, d in rule.hyper.items()}
    scheduled, constant = (minimize(rule.rule, ROSENBROCK, STARTS, 5, **hyper) for hyper in (constants, {}))
    assert np.array_equal(scheduled.points, constant.points, equal_nan=True)


def test_a_function_of_the_step_may_give_one_value_a_run():
    path = minimize(sgd, lambda x: x, [0.0], 2, lr=lambda t: np.array([1.0, 2.0]) / t)
    assert path.points[:, 0].tolist() == [[0, 0], [-1, -2], [-1.5, -3]]


def test_weight_decay_is_l2_unless_the_rule_has_its_own():
    penalised = minimize(adam, bowl, STARTS, 20, lr=0.1, weight_decay=0.5)
    by_hand = minimize(adam, lambda x, y: bowl(x, y) + 0.25 * (x * x + y * y), STARTS, 20, lr=0.1)
    assert penalised.points == pytest.approx(by_hand.points, rel=1e-9)
    decoupled = minimize(adamw, bowl, STARTS, 20, lr=0.1, weight_decay=0.5)
    assert abs(decoupled.points - penalised.points).max() > 0.01


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_precision_of_the_start_is_kept(dtype):
    path = minimize(nadam, ROSENBROCK, STARTS.astype(dtype), 3, lr=np.array([0.1, 0.2, 0.3]))
    assert path.points.dtype == path.loss.dtype == dtype


def test_whole_numbers_start_as_float64():
    assert minimize(sgd, bowl, [1, 2], 1).points.dtype == np.float64


def test_the_first_step_outside_the_window_is_noted():
    class Slope:
        window = ((-1.0, 1.0), (-2.0, 2.0))

        def __call__(self, x, y):
            return -x

        def gradient(self, x, y):
            return -1.0, 0.0

    starts = [[0.0, 0.0, 3.0, 0.0], [0.0, 0.0, 0.0, 0.0]]
    path = minimize(sgd, Slope(), starts, 5, lr=np.array([0.4, 0.1, 0.1, 0.5]))
    assert path.left_window.tolist() == [3, -1, 0, 3]  # the edge, where the last run is after two steps, is inside
    assert path.diverged.tolist() == [-1] * 4
    assert minimize(sgd, bowl, [1e5, 0.0], 3, lr=0.01).left_window == -1


def test_the_first_step_that_is_far_or_not_finite_is_noted():
    path = minimize(sgd, lambda x: -x, [[0.0, 999_999.0, 0.0]], 3, lr=np.array([1.0, 1.0, 1e7]))
    assert path.diverged.tolist() == [-1, 2, 1]
    with np.errstate(all="ignore"):
        assert minimize(sgd, lambda x: (x - 3).log(), [4.0], 2, lr=1.0).diverged == 1


def test_a_run_that_diverges_warns_of_nothing_and_leaves_the_others_alone():
    path = minimize(momentum, ROSENBROCK, [-1.0, 0.5], 200, lr=np.array([1e-4, 1.0]))
    assert path.diverged[0] == -1
    assert path.diverged[1] > 0
    assert np.isfinite(path.points[..., 0]).all()


def test_noise_is_gaussian_in_the_gradient_and_repeats_with_its_generator():
    paths = [minimize(sgd, lambda x: 0 * x, np.zeros((1, 4000)), 1, lr=1.0, noise=0.5) for _ in range(2)]
    assert np.array_equal(paths[0].points, paths[1].points)
    assert paths[0].points[1].std() == pytest.approx(0.5, rel=0.05)
    other = minimize(sgd, lambda x: 0 * x, np.zeros((1, 4000)), 1, lr=1.0, noise=0.5, rng=np.random.default_rng(1))
    assert not np.array_equal(paths[0].points, other.points)


def test_nothing_that_was_passed_is_changed():
    w0, lr = STARTS.copy(), np.array([0.1, 0.2, 0.3])
    path = minimize(adam, ROSENBROCK, w0, 3, lr=lr)
    path.points[...] = 0
    assert np.array_equal(w0, STARTS)
    assert lr.tolist() == [0.1, 0.2, 0.3]


def test_a_path_says_what_it_is():
    path = minimize(adam, bowl, STARTS, 7, lr=0.5)
    assert path.rule == "adam"
    assert path.hyper == {"lr": 0.5, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0}
    assert repr(path) == "Path(adam, 7 steps in 2 coordinates, runs (3,))"


def test_long_work_shows_a_progress_bar_and_short_work_none(monkeypatch, capsys):
    pytest.importorskip("tqdm")
    minimize(sgd, bowl, [1.0, 1.0], 20)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(optim, "LONG", 0.0)
    minimize(sgd, bowl, [1.0, 1.0], 20)
    assert "20/20" in capsys.readouterr().err


def test_long_work_runs_without_tqdm(monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    monkeypatch.setattr(optim, "LONG", 0.0)
    assert len(minimize(sgd, bowl, [1.0, 1.0], 20).points) == 21


def never(*_):
    raise AssertionError("something ran before the arguments were checked")


never.gradient = never


@pytest.mark.parametrize(
    ("arguments", "hyper", "error", "message"),
    [
        ((adam, never, [1.0], 1), {"lr": -1.0}, ValueError, r"adam: lr must lie in \[0, inf\), got -1.0"),
        ((adam, never, [1.0], 1), {"lr": np.array([0.1, np.nan])}, ValueError, r"adam: lr must lie in .*, got nan"),
        ((adam, never, [1.0], 1), {"beta1": 1.0}, ValueError, r"adam: beta1 must lie in \[0, 1\), got 1.0"),
        (
            (adam, never, [1.0], 1),
            {"beta_1": 0.9},
            TypeError,
            "adam: unknown hyper-parameter 'beta_1', did you mean 'beta1'",
        ),
        ((adam, never, [1.0], 1), {"lr": lambda t: -t}, ValueError, "step 1: lr must lie in"),
        ((adam, never, [1.0], 1), {"weight_decay": -0.1}, ValueError, "adam: weight_decay must lie in"),
        ((adam, never, [1.0], 0), {}, ValueError, "steps must be at least 1, got 0"),
        ((adam, never, [1.0], 2.5), {}, TypeError, "steps must be a whole number, got 2.5"),
        ((adam, never, 1.0, 1), {}, ValueError, r"w0 must have shape \(d,\) or \(d, \*runs\), got \(\)"),
        ((adam, never, [], 1), {}, ValueError, "w0 must have shape"),
        ((adam, never, [np.nan], 1), {}, ValueError, "w0 must be finite"),
        ((adam, never, [1j], 1), {}, TypeError, "w0 must hold real numbers, got complex128"),
        ((adam, never, STARTS, 1), {"lr": np.ones(2)}, ValueError, r"do not broadcast: w0 \(3,\), lr \(2,\)"),
        ((adam, never, [1.0], 1), {"noise": -1.0}, ValueError, r"noise must lie in \[0, inf\), got -1.0"),
        (("adam", never, [1.0], 1), {}, TypeError, "a rule is a function such as lossopt.rules.adam, got 'adam'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_runs(arguments, hyper, error, message):
    with pytest.raises(error, match=message):
        minimize(*arguments, **hyper)


def test_a_function_that_mixes_the_runs_is_refused():
    with pytest.raises(ValueError, match=r"f must give one value a run, a Tensor of shape \(3,\), got shape \(\)"):
        minimize(sgd, lambda x, y: (x * y).sum(), STARTS, 1)
    with pytest.raises(ValueError, match=r"a Tensor of shape \(1,\), got 3.0"):
        minimize(sgd, lambda x, y: 3.0, [1.0, 1.0], 1)


def test_a_rule_for_matrices_sees_the_point_of_a_run_as_a_column():
    seen = set()

    class Watched:
        def __call__(self, x, y):
            return x + y

        def gradient(self, x, y):
            seen.add(x.shape)
            return 1.0, 1.0

    path = minimize(muon, Watched(), STARTS, 2)
    assert path.points.shape == (3, 2, 3)
    assert seen == {(3,)}


def test_paths_can_be_saved_without_pickle():
    path = minimize(sgd, bowl, STARTS, 3)
    file = io.BytesIO()
    np.savez(file, points=path.points, loss=path.loss)
    file.seek(0)
    assert np.array_equal(np.load(file, allow_pickle=False)["points"], path.points)
