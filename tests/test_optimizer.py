import copy
import io

import numpy as np
import pytest

from lossopt.optim import Optimizer
from lossopt.rules import adam, adamw, lamb, momentum, muon, sgd, shampoo
from lossopt.rules.registry import RULES
from lossopt.tensor import tensor

SHAPES = [(3, 4), (2, 5)]
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)


def parameters(shapes=SHAPES, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [tensor(rng.standard_normal(shape).astype(dtype), requires_grad=True) for shape in shapes]


def gradients(t, params):
    """The gradients of step t, one coordinate of which is always zero."""
    for i, parameter in enumerate(params):
        g = np.random.default_rng([t, i]).standard_normal(parameter.shape).astype(parameter.dtype)
        g[..., -1:] = 0
        parameter.grad = tensor(g)


def train(optimizer, params, steps):
    for t in steps:
        gradients(t, params)
        optimizer.step()


def values(params):
    return [parameter.data.copy() for parameter in params]


def same(these, those):
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(these, those, strict=True))


def same_dicts(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


def called(rule, w, g, t, state, hyper):
    return rule.rule(w, g, t, *state, **hyper) if rule.state else (rule.rule(w, g, t, **hyper),)


def through_a_file(state_dict):
    file = io.BytesIO()
    np.savez(file, **state_dict)
    file.seek(0)
    return dict(np.load(file, allow_pickle=False))


# What it computes


@every_rule
def test_it_is_the_loop_over_the_rule(rule):
    params = parameters()
    expected = [[w, *[0.0] * len(rule.state)] for w in values(params)]
    optimizer = Optimizer(params, rule.rule)
    for t in range(1, 21):
        gradients(t, params)
        for i, (w, *state) in enumerate(expected):
            expected[i] = list(called(rule, w, params[i].grad.data, t, state, rule.hyper))
        optimizer.step()
    assert same(values(params), [w for w, *_ in expected])


@every_rule
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numba_trains_as_numpy_does(rule, dtype, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr("lossopt.engine.ENGINES", {"numpy": 0, "numba": 0})
    trained = []
    for engine in ("numpy", "numba"):
        params = parameters(dtype=dtype)
        train(Optimizer(params, rule.rule, engine=engine), params, range(1, 6))
        trained.append(values(params))
    assert same(*trained)


@every_rule
def test_runs_in_one_array_train_as_each_by_itself(rule):
    shapes, hyper = [(3, 3, 4), (3, 2, 5)], {"lr": RULES[rule.name].hyper["lr"] * np.array([1.0, 0.3, 2.0])}
    params = parameters(shapes)
    start = values(params)
    train(Optimizer(params, rule.rule, runs=3, **hyper), params, range(1, 9))
    for run in range(3):
        own = [tensor(w[run], requires_grad=True) for w in start]
        optimizer = Optimizer(own, rule.rule, lr=hyper["lr"][run].item())
        for t in range(1, 9):
            gradients(t, params)
            for parameter, whole in zip(own, params, strict=True):
                parameter.grad = tensor(whole.grad.data[run])
            optimizer.step()
        assert same(values(own), [parameter.data[run] for parameter in params])


@every_rule
def test_groups_are_separate_optimizers(rule):
    together, apart = parameters(), parameters()
    lr = rule.hyper["lr"]
    optimizers = [Optimizer(apart[:1], rule.rule, lr=lr / 2), Optimizer(apart[1:], rule.rule)]
    train(
        Optimizer([{"params": together[:1], "lr": lr / 2}, {"params": together[1:]}], rule.rule), together, range(1, 6)
    )
    for t in range(1, 6):
        gradients(t, apart)
        for optimizer in optimizers:
            optimizer.step()
    assert same(values(together), values(apart))


def test_a_group_may_have_a_rule_of_its_own():
    together, apart = parameters([(3, 4), (4,)]), parameters([(3, 4), (4,)])
    groups = [{"params": together[:1], "rule": muon, "lr": 0.5}, {"params": together[1:]}]
    optimizer = Optimizer(groups, adam, lr=0.1, beta1=0.5)
    assert optimizer.param_groups[0]["momentum"] == RULES["muon"].hyper["momentum"]
    assert "beta1" not in optimizer.param_groups[0]
    assert optimizer.param_groups[1]["beta1"] == 0.5
    train(optimizer, together, range(1, 6))
    optimizers = [Optimizer(apart[:1], muon, lr=0.5), Optimizer(apart[1:], adam, lr=0.1, beta1=0.5)]
    for t in range(1, 6):
        gradients(t, apart)
        for optimizer in optimizers:
            optimizer.step()
    assert same(values(together), values(apart))


def test_a_group_joins_later():
    params = parameters()
    optimizer = Optimizer(params[:1], adam, lr=0.1)
    train(optimizer, params, range(1, 4))
    optimizer.add_param_group({"params": params[1], "lr": 0.2})
    before = values(params)
    train(optimizer, params, range(4, 6))
    fresh = parameters()
    fresh[1].data = before[1]
    other = Optimizer(fresh[1:], adam, lr=0.2)
    for t in (4, 5):
        gradients(t, fresh)
        other.step()
    assert same(values(params[1:]), values(fresh[1:]))
    assert optimizer.state_dict()["1.0.t"] == 2


@every_rule
def test_a_constant_function_of_the_step_is_the_constant(rule):
    trained = []
    for lr in (0.01, lambda t: 0.01):
        params = parameters()
        train(Optimizer(params, rule.rule, lr=lr), params, range(1, 6))
        trained.append(values(params))
    assert same(*trained)


def test_a_function_of_the_step_counts_the_calls_of_step_from_one():
    seen = []
    params = parameters()
    optimizer = Optimizer(params, sgd, lr=lambda t: seen.append(t) or 0.1)
    seen.clear()
    train(optimizer, params, range(1, 4))
    assert seen == [1, 2, 3]


def test_a_rate_changed_between_steps_counts_from_then_on():
    params = parameters([(2,)])
    optimizer = Optimizer(params, sgd, lr=0.1)
    for lr, moved in ((0.1, 0.1), (0.01, 0.01)):
        optimizer.param_groups[0]["lr"] = lr
        before = values(params)[0]
        params[0].grad = tensor([1.0, 1.0])
        optimizer.step()
        assert before - params[0].data == pytest.approx(moved)


@pytest.mark.parametrize(
    "rule", [r for r in RULES.values() if "weight_decay" not in r.hyper], ids=lambda rule: rule.name
)
def test_weight_decay_is_added_to_the_gradient(rule):
    params = parameters()
    expected = [[w, *[0.0] * len(rule.state)] for w in values(params)]
    optimizer = Optimizer(params, rule.rule, weight_decay=0.3)
    for t in range(1, 6):
        gradients(t, params)
        for i, (w, *state) in enumerate(expected):
            expected[i] = list(called(rule, w, params[i].grad.data + 0.3 * w, t, state, rule.hyper))
        optimizer.step()
    assert same(values(params), [w for w, *_ in expected])


def test_weight_decay_goes_to_a_rule_that_has_it():
    params = parameters([(2,)])
    w = values(params)[0]
    optimizer = Optimizer(params, adamw, lr=0.1, weight_decay=0.5)
    params[0].grad = tensor([0.0, 0.0])
    optimizer.step()
    assert params[0].data == pytest.approx(w * 0.95, rel=1e-15)
    assert Optimizer(parameters(), adamw).param_groups[0]["weight_decay"] == RULES["adamw"].hyper["weight_decay"]


@every_rule
def test_a_float16_parameter_without_a_gradient_to_follow_stays_finite(rule):
    params = parameters(dtype=np.float16)
    optimizer = Optimizer(params, rule.rule, lr=1e-3)
    for _ in range(3):
        for parameter in params:
            parameter.grad = tensor(np.zeros(parameter.shape, np.float16))
        optimizer.step()
    assert all(parameter.data.dtype == np.float16 and np.isfinite(parameter.data).all() for parameter in params)


def test_it_fits_a_line():
    rng = np.random.default_rng(0)
    x = tensor(rng.standard_normal((50, 2)))
    y = tensor(x.data @ np.array([[2.0], [-3.0]]) + 0.5)
    w, b = tensor(np.zeros((2, 1)), requires_grad=True), tensor(np.zeros(1), requires_grad=True)
    optimizer = Optimizer([w, b], adam, lr=0.1)
    for _ in range(400):
        optimizer.zero_grad()
        r = x @ w + b - y
        (r * r).mean().backward()
        optimizer.step()
    assert w.data.ravel() == pytest.approx([2, -3], abs=1e-3)
    assert b.data == pytest.approx(0.5, abs=1e-3)


# Gradients and memory


def test_a_parameter_without_a_gradient_is_skipped_and_its_step_waits():
    params, others = parameters(), parameters()
    optimizer, reference = Optimizer(params, adam), Optimizer(others[:1], adam)
    second = values(params)[1]
    for t in (1, 2):
        gradients(t, params)
        params[1].grad = None
        optimizer.step()
    assert np.array_equal(params[1].data, second)
    saved = optimizer.state_dict()
    assert (saved["0.0.t"], saved["0.1.t"], saved["steps"]) == (2, 0, 2)
    assert not saved["0.1.m"].any()
    train(optimizer, params, [3])
    alone = Optimizer([others[1]], adam)
    for t in (1, 2, 3):
        gradients(t, others)
        reference.step()
    alone.step()
    assert same(values(params), values(others))


def test_a_step_without_any_gradient_changes_nothing():
    params = parameters()
    before = values(params)
    Optimizer(params, momentum, weight_decay=0.1).step()
    assert same(values(params), before)


@every_rule
def test_gradients_are_left_as_they_are(rule):
    params = parameters()
    optimizer = Optimizer(params, rule.rule, weight_decay=0.1)
    gradients(1, params)
    before = [parameter.grad.data.copy() for parameter in params]
    grads = [parameter.grad for parameter in params]
    optimizer.step()
    assert all(parameter.grad is grad for parameter, grad in zip(params, grads, strict=True))
    assert same([parameter.grad.data for parameter in params], before)
    for parameter in params:
        parameter.grad.data[...] = 7  # the state keeps no reference
    saved = optimizer.state_dict()
    assert not any(np.any(value == 7) for key, value in saved.items() if key.count(".") == 2 and "shape" not in key)


def test_a_group_that_was_passed_is_not_changed():
    params = parameters()
    group = {"params": params, "lr": 0.5}
    Optimizer([group], adam)
    assert group == {"params": params, "lr": 0.5}


def test_parameters_lie_in_one_buffer():
    params = parameters()
    before = values(params)
    Optimizer(params, adam)
    assert params[0].data.base is params[1].data.base
    assert same(values(params), before)


def test_data_that_was_replaced_is_trained_from_its_new_values():
    params = parameters()
    optimizer = Optimizer(params, sgd, lr=0.5)
    params[0].data = np.ones((3, 4))
    params[1].data[...] = 2.0
    for parameter in params:
        parameter.grad = tensor(np.ones(parameter.shape))
    optimizer.step()
    assert (params[0].data == 0.5).all()
    assert (params[1].data == 1.5).all()


def test_gradients_may_lie_in_memory_in_any_order_and_have_another_precision():
    params, others = parameters(), parameters()
    g = np.random.default_rng(1).standard_normal((3, 4)).astype(np.float32)
    params[0].grad, others[0].grad = tensor(np.asfortranarray(g)), tensor(g.astype(np.float64))
    params[0].grad.data = np.asfortranarray(g)
    for each in (params, others):
        Optimizer(each, adam).step()
    assert same(values(params), values(others))


def test_numbers_and_empty_parameters_are_parameters():
    params = parameters([(), (0,), (3,)])
    train(Optimizer(params, adam, lr=0.1), params, [])
    for parameter in params:
        parameter.grad = tensor(np.ones(parameter.shape))
    before = values(params)
    Optimizer(params, sgd, lr=0.5).step()
    assert same(values(params), [w - 0.5 for w in before])


def test_zero_grad_forgets_the_gradients():
    params = parameters()
    optimizer = Optimizer(params, adam)
    gradients(1, params)
    optimizer.zero_grad()
    assert [parameter.grad for parameter in params] == [None, None]


@every_rule
def test_a_deep_copy_goes_its_own_way(rule):
    params = parameters()
    optimizer = Optimizer(params, rule.rule)
    train(optimizer, params, range(1, 4))
    twins, twin = copy.deepcopy((params, optimizer))
    before = values(params)
    train(twin, twins, range(4, 7))
    assert same(values(params), before)
    train(optimizer, params, range(4, 7))
    assert same(values(params), values(twins))


def test_it_shows_its_groups():
    optimizer = Optimizer([{"params": parameters(), "lr": lambda t: 0.1}], adam)
    assert repr(optimizer).splitlines()[0] == "Optimizer("
    assert "adam(lr=<lambda>, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0): 22 numbers in 2 p" in repr(optimizer)
    assert "lr=array of 2" in repr(Optimizer(parameters([(2, 3)]), sgd, runs=2, lr=np.array([0.1, 0.2])))


# Saving and loading


@every_rule
@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_training_goes_on_bit_for_bit_after_saving_and_loading(rule, dtype):
    params = parameters(dtype=dtype)
    optimizer = Optimizer(params, rule.rule, lr=0.01)
    train(optimizer, params, range(1, 4))
    saved = through_a_file(optimizer.state_dict())
    resumed = [tensor(w, requires_grad=True) for w in values(params)]
    other = Optimizer(resumed, rule.rule, lr=0.5)
    other.load_state_dict(saved)
    assert same_dicts(other.state_dict(), optimizer.state_dict())
    train(optimizer, params, range(4, 8))
    train(other, resumed, range(4, 8))
    assert same(values(params), values(resumed))
    assert same_dicts(other.state_dict(), optimizer.state_dict())


def test_runs_are_saved_and_loaded():
    for rule in (adam, lamb):
        params = parameters([(3, 2, 2)])
        optimizer = Optimizer(params, rule, runs=3, lr=np.array([0.1, 0.2, 0.3]))
        train(optimizer, params, range(1, 4))
        other = Optimizer([tensor(values(params)[0], requires_grad=True)], rule, runs=3, lr=1.0)
        other.load_state_dict(through_a_file(optimizer.state_dict()))
        assert same_dicts(other.state_dict(), optimizer.state_dict())


def test_a_state_dict_is_a_copy_both_ways():
    params = parameters()
    optimizer = Optimizer(params, adam)
    train(optimizer, params, [1])
    saved = optimizer.state_dict()
    kept = copy.deepcopy(saved)
    train(optimizer, params, [2])
    assert same_dicts(saved, kept)
    optimizer.load_state_dict(saved)
    train(optimizer, params, [3])
    assert same_dicts(saved, kept)


def test_a_state_dict_holds_numbers_names_and_arrays_alone():
    params = parameters()
    optimizer = Optimizer(params, adam)
    saved = optimizer.state_dict()
    assert {type(value) for value in saved.values()} == {int, float, str, np.ndarray}
    assert list(saved) == list(optimizer.state_dict())
    assert saved["0.rule"] == "adam"
    assert saved["0.1.v"].shape == (2, 5)


def test_a_function_of_the_step_is_kept_and_goes_on_where_it_was():
    seen = []
    params = parameters()
    optimizer = Optimizer(params, sgd, lr=lambda t: 0.1 / t)
    train(optimizer, params, [1, 2])
    other = Optimizer(parameters(), sgd, lr=lambda t: seen.append(t) or 0.1 / t)
    other.load_state_dict(optimizer.state_dict())
    seen.clear()
    train(other, other.param_groups[0]["params"], [3])
    assert seen == [3]


def without(key):
    return lambda saved: saved.pop(key)


def with_(key, value):
    return lambda saved: saved.__setitem__(key, value)


@pytest.mark.parametrize(
    ("damage", "error", "message"),
    [
        (without("0.1.m"), ValueError, r"missing \['0.1.m'\], not expected \[\]"),
        (without("0.lr"), ValueError, r"missing \['0.lr'\].* function of the step"),
        (without("version"), ValueError, r"missing \['version'\]"),
        (with_("version", 2), ValueError, "version is 1 here, got 2"),
        (with_("0.rule", "sgd"), ValueError, "0.rule is adam here, got sgd"),
        (with_("1.lr", 0.1), ValueError, r"not expected \['1.lr'\]"),
        (with_("0.1.shape", np.array([5, 2])), ValueError, r"0.1.shape is \[2 5\] here, got \[5 2\]"),
        (with_("0.1.v", np.zeros((5, 2))), ValueError, r"0.1.v must have shape \(2, 5\), got \(5, 2\)"),
        (with_("0.1.v", "v"), TypeError, "0.1.v must be an array of floating-point numbers, got 'v'"),
        (with_("0.1.t", -1), ValueError, "0.1.t must be a whole number from 0, got -1"),
        (with_("steps", 1.5), ValueError, "steps must be a whole number from 0, got 1.5"),
        (with_("0.lr", -0.1), ValueError, r"adam: lr must lie in \[0, inf\), got -0.1"),
        (with_("0.lr", np.array([0.1, 0.2])), ValueError, r"adam: lr has shape \(2,\); without runs it is one number"),
    ],
)
def test_a_wrong_state_dict_is_refused_and_changes_nothing(damage, error, message):
    params = parameters()
    optimizer = Optimizer(params, adam, lr=0.25)
    train(optimizer, params, [1, 2])
    before = optimizer.state_dict()
    saved = optimizer.state_dict() | {"0.lr": 0.5}
    damage(saved)
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(saved)
    assert same_dicts(optimizer.state_dict(), before)


# What it refuses


def integers():
    parameter = parameters()[0]
    parameter.data = np.arange(3)
    return parameter


TWO = parameters()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            (TWO[0], adam),
            {},
            TypeError,
            r"must be an iterable of tensors or of groups, got one Tensor; write \[tensor\]",
        ),
        (([], adam), {}, ValueError, "params is empty"),
        (([np.ones(3)], adam), {}, TypeError, "group 0, parameter 0 must be a lossopt Tensor, got ndarray"),
        (([TWO[0], TWO[0]], adam), {}, ValueError, "group 0, parameter 1 is there twice"),
        (([{"params": TWO[:1]}, {"params": TWO}], adam), {}, ValueError, "group 1, parameter 0 is there twice"),
        (([{"lr": 1.0}], adam), {}, TypeError, "group 0 must be a dict with 'params'"),
        (([{"params": TWO}, TWO[0]], adam), {}, TypeError, "group 1 must be a dict with 'params'"),
        (([{"params": TWO, "beta": 0.9}], adam), {}, TypeError, "adam: unknown hyper-parameter 'beta'"),
        (([tensor([1.0])], adam), {}, ValueError, "group 0, parameter 0 must be a leaf that requires a gradient"),
        (([TWO[0] * 2], adam), {}, ValueError, "group 0, parameter 0 must be a leaf"),
        (([integers()], adam), {}, TypeError, "group 0, parameter 0 must be of floating-point numbers, got int64"),
        (
            ([TWO[0], *parameters([(2,)], np.float32)], adam),
            {},
            ValueError,
            "parameter 1 is float32, the first float64",
        ),
        ((TWO, "adam"), {}, TypeError, "a rule is a function such as lossopt.rules.adam, got 'adam'"),
        ((TWO, adam), {"lr": -1.0}, ValueError, r"adam: lr must lie in \[0, inf\), got -1.0"),
        ((TWO, adam), {"lr": float("nan")}, ValueError, r"adam: lr must lie in \[0, inf\), got nan"),
        ((TWO, adam), {"lr": lambda t: -0.1}, ValueError, r"step 1: lr must lie in \[0, inf\), got -0.1"),
        ((TWO, adam), {"beta1": 1.0}, ValueError, r"adam: beta1 must lie in \[0, 1\), got 1.0"),
        ((TWO, adam), {"weight_decay": -1}, ValueError, "adam: weight_decay must lie in"),
        ((TWO, adam), {"momentum": 0.9}, TypeError, "adam: unknown hyper-parameter 'momentum'"),
        ((TWO, adam), {"lr": np.ones(3)}, ValueError, r"adam: lr has shape \(3,\); without runs it is one number"),
        ((TWO, adam), {"runs": 2}, ValueError, r"parameter 0 must have a leading axis of 2 runs, got shape \(3, 4\)"),
        ((TWO[:1], adam), {"runs": 3, "lr": np.ones(2)}, ValueError, r"lr has shape \(2,\); one for each of 3 runs"),
        ((TWO, adam), {"runs": 0}, ValueError, "runs must be at least 1, got 0"),
        ((TWO, adam), {"engine": "nunpy"}, ValueError, "engine must be one of .*, did you mean 'numpy'"),
        (
            (parameters([(3,)]), muon),
            {},
            ValueError,
            r"muon: only matrices .* shape \(3,\); put it in a group with another",
        ),
        ((parameters([(3, 2)]), shampoo), {"runs": 3}, ValueError, r"shampoo: only matrices .* has shape \(2,\)"),
    ],
)
def test_wrong_arguments_are_refused_and_change_nothing(arguments, options, error, message):
    before = values(TWO)
    bases = [parameter.data.base for parameter in TWO]
    with pytest.raises(error, match=message):
        Optimizer(*arguments, **options)
    assert same(values(TWO), before)
    assert all(parameter.data.base is base for parameter, base in zip(TWO, bases, strict=True))


def test_a_group_that_cannot_join_leaves_the_optimizer_as_it_was():
    params = parameters()
    optimizer = Optimizer(params[:1], adam)
    for group in ({"params": params}, {"params": params[1:], "lr": -1.0}, {"params": params[1:], "rule": 3}):
        with pytest.raises((TypeError, ValueError)):
            optimizer.add_param_group(group)
    assert len(optimizer.param_groups) == 1
    train(optimizer, params, [1])


@pytest.mark.parametrize("rule", [adam, lamb])
def test_a_step_that_cannot_be_made_changes_nothing(rule):
    params = parameters()
    optimizer = Optimizer([{"params": params[:1]}, {"params": params[1:]}], rule)
    train(optimizer, params, [1])
    before, state = values(params), optimizer.state_dict()
    gradients(2, params)
    params[1].grad = tensor(np.ones((5, 2)))
    message = r"group 1, parameter 0: the gradient has shape \(5, 2\), the parameter \(2, 5\)"
    with pytest.raises(ValueError, match=message):
        optimizer.step()
    gradients(2, params)
    optimizer.param_groups[1]["lr"] = float("nan")
    with pytest.raises(ValueError, match="lr must lie in"):
        optimizer.step()
    optimizer.param_groups[1]["lr"] = state["1.lr"]
    assert same(values(params), before)
    assert same_dicts(optimizer.state_dict(), state)
