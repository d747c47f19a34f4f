"""What a loss checks: domains, and the sentences that say what was wrong."""

import numpy as np
import pytest

from lossopt.losses.checks import RANGES, REAL, Choice, Interval, checked


@checked(target=Interval(0, 1, "[)"), scale=Interval(0))
def scaled(prediction, target, margin=0.0, scale=2.0):
    """An example."""
    return (prediction - target) * scale + margin


def test_a_decorated_loss_keeps_its_name_its_docstring_and_its_formula(kind):
    assert (scaled.__name__, scaled.__doc__) == ("scaled", "An example.")
    assert dict(scaled.domains) == {"target": Interval(0, 1, "[)"), "scale": Interval(0)}
    x, y = kind.make([3.0]), kind.make([7.0])
    assert scaled.__wrapped__(x, y).tolist() == [-8.0]  # out of its domain, and unchecked


@pytest.mark.parametrize(
    ("interval", "text", "inside", "beyond"),
    [
        (Interval(0, 1, "[]"), "[0, 1]", [0.0, 0.5, 1.0, np.nan], [-1e-9, 1 + 1e-9, np.inf]),
        (Interval(0, 1), "(0, 1)", [0.5, np.nan], [0.0, 1.0]),
        (Interval(0, 1, "[)"), "[0, 1)", [0.0], [1.0]),
        (Interval(-2, 1, "(]"), "(-2, 1]", [1.0], [-2.0]),
        (REAL, "(-inf, inf)", [-np.inf, np.inf, 0.0], []),
    ],
)
def test_an_interval_knows_its_ends(interval, text, inside, beyond, kind):
    assert str(interval) == text
    interval.check_values("x", kind.make(np.array(inside)))
    for bad in beyond:
        with pytest.raises(ValueError, match="x must lie in"):
            interval.check_values("x", kind.make(np.array([*inside, bad])))


def test_a_hyper_parameter_is_one_finite_number():
    for good in (1, 0.5, np.float32(0.5), np.array(0.5)):
        Interval(0, 1, "(]").check_number("x", good)
    for bad in (0, 1.5, np.nan, np.inf, np.array(2.0)):
        with pytest.raises(ValueError, match=r"^x must lie in \(0, 1\], got"):
            Interval(0, 1, "(]").check_number("x", bad)
    for bad in ("1", None, [0.5], np.array([0.5])):
        with pytest.raises(TypeError, match=r"^x must be a number, got"):
            Interval(0, 1, "(]").check_number("x", bad)
    with pytest.raises(ValueError, match="got inf"):
        RANGES["margin"].check_number("margin", np.inf)


def test_the_ranges():
    assert {name: str(interval) for name, interval in RANGES.items()} == {
        "delta": "(0, inf)",
        "beta": "(0, inf)",
        "q": "(0, 1)",
        "label_smoothing": "[0, 1]",
        "gamma": "[0, inf)",
        "alpha": "[0, 1]",
        "margin": "(-inf, inf)",
        "temperature": "(0, inf)",
    }


def test_the_first_culprit_is_named(kind):
    values = kind.make([[1.0, 0.0], [3.0, 4.0]])
    with pytest.raises(ValueError, match=r"^mine: y must be 0 or 1, got 3\.0$"):
        Choice(0, 1).check("mine", "y", {"x": values, "y": values})


def test_one_sentence_says_which_argument_of_which_loss_and_what_is_right(kind):
    x = kind.make([3.0])
    with pytest.raises(ValueError, match=r"^scaled: target must lie in \[0, 1\), got 3\.0$"):
        scaled(x, x)
    with pytest.raises(ValueError, match=r"^scaled: margin must lie in \(-inf, inf\), got nan$"):
        scaled(x, 0 * x, margin=np.nan)
    with pytest.raises(ValueError, match=r"^scaled: target must have shape \(1,\) beside prediction of shape"):
        scaled(x, 0 * x.reshape(1, 1))
    with pytest.raises(TypeError, match=r"^scaled: prediction must be a tensor, got float$"):
        scaled(3.0, x)
    with pytest.raises(TypeError, match=r"^scaled: missing a required argument: 'target'$"):
        scaled(x)


def test_hard_targets_may_be_integers_or_booleans(kind):
    x = kind.make(np.array([3.0, 1.0], np.float32))
    for zeros in (np.zeros(2, int), np.zeros(2, bool), np.zeros(2, np.uint8)):
        result = scaled(x, kind.make(zeros))
        assert result.tolist() == [6.0, 2.0]
        assert result.dtype == x.dtype
