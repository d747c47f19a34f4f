"""Losses for classes: how surprised the model is by the right one, or by how much it misses a margin."""

from math import inf

from .checks import NOT_POSITIVE, UNIT, Choice, Labels, PerClass, checked
from .limits import log_sigmoids, one_hot, surprise, times


@checked(probability=UNIT, target=UNIT)
def binary_cross_entropy(probability, target):
    r"""Negative log-likelihood of a yes or no, from the probability of yes.

    Domain: targets in [0, 1]; 0 and 1 are classes, numbers between them shares.

    Activation: the sigmoid, applied before the loss.

    .. math:: \ell(p, y) = -y \log p - (1 - y) \log(1 - p)

    Remark: exact, not clipped: a certain mistake costs infinity, where torch says 100 and Keras 16 with no gradient.
    Close to certainty a probability has lost the digits its logit still has:
    prefer `binary_cross_entropy_with_logits`.

    Parameters
    ----------
    probability, target : tensor (...)
        In [0, 1].

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf].

    Raises
    ------
    ValueError
        If the shapes differ or a number lies outside [0, 1].

    Source
    ------
    Good (1952), Rational Decisions, doi:10.1111/j.2517-6161.1952.tb00104.x.
    """
    # 0 log 0 is 0, and its slope is not NaN: where such a product arises, its logarithm is not taken.
    log_yes = probability.masked_fill((probability == 0) & (target == 0), 1.0).log()
    log_no = (-probability.masked_fill((probability == 1) & (target == 1), 0.0)).log1p()
    return -(target * log_yes + (1 - target) * log_no)


@checked(target=UNIT, pos_weight=PerClass(or_number=True))
def binary_cross_entropy_with_logits(logits, target, pos_weight=1.0):
    r"""Negative log-likelihood of a yes or no, from its logit.

    Domain: targets in [0, 1]; 0 and 1 are classes, numbers between them shares.

    Activation: the sigmoid, which is inside the loss: the model computes logits.

    .. math:: \ell(z, y) = -w\,y \log \sigma(z) - (1 - y) \log \sigma(-z)

    Remark: with w = 1 the gradient is sigmoid(z) - y.
    It keeps its digits however sure the model is, and has its limits at infinite logits.
    Summed over a mini-batch, w = (negatives / positives) balances two classes.

    Parameters
    ----------
    logits, target : tensor (...)
    pos_weight : float in [0, inf) or tensor (K,), K being the last axis
        What a positive example weighs beside a negative one.

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf].

    Raises
    ------
    ValueError
        If the shapes differ, a target lies outside [0, 1] or a weight is negative.

    Source
    ------
    Cox (1958), The Regression Analysis of Binary Sequences, doi:10.1111/j.2517-6161.1958.tb00292.x.
    """
    log_yes, log_no = log_sigmoids(logits)
    return -(times(pos_weight * target, log_yes) + times(1 - target, log_no))


@checked(target=Labels(or_probabilities=True), weight=PerClass())
def cross_entropy(logits, target, weight=None, label_smoothing=0.0, ignore_index=-100):
    r"""Negative log-likelihood of the right one of K classes, from the logits of all.

    Domain: labels 0, ..., K - 1, one per row, or probabilities, one per logit.

    Activation: the softmax, which is inside the loss: the model computes logits.

    .. math:: \ell(z, y) = -\sum_{k=1}^{K} w_k \Bigl((1 - s)\, y_k + \frac{s}{K}\Bigr)
       \log \frac{e^{z_k}}{\sum_{j=1}^{K} e^{z_j}}

    Remark: a label y stands for the probabilities that are 1 at class y and 0 elsewhere; w weighs, s smooths.
    Without either the gradient is softmax(z) - y, and the loss keeps its digits however sure the model is.
    A weighted mean divides by the weights that count: `cross_entropy(z, y, w).sum() / w[y].sum()`, or, where labels are
    ignored, `w[y[y != -100]].sum()`. So does torch for labels; for probabilities it divides by the number of rows.
    Classes are the last axis; torch's images have them second, and `z.permute(0, 2, 3, 1)` brings them last.
    Two infinite logits that compete have no limit: NaN.

    Parameters
    ----------
    logits : tensor (..., K)
    target : integer tensor (...) or tensor (..., K)
        Labels, or probabilities in [0, 1].
    weight : tensor (K,), optional
        Weights of the classes, in [0, inf).
    label_smoothing : float in [0, 1]
        The share of every target that is spread evenly over all classes.
    ignore_index : int
        The label of rows that do not count: their loss and its gradient are 0, whatever their logits hold.

    Returns
    -------
    tensor (...)
        One number per row, in [0, inf].

    Raises
    ------
    TypeError
        If labels are not integers.
    ValueError
        If the shapes do not fit, a label names no class, or a probability lies outside [0, 1].

    Source
    ------
    Bridle (1990), Probabilistic Interpretation of Feedforward Classification Network Outputs,
    doi:10.1007/978-3-642-76153-9_28; smoothing: Szegedy and others, arXiv:1512.00567.
    """
    if target.ndim == logits.ndim:
        return _expected_surprise(logits, target, weight, label_smoothing)
    ignored = target == ignore_index
    if ignored.any():  # not even a NaN in the logits of an ignored row may reach its gradient
        logits = logits.masked_fill(ignored.unsqueeze(-1), 0.0)
    if label_smoothing:
        probabilities = one_hot(target, logits.shape[-1]).to(logits.dtype)
        loss = _expected_surprise(logits, probabilities, weight, label_smoothing)
    else:
        index = target.masked_fill(ignored, 0).long()
        loss = surprise(logits, logits.gather(-1, index.unsqueeze(-1))).squeeze(-1)
        loss = loss if weight is None else times(weight[index], loss)
    return loss.masked_fill(ignored, 0.0)


def _expected_surprise(logits, probabilities, weight, label_smoothing):
    share = (1 - label_smoothing) * probabilities + label_smoothing / logits.shape[-1]
    return times(share if weight is None else weight * share, surprise(logits, logits)).sum(-1)


@checked(log_probability=NOT_POSITIVE, target=Labels(), weight=PerClass())
def nll(log_probability, target, weight=None, ignore_index=-100):
    r"""Negative log-likelihood of the right one of K classes, from the log-probabilities of all.

    Domain: labels 0, ..., K - 1, one per row.

    Activation: the log-softmax, applied before the loss.

    .. math:: \ell(\log p, y) = -w_y \log p_y

    Remark: after a log-softmax this is `cross_entropy`, which keeps more digits.
    Probabilities or logits passed by mistake are an error, since a log-probability is never positive.
    Torch's mean is `nll(log_p, y, w).sum() / w[y].sum()`, over the labels that are not ignored.

    Parameters
    ----------
    log_probability : tensor (..., K)
        In [-inf, 0].
    target : integer tensor (...)
        Labels.
    weight : tensor (K,), optional
        Weights of the classes, in [0, inf).
    ignore_index : int
        The label of rows that do not count: their loss and its gradient are 0.

    Returns
    -------
    tensor (...)
        One number per row, in [0, inf].

    Raises
    ------
    TypeError
        If labels are not integers.
    ValueError
        If the shapes do not fit, a label names no class, or a log-probability is positive.

    Source
    ------
    Fisher (1922), On the Mathematical Foundations of Theoretical Statistics, doi:10.1098/rsta.1922.0009.
    """
    ignored = target == ignore_index
    index = target.masked_fill(ignored, 0).long()
    loss = -log_probability.gather(-1, index.unsqueeze(-1)).squeeze(-1)
    loss = loss if weight is None else times(weight[index], loss)
    return loss.masked_fill(ignored, 0.0)


@checked(target=Choice(-1, 1))
def hinge(score, target):
    r"""How far a score falls short of a margin of one on the side of its class.

    Domain: targets -1 or 1.

    Activation: the identity; the sign of the score is the class.

    .. math:: \ell(s, y) = \max(0,\; 1 - y s)

    Remark: a support vector machine's loss; examples beyond the margin cost nothing and pull at nothing.
    Exactly on the margin the gradient is 0.

    Parameters
    ----------
    score, target : tensor (...)

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes differ or a target is neither -1 nor 1.

    Source
    ------
    Cortes and Vapnik (1995), Support-Vector Networks, doi:10.1007/BF00994018.
    """
    return (1 - target * score).relu()


@checked(target=Choice(-1, 1))
def squared_hinge(score, target):
    r"""The square of the hinge: no corner at the margin, and large misses cost more.

    Domain: targets -1 or 1.

    Activation: the identity; the sign of the score is the class.

    .. math:: \ell(s, y) = \max(0,\; 1 - y s)^2

    Remark: the loss of an L2 support vector machine.

    Parameters
    ----------
    score, target : tensor (...)

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes differ or a target is neither -1 nor 1.

    Source
    ------
    Tang (2013), Deep Learning using Linear Support Vector Machines, arXiv:1306.0239.
    """
    miss = (1 - target * score).relu()
    return miss * miss


@checked(target=Labels())
def multiclass_hinge(score, target):
    r"""How far the right one of K scores falls short of leading its best rival by one.

    Domain: labels 0, ..., K - 1, one per row.

    Activation: the identity; the largest score is the class.

    .. math:: \ell(s, y) = \max\bigl(0,\; 1 + \max_{k \ne y} s_k - s_y\bigr)

    Remark: Crammer and Singer's form, which looks at the best rival alone;
    torch's `multi_margin_loss` is that of Weston and Watkins, which adds up all rivals and divides by K.
    Rivals that tie share the gradient evenly; exactly on the margin it is 0.

    Parameters
    ----------
    score : tensor (..., K)
    target : integer tensor (...)
        Labels.

    Returns
    -------
    tensor (...)
        One number per row, in [0, inf).

    Raises
    ------
    TypeError
        If labels are not integers.
    ValueError
        If the shapes do not fit or a label names no class.

    Source
    ------
    Crammer and Singer (2001), On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines,
    Journal of Machine Learning Research 2; its theory in doi:10.1023/A:1013637720281.
    """
    right = score.gather(-1, target.long().unsqueeze(-1)).squeeze(-1)
    rival = score.masked_fill(one_hot(target, score.shape[-1]), -inf).amax(-1)
    return (1 + rival - right).relu()


@checked(target=Choice(0, 1))
def focal(logits, target, gamma=2.0, alpha=None):
    r"""Cross-entropy of a yes or no in which examples that are already right count for little.

    Domain: targets 0 or 1.

    Activation: the sigmoid, which is inside the loss: the model computes logits.

    .. math:: \ell(z, y) = -\alpha_y\,(1 - p_y)^{\gamma} \log p_y, \qquad p_1 = \sigma(z), \quad p_0 = \sigma(-z),
       \quad \alpha_1 = \alpha, \quad \alpha_0 = 1 - \alpha

    Remark: made for detectors, where a hundred thousand easy negatives outweigh one hard positive.
    With gamma = 0 and no alpha it is `binary_cross_entropy_with_logits`.
    Computed from logarithms, so that the gradient is finite for sure examples and gamma below 1.

    Parameters
    ----------
    logits, target : tensor (...)
    gamma : float in [0, inf)
        How fast examples lose weight as they become right.
    alpha : float in [0, 1], optional
        The weight of positives; that of negatives is 1 - alpha.

    Returns
    -------
    tensor (...)
        One number per element, in [0, inf].

    Raises
    ------
    ValueError
        If the shapes differ, a target is neither 0 nor 1, or gamma or alpha lies outside its range.

    Source
    ------
    Lin and others (2017), Focal Loss for Dense Object Detection, arXiv:1708.02002.
    """
    z = (1 - 2 * target) * logits  # the logit of being wrong
    log_wrong, log_right = log_sigmoids(z)
    weight = (gamma * log_wrong.masked_fill(z.abs() > 1e4, 0.0)).exp()  # beyond, it is 1 or the loss itself is 0
    loss = -weight * log_right
    return loss if alpha is None else loss * (alpha * target + (1 - alpha) * (1 - target))
