"""Momentum: descent that remembers where it was going."""


def momentum(w, g, t, b, lr=1e-3, momentum=0.9):
    """Step along a decaying sum of all gradients so far, as a heavy ball rolls.

    Remembers `b`, the momentum buffer.
    Under a constant gradient it grows to `g / (1 - momentum)`, so the effective rate is `lr / (1 - momentum)`.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    b : array of that shape
        The momentum buffer; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    momentum : float in [0, 1]
        The share of the buffer that survives a step; 0 is `sgd`.

    Returns
    -------
    w, b
        The new weights and buffer.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to torch and optax; torch's own default is momentum=0.
    Keras keeps `lr` inside the buffer (`momentum_sutskever`), which differs as soon as the rate changes.

    Extends
    -------
    sgd: A memory: the step goes along a decaying sum of all gradients so far.

    Source
    ------
    Polyak (1964), Some methods of speeding up the convergence of iteration methods, doi:10.1016/0041-5553(64)90137-5.
    """
    b = momentum * b + g
    return w - lr * b, b


def nesterov(w, g, t, b, lr=1e-3, momentum=0.9):
    """Step along the momentum buffer as it will be after the next decay, correcting early.

    Remembers `b`, the momentum buffer.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
        These weights are Nesterov's look-ahead point, so that the gradient is taken where the rule wants it.
    t : int
        The step, counted from 1 (not used).
    b : array of that shape
        The momentum buffer; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    momentum : float in [0, 1]
        The share of the buffer that survives a step; 0 is `sgd`.

    Returns
    -------
    w, b
        The new weights and buffer.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to torch and optax with nesterov=True; torch's own default is momentum=0, which it refuses here.
    Keras keeps `lr` inside the buffer (`nesterov_lookahead`), which differs as soon as the rate changes.

    Extends
    -------
    momentum: A look ahead: the gradient is taken where the memory is about to lead.

    Source
    ------
    Nesterov (1983), A method for solving the convex programming problem with convergence rate O(1/k^2), Soviet
    Mathematics Doklady 27, 372-376; in this form in section 3.5 of Bengio, Boulanger-Lewandowski and Pascanu (2012),
    arXiv:1212.0901.
    """
    b = momentum * b + g
    return w - lr * (g + momentum * b), b
