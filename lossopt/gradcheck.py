"""Check a gradient in two ways that know nothing of the tape.

With this module you can

- compare the tape with both ways at once: `gradcheck(f, x, y)`;
- differentiate by central differences: `central_difference(f, x)`, good to about ten digits;
- differentiate by the complex step: `complex_step(f, x)`, good to the last digit where `f` is smooth.

Neither can judge a kink: at 0 the central difference of |x| is 0 whatever the tape has chosen, and that of max(x, 0)
is one half.  What happens at ties is a convention, to be tested by its value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .tensor import Tensor, no_grad

__all__ = ["Agreement", "GradientError", "central_difference", "complex_step", "gradcheck"]

Array: TypeAlias = NDArray[Any]


class GradientError(ValueError):
    """The tape and an independent derivative differ."""


@dataclass(frozen=True)
class Agreement:
    """How closely the tape agreed with the two other ways.

    Attributes
    ----------
    gradients : tuple of numpy.ndarray
        What the tape found, one array for each input that was differentiated: slopes of the sum of the function's
        values, each with the weight that `gradcheck` gave it.
    central : float
        Largest difference to the central differences, relative to the larger of 1 and the largest slope.
    complex_step : float or None
        The same for the complex step; None if `f` does not take complex numbers.
    """

    gradients: tuple[Array, ...]
    central: float
    complex_step: float | None


def central_difference(f: Callable[[Tensor], Tensor], x: ArrayLike, h: float | None = None) -> Array:
    """Differentiate `f` at `x` by (f(x + h) - f(x - h)) / 2h in every coordinate.

    Parameters
    ----------
    f : function of a Tensor
        Returns one number, or several that are added up.
    x : array_like
        Where to differentiate, any shape; taken as float64.
    h : float, optional
        The step.  By default the cube root of the machine epsilon, 6e-6, times `max(1, abs(x))`: a longer step
        costs accuracy by the third derivative, a shorter one by rounding.

    Returns
    -------
    numpy.ndarray
        Shape of `x`.

    Source
    ------
    Press, Teukolsky, Vetterling and Flannery (2007), "Numerical Recipes", 3rd edition, section 5.7.
    """
    x = np.array(x, dtype=np.float64)
    steps = np.cbrt(np.finfo(np.float64).eps) * np.maximum(1, np.abs(x)) if h is None else np.full(x.shape, h)
    slopes = np.empty_like(x)
    for i in np.ndindex(x.shape):
        up, down = _moved(x, i, steps[i]), _moved(x, i, -steps[i])
        slopes[i] = (_total(f, up) - _total(f, down)) / (up[i] - down[i])
    return slopes


def complex_step(f: Callable[[Tensor], Tensor], x: ArrayLike, h: float = 1e-30) -> Array:
    """Differentiate `f` at `x` by the imaginary part of f(x + ih) / h in every coordinate.

    Nothing is subtracted, so nothing cancels and `h` may be tiny.

    Parameters
    ----------
    f : function of a Tensor
        Takes complex numbers, is smooth at `x`, and returns one number, or several that are added up.
    x : array_like
        Where to differentiate, any shape; taken as float64.
    h : float
        The step.

    Returns
    -------
    numpy.ndarray
        Shape of `x`.

    Raises
    ------
    TypeError
        If `f` loses the imaginary part, or does not take complex numbers.

    Source
    ------
    Squire and Trapp (1998), SIAM Review 40(1):110-112, doi:10.1137/S003614459631241X.
    """
    x = np.array(x, dtype=np.complex128)
    slopes = np.empty(x.shape)
    for i in np.ndindex(x.shape):
        y = _total(f, _moved(x, i, 1j * h))
        if not np.iscomplexobj(y):
            raise TypeError("complex_step: the function did not keep complex numbers")
        slopes[i] = y.imag / h
    return slopes


def gradcheck(
    f: Callable[..., Tensor], *inputs: Any, tolerance: float = 1e-7, complex_tolerance: float = 1e-12
) -> Agreement:
    """Compare the tape's gradient of `f` with central differences and the complex step.

    Parameters
    ----------
    f : function of Tensors
        Returns any shape; its values are added up with fixed random weights, so that no error cancels.
    *inputs : array_like or Tensor
        Where to differentiate: floats of any shape, taken as float64; integers and booleans are handed on as they are.
    tolerance, complex_tolerance : float
        How far the tape may be from either, relative to the larger of 1 and the largest slope.

    Returns
    -------
    Agreement
        The gradients and how closely they agreed.

    Raises
    ------
    GradientError
        Names the input, the index and both values where they differ most.
    """
    arrays = [np.array(x.data if isinstance(x, Tensor) else x) for x in inputs]
    arrays = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays]
    leaves = [Tensor(a.copy(), requires_grad=a.dtype.kind == "f") for a in arrays]
    y = f(*leaves)
    if not isinstance(y, Tensor):
        raise TypeError(f"gradcheck: the function must return a Tensor, got {type(y).__name__}")
    weights = np.random.default_rng(0).uniform(0.5, 1.5, y.shape)
    if y.requires_grad:
        y.backward(weights)
    central, imaginary, gradients = [0.0], [0.0], []
    for number, leaf in enumerate(leaves):
        if not leaf.requires_grad:
            continue

        def alone(x: Tensor, number: int = number) -> Tensor:
            return f(*(x if k == number else Tensor(a.copy()) for k, a in enumerate(arrays))) * weights

        tape = np.zeros(leaf.shape) if leaf.grad is None else leaf.grad.data
        gradients.append(tape)
        slopes = central_difference(alone, arrays[number])
        central.append(_compared(tape, slopes, tolerance, number, "central difference"))
        try:
            slopes = complex_step(alone, arrays[number])
        except TypeError:
            imaginary.append(np.nan)
        else:
            imaginary.append(_compared(tape, slopes, complex_tolerance, number, "complex step"))
    return Agreement(tuple(gradients), max(central), None if np.isnan(imaginary).any() else max(imaginary))


def _moved(x: Array, i: tuple[int, ...], step: Any) -> Array:
    moved = x.copy()
    moved[i] += step
    return moved


def _total(f: Callable[[Tensor], Tensor], x: Array) -> Any:
    with no_grad():
        return f(Tensor(x)).data.sum()


def _compared(tape: Array, other: Array, tolerance: float, number: int, name: str) -> float:
    """The largest difference relative to the scale of the slopes; raises if it exceeds `tolerance` or is NaN."""
    if not tape.size:
        return 0.0
    error = np.abs(tape - other) / max(1.0, float(np.abs(other).max()))
    i = np.unravel_index(np.argmax(error), error.shape)
    if not error[i] <= tolerance:
        raise GradientError(
            f"gradcheck: input {number} at index {tuple(map(int, i))}: the tape says {tape[i]:.12g}, "
            f"the {name} says {other[i]:.12g}; they may differ by {tolerance:g}, relative"
        )
    return float(error[i])
