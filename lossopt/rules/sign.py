"""Sign rules: only the direction of each gradient counts, never its size."""

from ..primitives import sign


def sign_sgd(w, g, t, lr=1e-4):
    """Move every weight by the same length, against the sign of its gradient.

    Remembers nothing.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    lr : float in [0, inf)
        The learning rate: how far every weight moves.

    Returns
    -------
    w
        The new weights.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to optax; torch and Keras have none.

    Extends
    -------
    sgd: The sign of each gradient in place of the gradient.

    Source
    ------
    Bernstein, Wang, Azizzadenesheli and Anandkumar (2018), signSGD: Compressed Optimisation for Non-Convex Problems,
    arXiv:1802.04434.
    """
    return w - lr * sign(g)


def lion(w, g, t, m, lr=1e-4, beta1=0.9, beta2=0.99, weight_decay=0.0):
    """Move every weight by the same length, against the sign of its gradient mixed with an average of the past ones.

    Remembers `m`, a moving average of the gradient; the mixture that is stepped along is a shorter one.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    m : array of that shape
        The average of the gradient; 0.0 at first.
    lr : float in [0, inf)
        The learning rate: how far every weight moves.
    beta1 : float in [0, 1)
        The share of the average in the mixture.
    beta2 : float in [0, 1)
        The decay of the average.
    weight_decay : float in [0, inf)
        The share of a weight that is taken off per unit of `lr`.

    Returns
    -------
    w, m
        The new weights and average.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to the authors' code, Keras (default lr 0.001) and optax (default weight_decay 0.001).

    Extends
    -------
    sign_sgd, momentum: The sign of the gradient mixed with a memory, and decoupled decay.

    Source
    ------
    Chen, Liang, Huang, Real, Wang, Liu, Pham, Dong, Luong, Hsieh, Lu and Le (2023), Symbolic Discovery of
    Optimization Algorithms, program 1 and algorithm 2, arXiv:2302.06675.
    """
    mixture = beta1 * m + (1 - beta1) * g
    m = beta2 * m + (1 - beta2) * g
    return w * (1 - lr * weight_decay) - lr * sign(mixture), m
