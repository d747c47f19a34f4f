"""Gradient descent: the rule all others vary."""


def sgd(w, g, t, lr=1e-3):
    """Step against the gradient.

    Remembers nothing.
    It is called stochastic when `g` comes from a random part of the data; the formula does not know.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    lr : float in [0, inf)
        The learning rate: how far to step, per unit of gradient.

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
    Equal to SGD of torch, Keras and optax without momentum.

    Source
    ------
    Robbins and Monro (1951), A Stochastic Approximation Method, doi:10.1214/aoms/1177729586.
    """
    return w - lr * g
