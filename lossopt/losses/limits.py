"""The arithmetic that losses share where the textbook formula loses its digits or its limit."""

from math import inf


def times(weight, value):
    """The product, and 0 where a zero weight meets an infinite value.

    Parameters
    ----------
    weight, value : tensors that broadcast

    Returns
    -------
    tensor
        `weight * value`, with gradient 0 where the limit was needed.
    """
    return weight * value.masked_fill((weight == 0) & value.isinf(), 0.0)


def ratio(a, b):
    """The quotient, and 0 with gradient 0 where 0 is divided by 0.

    Parameters
    ----------
    a, b : tensors of one shape
        a is 0 wherever b is.

    Returns
    -------
    tensor
        `a / b`.
    """
    nothing = b == 0
    return (a / b.masked_fill(nothing, 1.0)).masked_fill(nothing, 0.0)


def norm(x):
    """The Euclidean length of every row, with gradient 0 where a row is 0 (its square root has none there).

    Parameters
    ----------
    x : tensor (..., d)

    Returns
    -------
    tensor (...)
    """
    square = (x * x).sum(-1)
    return square.masked_fill(square == 0, 0.0).sqrt()  # the number is the same, but the infinite slope at 0 ends here


def log_sigmoids(z):
    """The logarithms of both outcomes of a logit, accurate to the last digits and in both limits.

    Parameters
    ----------
    z : tensor

    Returns
    -------
    pair of tensors
        `log(sigmoid(z))` and `log(sigmoid(-z))`.
    """
    up, down = z.relu(), z.clamp(max=0.0)  # z = up + down; at 0 their slopes are 0 and 1, so that down - up has one, 1
    tail = (down - up).exp().log1p()
    return down - tail, -up - tail


def surprise(logits, picked):
    """The negative log of a softmax, accurate to the last digits and in the limits of infinite logits.

    The largest logit is left out of the sum, so that `log1p` keeps what little the others weigh.

    Parameters
    ----------
    logits : tensor (..., K)
        The scores of all classes.
    picked : tensor (..., n)
        Those of them whose surprise is wanted, all of them or a few.

    Returns
    -------
    tensor (..., n)
        `log(sum(exp(logits))) - picked`; NaN where two infinities compete, since they have no limit.
    """
    top = logits.amax(-1, keepdim=True)
    largest = logits == top
    ties = largest.to(logits.dtype).sum(-1, keepdim=True)
    others = (logits - top).masked_fill(largest, -inf).exp().sum(-1, keepdim=True)
    gap = (top - picked).masked_fill((picked == top) & (ties == 1), 0.0)
    return gap + (others + (ties - 1)).log1p()


def one_hot(labels, classes):
    """Which class each label names.

    Parameters
    ----------
    labels : integer tensor (...)
    classes : int

    Returns
    -------
    boolean tensor (..., classes)
        All False for a label that names none.
    """
    labels = labels.long().unsqueeze(-1)
    return labels == labels.new_tensor(range(classes))
