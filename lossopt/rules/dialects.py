"""The same names as their papers or other libraries define them, where they differ from the plain ones.

The plain name follows torch; here are the papers', Keras's and optax's forms, each under its own name.
"""

from ..primitives import maximum, sign


def momentum_sutskever(w, g, t, b, lr=1e-2, momentum=0.9):
    """Momentum with the learning rate inside the buffer, as Keras has it.

    Remembers `b`, the last step; a rate that falls therefore brakes slowly.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    b : array of that shape
        The last step; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    momentum : float in [0, 1]
        The share of the last step that is repeated.

    Returns
    -------
    w, b
        The new weights and step.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to Keras; equal to `momentum` as long as the rate does not change.

    Extends
    -------
    momentum: The rate goes into the buffer.

    Source
    ------
    Sutskever, Martens, Dahl and Hinton (2013), On the importance of initialization and momentum in deep learning,
    equations 1 and 2, Proceedings of Machine Learning Research 28(3), 1139-1147; after Polyak (1964),
    doi:10.1016/0041-5553(64)90137-5.
    """
    b = momentum * b - lr * g
    return w + b, b


def momentum_ema(w, g, t, b, lr=1e-3, momentum=0.9):
    """Momentum with a moving average of the gradients in place of their decaying sum.

    Remembers `b`, that average; the rate means what it means without momentum.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    b : array of that shape
        The average of the gradient; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    momentum : float in [0, 1]
        The decay of the average.

    Returns
    -------
    w, b
        The new weights and average.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to `momentum` at `(1 - momentum)` times the rate.
    torch's dampening=momentum leaves the first gradient whole, and so differs from the first step on.

    Extends
    -------
    momentum: The buffer is an average in place of a sum.

    Source
    ------
    Liu, Gao and Yin (2020), An Improved Analysis of Stochastic Gradient Descent with Momentum, arXiv:2007.07989.
    """
    b = momentum * b + (1 - momentum) * g
    return w - lr * b, b


def nesterov_lookahead(w, g, t, b, lr=1e-2, momentum=0.9):
    """Nesterov's momentum with the learning rate inside the buffer, as Keras has it.

    Remembers `b`, the last step of the point that is not stored, `w - momentum * b`.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, which are the look-ahead point, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    b : array of that shape
        The last step; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    momentum : float in [0, 1]
        The share of the last step that is repeated.

    Returns
    -------
    w, b
        The new weights and step.

    Raises
    ------
    ValueError
        From a driver, if a hyper-parameter is outside its range; the bare formula checks nothing.

    Notes
    -----
    Equal to Keras with nesterov=True; equal to `nesterov` as long as the rate does not change.

    Extends
    -------
    nesterov: The rate goes into the buffer.

    Source
    ------
    Sutskever, Martens, Dahl and Hinton (2013), On the importance of initialization and momentum in deep learning,
    equations 3 and 4, Proceedings of Machine Learning Research 28(3), 1139-1147; at the look-ahead point in
    arXiv:1212.0901.
    """
    b = momentum * b - lr * g
    return w + momentum * b - lr * g, b


def adagrad_keras(w, g, t, G, lr=1e-3, initial_accumulator_value=0.1, eps=1e-7):
    """Adagrad whose sum starts above zero and whose eps is under the root, as Keras and optax have it.

    Remembers `G`, the sum of squared gradients without its start.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    G : array of that shape
        The sum of squared gradients; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    initial_accumulator_value : float in [0, inf)
        What the sum starts at.
    eps : float in [0, inf)
        Added under the root.

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
    Equal to Keras and optax.

    Extends
    -------
    adagrad: The sum starts above 0, and eps stands under the root.

    Source
    ------
    Duchi, Hazan and Singer (2011), Adaptive Subgradient Methods for Online Learning and Stochastic Optimization,
    Journal of Machine Learning Research 12, 2121-2159; found at the same time by McMahan and Streeter (2010),
    arXiv:1002.4908.
    """
    G = G + g * g
    return w - lr * g / (initial_accumulator_value + G + eps) ** 0.5, G


def rmsprop_eps_inside(w, g, t, v, lr=1e-3, alpha=0.9, eps=1e-8):
    """RMSProp with eps under the root, as Keras and optax have it.

    Remembers `v`, the moving average of the squared gradient.
    The same eps does far more here: outside, 1e-8 matters to gradients of 1e-8, inside to gradients of 1e-4.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    v : array of that shape
        The average of the squared gradient; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    alpha : float in [0, 1)
        The decay of the average.
    eps : float in [0, inf)
        Added under the root.

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
    Equal to optax and Keras (default eps 1e-7).

    Extends
    -------
    rmsprop: eps stands under the root.

    Source
    ------
    Tieleman and Hinton (2012), Neural Networks for Machine Learning, lecture 6.5, Coursera; with a constant under the
    root in Graves (2013), equation 45, arXiv:1308.0850.
    """
    v = alpha * v + (1 - alpha) * g * g
    return w - lr * g / (v + eps) ** 0.5, v


def adam_keras(w, g, t, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7):
    """Adam with eps added before the bias correction, as Keras has it.

    Remembers `m` and `v`, as `adam` does.
    Its eps is the paper's "epsilon hat": at step 1 it acts as `adam`'s would at 30 times the value.

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
        Added to the uncorrected root.

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
    Equal to Keras; equal to `adam` with eps divided by `(1 - beta2**t)**0.5`.

    Extends
    -------
    adam: eps is added before the bias correction.

    Source
    ------
    Kingma and Ba (2015), Adam: A Method for Stochastic Optimization, end of section 2, arXiv:1412.6980.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    rate = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
    return w - rate * m / (v**0.5 + eps), m, v


def adamw_paper(w, g, t, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=1e-5, eta=1.0):
    """AdamW whose decay follows the schedule but not the learning rate, as the paper has it.

    Remembers `m` and `v`, as `adam` does.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    m, v : arrays of that shape
        The averages of the gradient and of its square; 0.0 at first.
    lr : float in [0, inf)
        The learning rate, alpha in the paper; a constant.
    beta1, beta2 : float in [0, 1)
        The decay of the two averages.
    eps : float in [0, inf)
        Added to the root.
    weight_decay : float in [0, inf)
        The share of a weight that is taken off per step, at eta 1.
    eta : float in [0, inf)
        The schedule: a factor on step and decay, and what a function of the step is for.

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
    Equal to `adamw` with weight_decay divided by `lr`, at eta 1.

    Extends
    -------
    adamw: The decay follows the schedule and not the rate.

    Source
    ------
    Loshchilov and Hutter (2019), Decoupled Weight Decay Regularization, algorithm 2, arXiv:1711.05101.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return w - eta * (lr * m_hat / (v_hat**0.5 + eps) + weight_decay * w), m, v


def amsgrad_paper(w, g, t, m, v, v_max, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """AMSGrad without bias correction, as the paper has it.

    Remembers `m` and `v`, as `adam` does, and `v_max`, the largest `v` so far.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1 (not used).
    m, v, v_max : arrays of that shape
        The averages of the gradient and of its square, and the largest of the latter; 0.0 at first.
    lr : float in [0, inf)
        The learning rate.
    beta1, beta2 : float in [0, 1)
        The decay of the two averages.
    eps : float in [0, inf)
        Added to the root, so that a gradient of zero divides by something; the paper has none.

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
    No library's default.

    Extends
    -------
    amsgrad: Nothing corrects the start at 0.

    Source
    ------
    Reddi, Kale and Kumar (2018), On the Convergence of Adam and Beyond, algorithm 2, arXiv:1904.09237.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    v_max = maximum(v_max, v)
    return w - lr * m / (v_max**0.5 + eps), m, v, v_max


def amsgrad_optax(w, g, t, m, v, v_max, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """AMSGrad with the maximum taken after the bias correction, as optax has it.

    Remembers `m` and `v`, as `adam` does, and `v_max`, the largest corrected `v` so far.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights, and the gradient of the loss there.
    t : int
        The step, counted from 1.
    m, v, v_max : arrays of that shape
        The averages of the gradient and of its square, and the largest of the corrected latter; 0.0 at first.
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
    Equal to optax.
    The corrected average is largest early, so that this form remembers the first gradients longer than `amsgrad`.

    Extends
    -------
    amsgrad: The maximum is taken after the bias correction.

    Source
    ------
    Reddi, Kale and Kumar (2018), On the Convergence of Adam and Beyond, algorithm 2, arXiv:1904.09237.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    v_max = maximum(v_max, v / (1 - beta2**t))
    m_hat = m / (1 - beta1**t)
    return w - lr * m_hat / (v_max**0.5 + eps), m, v, v_max


def nadam_keras(w, g, t, m, v, c, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-7):
    """Nadam whose momentum warms up by 0.96 a step, as Keras has it.

    Remembers `m` and `v`, as `adam` does, and `c`, which is 1 less the product of all `mu` so far.

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
        The decay of the two averages; the momentum `mu` grows towards beta1.
    eps : float in [0, inf)
        Added to the root.

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
    Equal to Keras, and to `nadam` with momentum_decay=1.

    Extends
    -------
    nadam: The momentum warms up 250 times as fast.

    Source
    ------
    Dozat (2016), Incorporating Nesterov Momentum into Adam, ICLR workshop,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ; the rule it extends: arXiv:1412.6980.
    """
    mu = beta1 * (1 - 0.5 * 0.96**t)
    mu_next = beta1 * (1 - 0.5 * 0.96 ** (t + 1))
    c = 1 - mu * (1 - c)
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = mu_next * m / (1 - mu_next * (1 - c)) + (1 - mu) * g / c
    v_hat = v / (1 - beta2**t)
    return w - lr * m_hat / (v_hat**0.5 + eps), m, v, c


def nadam_optax(w, g, t, m, v, lr=2e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """Nadam at a constant momentum, as optax has it.

    Remembers `m` and `v`, as `adam` does.

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
    Equal to optax.

    Extends
    -------
    nadam: The momentum is constant.

    Source
    ------
    Dozat (2016), Incorporating Nesterov Momentum into Adam, ICLR workshop,
    https://openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ; the rule it extends: arXiv:1412.6980.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = beta1 * m / (1 - beta1 ** (t + 1)) + (1 - beta1) * g / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return w - lr * m_hat / (v_hat**0.5 + eps), m, v


def radam_paper(w, g, t, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    """RAdam that trusts its mean square from 4 gradients on, as the paper has it.

    Remembers `m` and `v`, as `adam` does.

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
        The decay of the two averages; below beta2 = 3/5 nothing is ever trusted.
    eps : float in [0, inf)
        Added to the root, so that a gradient of zero divides by something; the paper has none.

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
    torch, optax and the authors' code wait for 5 (`radam`).

    Extends
    -------
    radam: It waits for 4 gradients in place of 5.

    Source
    ------
    Liu, Jiang, He, Chen, Liu, Gao and Han (2020), On the Variance of the Adaptive Learning Rate and Beyond,
    algorithm 2, arXiv:1908.03265.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    rho_inf = maximum(2 / (1 - beta2) - 1, 4.0)
    rho = maximum(rho_inf - 2 * t * beta2**t / (1 - beta2**t), 4.0)
    # Where nothing is ever trusted rho_inf is 4, and the 1e-12 is there to divide by.
    r = ((rho - 4) * (rho - 2) * rho_inf / (maximum(rho_inf - 4, 1e-12) * (rho_inf - 2) * rho)) ** 0.5
    m_hat = m / (1 - beta1**t)
    # While r is 0, as it is where rho is 4, nothing is divided by.
    return w - lr * m_hat * (r * (1 - beta2**t) ** 0.5 / (v**0.5 + eps) + (1 - sign(r))), m, v
