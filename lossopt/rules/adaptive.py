"""Adaptive rates: every weight divides its step by the size of its own past gradients."""

from ..primitives import maximum


def adagrad(w, g, t, G, lr=1e-2, eps=1e-10):
    """Divide by the root of the sum of all squared gradients so far.

    Remembers `G`, that sum; it only grows, so the steps only shrink, fastest where gradients were large.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    G : array of that shape
        The sum of squared gradients; 0.0 at first.
    lr : float in [0, inf)
        The learning rate: how far a weight moves in its first step.
    eps : float in [0, inf)
        Added to the root, so that a gradient of zero divides by something.

    Returns
    -------
    w, G
        The new weights and sum.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to torch, whose lr_decay is left to a rate that is a function of the step.
    Keras and optax start the sum at 0.1 and add `eps` under the root (`adagrad_keras`).

    Extends
    -------
    sgd: A rate for each weight: divided by the root of the sum of its squared gradients.

    Source
    ------
    Duchi, Hazan and Singer (2011), Adaptive Subgradient Methods for Online Learning and Stochastic Optimization,
    Journal of Machine Learning Research 12, 2121-2159; found at the same time by McMahan and Streeter (2010),
    arXiv:1002.4908.
    """
    G = G + g * g
    return w - lr * g / (G**0.5 + eps), G


def adadelta(w, g, t, v, D, lr=1.0, rho=0.9, eps=1e-6):
    """Scale the gradient by the ratio of typical step to typical gradient, which has the unit of a weight.

    Remembers `v` and `D`, moving averages of the squared gradient and of the squared step.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    v, D : arrays of that shape
        The averages of the squares of gradient and step; 0.0 at first.
    lr : float in [0, inf)
        A factor on every step, 1 in the paper.
    rho : float in [0, 1)
        The decay of both averages.
    eps : float in [0, inf)
        Added under both roots; it alone sets the first step, to about the root of eps.

    Returns
    -------
    w, v, D
        The new weights and averages.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to torch; Keras differs in its defaults only (lr=0.001, rho=0.95, eps=1e-7).
    optax, left without a rate, goes uphill: give it 1.0.

    Extends
    -------
    adagrad: A moving average in place of the sum, and the unit of a weight for the step.

    Source
    ------
    Zeiler (2012), ADADELTA: An Adaptive Learning Rate Method, algorithm 1, arXiv:1212.5701.
    """
    v = rho * v + (1 - rho) * g * g
    step = (D + eps) ** 0.5 / (v + eps) ** 0.5 * g
    D = rho * D + (1 - rho) * step * step
    return w - lr * step, v, D


def rmsprop(w, g, t, v, lr=1e-2, alpha=0.99, eps=1e-8):
    """Divide by the root of a moving average of squared gradients.

    Remembers `v`, that average, which forgets and so follows gradients that change, as `adagrad`'s sum cannot.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    v : array of that shape
        The average of the squared gradient; 0.0 at first.
    lr : float in [0, inf)
        The learning rate; the first step is `lr / (1 - alpha)**0.5`, since nothing corrects the start at 0.
    alpha : float in [0, 1)
        The decay of the average.
    eps : float in [0, inf)
        Added to the root.

    Returns
    -------
    w, v
        The new weights and average.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to torch without momentum.
    Keras and optax add `eps` under the root (`rmsprop_eps_inside`).

    Extends
    -------
    adagrad: A moving average in place of the sum, so that old gradients are forgotten.

    Source
    ------
    Tieleman and Hinton (2012), Neural Networks for Machine Learning, lecture 6.5, Coursera; first printed, centred,
    in Graves (2013), arXiv:1308.0850.
    """
    v = alpha * v + (1 - alpha) * g * g
    return w - lr * g / (v**0.5 + eps), v


def rmsprop_centered(w, g, t, v, m, lr=1e-2, alpha=0.99, eps=1e-8):
    """RMSProp that divides by the deviation of the gradients from their average instead of their size.

    Remembers `v` and `m`, moving averages of the squared gradient and of the gradient.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    v, m : arrays of that shape
        The averages of the squared gradient and of the gradient; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    alpha : float in [0, 1)
        The decay of both averages.
    eps : float in [0, inf)
        Added to the root.

    Returns
    -------
    w, v, m
        The new weights and averages.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to torch with centered=True and no momentum, except that a variance which rounding has made negative
    counts as 0 here and gives NaN there.
    Keras and optax add `eps` under the root.

    Extends
    -------
    rmsprop: The deviation of the gradients from their mean in place of their size.

    Source
    ------
    Graves (2013), Generating Sequences With Recurrent Neural Networks, equations 38 to 45, arXiv:1308.0850.
    """
    v = alpha * v + (1 - alpha) * g * g
    m = alpha * m + (1 - alpha) * g
    variance = maximum(v - m * m, 0.0)
    return w - lr * g / (variance**0.5 + eps), v, m
