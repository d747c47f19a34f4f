"""Adam and the rules made from it by changing one idea."""

from ..primitives import maximum, sign


def adam(w, g, t, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Divide an average of the gradients by the root of an average of their squares.

    Remembers `m` and `v`, moving averages of the gradient and of its square.
    Both start at 0 and are therefore too small at first; `m_hat` and `v_hat` divide by the weight they hold so far.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    m, v : arrays of that shape
        The averages of the gradient and of its square; 0.0 at first.
    lr : float in [0, inf)
        The learning rate: about how far a weight moves in a step, whatever the size of its gradient.
    beta1, beta2 : float in [0, 1)
        The decay of the two averages.
    eps : float in [0, inf)
        Added to the root, so that a gradient of zero divides by something.

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
    Equal to torch and optax.
    Keras adds `eps` before the bias correction (`adam_keras`).

    Extends
    -------
    momentum, rmsprop: Both memories at once, and a correction of their start at 0.

    Source
    ------
    Kingma and Ba (2015), Adam: A Method for Stochastic Optimization, algorithm 1, arXiv:1412.6980.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return w - lr * m_hat / (v_hat**0.5 + eps), m, v


def adamw(w, g, t, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-2):
    """Adam with weight decay beside the gradient instead of inside it.

    Remembers `m` and `v`, as `adam` does.
    All weights shrink at one rate, while a penalty in the gradient would be divided by `v` like the rest of it.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    m, v : arrays of that shape
        The averages of the gradient and of its square; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    beta1, beta2 : float in [0, 1)
        The decay of the two averages.
    eps : float in [0, inf)
        Added to the root.
    weight_decay : float in [0, inf)
        The share of a weight that is taken off per unit of `lr`; 0 is `adam`.

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
    Equal to torch, Keras (default weight_decay 0.004) and optax (0.0001).
    The paper does not multiply the decay by the rate (`adamw_paper`).

    Extends
    -------
    adam: Weight decay beside the gradient in place of a penalty inside it.

    Source
    ------
    Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization, algorithm 2, arXiv:1711.05101.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return w * (1 - lr * weight_decay) - lr * m_hat / (v_hat**0.5 + eps), m, v


def adamax(w, g, t, m, u, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam with a decaying maximum of the gradients' sizes in place of the root of their mean square.

    Remembers `m`, the moving average of the gradient, and `u`, the decaying maximum, which needs no bias correction.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    m, u : arrays of that shape
        The average of the gradient and the decaying maximum of its absolute value; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    beta1, beta2 : float in [0, 1)
        The decay of the average and of the maximum.
    eps : float in [0, inf)
        Added to the size of every gradient.

    Returns
    -------
    w, m, u
        The new weights, average and maximum.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to torch and optax.
    The paper has no `eps`; Keras (default lr 0.001) adds it to `u` in the division and not inside the maximum.

    Extends
    -------
    adam: The largest recent gradient in place of the mean square.

    Source
    ------
    Kingma and Ba (2015), Adam: A Method for Stochastic Optimization, algorithm 2, arXiv:1412.6980.
    """
    m = beta1 * m + (1 - beta1) * g
    u = maximum(beta2 * u, abs(g) + eps)
    m_hat = m / (1 - beta1**t)
    return w - lr * m_hat / u, m, u


def amsgrad(w, g, t, m, v, v_max, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam that divides by the largest mean square so far, so that a large gradient is never forgotten.

    Remembers `m` and `v`, as `adam` does, and `v_max`, the largest `v` so far.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    m, v, v_max : arrays of that shape
        The averages of the gradient and of its square, and the largest of the latter; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    beta1, beta2 : float in [0, 1)
        The decay of the two averages.
    eps : float in [0, inf)
        Added to the root.

    Returns
    -------
    w, m, v, v_max
        The new weights, averages and maximum.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to torch's Adam with amsgrad=True: the maximum is of the uncorrected `v` and is corrected afterwards.
    So its rate can still grow while the correction fades.
    It cannot in optax, which takes the maximum of the corrected one (`amsgrad_optax`), nor in the paper, which
    corrects nothing (`amsgrad_paper`). Keras adds `eps` before the correction.

    Extends
    -------
    adam: The largest mean square so far in place of the present one, so that no large gradient is forgotten.

    Source
    ------
    Reddi, Kale and Kumar (2018), On the Convergence of Adam and Beyond, algorithm 2, arXiv:1904.09237.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    v_max = maximum(v_max, v)
    m_hat = m / (1 - beta1**t)
    v_hat = v_max / (1 - beta2**t)
    return w - lr * m_hat / (v_hat**0.5 + eps), m, v, v_max


def nadam(w, g, t, m, v, c, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8, momentum_decay=4e-3):
    """Adam with Nesterov's look-ahead and a momentum that warms up.

    Remembers `m` and `v`, as `adam` does, and `c`, which is 1 less the product of all `mu` so far:
    with a momentum that changes, this is the weight the average holds so far.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    m, v : arrays of that shape
        The averages of the gradient and of its square; 0.0 at first.
    c : number, or array of that shape
        1 less the product of the momenta; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    beta1, beta2 : float in [0, 1)
        The decay of the two averages; the momentum `mu` grows from about half of beta1 towards beta1.
    eps : float in [0, inf)
        Added to the root.
    momentum_decay : float in [0, inf)
        How fast the momentum grows, as a power of 0.96 a step.

    Returns
    -------
    w, m, v, c
        The new weights, averages and 1 less the product.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to torch, which keeps the product in float32 unless its default type is float64.
    The momentum grows 250 times as fast in Keras (`nadam_keras`) and is constant in optax (`nadam_optax`).

    Extends
    -------
    adam, nesterov: The look ahead, for Adam's average of gradients.

    Source
    ------
    Dozat (2016), Incorporating Nesterov Momentum into Adam, ICLR workshop,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ; the rule it extends: arXiv:1412.6980.
    """
    mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    c = 1 - mu * (1 - c)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = mu_next * m / (1 - mu_next * (1 - c)) + (1 - mu) * g / c
    v_hat = v / (1 - beta2**t)
    return w - lr * m_hat / (v_hat**0.5 + eps), m, v, c


def radam(w, g, t, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Adam that does not adapt until enough gradients have been seen to trust their mean square.

    Remembers `m` and `v`, as `adam` does.
    `rho` counts the gradients that `v` averages over; up to 5 of them the step is momentum's, and from there on
    Adam's times `r`, which grows towards 1.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    m, v : arrays of that shape
        The averages of the gradient and of its square; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    beta1, beta2 : float in [0, 1)
        The decay of the two averages; below beta2 = 2/3 nothing is ever trusted.
    eps : float in [0, inf)
        Added to the root.

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
    Equal to torch, where `eps` joins the uncorrected root; optax adds it to the corrected one.
    The paper trusts from 4 gradients on (`radam_paper`).

    Extends
    -------
    adam: A wait: nothing is divided until enough gradients have been seen.

    Source
    ------
    Liu, Jiang, He, Chen, Liu, Gao and Han (2020), On the Variance of the Adaptive Learning Rate and Beyond,
    algorithm 2, arXiv:1908.03265.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    rho_inf = maximum(2 / (1 - beta2) - 1, 5.0)
    rho = maximum(rho_inf - 2 * t * beta2**t / (1 - beta2**t), 5.0)
    r = sign(rho - 5) * ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)) ** 0.5
    m_hat = m / (1 - beta1**t)
    # While r is 0 nothing is divided by: a switch that arrays and compilers can run.
    return w - lr * m_hat * (r * (1 - beta2**t) ** 0.5 / (v**0.5 + eps) + (1 - sign(r))), m, v


def adabelief(w, g, t, m, s, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-16):
    """Adam that divides by how far gradients stray from their average, not by how large they are.

    Remembers `m`, the moving average of the gradient, and `s`, that of the squared distance from it.
    A gradient that comes as expected is believed and gets a long step.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    m, s : arrays of that shape
        The averages of the gradient and of its squared distance from `m`; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    beta1, beta2 : float in [0, 1)
        The decay of the two averages.
    eps : float in [0, inf)
        Added to the average of squares at every step, and to its root.

    Returns
    -------
    w, m, s
        The new weights and averages.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to optax, and to the authors' adabelief-pytorch with rectify=False (its default is True).
    torch and Keras have none.

    Extends
    -------
    adam: The surprise, the gradient less its average, in place of the gradient under the root.

    Source
    ------
    Zhuang, Tang, Ding, Tatikonda, Dvornek, Papademetris and Duncan (2020), AdaBelief Optimizer: Adapting Stepsizes by
    the Belief in Observed Gradients, algorithm 2, arXiv:2010.07468.
    """
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * (g - m) * (g - m) + eps
    m_hat = m / (1 - beta1**t)
    s_hat = s / (1 - beta2**t)
    return w - lr * m_hat / (s_hat**0.5 + eps), m, s
