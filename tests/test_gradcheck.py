"""The judges themselves: how accurate they are, and that they notice a wrong gradient."""

from __future__ import annotations

import numpy as np
import pytest

from lossopt.gradcheck import GradientError, central_difference, complex_step, gradcheck
from lossopt.tensor import OPS, Tensor, apply, tensor

X = np.random.default_rng(3).normal(size=(2, 3))


@pytest.fixture
def wrong_cube():
    OPS["wrong_cube"] = (lambda a: a * a * a, lambda g, y, a: 2 * g * a * a)
    yield lambda x: apply("wrong_cube", x)
    del OPS["wrong_cube"]


def test_the_complex_step_is_right_to_the_last_digits():
    np.testing.assert_allclose(
        complex_step(lambda x: x.exp() * x.sin(), X), np.exp(X) * (np.sin(X) + np.cos(X)), rtol=1e-14
    )


def test_the_central_difference_is_right_to_nine_digits_at_any_scale():
    for scale in (1e-3, 1.0, 1e3):
        x = scale * (1 + X**2)
        np.testing.assert_allclose(central_difference(lambda a: a.log(), x), 1 / x, rtol=1e-4 if scale < 1 else 1e-9)


def test_the_central_difference_takes_a_step_of_ones_own():
    coarse, fine = (abs(central_difference(lambda x: x**3, [1.0], h)[0] - 3) for h in (1e-1, 1e-2))
    assert coarse == pytest.approx(1e-2)  # the third derivative over six, times h squared
    assert fine == pytest.approx(1e-4)


def test_a_right_gradient_agrees_and_is_returned():
    agreement = gradcheck(lambda x, y: (x * y).tanh().sum(), X, X + 1)
    first, second = agreement.gradients
    assert first.shape == second.shape == X.shape
    assert agreement.central < 1e-8
    assert agreement.complex_step < 1e-15


def test_a_wrong_gradient_is_refused_with_its_place_and_both_values(wrong_cube):
    x = np.array([[0.0, 0.0], [0.0, 2.0]])
    with pytest.raises(
        GradientError, match=r"input 1 at index \(1, 1\): the tape says .*, the central difference says"
    ) as error:
        gradcheck(lambda a, b: (a + wrong_cube(b)).sum(), X[0, 0], x)
    said = [
        float(word.strip(",;")) for word in str(error.value).split() if word.strip(",;.").replace(".", "").isdigit()
    ]
    assert said[-2] / said[-1] == pytest.approx(2 / 3, rel=1e-6)


def test_an_error_too_small_for_differences_is_seen_by_the_complex_step():
    OPS["nearly"] = (lambda a: a * 1.0, lambda g, y, a: g * (1 + 1e-10))
    try:
        with pytest.raises(GradientError, match="the complex step says 1"):
            gradcheck(lambda x: apply("nearly", x), np.ones(1))
    finally:
        del OPS["nearly"]


def test_a_gradient_that_is_lost_or_not_a_number_is_refused():
    with pytest.raises(GradientError):
        gradcheck(lambda x: x.detach() * 2, X)
    with pytest.raises(GradientError, match="the tape says nan"):
        gradcheck(lambda x: x.where(x > 0, (x - x).sqrt() * 0.0), -np.ones(2))


def test_errors_do_not_cancel_in_the_sum():
    OPS["swapped"] = (lambda a: a * np.array([1.0, 2.0]), lambda g, y, a: g[::-1] * np.array([2.0, 1.0]))
    try:
        with pytest.raises(GradientError):
            gradcheck(lambda x: apply("swapped", x), np.ones(2))
    finally:
        del OPS["swapped"]


def test_integers_are_handed_on_and_floats_are_taken_as_float64():
    agreement = gradcheck(lambda x, i: x.gather(1, i), X.astype(np.float32), np.array([[0], [2]]))
    assert len(agreement.gradients) == 1
    assert agreement.gradients[0].dtype == np.float64
    assert agreement.complex_step < 1e-15


def test_a_function_that_drops_the_imaginary_part_is_judged_by_differences_alone():
    agreement = gradcheck(lambda x: Tensor(np.zeros(x.shape)) + x.double() * 0.0, X)
    assert agreement.complex_step is None
    with pytest.raises(TypeError, match="did not keep complex numbers"):
        complex_step(lambda x: x.sign(), X)


def test_at_a_kink_neither_judge_knows_the_convention():
    assert gradcheck(lambda x: x.abs(), [0.0]).central == 0.0
    with pytest.raises(GradientError, match=r"the tape says 0, the central difference says 0.5"):
        gradcheck(lambda x: x.relu(), np.zeros(1))


def test_what_is_not_a_tensor_is_refused():
    with pytest.raises(TypeError, match="must return a Tensor, got float"):
        gradcheck(lambda x: 1.0, X)


def test_inputs_are_left_as_they_were():
    x, leaf = X.copy(), tensor(X, requires_grad=True)
    gradcheck(lambda a, b: a * b, x, leaf)
    central_difference(lambda a: a * a, x)
    complex_step(lambda a: a * a, x)
    assert np.array_equal(x, X)
    assert np.array_equal(leaf.data, X)
    assert leaf.grad is None
