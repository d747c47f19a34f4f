"""Layerwise rates: a parameter's step is measured against the length of the parameter itself."""

from ..primitives import norm, sign, whole_tensor


def trust_ratio(weights, update):
    """The length of the weights per length of their update; 1 where either is zero.

    Parameters
    ----------
    weights, update : number, not negative
        The two lengths.

    Returns
    -------
    number
    """
    both = sign(weights) * sign(update)
    return both * weights / (update + (1 - both)) + (1 - both)


@whole_tensor
def lars(w, g, t, b, lr=1.0, momentum=0.9, weight_decay=5e-4, trust_coefficient=1e-3):
    """Momentum whose rate, layer by layer, is a small share of the layer's length.

    Remembers `b`, the momentum buffer, which holds steps and not gradients.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights of one layer, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    b : array of that shape
        The momentum buffer; 0.0 at first.
    lr : float in [0, inf)
        The learning rate, a factor on the share below; the default is ours, the paper warms it up to 2 and more.
    momentum : float in [0, 1]
        The share of the buffer that survives a step.
    weight_decay : float in [0, inf)
        The weight of the weights in the gradient (L2, inside the rule because the trust ratio counts it).
    trust_coefficient : float in [0, inf)
        The share of a layer's length that a step may have.

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
    The paper's ratio; optax divides by the length of gradient and decay together, which is not the sum of the lengths.
    A layer, or a gradient, of zeros has ratio 1 (as in optax), so that it can start to move.
    torch and Keras have none.

    Extends
    -------
    momentum: A rate for each layer: a step is as long as its weights say.

    Source
    ------
    You, Gitman and Ginsburg (2017), Large Batch Training of Convolutional Networks, algorithm 1, arXiv:1708.03888.
    """
    ratio = trust_ratio(norm(w), norm(g) + weight_decay * norm(w))
    b = momentum * b + lr * trust_coefficient * ratio * (g + weight_decay * w)
    return w - b, b


@whole_tensor
def lamb(w, g, t, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-6, weight_decay=0.01):
    """Adam whose step, layer by layer, has the length of the layer times the rate.

    Remembers `m` and `v`, moving averages of the gradient and of its square.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights of one layer, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    m, v : arrays of that shape
        The averages of the gradient and of its square; 0.0 at first.
    lr : float in [0, inf)
        The learning rate: the share of its length that a layer moves.
    beta1, beta2 : float in [0, 1)
        The decay of the two averages.
    eps : float in [0, inf)
        Added to the root.
    weight_decay : float in [0, inf)
        The weight of the weights in the update, before its length is taken.

    Returns
    -------
    w, m, v
        The new weights and averages.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to optax (default weight_decay 0); Keras leaves the decay out of the ratio.
    A layer, or an update, of zeros has ratio 1.
    torch has none.

    Extends
    -------
    adamw, lars: LARS' rate for each layer, around Adam's step.

    Source
    ------
    You, Li, Reddi, Hseu, Kumar, Bhojanapalli, Song, Demmel, Keutzer and Hsieh (2020), Large Batch Optimization for
    Deep Learning: Training BERT in 76 minutes, algorithm 2, arXiv:1904.00962.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    update = m_hat / (v_hat**0.5 + eps) + weight_decay * w
    return w - lr * trust_ratio(norm(w), norm(update)) * update, m, v
