"""Losses for boxes and masks: by hand, beside the papers' formulas in NumPy, for degenerate boxes, and their laws."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lossopt import losses

BOX_LOSSES = [losses.iou, losses.giou, losses.diou, losses.ciou]
EVERY = pytest.mark.parametrize("loss", BOX_LOSSES, ids=lambda loss: loss.__name__)


def similarities(a, b):
    """IoU, GIoU, DIoU and CIoU of two boxes as the papers write them."""
    left, top, right, bottom = np.maximum(a[:2], b[:2]).tolist() + np.minimum(a[2:], b[2:]).tolist()
    shared = max(right - left, 0) * max(bottom - top, 0)
    area = [(x[2] - x[0]) * (x[3] - x[1]) for x in (a, b)]
    union = sum(area) - shared
    hull = np.maximum(a[2:], b[2:]) - np.minimum(a[:2], b[:2])
    iou = shared / union
    centres = [(x[:2] + x[2:]) / 2 for x in (a, b)]
    diou = iou - ((centres[0] - centres[1]) ** 2).sum() / (hull**2).sum()
    angles = [np.arctan2(x[2] - x[0], x[3] - x[1]) for x in (a, b)]
    v = 4 / np.pi**2 * (angles[0] - angles[1]) ** 2
    alpha = v / (1 - iou + v) if v else 0
    return [iou, iou - (hull.prod() - union) / hull.prod(), diou, diou - alpha * v], alpha


def boxes(rng, n):
    low = rng.uniform(-5, 5, (n, 2))
    return np.concatenate([low, low + rng.uniform(0.1, 6, (n, 2))], axis=-1)


def test_two_overlapping_boxes_by_hand(kind):
    """Squares of side 2 whose overlap is 1: union 7, hull 9, centres sqrt 2 apart, hull's diagonal squared 18."""
    a, b = np.array([0.0, 0, 2, 2]), np.array([1.0, 1, 3, 3])
    expected = [6 / 7, 6 / 7 + 2 / 9, 6 / 7 + 2 / 18, 6 / 7 + 2 / 18]
    for loss, value in zip(BOX_LOSSES, expected, strict=True):
        np.testing.assert_allclose(kind.value(loss, a, b), value, rtol=1e-15)


def test_a_tall_and_a_wide_box_by_hand(kind):
    """A cross of 1 x 3 and 3 x 1: overlap 1, union 5, hull 9, same centre; angles arctan(1/3) and arctan(3)."""
    a, b = np.array([1.0, 0, 2, 3]), np.array([0.0, 1, 3, 2])
    v = 4 / np.pi**2 * (np.arctan(3) - np.arctan(1 / 3)) ** 2
    expected = [4 / 5, 4 / 5 + 4 / 9, 4 / 5, 4 / 5 + v * v / (4 / 5 + v)]
    for loss, value in zip(BOX_LOSSES, expected, strict=True):
        np.testing.assert_allclose(kind.value(loss, a, b), value, rtol=1e-14)


def test_disjoint_boxes_by_hand(kind):
    """Unit squares with a gap of 1: hull 3, union 2; the gradient of IoU is 0, that of GIoU pulls them together."""
    a, b = np.array([0.0, 0, 1, 1]), np.array([2.0, 0, 3, 1])
    value, gradients = kind.value_and_gradients(losses.iou, a, b)
    np.testing.assert_array_equal([value, *gradients[0]], [1, 0, 0, 0, 0])
    value, gradients = kind.value_and_gradients(losses.giou, a, b)
    np.testing.assert_allclose(value, 4 / 3)
    assert gradients[0][2] < 0  # moving the right side to the right lowers the loss


@EVERY
def test_the_papers_formulas_are_the_same(loss, kind, rng):
    a, b = boxes(rng, 60), boxes(rng, 60)
    expected = [1 - similarities(*pair)[0][BOX_LOSSES.index(loss)] for pair in zip(a, b, strict=True)]
    np.testing.assert_allclose(kind.value(loss, a, b), expected, rtol=1e-12)


def test_no_gradient_runs_through_the_weight_of_ciou(kind, rng):
    """The gradient is that of the loss with alpha held fixed, by central differences."""
    a, b = boxes(rng, 20), boxes(rng, 20)
    gradient = kind.gradient(losses.ciou, a, b)
    h = 1e-6
    for i in range(20):
        alpha = similarities(a[i], b[i])[1]

        def frozen(box, i=i, alpha=alpha):
            (_, _, diou, _), _ = similarities(box, b[i])
            angles = [np.arctan2(x[2] - x[0], x[3] - x[1]) for x in (box, b[i])]
            return 1 - diou + alpha * 4 / np.pi**2 * (angles[0] - angles[1]) ** 2

        slopes = [(frozen(a[i] + h * e) - frozen(a[i] - h * e)) / (2 * h) for e in np.eye(4)]
        np.testing.assert_allclose(gradient[i], slopes, rtol=1e-6, atol=1e-8)


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_identical_boxes_cost_exactly_nothing(loss, dtype, kind, rng):
    a = boxes(rng, 200).astype(dtype)
    value, gradients = kind.value_and_gradients(loss, a, a)
    np.testing.assert_array_equal(value, 0)
    assert np.isfinite(gradients[0]).all()


UNIT = [0.0, 0.0, 1.0, 1.0]
DEGENERATE = [
    ("a box without height", [0.2, 0.5, 0.8, 0.5], UNIT),
    ("a box without width", [0.5, 0.2, 0.5, 0.8], UNIT),
    ("a point", [0.5, 0.5, 0.5, 0.5], UNIT),
    ("a point outside", [3.0, 3.0, 3.0, 3.0], UNIT),
    ("a target without height", UNIT, [0.2, 0.5, 0.8, 0.5]),
    ("two lines at right angles", [0.0, 0.5, 1.0, 0.5], [0.5, 0.0, 0.5, 1.0]),
    ("two equal points", [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]),
    ("two unequal points", [1.0, 1.0, 1.0, 1.0], [2.0, 2.0, 2.0, 2.0]),
    ("two equal lines", [0.0, 1.0, 2.0, 1.0], [0.0, 1.0, 2.0, 1.0]),
    ("touching boxes", UNIT, [1.0, 0.0, 2.0, 1.0]),
]


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("a", "b"), [case[1:] for case in DEGENERATE], ids=[case[0] for case in DEGENERATE])
def test_degenerate_boxes_share_nothing_and_have_finite_gradients(loss, a, b, dtype, kind):
    value, gradients = kind.value_and_gradients(loss, np.array(a, dtype), np.array(b, dtype))
    assert 1 <= value <= 3
    assert np.isfinite(gradients[0]).all()
    assert np.isfinite(gradients[1]).all()


def test_a_vanishing_height_has_the_limit_of_small_ones(kind):
    b = np.array(UNIT)
    flat, low = (kind.value(losses.ciou, np.array([0.2, 0.5, 0.8, 0.5 + h]), b) for h in (0, 1e-9))
    np.testing.assert_allclose(flat, low, rtol=1e-8)
    lines = kind.value(losses.ciou, np.array([0.0, 0.5, 1.0, 0.5]), np.array([0.5, 0.0, 0.5, 1.0]))
    np.testing.assert_allclose(lines, 1 + 0 + 1 / 2)  # v is 1, and so alpha a half


def test_touching_boxes_have_the_gradient_of_overlapping_ones(kind):
    gradient = kind.gradient(losses.iou, np.array(UNIT), np.array([1.0, 0, 2, 1]))
    np.testing.assert_allclose(gradient, [0, 0, -0.5, 0])


@EVERY
def test_corners_in_the_wrong_order_are_an_error(loss, kind):
    good, bad = np.array([[0.0, 0, 1, 1]]), np.array([[0.0, 0, 1, -1]])
    with pytest.raises(ValueError, match=f"{loss.__name__}: prediction must have x1 <= x2 and y1 <= y2.*got .*-1.0"):
        kind.value(loss, bad, good)
    with pytest.raises(ValueError, match=f"{loss.__name__}: target must have x1 <= x2"):
        kind.value(loss, good, bad)
    with pytest.raises(ValueError, match=f"{loss.__name__}: prediction must have a last axis x1, y1, x2, y2"):
        kind.value(loss, np.ones((2, 5)), np.ones((2, 5)))


CORNER, SIDE = st.floats(-100, 100), st.floats(0.1, 100)
BOX = st.tuples(CORNER, CORNER, SIDE, SIDE).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])


@given(BOX, BOX, CORNER, CORNER, st.floats(0.1, 10))
def test_boxes_may_be_exchanged_moved_scaled_and_reflected(a, b, right, down, scale):
    a, b = torch.tensor([a, b], dtype=torch.float64)
    move = torch.tensor([right, down, right, down], dtype=torch.float64)
    for loss in BOX_LOSSES:
        value = loss(a, b)
        for changed in (
            loss(b, a),
            loss(a + move, b + move),
            loss(scale * a, scale * b),
            loss(-a[[2, 3, 0, 1]], -b[[2, 3, 0, 1]]),
            loss(a[[1, 0, 3, 2]], b[[1, 0, 3, 2]]),
        ):
            torch.testing.assert_close(changed, value, rtol=0, atol=1e-9)


@given(BOX, BOX)
def test_every_penalty_adds_to_the_iou_loss(a, b):
    a, b = torch.tensor([a, b], dtype=torch.float64)
    iou, giou, diou, ciou = (loss(a, b) for loss in BOX_LOSSES)
    assert 0 <= iou <= 1
    assert iou - 1e-12 <= giou <= 2
    assert iou - 1e-12 <= diou <= 2
    assert diou - 1e-12 <= ciou <= 3


# ---------------------------------------------------------------- masks


def test_a_mask_by_hand(kind):
    p, y = np.array([[0.5, 1.0, 0.0, 0.25], [1, 1, 0, 0]]), np.array([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    value, gradients = kind.value_and_gradients(losses.dice, p, y)
    np.testing.assert_allclose(value, [1 - 2 * 1.5 / 3.75, 1], rtol=1e-15)
    np.testing.assert_allclose(gradients[0][0], np.where(y[0] == 1, -2 / 3.75, 0) + 3 / 3.75**2, rtol=1e-14)


def test_an_empty_prediction_of_an_empty_mask_is_perfect(kind):
    p, y = np.zeros((2, 3)), np.array([[0.0, 0, 0], [0, 1, 0]])
    value, gradients = kind.value_and_gradients(losses.dice, p, y)
    np.testing.assert_array_equal(value, [0, 1])
    assert np.isfinite(gradients[0]).all()


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=6))
def test_the_dice_loss_is_one_less_the_index_and_zero_for_a_perfect_mask(pixels):
    p, y = torch.tensor(pixels, dtype=torch.float64).T
    value = losses.dice(p, y)
    assert 0 <= value <= 1 + 1e-15
    assert losses.dice(y, y) == 0
    if (p + y).sum() > 1e-300:
        torch.testing.assert_close(value, 1 - 2 * (p * y).sum() / (p + y).sum(), rtol=0, atol=1e-14)
    torch.testing.assert_close(losses.dice(y, p), value, rtol=1e-14, atol=0)
