"""Averaging: rules that are evaluated at an average of their path instead of its end."""

from ..primitives import maximum


def schedule_free_average(w, d, beta):
    """The averaged point `x` of a schedule-free rule, which is the one to evaluate and to keep.

    Parameters
    ----------
    w, d : arrays of one shape
        The weights the rule trains, and its state of that name.
    beta : float in (0, 1]
        The rule's hyper-parameter of that name.

    Returns
    -------
    array of that shape
        The average of all points `z` so far.

    Source
    ------
    Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky (2024), The Road Less Scheduled, arXiv:2405.15682.
    """
    return w - (1 / beta - 1) * d


def schedule_free_sgd(w, g, t, d, weight_sum, lr=1.0, beta=0.9):
    """Gradient descent on `z`, trained at a point between `z` and the average `x` of its path.

    Remembers `d`, which is `z - w`, and `weight_sum`, the sum of squared rates; the average weighs each `z` by its
    squared rate.
    The weights are the point between, `(1 - beta) * z + beta * x`; evaluate at `schedule_free_average(w, d, beta)`.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    d : array of that shape
        How far `z` is from the weights; 0.0 at first.
    weight_sum : number, or array of that shape
        The sum of squared rates; 0.0 at first.
    lr : float in [0, inf)
        The learning rate; a warm-up may raise it (from 0, if you like), nothing needs to lower it.
    beta : float in (0, 1]
        The share of the average in the weights: 1 trains at the average itself.

    Returns
    -------
    w, d, weight_sum
        The new weights, distance and sum.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to the authors' schedulefree (whose beta is called momentum) and to optax, as long as the rate never falls:
    both weigh by the largest rate so far, the paper by the rate.

    Extends
    -------
    sgd: An average of the path in place of momentum and of a falling rate.

    Source
    ------
    Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky (2024), The Road Less Scheduled, arXiv:2405.15682.
    """
    x = w - (1 / beta - 1) * d
    z = w + d - lr * g
    weight_sum = weight_sum + lr * lr
    x = x + lr * lr / maximum(weight_sum, 1e-30) * (z - x)
    return x + (1 - beta) * (z - x), beta * (z - x), weight_sum


def schedule_free_adamw(w, g, t, d, v, weight_sum, lr=2.5e-3, beta=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    """AdamW whose average of the path replaces both momentum and a falling rate.

    Remembers `d`, which is `z - w`, `v`, the moving average of the squared gradient, and `weight_sum`, the sum of
    squared rates.
    The weights are the point between, `(1 - beta) * z + beta * x`; evaluate at `schedule_free_average(w, d, beta)`.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    d, v : arrays of that shape
        How far `z` is from the weights, and the average of the squared gradient; 0.0 at first.
    weight_sum : number, or array of that shape
        The sum of squared rates; 0.0 at first.
    lr : float in [0, inf)
        The learning rate; a warm-up may raise it (from 0, if you like), nothing needs to lower it.
    beta : float in (0, 1]
        The share of the average in the weights; the paper calls it beta1.
    beta2 : float in [0, 1)
        The decay of the average of squares.
    eps : float in [0, inf)
        Added to the root.
    weight_decay : float in [0, inf)
        The share of the weights that is taken off `z` per unit of `lr`.

    Returns
    -------
    w, d, v, weight_sum
        The new weights, distance, average and sum.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to the authors' schedulefree and optax, as long as the rate never falls: they weigh by the largest rate so
    far, the paper by the rate. Keras weighs every step alike, and so is equal at a constant rate.
    The paper moves the bias correction of `v` into the rate; the authors' code, and so this one, does not.

    Extends
    -------
    schedule_free_sgd, adamw: The average of the path, around AdamW's step.

    Source
    ------
    Defazio, Yang, Mehta, Mishchenko, Khaled and Cutkosky (2024), The Road Less Scheduled, algorithm 1,
    arXiv:2405.15682.
    """
    x = w - (1 / beta - 1) * d
    v = beta2 * v + (1 - beta2) * g * g
    v_hat = v / (1 - beta2**t)
    z = w + d - lr * (g / (v_hat**0.5 + eps) + weight_decay * w)
    weight_sum = weight_sum + lr * lr
    x = x + lr * lr / maximum(weight_sum, 1e-30) * (z - x)
    return x + (1 - beta) * (z - x), beta * (z - x), v, weight_sum
