"""Losses for embeddings: like things are to be near one another, unlike ones apart."""

from .checks import Choice, Rows, checked
from .limits import norm, ratio, surprise


@checked()
def triplet(anchor, positive, negative, margin=1.0):
    r"""How far an anchor's positive falls short of being nearer than its negative by a margin.

    Domain: three embeddings a row: of an example, of one like it and of one unlike it.

    Activation: the identity, or rows scaled to length one.

    .. math:: \ell(a, p, n) = \max\bigl(0,\; \lVert a - p \rVert - \lVert a - n \rVert + m\bigr)

    Remark: with distances, as in torch (which adds 1e-6 to every difference); the paper has their squares.
    Exactly on the margin the gradient is 0, and so is that of the distance of two equal rows.

    Parameters
    ----------
    anchor, positive, negative : tensor (..., d)
    margin : float

    Returns
    -------
    tensor (...)
        One number per row, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes differ.

    Source
    ------
    Schroff and others (2015), FaceNet, arXiv:1503.03832.
    """
    return (norm(anchor - positive) - norm(anchor - negative) + margin).relu()


@checked(target=Choice(0, 1, per_row=True))
def contrastive(first, second, target, margin=1.0):
    r"""Half the squared distance of a like pair; for an unlike one, half the square of what it lacks to a margin.

    Domain: targets 1 for a like pair and 0 for an unlike one.

    Activation: the identity, or rows scaled to length one.

    .. math:: \ell(a, b, y) = \frac{1}{2}\Bigl(y\, d^2 + (1 - y) \max(0,\; m - d)^2\Bigr),
       \qquad d = \lVert a - b \rVert

    Remark: the paper writes 0 for a like pair and 1 for an unlike one.
    Two equal rows of an unlike pair have gradient 0: no direction leads apart better than another.

    Parameters
    ----------
    first, second : tensor (..., d)
    target : tensor (...)
        0 or 1.
    margin : float
        The distance beyond which an unlike pair costs nothing.

    Returns
    -------
    tensor (...)
        One number per pair, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes do not fit or a target is neither 0 nor 1.

    Source
    ------
    Hadsell, Chopra and LeCun (2006), Dimensionality Reduction by Learning an Invariant Mapping,
    doi:10.1109/CVPR.2006.100.
    """
    d = norm(first - second)
    short = (margin - d).relu()
    return (target * d * d + (1 - target) * short * short) / 2


@checked(query=Rows())
def info_nce(query, key, temperature=0.07):
    r"""Cross-entropy of finding the key of a query among the keys of all N rows.

    Domain: N pairs, row i of the keys belonging to row i of the queries.

    Activation: rows scaled to length one, so that products are cosines; the softmax is inside the loss.

    .. math:: \ell(q, k)_i = -\log \frac{\exp(q_i \cdot k_i / \tau)}{\sum_{j=1}^{N} \exp(q_i \cdot k_j / \tau)}

    Remark: the rows are not scaled here.
    One direction alone: the symmetric form is the mean of `info_nce(q, k)` and `info_nce(k, q)`.
    A model that cannot tell pairs apart is at log N.

    Parameters
    ----------
    query, key : tensor (..., N, d)
    temperature : float in (0, inf)
        What the products are divided by.

    Returns
    -------
    tensor (..., N)
        One number per query, in [0, inf).

    Raises
    ------
    ValueError
        If the shapes differ, there are fewer than two axes, or the temperature is not positive.

    Source
    ------
    van den Oord and others (2018), Representation Learning with Contrastive Predictive Coding, arXiv:1807.03748;
    the default temperature: He and others, arXiv:1911.05722.
    """
    logits = query @ key.mT / temperature
    rows = logits.shape[-1]
    if not rows:
        return logits.sum(-1)  # no queries, no losses
    own = logits.flatten(-2)[..., :: rows + 1]  # the diagonal
    return surprise(logits, own.unsqueeze(-1)).squeeze(-1)


@checked(target=Choice(-1, 1, per_row=True))
def cosine_embedding(first, second, target, margin=0.0):
    r"""One minus the cosine of a like pair; for an unlike one, what its cosine exceeds a margin by.

    Domain: targets 1 for a like pair and -1 for an unlike one.

    Activation: the identity; lengths do not matter.

    .. math:: \ell(a, b, y) = \begin{cases} 1 - \cos(a, b) & y = 1 \\ \max(0,\; \cos(a, b) - m) & y = -1 \end{cases}

    Remark: a row of zeros has no direction: its cosine is taken as 0, with gradient 0 (torch's is about 1e6 there).
    Exactly on the margin the gradient is 0.

    Parameters
    ----------
    first, second : tensor (..., d)
    target : tensor (...)
        -1 or 1.
    margin : float
        The cosine up to which an unlike pair costs nothing.

    Returns
    -------
    tensor (...)
        One number per pair, in [0, 2].

    Raises
    ------
    ValueError
        If the shapes do not fit or a target is neither -1 nor 1.

    Source
    ------
    Bromley and others (1993), Signature Verification using a "Siamese" Time Delay Neural Network,
    doi:10.1142/S0218001493000339.
    """
    length, other = norm(first), norm(second)
    gap = ratio(first, length.unsqueeze(-1)) - ratio(second, other.unsqueeze(-1))
    apart = (gap * gap).sum(-1) / 2  # one minus the cosine, with all its digits
    apart = apart.masked_fill((length == 0) | (other == 0), 1.0)
    return apart.where(target == 1, (1 - margin - apart).relu())
