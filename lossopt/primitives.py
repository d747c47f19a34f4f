"""What arithmetic cannot say, for every kind of number a formula may meet.

Floats, NumPy arrays, torch and lossopt tensors, JAX arrays and SymPy symbols all pass through the same few functions.
The library is taken from the argument, so none is imported here: whoever holds a tensor has loaded its library.
There are no annotations: the files of formulas also run on MicroPython, which has no `typing`.
"""

import math
import sys


def whole_tensor(rule):
    """Mark a rule that looks at a parameter as a whole, so that no driver cuts it into blocks.

    Parameters
    ----------
    rule : function
        A rule `(w, g, t, ...)` with a norm, a matrix product or the like in it.

    Returns
    -------
    function
        The same function, with `rule.whole_tensor = True`.
    """
    rule.whole_tensor = True
    return rule


def matrices_only(rule):
    """Mark a whole-tensor rule that is defined for matrices alone, so that drivers can refuse other shapes at once.

    Parameters
    ----------
    rule : function
        A rule `(w, g, t, ...)` that multiplies its weights as matrices.

    Returns
    -------
    function
        The same function, with `rule.whole_tensor = True` and `rule.matrices_only = True`.
    """
    rule.matrices_only = True
    return whole_tensor(rule)


def maximum(a, b):
    """The larger of two numbers, element by element; NaN where either is NaN.

    Parameters
    ----------
    a, b : number or array
        Two numbers, or arrays that broadcast.

    Returns
    -------
    number or array
        Of the kind of the arguments.
    """
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a if a > b or a != a else b
    if isinstance(a, (int, float)):  # from here on `a` is the one that knows its library
        a, b = b, a
    if hasattr(a, "clamp"):  # a tensor, which takes a number only as a bound
        return a.clamp(min=b) if isinstance(b, (int, float)) else a.maximum(b)
    library = _library(a)
    return library.Max(a, b) if hasattr(library, "Max") else library.maximum(a, b)


def sign(x):
    """-1, 0 or 1 as `x` is negative, zero or positive, element by element; of NaN it is NaN, but 0 for torch.

    Parameters
    ----------
    x : number or array

    Returns
    -------
    number or array
        Of the kind of the argument.
    """
    if isinstance(x, (int, float)):
        return 1.0 if x > 0 else -1.0 if x < 0 else x * 0.0  # zero stays zero and NaN stays NaN
    return _call("sign", x)


def exp(x):
    """The exponential, element by element.

    Parameters
    ----------
    x : number or array

    Returns
    -------
    number or array
        Of the kind of the argument.
    """
    return _call("exp", x)


def cos(x):
    """The cosine of an angle in radians, element by element.

    Parameters
    ----------
    x : number or array

    Returns
    -------
    number or array
        Of the kind of the argument.
    """
    return _call("cos", x)


def sin(x):
    """The sine of an angle in radians, element by element.

    Parameters
    ----------
    x : number or array

    Returns
    -------
    number or array
        Of the kind of the argument.
    """
    return _call("sin", x)


def log(x):
    """The natural logarithm, element by element.

    Parameters
    ----------
    x : number or array

    Returns
    -------
    number or array
        Of the kind of the argument.
    """
    return _call("log", x)


def sqrt(x):
    """The square root, element by element.

    Parameters
    ----------
    x : number or array

    Returns
    -------
    number or array
        Of the kind of the argument.
    """
    return _call("sqrt", x)


def tanh(x):
    """The hyperbolic tangent, element by element.

    Parameters
    ----------
    x : number or array

    Returns
    -------
    number or array
        Of the kind of the argument.
    """
    return _call("tanh", x)


def norm(x):
    """The Euclidean length of all entries of `x` together (of a matrix: its Frobenius norm).

    Parameters
    ----------
    x : number or array of any shape

    Returns
    -------
    number
        Not negative; an array of no dimensions where `x` is an array.
    """
    if isinstance(x, (int, float)):
        return abs(x)
    return (x * x).sum() ** 0.5


def transposed(x):
    """The matrix with rows and columns exchanged.

    Parameters
    ----------
    x : array, shape (rows, columns)

    Returns
    -------
    array, shape (columns, rows)

    Raises
    ------
    ValueError
        If `x` is not a matrix.
    """
    shape = tuple(getattr(x, "shape", ()))
    if len(shape) != 2:
        raise ValueError(f"a matrix of shape (rows, columns) is needed, got shape {shape}")
    return x.T


def eigh(x):
    """Eigenvalues, ascending, and eigenvectors, in columns, of a symmetric matrix.

    Parameters
    ----------
    x : array, shape (n, n)

    Returns
    -------
    array, shape (n,)
    array, shape (n, n)
    """
    return _library(x).linalg.eigh(x)


def qr(x):
    """An orthogonal matrix Q and an upper triangular R with Q R = x.

    Parameters
    ----------
    x : array, shape (n, n)

    Returns
    -------
    array, shape (n, n)
    array, shape (n, n)
    """
    return _library(x).linalg.qr(x)


def _call(name, x):
    """The function called `name` where `x` keeps it: `math`, its own methods, or its library."""
    if isinstance(x, (int, float)):
        return getattr(math, name)(x)
    if hasattr(x, name):
        return getattr(x, name)()
    return getattr(_library(x), name)(x)


def _library(x):
    """The module with the functions for `x`, which is loaded since `x` exists."""
    if hasattr(x, "__array_namespace__"):  # NumPy, JAX and whatever else follows the array API standard
        return x.__array_namespace__()
    return sys.modules[type(x).__module__.split(".")[0]]  # torch and SymPy do not
