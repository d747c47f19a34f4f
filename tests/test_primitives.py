import importlib
import math
import sys

import numpy as np
import pytest

from lossopt import primitives
from lossopt.primitives import cos, eigh, exp, matrices_only, maximum, norm, qr, sign, sin, transposed, whole_tensor

NUMBERS = [-2.5, -1e-300, -0.0, 0.0, 0.75, 3.0]


@pytest.fixture(params=["numpy", "torch", "jax"])
def library(request):
    """What makes an array of numbers, in one library after the other."""
    if request.param == "numpy":
        yield np.array
    elif request.param == "torch":
        torch = pytest.importorskip("torch")
        yield lambda numbers: torch.tensor(numbers, dtype=torch.float64)
    else:
        jax = pytest.importorskip("jax")
        with jax.enable_x64(True):
            yield jax.numpy.asarray


def kind(x):
    """The class of a number or array, and its precision."""
    return type(x), str(getattr(x, "dtype", ""))


@pytest.mark.parametrize(
    ("function", "reference"), [(exp, math.exp), (cos, math.cos), (sin, math.sin), (sign, np.sign)]
)
def test_a_function_is_the_same_on_floats_and_arrays(function, reference, library):
    expected = [float(reference(x)) for x in NUMBERS]
    assert [function(x) for x in NUMBERS] == expected
    assert all(type(function(x)) is float for x in NUMBERS)
    array = library(NUMBERS)
    result = function(array)
    assert kind(result) == kind(array)
    np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-14)


def test_the_larger_of_two_is_the_same_on_floats_and_arrays(library):
    others = [0.0, -1.0, 1.0, 0.5, 0.75, 4.0]
    expected = [max(pair) for pair in zip(NUMBERS, others, strict=True)]
    assert [maximum(a, b) for a, b in zip(NUMBERS, others, strict=True)] == expected
    a, b = library(NUMBERS), library(others)
    for result in [maximum(a, b), maximum(b, a)]:
        assert kind(result) == kind(a)
        assert np.asarray(result).tolist() == expected
    for result in [maximum(a, 0.5), maximum(0.5, a)]:
        assert kind(result) == kind(a)
        assert np.asarray(result).tolist() == [max(x, 0.5) for x in NUMBERS]


def test_the_larger_of_a_number_and_nan_is_nan(library):
    nan = float("nan")
    assert math.isnan(maximum(nan, 1.0))
    assert math.isnan(maximum(1.0, nan))
    array = library([nan, 2.0])
    for result in [maximum(array, 1.0), maximum(1.0, array), maximum(array, library([1.0, 1.0]))]:
        assert np.isnan(np.asarray(result)).tolist() == [True, False]


def test_the_sign_of_nan_is_not_a_direction():
    assert math.isnan(sign(float("nan")))
    assert np.isnan(sign(np.array([float("nan")]))).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_precision_of_an_array_is_kept(dtype):
    x = np.array([0.5, -2.0], dtype)
    for result in [maximum(x, 1.0), maximum(0.0, x), sign(x), exp(x), cos(x), sin(x), norm(x)]:
        assert result.dtype == dtype
    assert maximum(x[0], 0.25).dtype == dtype


def test_a_number_of_numpy_is_a_number():
    x = np.float64(-2.0)
    assert [maximum(x, 1.0), maximum(1.0, x), maximum(x, x), sign(x), norm(x)] == [1.0, 1.0, -2.0, -1.0, 2.0]
    assert maximum(np.float32(3.0), 1.0) == 3
    assert sign(np.float32(-3.0)) == -1


def test_symbols_stay_symbols():
    sympy = pytest.importorskip("sympy")
    x = sympy.Symbol("x", real=True)
    assert maximum(x, 2) == maximum(2, x) == sympy.Max(x, 2)
    assert maximum(x, x * x) == sympy.Max(x, x * x)
    assert sign(x) == sympy.sign(x)
    assert exp(x) == sympy.exp(x)
    assert cos(x) == sympy.cos(x)
    assert sin(x) == sympy.sin(x)


def test_the_norm_is_the_length_of_all_entries_together(library):
    assert norm(-3.0) == 3.0
    assert norm(-3) == 3
    assert float(norm(library([[1.0, -2.0], [2.0, 4.0]]))) == 5.0


def test_matrices_are_transposed_and_nothing_else(library):
    assert np.asarray(transposed(library([[1.0, 2.0, 3.0]]))).tolist() == [[1.0], [2.0], [3.0]]
    with pytest.raises(ValueError, match=r"^a matrix of shape \(rows, columns\) is needed, got shape \(2,\)$"):
        transposed(library([1.0, 2.0]))
    with pytest.raises(ValueError, match=r"got shape \(1, 1, 1\)$"):
        transposed(library([[[1.0]]]))
    with pytest.raises(ValueError, match=r"got shape \(\)$"):
        transposed(1.0)


def test_eigenvectors_rebuild_their_matrix_from_ascending_eigenvalues(library):
    x = np.array([[2.0, 1.0, 0.0], [1.0, 2.0, 0.5], [0.0, 0.5, -1.0]])
    values, vectors = (np.asarray(part) for part in eigh(library(x.tolist())))
    assert (np.diff(values) > 0).all()
    np.testing.assert_allclose(vectors * values @ vectors.T, x, atol=1e-14)


def test_qr_gives_an_orthogonal_and_a_triangular_factor(library):
    x = np.array([[2.0, 1.0], [1.0, -2.5]])
    q, r = (np.asarray(part) for part in qr(library(x.tolist())))
    np.testing.assert_allclose(q @ r, x, atol=1e-15)
    np.testing.assert_allclose(q.T @ q, np.eye(2), atol=1e-15)
    assert abs(r[1, 0]) < 1e-15


def test_marks_leave_a_rule_the_same_function():
    def rule(w, g, t):
        return w

    def other(w, g, t):
        return w

    assert whole_tensor(rule) is rule
    assert rule.whole_tensor is True
    assert not hasattr(rule, "matrices_only")
    assert matrices_only(other) is other
    assert (other.whole_tensor, other.matrices_only) == (True, True)


def test_a_parameter_of_torch_is_a_tensor():
    torch = pytest.importorskip("torch")
    parameter = torch.nn.Parameter(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    assert maximum(parameter, 1.5).tolist() == [[2.0, 1.5], [1.5, 1.5]]
    assert eigh(parameter.detach())[0].tolist() == [1.0, 2.0]


def test_primitives_import_no_library(monkeypatch):
    for name in ["numpy", "torch", "jax", "sympy"]:
        monkeypatch.setitem(sys.modules, name, None)
    fresh = importlib.util.module_from_spec(primitives.__spec__)
    primitives.__spec__.loader.exec_module(fresh)
    assert fresh.maximum(fresh.sign(-2.0), fresh.exp(0.0)) == 1.0
    assert fresh.norm(-2.0) == 2.0
