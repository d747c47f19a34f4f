"""Laws of all losses. The losses are found, and so are their examples: from the domains they declare.

Those that a loss of anybody's should keep are in `lossopt.testing`; here are those of this package, whose losses check
what they are given.
"""

import copy
import dataclasses
import re

import numpy as np
import pytest
import torch

from lossopt import losses, testing
from lossopt.losses import LOSSES, checks, describe
from lossopt.testing import check_loss

EVERY = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def example(loss, dtype=np.float64):
    """Random values of the domains a loss declares."""
    return [a if a.dtype.kind == "i" else a.astype(dtype) for a in testing._drawn(loss)]


def test_every_family_file_is_found_and_every_loss_is_in_the_package():
    assert {loss.family for loss in LOSSES.values()} == {
        "regression", "classification", "divergence", "detection", "embedding",
    }  # fmt: skip
    assert all(getattr(losses, name) is loss.loss for name, loss in LOSSES.items())
    assert all(loss == describe(loss.loss) for loss in LOSSES.values())
    assert [loss.year for loss in LOSSES.values()] == sorted(loss.year for loss in LOSSES.values())


def test_a_description_can_be_copied_and_the_list_cannot_be_changed():
    assert copy.deepcopy(LOSSES["huber"]) == LOSSES["huber"]
    with pytest.raises(TypeError):
        LOSSES["mine"] = LOSSES["huber"]
    with pytest.raises(TypeError):
        LOSSES["huber"].hyper["delta"] = 2.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        LOSSES["huber"].name = "mine"


def test_the_defaults():
    assert {name: dict(loss.hyper) for name, loss in LOSSES.items() if loss.hyper} == {
        "huber": {"delta": 1.0},
        "smooth_l1": {"beta": 1.0},
        "quantile": {"q": 0.5},
        "binary_cross_entropy_with_logits": {"pos_weight": 1.0},
        "cross_entropy": {"weight": None, "label_smoothing": 0.0, "ignore_index": -100},
        "nll": {"weight": None, "ignore_index": -100},
        "focal": {"gamma": 2.0, "alpha": None},
        "triplet": {"margin": 1.0},
        "contrastive": {"margin": 1.0},
        "cosine_embedding": {"margin": 0.0},
        "info_nce": {"temperature": 0.07},
    }


def test_a_loss_of_your_own_can_be_described():
    def cubic(prediction, target, scale=2.0):
        """Cube of the error.

        Domain: any real target.

        Activation: the identity.

        Activation: none, said a second time.
        """
        return (prediction - target).abs() ** 3 / scale

    mine = describe(cubic)
    assert mine.activation == "the identity."
    assert (mine.name, mine.arguments, dict(mine.hyper)) == ("cubic", ("prediction", "target"), {"scale": 2.0})
    assert (mine.summary, mine.domain, mine.remark, mine.year) == ("Cube of the error.", "any real target.", "", None)


def test_a_loss_that_was_made_in_no_file_has_no_family():
    made = {}
    exec("def cubic(prediction, target):\n    return (prediction - target).abs() ** 3", made)
    assert made["cubic"].__module__ is None
    assert describe(made["cubic"]).family == ""


@pytest.mark.parametrize(("wrong", "message"), [(3.0, "a loss is a function"), (lambda a=1: a, "without a default")])
def test_what_is_no_loss_cannot_be_described(wrong, message):
    with pytest.raises(TypeError, match=message):
        describe(wrong)


@EVERY
def test_a_loss_keeps_the_laws_of_all_losses(loss):
    stopped = "it calls detach, and so gives another gradient on purpose"  # see test_detection.py
    assert set(check_loss(loss).skipped.values()) == ({stopped} if loss.name == "ciou" else set())


@EVERY
def test_the_docstring_says_domain_activation_formula_remark_and_source(loss):
    assert loss.summary.endswith(".")
    assert all([loss.domain, loss.activation, loss.formula, loss.remark])
    assert re.search(r"\((1[789]|20)\d\d\), ", loss.source)
    assert loss.year > 1700
    assert re.search(r"doi:10\.\d{4,}/\S+|arXiv:\d{4}\.\d{4,5}", loss.source)


@EVERY
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_the_same_losses_and_gradients(loss, kinds):
    cpu = kinds[1]
    gpu = type(cpu)("cuda", lambda a, requires_grad=False: torch.tensor(a, requires_grad=requires_grad, device="cuda"))
    inputs = gpu.inputs(example(loss))
    result = loss.loss(*inputs)
    result.sum().backward()
    value, gradients = cpu.value_and_gradients(loss.loss, *example(loss))
    np.testing.assert_allclose(result.detach().cpu().numpy(), value, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(inputs[0].grad.cpu().numpy(), gradients[0], rtol=1e-12, atol=1e-14)


@EVERY
def test_integers_and_booleans_are_read_as_numbers_of_the_first_arguments_dtype(loss, kind):
    """A hard target may be written as integers: its dtype does not decide that of the loss."""
    first, *others = example(loss, dtype=np.float32)
    numbers = checks.Choice, checks.Interval
    domains = [loss.domains.get(name, checks.REAL) for name in loss.arguments[1:]]
    whole = [np.ones_like(a) if isinstance(d, numbers) else a for a, d in zip(others, domains, strict=True)]
    result = kind.value(loss.loss, first, *whole)
    for integers in (np.int64, np.int32, np.uint8):
        as_integers = [a.astype(integers) if (a == 1).all() else a for a in whole]
        again = kind.value(loss.loss, first, *as_integers)
        assert again.dtype == np.float32
        np.testing.assert_array_equal(again, result)


@EVERY
def test_the_bare_formula_computes_the_same_without_checking(loss, kind):
    arrays = example(loss)
    np.testing.assert_array_equal(kind.value(loss.loss.__wrapped__, *arrays), kind.value(loss.loss, *arrays))


@EVERY
def test_shapes_that_would_broadcast_are_an_error(loss, kind):
    first, *others = example(loss)
    for i, name in enumerate(loss.arguments[1:]):
        wrong = [a[..., None] if j == i else a for j, a in enumerate(others)]
        with pytest.raises(ValueError, match=rf"^{loss.name}: {name} must have shape \(6, 3.*\) beside"):
            loss.loss(*kind.inputs([first, *wrong]))


@EVERY
def test_what_is_not_a_tensor_is_an_error(loss, kind):
    inputs = kind.inputs(example(loss))
    for i, name in enumerate(loss.arguments):
        wrong = [x.tolist() if j == i else x for j, x in enumerate(inputs)]
        with pytest.raises(TypeError, match=f"^{loss.name}: {name} must be a tensor, got list"):
            loss.loss(*wrong)


@EVERY
def test_a_model_that_computed_integers_is_an_error(loss, kind):
    first, *others = example(loss)
    with pytest.raises(TypeError, match=f"^{loss.name}: {loss.arguments[0]} must be floating, got .*int64"):
        loss.loss(*kind.inputs([np.zeros(first.shape, np.int64), *others]))


@EVERY
def test_values_outside_their_domain_are_an_error(loss, kind):
    arrays = example(loss)
    for i, name in enumerate(loss.arguments):
        domain = loss.domains.get(name)
        for bad in outside(domain):
            wrong = [a.copy() for a in arrays]
            wrong[i][1, 1] = bad
            with pytest.raises(ValueError, match=rf"^{loss.name}: {name} must .*, got "):
                loss.loss(*kind.inputs(wrong))


def outside(domain):
    match domain:
        case checks.Interval():
            return [end for end in (domain.low - 0.5, domain.high + 0.5) if np.isfinite(end)]
        case checks.Choice():
            return [0.5, -2.0]
        case checks.Labels():
            return [-1, testing._LAST, -99]
        case checks.Boxes():
            return [[0, 0, -1, 1], [0, 0, 1, -1]]
    return []


@EVERY
def test_hyper_parameters_outside_their_range_are_an_error(loss, kind):
    inputs = kind.inputs(example(loss))
    for name in set(loss.hyper) & set(checks.RANGES):
        interval = checks.RANGES[name]
        ends = {"low": interval.low, "high": interval.high}
        bad = [ends["low"] - 1, ends["high"] + 1, np.nan, np.inf]
        bad += [ends[end] for end, closed in zip(ends, interval.ends, strict=True) if closed in "()"]
        for value in bad:
            with pytest.raises(ValueError, match=rf"^{loss.name}: {name} must lie in {re.escape(str(interval))}, got"):
                loss.loss(*inputs, **{name: value})
        with pytest.raises(TypeError, match=f"^{loss.name}: {name} must be a number"):
            loss.loss(*inputs, **{name: "1"})


@EVERY
def test_missing_and_unknown_arguments_are_named(loss, kind):
    inputs = kind.inputs(example(loss))
    with pytest.raises(TypeError, match=f"^{loss.name}: missing a required argument: '{loss.arguments[-1]}'"):
        loss.loss(*inputs[:-1])
    with pytest.raises(TypeError, match=f"^{loss.name}: .*unexpected keyword argument 'dleta'"):
        loss.loss(*inputs, dleta=1.0)
