"""Reverse-mode automatic differentiation over NumPy, in PyTorch's dialect.

With this module you can

- make a tensor: `tensor([1.0, 2.0], requires_grad=True)`;
- compute with it as with a `torch.Tensor`: the same method names, defaults and subgradients at ties;
- differentiate: `y.backward()` adds dy/dx to `x.grad` of every leaf `x` that requires it;
- compute without recording: `with no_grad(): ...`;
- look at the record and at the gradients on the way: `trace(y)`;
- add an operation: one row of `OPS`, and `apply("its name", x)`.

How it works: `apply` computes forward and remembers on the result which operation made it from which arguments.
`backward` visits those results from the youngest to the oldest, each handing its gradient to its arguments through
the pullbacks of its row.  Gradients on the way live in a dictionary of that one call, never on the tensors, so that a
second `backward` starts from a clean slate and only leaves accumulate.

Infinities and NaN propagate silently, as in PyTorch: NumPy's floating-point warnings are off inside an operation.
Forward code also takes complex data (no gradient is recorded for it), comparing by the real part, so that
`lossopt.gradcheck` can differentiate it by the complex step.
"""

from __future__ import annotations

import math
import operator
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["OPS", "Extreme", "Tensor", "Visit", "apply", "no_grad", "tensor", "trace"]

Array: TypeAlias = NDArray[Any]
Dim: TypeAlias = int | tuple[int, ...] | None


# ---------------------------------------------------------------- the engine


class _Mode(threading.local):
    recording = True


_mode = _Mode()
_birth = count()


@contextmanager
def no_grad() -> Iterator[None]:
    """Compute without recording, so that results do not require gradients; a context manager and a decorator.

    Returns
    -------
    context manager
        Nests, and holds for the current thread only.
    """
    before, _mode.recording = _mode.recording, False
    try:
        yield
    finally:
        _mode.recording = before


@np.errstate(all="ignore")
def apply(name: str, *arguments: Any) -> Tensor:
    """Compute operation `name` of the table `OPS` and record it where an argument requires a gradient.

    Parameters
    ----------
    name : str
        A key of `OPS`.
    *arguments : Tensor, array, number or option
        What the row's forward function takes.

    Returns
    -------
    Tensor
        The result; it requires a gradient if any argument does.
    """
    row, arrays, recorded = OPS[name], [], False
    for a in arguments:
        if isinstance(a, Tensor):
            arrays.append(a.data)
            recorded = recorded or a._recorded
        else:  # NumPy's scalars become Python's, which do not decide the dtype of a result
            arrays.append(a.item() if isinstance(a, np.generic) else a)
    result = Tensor(row[0](*arrays))
    if recorded and _mode.recording:
        result._recorded = True
        result._origin = name, arguments, arrays
        result._age = next(_birth)
    return result


@np.errstate(all="ignore")
def _backward(root: Tensor, gradient: Array) -> None:
    """Hand `gradient` down from `root` to the leaves."""
    for node, g in _gradients(root, gradient):
        if node._origin is None:
            node._accumulate(g)


def _gradients(root: Tensor, gradient: Array) -> Iterator[tuple[Tensor, Array]]:
    """Each tensor `root` depends on, from the youngest to the oldest, with the whole gradient that reached it."""
    gradients = {root: gradient}
    for node in _youngest_first(root):
        g = gradients.pop(node)
        yield node, g
        if node._origin is None:
            continue
        name, arguments, arrays = node._origin
        for argument, array, pullback in zip(arguments, arrays, OPS[name][1:], strict=False):  # options have none
            if isinstance(argument, Tensor) and argument._recorded:
                part = pullback(g, node.data, *arrays)
                if part.shape != array.shape or part.dtype is not array.dtype:
                    part = _fitted(part, array)
                if argument._origin is None and (part is g or part.base is not None):
                    part = part.copy()  # a leaf keeps what it is given, so it must not share it
                gradients[argument] = gradients[argument] + part if argument in gradients else part


def _youngest_first(root: Tensor) -> list[Tensor]:
    """All tensors `root` depends on: arguments are older than their results, so age is a topological order."""
    found, stack = {root: True}, [root]  # a dictionary keeps an order, so that leaves have theirs too
    while stack:
        origin = stack.pop()._origin
        for argument in origin[1] if origin else ():
            if isinstance(argument, Tensor) and argument._recorded and argument not in found:
                found[argument] = True
                stack.append(argument)
    return sorted(found, key=operator.attrgetter("_age"), reverse=True)


def _fitted(g: Any, array: Array) -> Any:
    """`g` summed over the axes along which `array` was repeated, and of its dtype."""
    new = g.ndim - array.ndim
    repeated = [axis for axis in range(g.ndim) if axis < new or array.shape[axis - new] != g.shape[axis]]
    return g.sum(axis=tuple(repeated), keepdims=True).reshape(array.shape).astype(array.dtype, copy=False)


# ---------------------------------------------------------------- what the table below is written with


def _turned(a: Any) -> Any:
    """Each matrix transposed."""
    return a.swapaxes(-1, -2)


def _kept(y: Any, a: Array, dim: Dim) -> Any:
    """`y`, a reduction of `a` over `dim`, with the reduced axes at length one."""
    shape = list(a.shape)
    for axis in (dim,) if isinstance(dim, int) else range(a.ndim) if dim is None else dim:
        shape[axis] = 1
    return y.reshape(shape)


def _spread(g: Any, y: Any, a: Array, dim: Dim, keepdim: bool) -> Array:
    """`g`, the gradient of a reduction of `a`, repeated over the reduced axes."""
    whole: Array = np.empty(a.shape, a.dtype)
    whole[...] = _kept(g, a, dim)
    return whole


def _share(g: Any, y: Any, a: Array, dim: Dim, keepdim: bool) -> Any:
    """`g` divided evenly among the elements of `a` that tie for the extreme value `y`."""
    tied = (a == _kept(y, a, dim)).astype(a.dtype)
    return tied * (_kept(g, a, dim) / tied.sum(axis=dim, keepdims=True))


def _won(g: Any, a: Any, b: Any) -> Any:
    """`g` where `a` exceeds `b`, half of it where they tie, else 0."""
    return np.where(a > b, g, np.where(a == b, g / 2, 0))


def _gap(a: Any, b: Any) -> Any:
    """`a - b`, and 0 for equal infinities: the limit of equal arguments."""
    return np.where(a == b, 0.0, a - b)


def _odds(a: Any, b: Any) -> Any:
    """exp(a) / (exp(a) + exp(b))."""
    return _sigmoid(_gap(a, b))


def _sigmoid(a: Any) -> Any:
    return 1 / (1 + np.exp(-a))


def _below_max(a: Array, dim: Dim) -> tuple[Array, Array]:
    """`a - max` and `max`; the exponentials of the former cannot overflow.

    Where the maximum is infinite the difference takes its limit: 0 at the maximum, -inf elsewhere.
    """
    top = a.max(axis=dim, keepdims=True)
    z = a - top
    if not np.isfinite(top).all():
        z = np.where(np.isinf(top) & (a == top), 0.0, z)
    return z, top


def _logsumexp(a: Array, dim: Dim, keepdim: bool) -> Any:
    z, top = _below_max(a, dim)
    y = top + np.log(np.exp(z).sum(axis=dim, keepdims=True))
    return y if keepdim else y.squeeze(dim)


def _log_softmax(a: Array, dim: Dim) -> Any:
    z, _ = _below_max(a, dim)
    return z - np.log(np.exp(z).sum(axis=dim, keepdims=True))


def _softmax(a: Array, dim: Dim) -> Any:
    e = np.exp(_below_max(a, dim)[0])
    return e / e.sum(axis=dim, keepdims=True)


def _portion(a: Array, y: Any, dim: Dim) -> Any:
    """The softmax of `a` whose logsumexp `y` is known already."""
    return np.exp(a - _kept(y, a, dim)) if np.isfinite(y).all() else _softmax(a, dim)


def _logaddexp(a: Any, b: Any) -> Any:
    if np.iscomplexobj(a) or np.iscomplexobj(b):
        return np.maximum(a, b) + np.log1p(np.exp(-_abs(_gap(a, b))))
    return np.logaddexp(a, b)


def _where(a: Any, b: Any, c: Any) -> Any:
    return np.where(c, a, b)


def _sum(a: Array, dim: Dim, keepdim: bool) -> Any:
    return a.sum(axis=dim, keepdims=keepdim)


def _mean(a: Array, dim: Dim, keepdim: bool) -> Any:
    return np.mean(a, axis=dim, keepdims=keepdim)


def _amax(a: Array, dim: Dim, keepdim: bool) -> Any:
    return a.max(axis=dim, keepdims=keepdim)


def _amin(a: Array, dim: Dim, keepdim: bool) -> Any:
    return a.min(axis=dim, keepdims=keepdim)


def _sign(a: Array) -> Any:
    return np.sign(a.real)


def _abs(a: Array) -> Array:
    return a * np.sign(a.real) if a.dtype.kind == "c" else np.abs(a)


def _relu(a: Array) -> Array:
    return a * (a.real > 0) if a.dtype.kind == "c" else np.maximum(a, 0)


def _base_slope(a: Any, b: Any) -> Any:
    """The derivative of a**b in a, without 0 * inf at a = b = 0."""
    if isinstance(b, (int, float)):
        return b * a ** (b - 1) if b else np.zeros_like(a)
    return b * a ** np.where(b == 0, 1, b - 1)


def _power_slope(a: Any, b: Any) -> Any:
    """The derivative of a**b in b, without 0 * inf where 0**b is constant."""
    return a**b * np.log(np.where((a == 0) & (b >= 0), 1.0, a))


def _erf(a: Array) -> Array:
    """The error function, element by element from the standard library; NumPy has none.

    Complex arguments are right to first order in the imaginary part, which is what the complex step asks for.
    """
    y: Array = np.array([math.erf(x) for x in a.real.ravel().tolist()], dtype=a.real.dtype).reshape(a.shape)
    return y + 1j * a.imag * _erf_slope(a.real) if a.dtype.kind == "c" else y


def _erf_slope(a: Array) -> Any:
    return 2 / math.sqrt(math.pi) * np.exp(-a * a)


def _along(index: Array, dim: int) -> tuple[Array, ...]:
    """The index that reads `index` along axis `dim` and every other axis in step."""
    last = index.ndim - 1
    grids = [np.arange(n).reshape(-1, *(1,) * (last - axis)) for axis, n in enumerate(index.shape)]
    grids[dim] = index
    return tuple(grids)


def _gather(a: Array, dim: int, index: Array) -> Any:
    return a[_along(index, dim)]


def _scatter(g: Array, a: Array, index: Any, unique: bool) -> Array:
    """Zeros shaped like `a` with `g` added at `index`; faster when no element is named twice."""
    whole = np.zeros_like(a)
    if unique:
        whole[index] = g
    else:
        np.add.at(whole, index, g)
    return whole


def _names_once(index: Any) -> bool:
    """Whether an index cannot name an element twice: it is made of slices and integers, or is one mask."""
    parts = index if isinstance(index, tuple) else (index,)
    plain = all(part is None or part is Ellipsis or isinstance(part, (int, slice, np.integer)) for part in parts)
    return plain or (isinstance(index, np.ndarray) and index.dtype == bool)


# ---------------------------------------------------------------- the table
#
# name: (forward,  then one pullback for each differentiable argument, in order)
#
# Forward takes the arguments' arrays (a, b) and the options.  A pullback takes the gradient g of the result, the
# result y and everything forward took, and returns the gradient of its argument, broadcast as the result was.
# fmt: off

OPS: dict[str, tuple[Callable[..., Any], ...]] = {
    # arithmetic
    "add":       (np.add,       lambda g, y, a, b: g,                        lambda g, y, a, b: g),
    "sub":       (np.subtract,  lambda g, y, a, b: g,                        lambda g, y, a, b: -g),
    "mul":       (np.multiply,  lambda g, y, a, b: g * b,                    lambda g, y, a, b: g * a),
    "div":       (np.divide,    lambda g, y, a, b: g / b,                    lambda g, y, a, b: -g * y / b),
    "pow":       (operator.pow, lambda g, y, a, b: g * _base_slope(a, b),    lambda g, y, a, b: g * _power_slope(a, b)),
    "matmul":    (np.matmul,    lambda g, y, a, b: g @ _turned(b),           lambda g, y, a, b: _turned(a) @ g),
    "maximum":   (np.maximum,   lambda g, y, a, b: _won(g, a, b),            lambda g, y, a, b: _won(g, b, a)),
    "minimum":   (np.minimum,   lambda g, y, a, b: _won(g, b, a),            lambda g, y, a, b: _won(g, a, b)),
    "logaddexp": (_logaddexp,   lambda g, y, a, b: g * _odds(a, b),          lambda g, y, a, b: g * _odds(b, a)),
    "where":     (_where,       lambda g, y, a, b, c: np.where(c, g, 0),     lambda g, y, a, b, c: np.where(c, 0, g)),
    # element by element; a gradient that may be infinite ends where a slope is 0, and is not multiplied by it
    "neg":       (lambda a: -a,         lambda g, y, a: -g),
    "exp":       (np.exp,               lambda g, y, a: g * y),
    "log":       (np.log,               lambda g, y, a: g / a),
    "log1p":     (np.log1p,             lambda g, y, a: g / (1 + a)),
    "expm1":     (np.expm1,             lambda g, y, a: g * (y + 1)),
    "sqrt":      (np.sqrt,              lambda g, y, a: g / (2 * y)),
    "sin":       (np.sin,               lambda g, y, a: g * np.cos(a)),
    "cos":       (np.cos,               lambda g, y, a: -g * np.sin(a)),
    "tanh":      (np.tanh,              lambda g, y, a: g * (1 - y * y)),
    "atan":      (np.arctan,            lambda g, y, a: g / (1 + a * a)),
    "erf":       (_erf,                 lambda g, y, a: g * _erf_slope(a)),
    "sigmoid":   (_sigmoid,             lambda g, y, a: g * y * (1 - y)),
    "relu":      (_relu,                lambda g, y, a: np.where(y <= 0, 0, g)),
    "abs":       (_abs,                 lambda g, y, a: g * np.sign(a)),
    "sign":      (_sign,                lambda g, y, a: 0 * g),
    "clamp":     (np.ndarray.clip,      lambda g, y, a, low, high: np.where(a == y, g, 0)),
    "to":        (np.ndarray.astype,    lambda g, y, a, dtype: g),
    # reduction
    "sum":         (_sum,               _spread),
    "mean":        (_mean,              lambda g, y, a, dim, keep: _spread(g, y, a, dim, keep) * (y.size / a.size)),
    "amax":        (_amax,              _share),
    "amin":        (_amin,              _share),
    "logsumexp":   (_logsumexp,         lambda g, y, a, dim, keep: _kept(g, a, dim) * _portion(a, y, dim)),
    "log_softmax": (_log_softmax,       lambda g, y, a, dim: g - np.exp(y) * g.sum(axis=dim, keepdims=True)),
    "softmax":     (_softmax,           lambda g, y, a, dim: y * (g - (g * y).sum(axis=dim, keepdims=True))),
    # choice and shape
    "gather":      (_gather,            lambda g, y, a, dim, i: _scatter(g, a, _along(i, dim), i.shape[dim] == 1)),
    "index":       (lambda a, i: a[i],  lambda g, y, a, i: _scatter(g, a, i, _names_once(i))),
    "reshape":     (np.reshape,         lambda g, y, a, shape: g.reshape(a.shape)),
    "permute":     (np.transpose,       lambda g, y, a, dims: g.transpose(np.argsort(dims))),
    "expand":      (np.broadcast_to,    lambda g, y, a, shape: g),
}
# fmt: on


# ---------------------------------------------------------------- the dialect


class Extreme(NamedTuple):
    """What `max(dim)` and `min(dim)` return: the extreme values and where they are."""

    values: Tensor
    indices: Tensor


class Tensor:
    """An array that remembers how it was computed, with the methods of a `torch.Tensor`.

    Parameters
    ----------
    data : array
        The values; an `ndarray` is taken as it is and shared, not copied (`tensor` copies).
    requires_grad : bool
        Whether `backward` should leave a gradient in `grad`; for real floating-point data only.

    Attributes
    ----------
    data : numpy.ndarray
        The values; writing into them is allowed and not recorded.
    grad : Tensor or None
        The gradients that reached this leaf so far, added up.

    Raises
    ------
    TypeError
        If a gradient is required of integers, booleans or complex numbers.

    Source
    ------
    The dialect is that of PyTorch; the method is reverse accumulation, after Speelpenning (1980) and
    Baydin et al. (2018), arXiv:1502.05767.
    """

    __slots__ = ("__weakref__", "_age", "_origin", "_recorded", "data", "grad")
    __array_ufunc__ = None  # so that `array + tensor` asks the tensor
    __hash__ = object.__hash__  # `==` compares values, dictionaries and sets compare identity

    data: Array
    grad: Tensor | None

    def __init__(self, data: ArrayLike, requires_grad: bool = False) -> None:
        self.data = data if type(data) is np.ndarray else np.asarray(data)
        self.grad = None
        self._recorded = False
        self._origin: tuple[str, tuple[Any, ...], list[Any]] | None = None
        self._age = -1  # a leaf is older than every result
        if requires_grad:
            self.requires_grad = True

    # gradients

    @property
    def requires_grad(self) -> bool:
        """Whether a gradient is wanted here, or was wanted of something this was computed from."""
        return self._recorded

    @requires_grad.setter
    def requires_grad(self, wanted: bool) -> None:
        if wanted and self.data.dtype.kind != "f":
            raise TypeError(f"only real floats can require a gradient, got {self.dtype}; call .float() first")
        if self._origin is not None and not wanted:
            raise ValueError("requires_grad can be switched off for leaves only; call .detach() on a computed tensor")
        self._recorded = bool(wanted)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad` in place."""
        self.requires_grad = requires_grad
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether this was made by the user, not computed from something that requires a gradient."""
        return self._origin is None

    def backward(self, gradient: Tensor | Array | None = None) -> None:
        """Add the gradient of this tensor to `grad` of every leaf it was computed from.

        Parameters
        ----------
        gradient : Tensor or array, shape of this tensor
            What the result is differentiated along; may be left out for one element only, where it is 1.

        Raises
        ------
        ValueError
            If nothing here requires a gradient, if `gradient` is missing, or if its shape is another.
        """
        if not self._recorded:
            raise ValueError("backward: this tensor was not computed from one with requires_grad=True")
        if gradient is None:
            if self.data.size != 1:
                raise ValueError(
                    f"backward: only one element needs no gradient, got shape {self.shape}; "
                    "reduce it first, e.g. .sum(), or pass a gradient of that shape"
                )
            gradient = np.ones_like(self.data)
        g = np.array(gradient.data if isinstance(gradient, Tensor) else gradient, dtype=self.dtype)
        if g.shape != self.shape:
            raise ValueError(f"backward: the gradient must have the tensor's shape {self.shape}, got {g.shape}")
        _backward(self, g)

    def _accumulate(self, g: Array) -> None:
        if self.grad is None:
            self.grad = Tensor(g)
        else:
            self.grad.data += g

    def detach(self) -> Tensor:
        """The same values, cut off from the record; shares memory."""
        return Tensor(self.data)

    def zero_(self) -> Tensor:
        """Fill with zeros, in place and unrecorded."""
        self.data[...] = 0
        return self

    # arithmetic

    def __add__(self, other: Any) -> Tensor:
        return apply("add", self, other)

    def __radd__(self, other: Any) -> Tensor:
        return apply("add", other, self)

    def __sub__(self, other: Any) -> Tensor:
        return apply("sub", self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return apply("sub", other, self)

    def __mul__(self, other: Any) -> Tensor:
        return apply("mul", self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return apply("mul", other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return apply("div", self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return apply("div", other, self)

    def __pow__(self, other: Any) -> Tensor:
        return apply("pow", self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return apply("pow", other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return _matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return _matmul(other, self)

    def __neg__(self) -> Tensor:
        return apply("neg", self)

    def __iadd__(self, other: Any) -> Tensor:
        return self._in_place(np.add, other)

    def __isub__(self, other: Any) -> Tensor:
        return self._in_place(np.subtract, other)

    def __imul__(self, other: Any) -> Tensor:
        return self._in_place(np.multiply, other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self._in_place(np.divide, other)

    @np.errstate(all="ignore")
    def _in_place(self, operation: np.ufunc, other: Any) -> Tensor:
        if _mode.recording and (self._recorded or (isinstance(other, Tensor) and other._recorded)):
            raise ValueError(
                "an in-place operation would overwrite what backward needs; "
                "write `x = x + y`, or put it under no_grad() to update a parameter"
            )
        operation(self.data, other.data if isinstance(other, Tensor) else other, out=self.data)
        return self

    # comparison; the results are booleans, without gradient

    def __lt__(self, other: Any) -> Tensor:
        return _compare(np.less, self, other)

    def __le__(self, other: Any) -> Tensor:
        return _compare(np.less_equal, self, other)

    def __gt__(self, other: Any) -> Tensor:
        return _compare(np.greater, self, other)

    def __ge__(self, other: Any) -> Tensor:
        return _compare(np.greater_equal, self, other)

    def __eq__(self, other: object) -> Tensor:  # type: ignore[override]  # object promises a bool, arrays compare by element
        return _compare(np.equal, self, other)

    def __ne__(self, other: object) -> Tensor:  # type: ignore[override]  # as above
        return _compare(np.not_equal, self, other)

    def __invert__(self) -> Tensor:
        return Tensor(np.invert(self.data))

    def __and__(self, other: Any) -> Tensor:
        return Tensor(np.bitwise_and(self.data, _array(other)))

    __rand__ = __and__

    def __or__(self, other: Any) -> Tensor:
        return Tensor(np.bitwise_or(self.data, _array(other)))

    __ror__ = __or__

    def isfinite(self) -> Tensor:
        """Where the values are neither infinite nor NaN."""
        return Tensor(np.isfinite(self.data))

    def isnan(self) -> Tensor:
        """Where the values are NaN."""
        return Tensor(np.isnan(self.data))

    def isinf(self) -> Tensor:
        """Where the values are infinite."""
        return Tensor(np.isinf(self.data))

    def all(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Whether all values are true (not zero)."""
        return Tensor(np.all(self.data, axis=dim, keepdims=keepdim))

    def any(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Whether any value is true (not zero)."""
        return Tensor(np.any(self.data, axis=dim, keepdims=keepdim))

    # element by element

    def exp(self) -> Tensor:
        """e to the power of each value."""
        return apply("exp", self)

    def log(self) -> Tensor:
        """Natural logarithm; -inf at 0."""
        return apply("log", self)

    def log1p(self) -> Tensor:
        """log(1 + x), accurate for small x."""
        return apply("log1p", self)

    def expm1(self) -> Tensor:
        """exp(x) - 1, accurate for small x."""
        return apply("expm1", self)

    def sqrt(self) -> Tensor:
        """Square root; its slope at 0 is inf."""
        return apply("sqrt", self)

    def square(self) -> Tensor:
        """Each value times itself."""
        return apply("mul", self, self)

    def pow(self, exponent: Any) -> Tensor:
        """Each value to the power of `exponent`."""
        return apply("pow", self, exponent)

    def abs(self) -> Tensor:
        """Absolute value; the slope at 0 is 0."""
        return apply("abs", self)

    def sign(self) -> Tensor:
        """-1, 0 or 1; the slope is 0 everywhere."""
        return apply("sign", self)

    def sin(self) -> Tensor:
        """Sine of an angle in radians."""
        return apply("sin", self)

    def cos(self) -> Tensor:
        """Cosine of an angle in radians."""
        return apply("cos", self)

    def atan(self) -> Tensor:
        """Inverse tangent, in radians."""
        return apply("atan", self)

    def tanh(self) -> Tensor:
        """Hyperbolic tangent."""
        return apply("tanh", self)

    def sigmoid(self) -> Tensor:
        """1 / (1 + exp(-x))."""
        return apply("sigmoid", self)

    def relu(self) -> Tensor:
        """x where positive, else 0; the slope at 0 is 0."""
        return apply("relu", self)

    def erf(self) -> Tensor:
        """The error function."""
        return apply("erf", self)

    def clamp(self, min: float | None = None, max: float | None = None) -> Tensor:
        """Values moved into [min, max]; the slope is 1 on the closed interval, 0 outside."""
        return apply("clamp", self, min, max)

    def maximum(self, other: Any) -> Tensor:
        """The greater of two values; a tie shares the gradient evenly."""
        return apply("maximum", self, other)

    def minimum(self, other: Any) -> Tensor:
        """The smaller of two values; a tie shares the gradient evenly."""
        return apply("minimum", self, other)

    def logaddexp(self, other: Any) -> Tensor:
        """log(exp(x) + exp(y)) without overflow."""
        return apply("logaddexp", self, other)

    def where(self, condition: Any, other: Any) -> Tensor:
        """These values where `condition` holds, `other` elsewhere; what was not chosen gets gradient 0."""
        return apply("where", self, other, condition)

    def masked_fill(self, mask: Any, value: float) -> Tensor:
        """`value` where `mask` holds, these values elsewhere."""
        return apply("where", value, self, mask)

    # reduction

    def sum(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Sum over `dim` (all axes if None)."""
        return apply("sum", self, dim, keepdim)

    def mean(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Mean over `dim` (all axes if None); integers and booleans raise TypeError, as in PyTorch."""
        if self.data.dtype.kind not in "fc":
            raise TypeError(f"mean: needs floating-point values, got {self.dtype}; call .float() first")
        return apply("mean", self, dim, keepdim)

    def amax(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Greatest value over `dim`; ties share the gradient evenly."""
        return apply("amax", self, dim, keepdim)

    def amin(self, dim: Dim = None, keepdim: bool = False) -> Tensor:
        """Smallest value over `dim`; ties share the gradient evenly."""
        return apply("amin", self, dim, keepdim)

    def max(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """`amax()` without `dim`; with it the values and indices of the first greatest, which gets the gradient."""
        return self.amax() if dim is None else self._first(self.argmax(dim, keepdim=True), dim, keepdim)

    def min(self, dim: int | None = None, keepdim: bool = False) -> Any:
        """`amin()` without `dim`; with it the values and indices of the first smallest, which gets the gradient."""
        return self.amin() if dim is None else self._first(self.argmin(dim, keepdim=True), dim, keepdim)

    def _first(self, index: Tensor, dim: int, keepdim: bool) -> Extreme:
        values = self.gather(dim, index)
        return Extreme(values, index) if keepdim else Extreme(values.squeeze(dim), index.squeeze(dim))

    def argmax(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Index of the first greatest value along `dim` (of the flattened tensor if None)."""
        return Tensor(np.argmax(self.data.real, axis=dim, keepdims=keepdim))

    def argmin(self, dim: int | None = None, keepdim: bool = False) -> Tensor:
        """Index of the first smallest value along `dim` (of the flattened tensor if None)."""
        return Tensor(np.argmin(self.data.real, axis=dim, keepdims=keepdim))

    def logsumexp(self, dim: Dim, keepdim: bool = False) -> Tensor:
        """log of the sum of exponentials over `dim`, without overflow; equal infinities share the gradient evenly."""
        return apply("logsumexp", self, dim, keepdim)

    def log_softmax(self, dim: int) -> Tensor:
        """x - logsumexp(x) along `dim`; at an infinite maximum its limit."""
        return apply("log_softmax", self, dim)

    def softmax(self, dim: int) -> Tensor:
        """Exponentials along `dim` that add up to 1; at an infinite maximum their limit."""
        return apply("softmax", self, dim)

    # choosing and shaping

    def __getitem__(self, index: Any) -> Tensor:
        return apply("index", self, tuple(map(_array, index)) if isinstance(index, tuple) else _array(index))

    def gather(self, dim: int, index: Tensor) -> Tensor:
        """The values that the integers `index` name along `dim`: out[i, j] = self[i, index[i, j]] for dim = 1.

        Raises
        ------
        TypeError, ValueError, IndexError
            If `index` is not of integers, has another number of axes, or names an element outside [0, size).
        """
        i = index.data
        if i.dtype.kind not in "iu":
            raise TypeError(f"gather: the index must be of integers, got {i.dtype}")
        if i.ndim != self.ndim:
            raise ValueError(f"gather: the index must have {self.ndim} axes like the tensor, got shape {i.shape}")
        size = self.data.shape[dim]
        if i.size and not 0 <= i.min() <= i.max() < size:
            raise IndexError(f"gather: the index must lie in [0, {size}), got values from {i.min()} to {i.max()}")
        return apply("gather", self, dim, i)

    def reshape(self, *shape: Any) -> Tensor:
        """The same values in another shape; one length may be -1."""
        return apply("reshape", self, _sizes(shape))

    view = reshape

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """The axes from `start_dim` to `end_dim` as one."""
        if not self.ndim:
            return self.reshape(1)
        start, end = start_dim % self.ndim, end_dim % self.ndim
        return self.reshape(*self.shape[:start], math.prod(self.shape[start : end + 1]), *self.shape[end + 1 :])

    def squeeze(self, dim: int | None = None) -> Tensor:
        """Without the axis `dim` if its length is 1 (without all such axes if None)."""
        kept = [n for axis, n in enumerate(self.shape) if n != 1 or (dim is not None and axis != dim % self.ndim)]
        return self.reshape(kept)

    def unsqueeze(self, dim: int) -> Tensor:
        """With a new axis of length 1 at `dim`."""
        return self.reshape(np.expand_dims(self.data, dim).shape)

    def expand(self, *shape: Any) -> Tensor:
        """Repeated along axes of length 1 (and new leading axes) without copying; -1 keeps a length."""
        sizes = _sizes(shape)
        own = (1,) * (len(sizes) - self.ndim) + self.shape
        return apply("expand", self, tuple(n if size == -1 else size for size, n in zip(sizes, own, strict=True)))

    def permute(self, *dims: Any) -> Tensor:
        """The axes in another order."""
        return apply("permute", self, tuple(dim % self.ndim for dim in _sizes(dims)))

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Two axes exchanged."""
        dims = list(range(self.ndim))
        dims[dim0], dims[dim1] = dims[dim1], dims[dim0]
        return apply("permute", self, tuple(dims))

    @property
    def T(self) -> Tensor:  # noqa: N802  # PyTorch's name
        """All axes in reverse order."""
        return apply("permute", self, tuple(reversed(range(self.ndim))))

    @property
    def mT(self) -> Tensor:  # noqa: N802  # PyTorch's name
        """The transpose of each matrix, whose axes are the last two."""
        if self.ndim < 2:
            raise ValueError(f"mT: needs at least two axes, got shape {self.shape}")
        return self.transpose(-2, -1)

    # type and form

    def to(self, dtype: DTypeLike) -> Tensor:
        """The values converted to `dtype` (this very tensor if it has it); only floats pass a gradient back."""
        if self.dtype == dtype:
            return self
        if self.dtype.kind == "c" and np.dtype(dtype).kind in "fiu":
            raise TypeError(f"to: {np.dtype(dtype)} would drop the imaginary part of {self.dtype}")
        return apply("to", self, dtype) if np.dtype(dtype).kind == "f" else Tensor(self.data.astype(dtype))

    def float(self) -> Tensor:
        """As float32."""
        return self.to(np.float32)

    def double(self) -> Tensor:
        """As float64."""
        return self.to(np.float64)

    def long(self) -> Tensor:
        """As int64."""
        return self.to(np.int64)

    def bool(self) -> Tensor:
        """As booleans: whether a value is not zero."""
        return self.to(np.bool_)

    def new_zeros(self, *shape: Any) -> Tensor:
        """Zeros of this dtype."""
        return Tensor(np.zeros(_sizes(shape), self.dtype))

    def new_ones(self, *shape: Any) -> Tensor:
        """Ones of this dtype."""
        return Tensor(np.ones(_sizes(shape), self.dtype))

    def new_tensor(self, data: Any) -> Tensor:
        """`data` as a tensor of this dtype."""
        return tensor(data, dtype=self.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one value, a NumPy dtype."""
        return self.data.dtype

    def dim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    def size(self, dim: int | None = None) -> Any:
        """Lengths of the axes, or of one."""
        return self.shape if dim is None else self.shape[dim]

    def numel(self) -> int:
        """Number of values."""
        return self.data.size

    def item(self) -> Any:
        """The one value as a Python number."""
        return self.data.item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers."""
        return self.data.tolist()

    def numpy(self) -> Array:
        """The values as an array, shared; a tensor that requires a gradient must be detached first."""
        if self._recorded:
            raise ValueError("numpy: this tensor requires a gradient; call .detach().numpy()")
        return self.data

    def __array__(self, dtype: DTypeLike | None = None, copy: Any = None) -> Array:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> Any:
        return bool(self.data)

    def __float__(self) -> Any:
        return float(self.data.item())

    def __int__(self) -> int:
        return int(self.data.item())

    def __repr__(self) -> str:
        values = np.array2string(self.data, separator=", ", prefix="tensor(")
        dtype = "" if self.dtype in (np.float64, np.int64, np.bool_) else f", dtype={self.dtype}"
        return f"tensor({values}{dtype}{', requires_grad=True' if self._recorded else ''})"


def tensor(data: Any, requires_grad: bool = False, *, dtype: DTypeLike | None = None) -> Tensor:
    """Make a tensor from numbers, nested lists or an array, whose values are copied.

    Parameters
    ----------
    data : array_like
        An array keeps its dtype.  Python floats become float64 and not PyTorch's float32, because derivatives are
        checked here to ten digits and more.
    requires_grad : bool
        Whether `backward` should leave a gradient in `grad`.
    dtype : dtype, optional
        Converts the values.

    Returns
    -------
    Tensor
        A leaf.

    Raises
    ------
    TypeError
        If the data are not numbers, are masked, or are not real floats while `requires_grad` is true.
    """
    if np.ma.isMaskedArray(data):
        raise TypeError("tensor: masked arrays would lose their mask; call .filled(value) first")
    array = np.array(data.data if isinstance(data, Tensor) else data, dtype=dtype, order="C")
    if array.dtype.kind not in "fiubc":
        raise TypeError(f"tensor: data must be numbers, got dtype {array.dtype}")
    return Tensor(array.astype(array.dtype.newbyteorder("="), copy=False), requires_grad)


class Visit(NamedTuple):
    """One line of `trace`: a tensor, the operation that made it from which arguments, and its gradient.

    For a leaf the operation is None, and there are no arguments.
    """

    tensor: Tensor
    operation: str | None
    arguments: tuple[Any, ...]
    gradient: Array


@np.errstate(all="ignore")
def trace(result: Tensor) -> list[Visit]:
    """List what `result.backward()` would visit, in its order; no `grad` is touched.

    Parameters
    ----------
    result : Tensor
        Computed from a tensor with `requires_grad=True`; several elements are differentiated as their sum.

    Returns
    -------
    list of Visit
        Every tensor on the way that requires a gradient, from the result back; leaves come last, in the order in which
        they were found. The gradients are not to be written into.
        Arguments are what `apply` took: tensors, also such as require no gradient, then numbers and options.

    Raises
    ------
    ValueError
        If nothing here requires a gradient.
    """
    if not result._recorded:
        raise ValueError("trace: this tensor was not computed from one with requires_grad=True")
    visits = []
    for node, g in _gradients(result, np.ones_like(result.data)):
        name, arguments, _ = node._origin or (None, (), [])
        visits.append(Visit(node, name, arguments, g))
    return visits


def _array(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def _sizes(shape: tuple[Any, ...]) -> tuple[int, ...]:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape


def _compare(operation: np.ufunc, a: Tensor, b: Any) -> Tensor:
    b = _array(b)
    return Tensor(operation(a.data.real, b.real if isinstance(b, (np.ndarray, complex)) else b))


def _matmul(a: Any, b: Any) -> Tensor:
    """Matrix product; a vector is a row on the left and a column on the right, as in NumPy."""
    a, b = (x if isinstance(x, Tensor) else Tensor(x) for x in (a, b))
    product = apply("matmul", a.unsqueeze(0) if a.ndim == 1 else a, b.unsqueeze(1) if b.ndim == 1 else b)
    if b.ndim == 1:
        product = product.squeeze(-1)
    return product.squeeze(-1 if b.ndim == 1 else -2) if a.ndim == 1 else product
