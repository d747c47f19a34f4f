"""Losses for regions: how much of two boxes or masks is not shared.

Each is one minus a similarity, so that less is better and 0 is perfect.
A box is x1, y1, x2, y2 with x1 <= x2 and y1 <= y2; two boxes without any area share nothing.
"""

from math import pi

from .checks import UNIT, Boxes, checked
from .limits import ratio


@checked(prediction=Boxes(), target=Boxes())
def iou(prediction, target):
    r"""One minus the intersection over the union of two boxes.

    Domain: boxes x1, y1, x2, y2 with ordered corners.

    Activation: any that orders the corners, such as centres and the exponentials of sizes.

    .. math:: \ell(A, B) = 1 - \mathrm{IoU}, \qquad \mathrm{IoU} = \frac{|A \cap B|}{|A \cup B|}

    Remark: the loss, not the similarity: 0 for equal boxes, 1 for boxes that share nothing.
    Disjoint boxes have no gradient at all; boxes that touch have that of overlapping ones.
    Coordinates that tie share their gradient evenly.

    Parameters
    ----------
    prediction, target : tensor (..., 4)

    Returns
    -------
    tensor (...)
        One number per box, in [0, 1].

    Raises
    ------
    ValueError
        If the shapes differ, the last axis is not 4, or the corners of a box are in the wrong order.

    Source
    ------
    Yu and others (2016), UnitBox, arXiv:1608.01471; the index itself: Jaccard, doi:10.1111/j.1469-8137.1912.tb05611.x.
    """
    return 1 - ratio(*_overlap(prediction, target))


@checked(prediction=Boxes(), target=Boxes())
def giou(prediction, target):
    r"""The IoU loss plus the share of the common hull that neither box covers, so that disjoint boxes attract.

    Domain: boxes x1, y1, x2, y2 with ordered corners.

    Activation: any that orders the corners, such as centres and the exponentials of sizes.

    .. math:: \ell(A, B) = 1 - \mathrm{IoU} + \frac{|C| - |A \cup B|}{|C|}

    Remark: C is the smallest box around both; the loss, not the similarity.
    It exceeds 1 for disjoint boxes and tends to 2 as they part.

    Parameters
    ----------
    prediction, target : tensor (..., 4)

    Returns
    -------
    tensor (...)
        One number per box, in [0, 2].

    Raises
    ------
    ValueError
        If the shapes differ, the last axis is not 4, or the corners of a box are in the wrong order.

    Source
    ------
    Rezatofighi and others (2019), Generalized Intersection over Union, arXiv:1902.09630.
    """
    shared, union = _overlap(prediction, target)
    hull = _area(_hull(prediction, target))
    return 1 - ratio(shared, union) + ratio(hull - union, hull)


@checked(prediction=Boxes(), target=Boxes())
def diou(prediction, target):
    r"""The IoU loss plus the squared distance of the centres, in units of the common hull's diagonal.

    Domain: boxes x1, y1, x2, y2 with ordered corners.

    Activation: any that orders the corners, such as centres and the exponentials of sizes.

    .. math:: \ell(A, B) = 1 - \mathrm{IoU} + \frac{\rho^2}{c^2}

    Remark: rho is the distance of the centres, c the diagonal of the smallest box around both.
    The loss, not the similarity; it pulls at disjoint boxes and at one box inside another.

    Parameters
    ----------
    prediction, target : tensor (..., 4)

    Returns
    -------
    tensor (...)
        One number per box, in [0, 2].

    Raises
    ------
    ValueError
        If the shapes differ, the last axis is not 4, or the corners of a box are in the wrong order.

    Source
    ------
    Zheng and others (2020), Distance-IoU Loss, arXiv:1911.08287.
    """
    return 1 - ratio(*_overlap(prediction, target)) + _offset(prediction, target)


@checked(prediction=Boxes(), target=Boxes())
def ciou(prediction, target):
    r"""The DIoU loss plus a penalty for another aspect ratio, which counts the more the better the boxes overlap.

    Domain: boxes x1, y1, x2, y2 with ordered corners.

    Activation: any that orders the corners, such as centres and the exponentials of sizes.

    .. math:: \ell(A, B) = 1 - \mathrm{IoU} + \frac{\rho^2}{c^2} + \alpha v, \qquad
       v = \frac{4}{\pi^2} \Bigl(\arctan\frac{w_A}{h_A} - \arctan\frac{w_B}{h_B}\Bigr)^2, \quad
       \alpha = \frac{v}{1 - \mathrm{IoU} + v}

    Remark: alpha is a weight, not a part of the function: no gradient runs through it.
    The two angles are subtracted before the arctangent is taken, so that a box without height has its limit, not NaN.
    The loss, not the similarity.

    Parameters
    ----------
    prediction, target : tensor (..., 4)

    Returns
    -------
    tensor (...)
        One number per box, in [0, 3].

    Raises
    ------
    ValueError
        If the shapes differ, the last axis is not 4, or the corners of a box are in the wrong order.

    Source
    ------
    Zheng and others (2020), Distance-IoU Loss, arXiv:1911.08287.
    """
    a, b = _sides(prediction), _sides(target)
    across = a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]  # in proportion to the sine of the angle between diagonals
    along = (a * b).sum(-1)  # and to its cosine
    angle = (across / along.masked_fill(along == 0, 1e-30)).atan()
    v = 4 / pi**2 * angle * angle
    apart = 1 - ratio(*_overlap(prediction, target))
    alpha = ratio(v, apart + v).detach()
    return apart + _offset(prediction, target) + alpha * v


@checked(probability=UNIT, target=UNIT)
def dice(probability, target):
    r"""One minus Sorensen and Dice's overlap of two masks.

    Domain: a mask of targets 0 or 1 along the last axis (`mask.flatten(1)` for images); shares in [0, 1] are allowed.

    Activation: the sigmoid, applied before the loss.

    .. math:: \ell(p, y) = 1 - \frac{2 \sum_k p_k y_k}{\sum_k (p_k + y_k)}
       = \frac{\sum_k \bigl(p_k (1 - y_k) + y_k (1 - p_k)\bigr)}{\sum_k (p_k + y_k)}

    Remark: the loss, not the similarity, without a smoothing constant: in the form on the right an empty prediction
    of an empty mask is perfect, 0.
    It is 0 for a perfect prediction only where the target is 0 or 1.

    Parameters
    ----------
    probability, target : tensor (..., n)
        In [0, 1].

    Returns
    -------
    tensor (...)
        One number per mask, in [0, 1].

    Raises
    ------
    ValueError
        If the shapes differ or a number lies outside [0, 1].

    Source
    ------
    Milletari and others (2016), V-Net, arXiv:1606.04797; the index itself: Dice, doi:10.2307/1932409.
    """
    apart = probability * (1 - target) + target * (1 - probability)
    return ratio(apart.sum(-1), (probability + target).sum(-1))


def _sides(boxes):
    return boxes[..., 2:] - boxes[..., :2]


def _area(sides):
    return sides[..., 0] * sides[..., 1]


def _hull(a, b):
    """The sides of the smallest box around both."""
    return a[..., 2:].maximum(b[..., 2:]) - a[..., :2].minimum(b[..., :2])


def _overlap(a, b):
    """The areas of the intersection and of the union."""
    sides = a[..., 2:].minimum(b[..., 2:]) - a[..., :2].maximum(b[..., :2])
    shared = _area(sides.clamp(min=0.0))
    return shared, _area(_sides(a)) + _area(_sides(b)) - shared


def _offset(a, b):
    """The squared distance of the centres over that of the hull's corners."""
    between = ((a[..., :2] + a[..., 2:]) - (b[..., :2] + b[..., 2:])) / 2
    hull = _hull(a, b)
    return ratio((between * between).sum(-1), (hull * hull).sum(-1))
