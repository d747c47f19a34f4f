"""Numbers that carry their slopes along, so that a function of x and y differentiates itself while it is computed.

With this module you can

- differentiate: `gradient(f, x, y)` gives the value of `f` and its two partial derivatives;
- write an `f` that takes floats, NumPy arrays, these numbers and tensors alike, with `exp`, `log`, `sqrt`, `sin`,
  `cos`, `tanh`, `abs`, `maximum` and `pi` from here.

How it works: a `Dual` is a value together with what it gains per unit of x and per unit of y, and every operation hands
the two on by the chain rule.
`lossopt.Tensor` goes through the same operations from the result back (reverse mode), at one price for any number of
arguments; going forward costs one more slope an argument, and needs no record.
The file stays inside MicroPython's syntax.
"""

from math import pi

from .primitives import cos, exp, log, maximum, sign, sin, sqrt, tanh

__all__ = ["Dual", "abs", "cos", "exp", "gradient", "log", "maximum", "pi", "sin", "sqrt", "tanh"]


class Dual:
    """A value and its slopes along x and y.

    At a kink the slope is that of `lossopt.Tensor`: 0 for `abs` at 0, half of each for `maximum` where two numbers tie,
    all of it where a number ties with a bound.
    Comparing looks at values alone (on MicroPython with the dual on the left, as in `x > 0`).

    Parameters
    ----------
    value : float or array
        The value.
    dx, dy : float or array
        The partial derivatives of the value; 0.0 for a constant.

    Raises
    ------
    ArithmeticError, ValueError
        From an operation, where floats raise it: at a value or a slope that is infinite, such as that of `sqrt` at 0.
    """

    __array_ufunc__ = None  # so that `array + dual` asks the dual

    def __init__(self, value, dx=0.0, dy=0.0):
        self.value = value
        self.dx = dx
        self.dy = dy

    def __repr__(self):
        """Return the value and both slopes."""
        return f"Dual({self.value}, dx={self.dx}, dy={self.dy})"

    def _chain(self, value, slope):
        """A function of this number: its value, and its slope times ours."""
        return Dual(value, slope * self.dx, slope * self.dy)

    def __add__(self, other):
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.dx + other.dx, self.dy + other.dy)
        return Dual(self.value + other, self.dx, self.dy)

    def __sub__(self, other):
        if isinstance(other, Dual):
            return Dual(self.value - other.value, self.dx - other.dx, self.dy - other.dy)
        return Dual(self.value - other, self.dx, self.dy)

    def __mul__(self, other):
        if isinstance(other, Dual):
            a, b = self.value, other.value
            return Dual(a * b, self.dx * b + a * other.dx, self.dy * b + a * other.dy)
        return Dual(self.value * other, self.dx * other, self.dy * other)

    def __truediv__(self, other):
        b, dx, dy = _parts(other)
        quotient = self.value / b
        return Dual(quotient, (self.dx - quotient * dx) / b, (self.dy - quotient * dy) / b)

    def __pow__(self, other):
        a, b = self.value, _parts(other)[0]
        y = a**b
        if isinstance(y, complex):
            raise ValueError(f"{a} ** {b} is not a real number")
        power = self._chain(y, b * a ** (b - 1) if b else 0.0)
        return power + other._chain(0.0, y * log(a) if a else 0.0) if isinstance(other, Dual) else power

    def __neg__(self):
        return self._chain(-self.value, -1.0)

    def __rsub__(self, other):
        return Dual(other - self.value, -self.dx, -self.dy)

    def __rtruediv__(self, other):
        return Dual(other) / self

    def __rpow__(self, other):
        y = other**self.value
        return self._chain(y, y * log(other) if other else 0.0)

    __radd__ = __add__
    __rmul__ = __mul__

    def __abs__(self):
        return self * self.sign()

    def __eq__(self, other):
        return self.value == _parts(other)[0]

    def __lt__(self, other):
        return self.value < _parts(other)[0]

    def __le__(self, other):
        return self.value <= _parts(other)[0]

    def __gt__(self, other):
        return self.value > _parts(other)[0]

    def __ge__(self, other):
        return self.value >= _parts(other)[0]

    def exp(self):
        """e to the power of the value."""
        y = exp(self.value)
        return self._chain(y, y)

    def log(self):
        """Natural logarithm."""
        return self._chain(log(self.value), 1 / self.value)

    def sqrt(self):
        """Square root."""
        y = sqrt(self.value)
        return self._chain(y, 1 / (2 * y))

    def sin(self):
        """Sine of an angle in radians."""
        return self._chain(sin(self.value), cos(self.value))

    def cos(self):
        """Cosine of an angle in radians."""
        return self._chain(cos(self.value), -sin(self.value))

    def tanh(self):
        """Hyperbolic tangent."""
        y = tanh(self.value)
        return self._chain(y, 1 - y * y)

    def sign(self):
        """-1, 0 or 1; the slopes are 0 everywhere."""
        return Dual(sign(self.value))

    def maximum(self, other):
        """The greater of two numbers; a tie shares the slopes evenly."""
        a, (b, dx, dy) = self.value, _parts(other)
        ours = (1 + sign(a - b)) / 2  # 1, 1/2 or 0
        return Dual(maximum(a, b), ours * self.dx + (1 - ours) * dx, ours * self.dy + (1 - ours) * dy)

    def clamp(self, min):
        """The value, or `min` where that is greater; the slopes are kept on the bound itself, and 0 beyond."""
        y = maximum(self.value, min)
        return self._chain(y, (y == self.value) * 1.0)


def _parts(number):
    return (number.value, number.dx, number.dy) if isinstance(number, Dual) else (number, 0.0, 0.0)


def gradient(f, x, y):
    """Compute a function of two variables together with its partial derivatives.

    Parameters
    ----------
    f : function
        Made of arithmetic and of the functions of this module.
    x, y : float, or arrays that broadcast
        Where.

    Returns
    -------
    value : float or array
        `f(x, y)`.
    slopes : tuple of two
        The partial derivatives along x and y; 0.0 along what `f` does not look at.

    Raises
    ------
    TypeError
        If `f` does not give a number.
    ArithmeticError, ValueError
        Where `f` or a slope is infinite or not defined, as floats raise it.

    Source
    ------
    Wengert (1964), A simple automatic derivative evaluation program, doi:10.1145/355586.364791; section 3.1 of
    Baydin et al. (2018), arXiv:1502.05767.
    """
    result = f(Dual(x, 1.0, 0.0), Dual(y, 0.0, 1.0))
    if not isinstance(result, (Dual, int, float)):
        raise TypeError(f"f must give a number, got {result!r}")
    value, dx, dy = _parts(result)
    return value, (dx, dy)


def abs(x):
    """The absolute value; its slope at 0 is 0.

    Parameters
    ----------
    x : number, array, Dual or tensor

    Returns
    -------
    number, array, Dual or tensor
        Of the kind of the argument.
    """
    return x * sign(x)
