"""Functions of two variables to watch an optimizer on, each with its gradient, its minima and a good window.

Values and gradients are arithmetic, so the same text takes floats, arrays, grids of runs, torch and lossopt tensors and
SymPy symbols.
The file stays inside MicroPython's syntax.
"""

import math

from .primitives import cos, exp, maximum, sin


class Landscape:
    """A function of two variables together with what is known about it.

    Calling it gives the value: `rosenbrock(x, y)`.

    Parameters
    ----------
    name : str
        The name under which `LANDSCAPES` holds it.
    value, gradient : callable
        `value(x, y)` returns one number a point, `gradient(x, y)` the pair of partial derivatives; both broadcast.
    minima : list of tuple
        The global minima as `(x, y, value)`; empty where the function falls for ever.
    window : tuple
        `((x0, x1), (y0, y1))`, the part worth drawing.
    start : tuple
        `(x, y)`, a point inside the window from which a descent is worth watching.
    """

    def __init__(self, name, value, gradient, minima, window, start):
        self.name = name
        self.value = value
        self.gradient = gradient
        self.minima = minima
        self.window = window
        self.start = start
        self.__doc__ = getattr(value, "__doc__", None)

    def __call__(self, x, y):
        """Return the value at `(x, y)`."""
        return self.value(x, y)

    def __repr__(self):
        """Return the name and the window."""
        return f"Landscape({self.name!r}, window={self.window})"


def quadratic(condition=25.0, angle=0.5):
    """The bowl whose curvature is 1 along one axis and `condition` along the other, turned by `angle`.

    Gradient descent converges on it just when its rate is below `2 / condition`, and fastest at `2 / (1 + condition)`.

    Parameters
    ----------
    condition : float, at least 1
        The larger curvature divided by the smaller one.
    angle : float
        Angle in radians between the x axis and the flat direction, counter-clockwise.

    Returns
    -------
    Landscape
        `(u^2 + condition * v^2) / 2`, where `(u, v)` is `(x, y)` turned by `-angle`.

    Raises
    ------
    ValueError
        If `condition` is below 1 or not finite, or `angle` is not finite.

    Source
    ------
    The quadratic model behind every statement on the rate of gradient descent,
    e.g. Polyak, Introduction to Optimization (1987).
    """
    if not 1 <= condition < math.inf:
        raise ValueError(f"quadratic: condition must be a finite number of at least 1, got {condition}")
    if not -math.inf < angle < math.inf:
        raise ValueError(f"quadratic: angle must be finite, got {angle}")

    def value(x, y):
        u = x * cos(angle) + y * sin(angle)
        v = y * cos(angle) - x * sin(angle)
        return (u * u + condition * v * v) / 2

    def gradient(x, y):
        u = x * cos(angle) + y * sin(angle)
        v = y * cos(angle) - x * sin(angle)
        return u * cos(angle) - condition * v * sin(angle), u * sin(angle) + condition * v * cos(angle)

    # At u = 2, v = 1, so that both curvatures are felt.
    start = (2 * cos(angle) - sin(angle), 2 * sin(angle) + cos(angle))
    landscape = Landscape("quadratic", value, gradient, [(0.0, 0.0, 0.0)], ((-3.0, 3.0), (-3.0, 3.0)), start)
    landscape.__doc__ = f"The bowl `(u^2 + {condition} v^2) / 2` turned by {angle} radians."
    return landscape


_quadratic = quadratic()


def _elongated_bowl(x, y):
    """x^2/20 + y^2, the bowl of condition number 20 on which many first courses compare optimizers.

    Source
    ------
    Saito, Deep Learning from Scratch, O'Reilly Japan (2016), chapter 6; start (-7, 2) as there.
    """
    return x * x / 20 + y * y


def _elongated_bowl_gradient(x, y):
    return x / 10, 2 * y


elongated_bowl = Landscape(
    "elongated_bowl",
    _elongated_bowl,
    _elongated_bowl_gradient,
    [(0.0, 0.0, 0.0)],
    ((-10.0, 10.0), (-5.0, 5.0)),
    (-7.0, 2.0),
)


def _long_valley(x, y):
    """10 x^2 + (1 - y^2/16)^2, a narrow valley whose floor is all but flat where a descent starts.

    Its walls forbid a rate above 0.1, and near y = 0, where the floor has its pass, such a rate hardly moves y at all.

    Source
    ------
    Ours, after the "long valley" of Radford's animations (2014), whose formula was never published.
    """
    a = 1 - y * y / 16
    return 10 * x * x + a * a


def _long_valley_gradient(x, y):
    return 20 * x, -y * (1 - y * y / 16) / 4


long_valley = Landscape(
    "long_valley",
    _long_valley,
    _long_valley_gradient,
    [(0.0, 4.0, 0.0), (0.0, -4.0, 0.0)],
    ((-1.0, 1.0), (-5.0, 5.0)),
    (0.75, 0.01),
)


def _rosenbrock(x, y):
    """(1 - x)^2 + 100 (y - x^2)^2, a curved valley that is easy to reach and slow to follow.

    Source
    ------
    Rosenbrock, An automatic method for finding the greatest or least value of a function,
    The Computer Journal (1960), doi:10.1093/comjnl/3.3.175; start (-1.2, 1) as there.
    """
    a, b = 1 - x, y - x * x
    return a * a + 100 * b * b


def _rosenbrock_gradient(x, y):
    b = y - x * x
    return -2 * (1 - x) - 400 * x * b, 200 * b


rosenbrock = Landscape(
    "rosenbrock", _rosenbrock, _rosenbrock_gradient, [(1.0, 1.0, 0.0)], ((-2.0, 2.0), (-1.0, 3.0)), (-1.2, 1.0)
)


def _beale(x, y):
    """(1.5 - x + xy)^2 + (2.25 - x + xy^2)^2 + (2.625 - x + xy^3)^2: plains, steep walls and one minimum.

    Source
    ------
    Beale, On an iterative method for finding a local minimum of a function of more than one variable,
    Technical Report 25, Princeton University (1958).
    """
    a = 1.5 - x + x * y
    b = 2.25 - x + x * y * y
    c = 2.625 - x + x * y * y * y
    return a * a + b * b + c * c


def _beale_gradient(x, y):
    a = 1.5 - x + x * y
    b = 2.25 - x + x * y * y
    c = 2.625 - x + x * y * y * y
    return (
        2 * (a * (y - 1) + b * (y * y - 1) + c * (y * y * y - 1)),
        2 * x * (a + 2 * b * y + 3 * c * y * y),
    )


beale = Landscape("beale", _beale, _beale_gradient, [(3.0, 0.5, 0.0)], ((-1.0, 4.5), (-1.5, 2.5)), (1.0, 1.5))


def _himmelblau(x, y):
    """(x^2 + y - 11)^2 + (x + y^2 - 7)^2, which has four minima, all of them zero.

    One is (3, 2); the others have an x that solves x^3 + 3x^2 - 13x - 38 = 0 (put y = 11 - x^2 into the second
    bracket and divide by x - 3). They are given as the doubles nearest to those roots.

    Source
    ------
    Himmelblau, Applied Nonlinear Programming, McGraw-Hill (1972).
    """
    a, b = x * x + y - 11, x + y * y - 7
    return a * a + b * b


def _himmelblau_gradient(x, y):
    a, b = x * x + y - 11, x + y * y - 7
    return 4 * x * a + 2 * b, 2 * a + 4 * y * b


himmelblau = Landscape(
    "himmelblau",
    _himmelblau,
    _himmelblau_gradient,
    [
        (3.0, 2.0, 0.0),
        (-2.805118086952745, 3.131312518250573, 0.0),
        (-3.779310253377747, -3.2831859912861696, 0.0),
        (3.5844283403304917, -1.8481265269644036, 0.0),
    ],
    ((-5.0, 5.0), (-5.0, 5.0)),
    (-1.0, -1.0),
)


def _booth(x, y):
    """(x + 2y - 7)^2 + (2x + y - 5)^2, a bowl of condition number 9 that leans across both axes.

    Source
    ------
    Jamil and Yang, A literature survey of benchmark functions for global optimization problems (2013), arXiv:1308.4008.
    """
    a, b = x + 2 * y - 7, 2 * x + y - 5
    return a * a + b * b


def _booth_gradient(x, y):
    a, b = x + 2 * y - 7, 2 * x + y - 5
    return 2 * a + 4 * b, 4 * a + 2 * b


booth = Landscape("booth", _booth, _booth_gradient, [(1.0, 3.0, 0.0)], ((-10.0, 10.0), (-10.0, 10.0)), (-8.0, 8.0))


def _saddle(x, y):
    """x^2 - y^2: the gradient vanishes at the origin, which is no minimum, and the function falls for ever along y.

    Source
    ------
    The local form of every non-degenerate saddle in the plane (Morse's lemma).
    """
    return x * x - y * y


def _saddle_gradient(x, y):
    return 2 * x, -2 * y


saddle = Landscape("saddle", _saddle, _saddle_gradient, [], ((-2.0, 2.0), (-2.0, 2.0)), (1.5, 0.001))


def _monkey_saddle(x, y):
    """x^3 - 3xy^2, a saddle with three ways down whose curvature is zero at the origin.

    Source
    ------
    Hilbert and Cohn-Vossen, Geometry and the Imagination (1932).
    """
    return x * x * x - 3 * x * y * y


def _monkey_saddle_gradient(x, y):
    return 3 * (x * x - y * y), -6 * x * y


monkey_saddle = Landscape(
    "monkey_saddle", _monkey_saddle, _monkey_saddle_gradient, [], ((-1.5, 1.5), (-1.5, 1.5)), (1.2, 0.01)
)


def _rastrigin(x, y):
    """20 + x^2 - 10 cos(2 pi x) + y^2 - 10 cos(2 pi y), a bowl covered with local minima about 1 apart.

    Source
    ------
    Jamil and Yang, A literature survey of benchmark functions for global optimization problems (2013), arXiv:1308.4008.
    """
    return 20 + x * x - 10 * cos(2 * math.pi * x) + y * y - 10 * cos(2 * math.pi * y)


def _rastrigin_gradient(x, y):
    return 2 * x + 20 * math.pi * sin(2 * math.pi * x), 2 * y + 20 * math.pi * sin(2 * math.pi * y)


rastrigin = Landscape(
    "rastrigin", _rastrigin, _rastrigin_gradient, [(0.0, 0.0, 0.0)], ((-5.12, 5.12), (-5.12, 5.12)), (3.3, -2.3)
)


def _ackley(x, y):
    """20 (1 - exp(-r/5)) + e - exp((cos 2 pi x + cos 2 pi y)/2): a rippled plain with one deep funnel.

    Here r is sqrt((x^2 + y^2)/2). At the origin the funnel ends in a point, where no gradient exists; the one given
    there is zero, which is a subgradient.

    Source
    ------
    Ackley, A Connectionist Machine for Genetic Hillclimbing, Kluwer (1987), doi:10.1007/978-1-4613-1997-9.
    """
    r = ((x * x + y * y) / 2) ** 0.5
    c = (cos(2 * math.pi * x) + cos(2 * math.pi * y)) / 2
    return 20 * (1 - exp(-r / 5)) + (math.e - exp(c))


def _ackley_gradient(x, y):
    r = ((x * x + y * y) / 2) ** 0.5
    c = (cos(2 * math.pi * x) + cos(2 * math.pi * y)) / 2
    # At the tip r is 0, and in float32 close to it, where x * x vanishes; divided by 1e-20, x is still small there.
    funnel = 2 * exp(-r / 5) / maximum(r, 1e-20)
    wave = math.pi * exp(c)
    return funnel * x + wave * sin(2 * math.pi * x), funnel * y + wave * sin(2 * math.pi * y)


ackley = Landscape("ackley", _ackley, _ackley_gradient, [(0.0, 0.0, 0.0)], ((-5.0, 5.0), (-5.0, 5.0)), (2.6, -1.7))


def _styblinski_tang(x, y):
    """The sum of (z^4 - 16 z^2 + 5 z)/2 over z = x and z = y: four valleys, only one of them the deepest.

    In the minimum both coordinates are the least root of 4z^3 - 32z + 5 = 0; the double nearest to it is given.

    Source
    ------
    Styblinski and Tang, Experiments in nonconvex optimization, Neural Networks (1990),
    doi:10.1016/0893-6080(90)90029-K.
    """
    a, b = x * x, y * y
    return (a * a - 16 * a + 5 * x + b * b - 16 * b + 5 * y) / 2


def _styblinski_tang_gradient(x, y):
    return 2 * x * x * x - 16 * x + 2.5, 2 * y * y * y - 16 * y + 2.5


styblinski_tang = Landscape(
    "styblinski_tang",
    _styblinski_tang,
    _styblinski_tang_gradient,
    [(-2.903534027771177, -2.903534027771177, -78.33233140754282)],
    ((-5.0, 5.0), (-5.0, 5.0)),
    (4.0, 0.0),
)


LANDSCAPES = {f.name: f for f in list(globals().values()) if isinstance(f, Landscape)}
