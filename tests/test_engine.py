import sys

import numpy as np
import pytest

from lossopt import engine
from lossopt.engine import PerRun, driven
from lossopt.primitives import maximum, sign
from lossopt.rules import adam, adamw, muon, sgd
from lossopt.rules.registry import RULES

ELEMENTWISE = [rule for rule in RULES.values() if rule.elementwise]
SIZE = 150


@pytest.fixture(params=ELEMENTWISE, ids=lambda rule: rule.name)
def rule(request):
    return driven(request.param.rule)


@pytest.fixture
def small(monkeypatch):
    """Blocks so small that a few numbers fill several, the last one in part; everything is recorded."""
    monkeypatch.setattr(engine, "BLOCK", 64)
    monkeypatch.setattr(engine, "ENGINES", {"numpy": 0, "numba": 0})


def arrays(rule, shape=SIZE, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    w = rng.standard_normal(shape).astype(dtype)
    return w, [np.zeros(shape, engine.working_dtype(w.dtype)) for _ in rule.state], rng


def run(rule, step, shape=SIZE, dtype=np.float64, steps=4):
    """Weights and state after a few steps, with a coordinate whose gradient is zero."""
    w, state, rng = arrays(rule, shape, dtype)
    for t in range(1, steps + 1):
        g = rng.standard_normal(shape).astype(dtype)
        g[..., 3] = 0
        before = g.copy()
        step(w, g, t, state)
        assert np.array_equal(g, before), "the gradient was changed"
    return [w, *state]


def by_calling(rule, hyper=None):
    def step(w, g, t, state):
        with np.errstate(all="ignore"):
            new, *remembered = (
                rule.rule(w, g, t, *state, **(hyper or rule.hyper))
                if rule.state
                else (rule.rule(w, g, t, **(hyper or rule.hyper)),)
            )
        w[...] = new
        for place, value in zip(state, remembered, strict=True):
            place[...] = value

    return step


def by_engine(rule, hyper=None, engine_name="numpy"):
    def step(w, g, t, state):
        engine.step(rule, [(w, g, *state)], t, hyper or rule.hyper, engine_name)

    return step


def equal(these, those):
    return all(a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True) for a, b in zip(these, those, strict=True))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_recorded_blocks_equal_the_rule_called_on_the_whole(rule, dtype, small):
    assert equal(run(rule, by_engine(rule), dtype=dtype), run(rule, by_calling(rule), dtype=dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_without_a_record_equal_the_rule_called_on_the_whole(rule, dtype, small, monkeypatch):
    monkeypatch.setattr(engine, "ENGINES", {"numpy": SIZE})
    assert equal(run(rule, by_engine(rule), dtype=dtype), run(rule, by_calling(rule), dtype=dtype))


def test_every_elementwise_rule_can_be_recorded(rule):
    assert engine.record(rule, 1, rule.hyper) is not None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numba_equals_numpy_bit_for_bit(rule, dtype, small):
    pytest.importorskip("numba")
    compiled = run(rule, by_engine(rule, engine_name="numba"), dtype=dtype)
    assert equal(compiled, run(rule, by_engine(rule), dtype=dtype))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numba_steps_parts_where_their_addresses_say(rule, dtype, small):
    pytest.importorskip("numba")
    cuts = [slice(0, 100), slice(100, 100), slice(100, SIZE)]

    def by_address(w, g, t, state):
        columns = [[array[cut] for cut in cuts] for array in (w, g, *state)]
        sizes = [part.size for part in columns[0]]
        rows = np.array([sizes, *([part.ctypes.data for part in column] for column in columns)])
        assert engine.step_at(rule, rows, dtype, t, rule.hyper)

    assert equal(run(rule, by_address, dtype=dtype), run(rule, by_engine(rule), dtype=dtype))


def test_many_parts_stepped_together_equal_each_by_itself(rule, small):
    w, state, rng = arrays(rule)
    g = rng.standard_normal(SIZE)
    together, alone = ([array.copy() for array in (w, g, *state)] for _ in range(2))
    cuts = [slice(0, 100), slice(100, 101), slice(101, SIZE)]
    engine.step(rule, [tuple(array[cut] for array in together) for cut in cuts], 1, rule.hyper)
    for cut in cuts:
        engine.step(rule, [tuple(array[cut] for array in alone)], 1, rule.hyper)
    assert equal(together, alone)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("block", [1000, 170, 40], ids=["all runs in a block", "two runs a block", "two blocks a run"])
def test_runs_in_one_array_equal_the_runs_one_by_one(rule, dtype, block, monkeypatch):
    monkeypatch.setattr(engine, "BLOCK", block)
    values = {name: np.array([d, 0.9 * d + 1e-3, 0.5 * d]) for name, d in rule.hyper.items() if isinstance(d, float)}
    together = run(
        rule, by_engine(rule, rule.hyper | {n: v[:, None].view(PerRun) for n, v in values.items()}), (3, 80), dtype
    )
    for k in range(3):
        own = dict(rule.hyper) | {name: value[k].item() for name, value in values.items()}

        def step(w, g, t, state, k=k, own=own):
            engine.step(rule, [(w[k], g[k], *(s[k] for s in state))], t, own)

        assert equal([array[k] for array in together], [array[k] for array in run(rule, step, (3, 80), dtype)])


@pytest.mark.parametrize("engine_name", ["numpy", "numba"])
def test_arrays_of_several_shapes_are_refused_and_nothing_is_changed(engine_name, small):
    w = np.ones(8)
    with pytest.raises(ValueError, match=r"adam: .* must have one shape, got \(8,\), \(8,\), \(1,\), \(8,\)"):
        engine.step(driven(adam), [(w, w, np.ones(1), w)], 1, driven(adam).hyper, engine_name)
    assert (w == 1).all()


def test_float16_is_stepped_in_float32_and_then_rounded(rule, small):
    def step(w, g, t, state):
        wide = w.astype(np.float32)
        engine.step(rule, [(wide, g.astype(np.float32), *state)], t, rule.hyper)
        w[...] = wide

    halves = run(rule, by_engine(rule), dtype=np.float16)
    assert halves[0].dtype == np.float16
    assert all(s.dtype == np.float32 for s in halves[1:])
    assert equal(halves, run(rule, step, dtype=np.float16))


def test_a_zero_gradient_in_float16_stays_finite(rule):
    w, state, _ = arrays(rule, dtype=np.float16)
    for t in range(1, 4):
        engine.step(rule, [(w, np.zeros_like(w), *state)], t, rule.hyper)
    assert np.isfinite(w).all()
    assert all(np.isfinite(s).all() for s in state)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_gradient_that_is_not_finite_touches_its_own_coordinate_alone(rule, value, small):
    w, state, rng = arrays(rule)
    g = rng.standard_normal(SIZE)
    bad = g.copy()
    bad[70] = value
    sound = [w.copy(), g, *(s.copy() for s in state)]
    engine.step(rule, [(w, bad, *state)], 1, rule.hyper)
    engine.step(rule, [tuple(sound)], 1, rule.hyper)
    others = np.arange(SIZE) != 70
    assert np.array_equal(w[others], sound[0][others])
    if np.isnan(value):
        assert np.isnan(w[70])


def shift(w, g, t, first, second, lr=0.5):
    return w - lr * second, g, first


def keep_weights(w, g, t, before, lr=0.5):
    return before - lr * g, w


@pytest.mark.parametrize("numpy_from", [0, SIZE], ids=["recorded", "called"])
@pytest.mark.parametrize("function", [shift, keep_weights])
def test_a_rule_may_return_what_it_was_given_as_another_value(function, numpy_from, small, monkeypatch):
    monkeypatch.setattr(engine, "ENGINES", {"numpy": numpy_from})
    rule = driven(function)
    w, state, rng = arrays(rule)
    expected, remembered = w.copy(), [0.0] * len(rule.state)
    for t in range(1, 5):
        g = rng.standard_normal(SIZE)
        expected, *remembered = function(expected, g.copy(), t, *remembered)
        engine.step(rule, [(w, g, *state)], t, rule.hyper)
    assert equal([w, *state], [expected, *remembered])


def clipped(w, g, t, lr=0.1):
    return w - lr * np.where(abs(g) > 1, np.sign(g), g)


def compared(w, g, t, lr=0.1):
    return w - lr * (g > 0) * g


def methodical(w, g, t, lr=0.1):
    return w - lr * g.clip(-1, 1)


def double_constant(w, g, t, lr=0.1):
    return w - np.float64(lr) / 3 * g


@pytest.mark.parametrize("function", [clipped, compared, methodical, double_constant])
def test_a_rule_that_cannot_be_recorded_is_called_on_blocks(function, small):
    rule = driven(function)
    assert engine.record(rule, 1, rule.hyper) is None
    assert equal(run(rule, by_engine(rule), dtype=np.float32), run(rule, by_calling(rule), dtype=np.float32))


@pytest.mark.parametrize("function", [clipped, compared, methodical])
def test_numba_refuses_a_rule_that_cannot_be_recorded(function):
    pytest.importorskip("numba")
    with pytest.raises(ValueError, match=f"{function.__name__}: engine='numba' runs rules of arithmetic alone"):
        engine.check_engine("numba", driven(function))
    assert not engine.step_at(driven(function), np.zeros((3, 0), np.int64), np.float32, 1, driven(function).hyper)


def everything(w, g, t, a, lr=0.5):
    a = maximum(a, abs(g)) ** 3
    return -w - 2 * lr * sign(g) ** 2 * (a + 1) ** -0.5 + t, a


def test_powers_negation_and_primitives_are_recorded_as_arrays_compute_them(small):
    rule = driven(everything)
    assert engine.record(rule, 1, rule.hyper) is not None
    assert equal(run(rule, by_engine(rule)), run(rule, by_calling(rule)))


def test_roots_and_squares_are_recorded_as_such():
    record = engine.record(driven(adam), 1, driven(adam).hyper)
    assert np.sqrt in [operation for operation, *_ in record.program]
    record = engine.record(driven(everything), 1, driven(everything).hyper)
    assert np.square in [operation for operation, *_ in record.program]


def forgetful(w, g, t, m, lr=0.1):
    return w - lr * g


def test_a_rule_that_returns_too_few_values_is_told_so():
    rule = driven(forgetful)
    with pytest.raises(ValueError, match=r"forgetful: must return w, m \(2 values\), got 1"):
        engine.call(rule, np.ones(3), np.ones(3), 1, [0.0], rule.hyper)


def test_one_number_a_run_computes_as_that_many_python_numbers():
    numbers = [0.9, 0.123, 0.999]
    per_run = np.array(numbers).view(PerRun)
    for t in range(1, 30):
        assert (1 - per_run**t).tolist() == [1 - x**t for x in numbers]
        assert (0.96 ** (t * per_run)).tolist() == [0.96 ** (t * x) for x in numbers]
        assert (per_run**0.5).tolist() == [x**0.5 for x in numbers]
    assert isinstance(1 - per_run**3, PerRun)
    per_run *= 2
    assert isinstance(per_run, PerRun)
    assert per_run.tolist() == [x * 2 for x in numbers]


def test_one_number_a_run_keeps_the_precision_of_the_array_it_meets():
    array = np.linspace(0, 1, 3, dtype=np.float32)
    per_run = np.array([0.1, 0.2, 0.3]).view(PerRun)
    for result in (per_run * array, array - per_run, array / (1 - per_run), array**per_run, per_run**array):
        assert result.dtype == np.float32
        assert type(result) is np.ndarray


def test_settings_are_python_numbers_or_one_number_a_run():
    runs = np.array([1.0, 2.0], dtype=np.float32)
    given = {"a": np.float32(0.5), "b": np.array(2.0), "c": lambda t: 10 / t, "d": 3, "e": runs}
    got = engine.settings(given, 4)
    assert {name: type(value) for name, value in got.items()} == dict.fromkeys("abc", float) | {"d": int, "e": PerRun}
    assert got["c"] == 2.5
    assert got["e"].dtype == np.float64


def test_weight_decay_is_an_l2_penalty_unless_the_rule_has_its_own(rule):
    own = RULES[rule.name].hyper
    w, state, rng = arrays(rule)
    g = rng.standard_normal(SIZE)
    plain, penalised = ([array.copy() for array in (w, g, *state)] for _ in range(2))
    engine.step(rule, [tuple(penalised)], 1, rule.hyper | {"weight_decay": 0.1})
    if "weight_decay" in own:
        new, *remembered = (
            rule.rule(w, g, 1, *state, **(own | {"weight_decay": 0.1}))
            if state
            else (rule.rule(w, g, 1, **(own | {"weight_decay": 0.1})),)
        )
        assert equal([penalised[0], *penalised[2:]], [new, *remembered])
    else:
        plain[1] += 0.1 * w
        engine.step(rule, [tuple(plain)], 1, rule.hyper)
        assert equal([penalised[0], *penalised[2:]], [plain[0], *plain[2:]])


def test_a_rule_may_be_given_as_a_function_or_as_its_description():
    assert driven(RULES["adam"]) is driven(adam)


def test_no_weight_decay_leaves_infinite_weights_alone():
    w = np.array([np.inf, 1.0])
    engine.step(driven(sgd), [(w, np.array([1.0, 1.0]))], 1, {"lr": 0.5, "weight_decay": 0.0})
    assert w.tolist() == [np.inf, 0.5]


def test_the_default_weight_decay_is_that_of_the_rule():
    assert driven(adamw).hyper["weight_decay"] == RULES["adamw"].hyper["weight_decay"] > 0
    assert driven(adam).hyper["weight_decay"] == 0
    assert str(driven(adam).ranges["weight_decay"]) == "[0, inf)"


def test_whole_tensors_keep_their_precision_and_come_back_with_new_state():
    rule = driven(muon)
    w, g = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float16)
    given = g.copy()
    [state] = engine.step_whole(rule, w, g, 1, [np.zeros((), np.float32)], rule.hyper)
    assert w.dtype == np.float16
    assert state.dtype == np.float32
    assert np.array_equal(g, given)
    assert not np.shares_memory(state, g)


def test_an_unknown_engine_is_named_with_the_nearest_one():
    with pytest.raises(
        ValueError, match=r"engine must be one of 'numpy', 'numba', got 'nunba', did you mean 'numba'\?"
    ):
        engine.check_engine("nunba", driven(sgd))
    with pytest.raises(ValueError, match="engine must be one of 'numpy', 'mine', got 'numba'"):
        engine.check_engine("numba", driven(sgd), ("numpy", "mine"))


def test_a_missing_numba_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    with pytest.raises(ImportError, match=r'engine="numba" needs numba: pip install "lossopt\[fast\]"'):
        engine.check_engine("numba", driven(sgd))
