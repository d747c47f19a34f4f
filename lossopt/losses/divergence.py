"""Losses between distributions: how unlike two of them are."""

from .checks import NOT_POSITIVE, UNIT, checked
from .limits import ratio, times


@checked(log_probability=NOT_POSITIVE, target=UNIT)
def kl_divergence(log_probability, target):
    r"""Kullback and Leibler's divergence of the model's distribution from the target's.

    Domain: probabilities, the last axis summing to 1.

    Activation: the log-softmax, applied before the loss: the model computes log-probabilities.

    .. math:: \ell(\log q, p) = \sum_{k=1}^{K} p_k\,(\log p_k - \log q_k)

    Remark: the target comes second, as in torch, which averages over elements by default where this is a sum per row.
    Classes of probability 0 in the target cost nothing, whatever the model says.
    There the gradient with respect to the target, which grows without bound, is taken without its term log p.

    Parameters
    ----------
    log_probability : tensor (..., K)
        In [-inf, 0].
    target : tensor (..., K)
        In [0, 1].

    Returns
    -------
    tensor (...)
        One number per row, in [0, inf] where both sum to 1.

    Raises
    ------
    ValueError
        If the shapes differ, a log-probability is positive, or a target lies outside [0, 1].

    Source
    ------
    Kullback and Leibler (1951), On Information and Sufficiency, doi:10.1214/aoms/1177729694.
    """
    log_target = target.masked_fill(target == 0, 1.0).log()
    return times(target, log_target - log_probability).sum(-1)


@checked(probability=UNIT, target=UNIT)
def js_divergence(probability, target):
    r"""Jensen and Shannon's divergence: the mean divergence of two distributions from their mean.

    Domain: probabilities, the last axis summing to 1.

    Activation: the softmax, applied before the loss.

    .. math:: \ell(q, p) = \frac{1}{2} \sum_{k=1}^{K} \bigl(q_k \log(1 + x_k) + p_k \log(1 - x_k)\bigr),
       \qquad x_k = \frac{q_k - p_k}{q_k + p_k}

    Remark: symmetric, and never more than log 2; its square root is a distance.
    Since q / m = 1 + x and p / m = 1 - x for the mean m, this is the usual definition, with the digits of x kept.
    A probability that is 0, or lost in its sum with the other, costs nothing itself, and its gradient is finite.

    Parameters
    ----------
    probability, target : tensor (..., K)
        In [0, 1].

    Returns
    -------
    tensor (...)
        One number per row, in [0, log 2] where both sum to 1.

    Raises
    ------
    ValueError
        If the shapes differ or a probability lies outside [0, 1].

    Source
    ------
    Lin (1991), Divergence Measures Based on the Shannon Entropy, doi:10.1109/18.61115.
    """
    x = ratio(probability - target, probability + target)
    above = probability * x.masked_fill(x == -1, 0.0).log1p()
    below = target * (-x).masked_fill(x == 1, 0.0).log1p()
    return (above + below).sum(-1) / 2
