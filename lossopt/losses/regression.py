"""Losses for numbers: how far a prediction is from its target, and what a large error costs."""

from .checks import NOT_NEGATIVE, POSITIVE, checked
from .limits import times


@checked()
def squared_error(prediction, target):
    r"""Square of the error: large errors dominate, and the best constant is the mean.

    Domain: any real target.

    Activation: the identity.

    .. math:: \ell(p, y) = (p - y)^2

    Remark: the negative log-likelihood of a Gaussian of fixed variance, up to scale.
    There is no one half in front, as in torch; optax and scikit-learn also have a form with it.

    Parameters
    ----------
    prediction, target : tensor (...)

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes differ.

    Source
    ------
    Legendre (1805), Nouvelles methodes pour la determination des orbites des cometes;
    its history in Stigler, doi:10.1214/aos/1176345451.
    """
    r = prediction - target
    return r * r


@checked()
def absolute_error(prediction, target):
    r"""Size of the error: every unit of it costs the same, and the best constant is the median.

    Domain: any real target.

    Activation: the identity.

    .. math:: \ell(p, y) = |p - y|

    Remark: the negative log-likelihood of a Laplace distribution of fixed scale, up to a constant.
    Its gradient is the sign of the error, and 0 at a perfect prediction.

    Parameters
    ----------
    prediction, target : tensor (...)

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes differ.

    Source
    ------
    Laplace (1774), Memoire sur la probabilite des causes par les evenements, translated in doi:10.1214/ss/1177013621.
    """
    return (prediction - target).abs()


@checked()
def huber(prediction, target, delta=1.0):
    r"""Half a square near the target, a straight line far from it.

    Domain: any real target, some of them outliers.

    Activation: the identity.

    .. math:: \ell(r) = c\,\Bigl(r - \frac{c}{2}\Bigr), \qquad r = p - y, \quad c = \min(\max(r, -\delta), \delta)

    Remark: the gradient is c, the clipped error.
    For large delta it is half the squared error; divided by delta it tends to the absolute error as delta tends to 0.

    Parameters
    ----------
    prediction, target : tensor (...)
    delta : float in (0, inf)
        The error at which the parabola becomes a line.

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes differ or delta is not positive.

    Source
    ------
    Huber (1964), Robust Estimation of a Location Parameter, doi:10.1214/aoms/1177703732.
    """
    r = prediction - target
    c = r.clamp(-delta, delta)
    return c * (r - c / 2)


@checked()
def smooth_l1(prediction, target, beta=1.0):
    r"""Huber's loss divided by its threshold, so that the line always has slope one.

    Domain: any real target, such as the offsets of a box.

    Activation: the identity.

    .. math:: \ell(r) = \frac{c}{\beta}\,\Bigl(r - \frac{c}{2}\Bigr),
       \qquad r = p - y, \quad c = \min(\max(r, -\beta), \beta)

    Remark: as beta tends to 0 this becomes the absolute error, where Huber's loss becomes 0; with beta = 1 they agree.

    Parameters
    ----------
    prediction, target : tensor (...)
    beta : float in (0, inf)
        The error at which the parabola becomes a line.

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes differ or beta is not positive.

    Source
    ------
    Girshick (2015), Fast R-CNN, arXiv:1504.08083.
    """
    r = prediction - target
    c = r.clamp(-beta, beta)
    return c / beta * (r - c / 2)


@checked()
def log_cosh(prediction, target):
    r"""Logarithm of the hyperbolic cosine of the error: a Huber's loss without a corner in any derivative.

    Domain: any real target.

    Activation: the identity.

    .. math:: \ell(r) = \log\cosh r = |r| + \log\frac{1 + e^{-2|r|}}{2}, \qquad r = p - y

    Remark: about half the square for small errors, the size less log 2 for large ones.
    The gradient is the hyperbolic tangent of the error. The right-hand form never overflows.

    Parameters
    ----------
    prediction, target : tensor (...)

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes differ.

    Source
    ------
    Green (1990), Bayesian Reconstructions From Emission Tomography Data, doi:10.1109/42.52985.
    """
    a = (prediction - target).abs()
    return a + ((-2 * a).expm1() / 2).log1p()


@checked()
def quantile(prediction, target, q=0.5):
    r"""The pinball loss: being below the target costs q a unit, above it 1 - q; the best constant is the q-quantile.

    Domain: any real target.

    Activation: the identity.

    .. math:: \ell(p, y) = \max\bigl(q\,(y - p),\; (q - 1)(y - p)\bigr)

    Remark: with q = 0.5 it is half the absolute error.
    At a perfect prediction the gradient is 0.5 - q, midway between the slopes of its two sides.

    Parameters
    ----------
    prediction, target : tensor (...)
    q : float in (0, 1)
        The share of targets to have below the prediction.

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes differ or q lies outside (0, 1).

    Source
    ------
    Koenker and Bassett (1978), Regression Quantiles, doi:10.2307/1913643.
    """
    r = target - prediction
    return (q * r).maximum((q - 1) * r)


@checked(target=NOT_NEGATIVE)
def poisson_nll(log_rate, target):
    r"""Negative log-likelihood of a count, up to a constant, from the logarithm of its expected value.

    Domain: targets in [0, inf), usually counts.

    Activation: exp, which is inside the loss: the model computes the logarithm of the rate.

    .. math:: \ell(z, y) = e^z - y z

    Remark: the least value, at z = log y, is y - y log y and not 0, since the likelihood's term log y! is left out.
    A rate of exactly 0 (z = -inf) costs nothing when the count is 0.

    Parameters
    ----------
    log_rate, target : tensor (...)

    Returns
    -------
    tensor (...)
        One number per element.

    Raises
    ------
    ValueError
        If the shapes differ or a target is negative.

    Source
    ------
    Nelder and Wedderburn (1972), Generalized Linear Models, doi:10.2307/2344614.
    """
    return log_rate.exp() - times(target, log_rate.clamp(max=1e4))  # beyond, exp is infinite and decides


@checked(variance=POSITIVE)
def gaussian_nll(prediction, target, variance):
    r"""Negative log-likelihood of a Gaussian whose variance the model predicts as well.

    Domain: any real target.

    Activation: the identity for the mean; exp or softplus for the variance, which must be positive.

    .. math:: \ell(\mu, y, \sigma^2) = \frac{1}{2}\Bigl(\log \sigma^2 + \frac{(\mu - y)^2}{\sigma^2}\Bigr)

    Remark: the constant half log 2 pi is left out, so that the loss may be negative.
    The variance is not clipped from below: torch replaces one below 1e-6, here one that is not positive is an error.

    Parameters
    ----------
    prediction, target : tensor (...)
        The mean of the Gaussian and what was seen.
    variance : tensor (...)
        In (0, inf).

    Returns
    -------
    tensor (...)
        One number per element.

    Raises
    ------
    ValueError
        If the shapes differ or a variance is not positive.

    Source
    ------
    Nix and Weigend (1994), Estimating the Mean and Variance of the Target Probability Distribution,
    doi:10.1109/ICNN.1994.374138.
    """
    r = prediction - target
    return (variance.log() + r * (r / variance)) / 2
