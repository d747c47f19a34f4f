"""Laws of all losses. The losses are found, and so are their examples: from the domains they declare."""

import copy
import dataclasses
import inspect
import re

import numpy as np
import pytest
import torch

from lossopt import losses
from lossopt.gradcheck import complex_step
from lossopt.losses import LOSSES, checks, describe

EVERY = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
BATCH, ROWS, LAST = 6, 3, 4


def argument(domain, rng):
    """Random values of a domain, for a model that computed BATCH x ROWS x LAST numbers."""
    shape = (BATCH, ROWS, LAST)
    match domain:
        case checks.Interval():
            return rng.uniform(max(domain.low, -5) + 0.05, min(domain.high, 5) - 0.05, shape)
        case checks.Choice():
            return rng.choice([domain.one, domain.other], shape[:-1] if domain.per_row else shape) * 1.0
        case checks.Labels():
            return rng.integers(0, LAST, shape[:-1])
        case checks.Boxes():
            low = rng.normal(size=(BATCH, ROWS, 2))
            return np.concatenate([low, low + rng.uniform(0.5, 3, low.shape)], axis=-1)
    return rng.normal(size=shape)


def example(loss, seed=3, dtype=np.float64):
    rng = np.random.default_rng(seed)
    arrays = [argument(loss.domains.get(name, checks.REAL), rng) for name in loss.arguments]
    return [a if a.dtype.kind == "i" else a.astype(dtype) for a in arrays]


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
def test_the_docstring_says_domain_activation_formula_remark_and_source(loss):
    text = inspect.getdoc(loss.loss)
    order = ["Domain: ", "Activation: ", ".. math:: ", "Remark: ", "Parameters\n---", "Returns\n---", "Raises\n---"]
    places = [text.index(part) for part in [*order, "Source\n---"]]
    assert places == sorted(places)
    assert loss.summary.endswith(".")
    assert all([loss.domain, loss.activation, loss.formula, loss.remark])
    assert re.search(r"\((1[789]|20)\d\d\), ", loss.source)
    assert loss.year > 1700
    assert re.search(r"doi:10\.\d{4,}/\S+|arXiv:\d{4}\.\d{4,5}", loss.source)


@EVERY
def test_the_docstring_describes_every_argument_and_no_other(loss):
    section = inspect.getdoc(loss.loss).split("Parameters\n----------\n")[1].split("\n\nReturns")[0]
    described = [name for line in re.findall(r"^(\w.*?) : ", section, re.M) for name in line.split(", ")]
    assert described == [*loss.arguments, *loss.hyper]


@EVERY
def test_both_kinds_of_tensors_give_the_same_losses_and_gradients(loss, kinds):
    (ours, our_gradients), (theirs, their_gradients) = (k.value_and_gradients(loss.loss, *example(loss)) for k in kinds)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)
    for a, b in zip(our_gradients, their_gradients, strict=True):
        if a is not None:
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


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


# The weight alpha of ciou carries no gradient, so that its tape is not the derivative of its value (test_detection.py).
@pytest.mark.parametrize("loss", [loss for loss in LOSSES.values() if loss.name != "ciou"], ids=lambda loss: loss.name)
def test_the_tape_gives_the_derivative_that_the_complex_step_gives(loss, kinds):
    arrays = [a[:2] for a in example(loss)]
    _, gradients = kinds[0].value_and_gradients(loss.loss, *arrays)
    for i, gradient in enumerate(gradients):
        # Labels and targets of two values cannot be moved: they have no derivative.
        if not isinstance(loss.domains.get(loss.arguments[i]), (checks.Labels, checks.Choice)):
            before, after = map(kinds[0].inputs, (arrays[:i], arrays[i + 1 :]))
            exact = complex_step(lambda x, a=before, b=after: loss.loss(*a, x, *b), arrays[i])
            np.testing.assert_allclose(gradient, exact, rtol=1e-13, atol=1e-14)


@EVERY
def test_a_loss_is_one_number_per_example_and_never_an_average(loss, kind):
    arrays = example(loss)
    together = kind.value(loss.loss, *arrays)
    assert together.shape in {(BATCH, ROWS, LAST), (BATCH, ROWS)}
    alone = [kind.value(loss.loss, *[a[i] for a in arrays]) for i in range(BATCH)]
    np.testing.assert_allclose(together, np.stack(alone), rtol=1e-14, atol=1e-15)


@EVERY
def test_an_empty_batch_gives_an_empty_result_and_no_gradient(loss, kind):
    arrays = [a[:0] for a in example(loss)]
    value, gradients = kind.value_and_gradients(loss.loss, *arrays)
    assert value.shape == (0, *kind.value(loss.loss, *example(loss)).shape[1:])
    assert gradients[0].shape == arrays[0].shape


@EVERY
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_is_kept(loss, kind, dtype):
    arrays = example(loss, dtype=dtype)
    inputs = kind.inputs(arrays)
    result = loss.loss(*inputs)
    result.sum().backward()
    assert str(result.dtype).endswith(np.dtype(dtype).name)
    assert inputs[0].grad.dtype == inputs[0].dtype
    np.testing.assert_allclose(result.detach().numpy(), kind.value(loss.loss, *example(loss)), rtol=1e-4, atol=1e-5)


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
def test_nothing_a_loss_is_given_is_changed(loss, kind):
    arrays = example(loss)
    before = [a.tobytes() for a in arrays]
    inputs = kind.inputs(arrays)
    result = loss.loss(*inputs)
    result.sum().backward()
    assert [x.detach().numpy().tobytes() for x in inputs] == before
    assert [a.tobytes() for a in arrays] == before


@EVERY
def test_the_bare_formula_computes_the_same_without_checking(loss, kind):
    arrays = example(loss)
    np.testing.assert_array_equal(kind.value(loss.loss.__wrapped__, *arrays), kind.value(loss.loss, *arrays))


@EVERY
def test_examples_in_another_order_have_their_losses_in_that_order(loss, kind):
    arrays = example(loss)
    value = kind.value(loss.loss, *arrays)
    np.testing.assert_allclose(kind.value(loss.loss, *[a[::-1].copy() for a in arrays]), value[::-1], rtol=1e-14)


@EVERY
def test_nan_runs_through_a_loss_and_is_seen(loss, kind):
    first, *others = example(loss)
    first[0, 0] = np.nan
    value = kind.value(loss.loss, first, *others)
    assert np.isnan(value[0]).any()
    assert np.isfinite(value[1:]).all()


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
            return [-1, LAST, -99]
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
