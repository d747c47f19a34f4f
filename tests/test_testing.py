"""Every law names the one thing that breaks it, and what the package holds keeps all of them."""

import pickle
import subprocess
import sys

import numpy as np
import pytest

from lossopt import testing
from lossopt.landscapes import LANDSCAPES, Landscape
from lossopt.losses import LOSSES
from lossopt.losses.checks import UNIT, Interval, Labels, checked
from lossopt.primitives import norm, whole_tensor
from lossopt.rules import RULES, adam
from lossopt.testing import LawError, check_landscape, check_loss, check_rule

ONE = np.float64(1)
PRINTED = "its formula can be printed"
SYMBOLS = "SymPy's symbols pass through it"


def broken(check, *arguments, **hyper):
    with pytest.raises(LawError) as caught:
        check(*arguments, **hyper)
    return caught.value


def names_every_broken_law_once(error, name, laws):
    assert set(error.broken) == laws
    assert all(sentence.startswith(f"{name} ") for sentence in error.broken.values())
    assert str(error).splitlines()[1:] == [f"- {sentence}" for sentence in error.broken.values()]


# Rules -------------------------------------------------------------------------------------------------------------


def forgets_its_state(w, g, t, m, lr=0.1):
    return w - lr * (0.9 * m + g)


def wraps_its_weights(w, g, t, lr=0.1):
    return [w - lr * g]


def draws(w, g, t, lr=0.1, rng=0.0):
    return w - lr * g * np.random.default_rng().random()


def adds_in_place(w, g, t, v, lr=0.1, eps=1e-3):
    v += g * g
    return w - lr * g / (v**0.5 + eps), v


def scales_the_gradient_in_place(w, g, t, lr=0.1):
    g *= lr
    return w - g


def looks_back(w, g, t, last, lr=0.1):
    return w - lr * (2 * g - last), g


def overflows(w, g, t, m, lr=0.1):
    return w - lr * g, 1e35 * m + g


def counts_steps_from_zero(w, g, t, m, lr=0.1, beta1=0.9):
    m = beta1 * m + (1 - beta1) * g
    return w - lr * m / (1 - beta1 ** (t - 1)), m


@whole_tensor
def leaves_float32(w, g, t, lr=0.1):
    return w - lr * norm(g) * g * ONE


def keeps_float64(w, g, t, m, lr=0.1):
    return w - lr * g, m + g * 0 + ONE


def first_number(x):
    return x.reshape(-1)[0] if hasattr(x, "reshape") else 0.0


def needs_a_weight(w, g, t, lr=0.1):
    return w - lr * g + 0 * first_number(g)


def turned(x):
    return getattr(x, "ndim", 0) == 2 and isinstance(x, np.ndarray) and not x.flags.c_contiguous


def looks_into_memory(w, g, t, lr=0.1):
    return w - lr * g * (1 + turned(w))


def drifts(w, g, t, lr=0.1):
    return w - lr * (g + 0.01)


def divides_by_the_gradient(w, g, t, lr=0.1):
    return w - lr * g / abs(g)


def always_moves(w, g, t, lr=0.1):
    return w - (lr + 0.001) * g


def goes_uphill(w, g, t, lr=0.1):
    return w + lr * g


def takes_numpys_root(w, g, t, v, lr=0.1, eps=1e-3):
    v = v + g * g
    return w - lr * g / (np.sqrt(v) + eps), v


def in_torch(x):
    return type(x).__module__ == "torch"


def knows_torch(w, g, t, lr=0.1):
    return w - lr * g * (1 + in_torch(g))


def looks_at_its_rate(w, g, t, lr=0.1):
    if lr > 1:
        lr = 1.0
    return w - lr * g


def mean(x):
    return x.mean() if isinstance(x, np.ndarray) else x


def averages_its_rates(w, g, t, lr=0.1):
    return w - mean(lr) * g


@whole_tensor
def is_marked_in_vain(w, g, t, lr=0.1):
    return w - lr * g


def has_no_mark(w, g, t, lr=0.1):
    return w - lr * g / (1 + norm(g))


@whole_tensor
def favours_the_last(w, g, t, lr=0.1):
    return w - lr * (g + 0.5 * g[-1:])


def looks_at_the_step(w, g, t, lr=0.1):
    if t > 5:
        g = 2 * g
    return w - lr * g


def computes_in_place(w, g, t, lr=0.1):
    step = lr * g
    step *= 2
    return w - step


def has_an_impossible_default(w, g, t, lr=0.1, eps=-1e-8):
    return w - lr * g / (1 + eps)


@whole_tensor
def starts_at_the_first_gradient(w, g, t, m, lr=0.1):
    m = +g if isinstance(m, float) else 0.9 * m + 0.1 * g
    return w - lr * norm(m) * m, m


def is_half_documented(w, g, t, lr=0.1):
    """Step.

    Parameters
    ----------
    w, g : arrays of one shape
        The weights and the gradient.
    t : int
        The step.

    Returns
    -------
    w
        The new weights.

    Raises
    ------
    ValueError
        Never.

    Notes
    -----
    None.

    Source
    ------
    Nobody (2031).
    """
    return w - lr * g


BROKEN_RULES = [
    (forgets_its_state, {"it returns its weights, then its state"}, "must return w, m, and returns one ndarray"),
    (wraps_its_weights, {"it returns its weights, then its state"}, "its weights alone, and returns a list"),
    (draws, {"the same call gives the same result"}, "draws random numbers"),
    (adds_in_place, {"nothing it is given is changed", PRINTED}, "changes the state v it was given, at step 2"),
    (
        scales_the_gradient_in_place,
        {"nothing it is given is changed", "a grid of runs equals its runs one by one", PRINTED},
        "changes the gradient it was given, at step 1",
    ),
    (looks_back, {"its state is never the gradient itself"}, "returns the gradient it was given as its last"),
    (overflows, {"ten ordinary steps stay finite"}, "makes m inf at step t = 10, with ordinary gradients"),
    (
        counts_steps_from_zero,
        {
            "ten ordinary steps stay finite",
            "a gradient of zero leaves fresh weights alone",
            "a rate of zero leaves the weights alone",
            "five default steps go downhill on a bowl",
            "floats are stepped as arrays are",
        },
        "makes w -inf at step t = 1, with ordinary gradients",
    ),
    (leaves_float32, {"shape and precision are kept"}, "makes float64 weights of shape (4, 3) of float32"),
    (keeps_float64, {"shape and precision are kept"}, "keeps its m as float64 beside float32 weights"),
    (needs_a_weight, {"no weights at all can be stepped", PRINTED}, "raises IndexError"),
    (looks_into_memory, {"the layout in memory does not matter", PRINTED}, "lie otherwise in memory"),
    (drifts, {"a gradient of zero leaves fresh weights alone"}, "moves weights whose gradient has always been zero"),
    (
        divides_by_the_gradient,
        {"a gradient of zero leaves fresh weights alone"},
        "makes NaN of a gradient of zero: is eps added",
    ),
    (always_moves, {"a rate of zero leaves the weights alone"}, "does not leave the weights as they are when lr is 0"),
    (goes_uphill, {"five default steps go downhill on a bowl"}, "take a bowl from 5.3125 to 8.6535"),
    (takes_numpys_root, {"floats are stepped as arrays are", SYMBOLS, PRINTED}, "makes a float64 of a float"),
    (knows_torch, {"torch steps as NumPy does", PRINTED}, "apart in torch and in NumPy, in float32"),
    (looks_at_its_rate, {"a grid of runs equals its runs one by one", SYMBOLS}, "raises ValueError while it is"),
    (
        averages_its_rates,
        {"a grid of runs equals its runs one by one", PRINTED},
        "takes other steps in a grid of runs than in the same run by itself, at lr=0.05",
    ),
    (is_marked_in_vain, {"every weight is stepped by itself, or marked"}, "is marked as a rule for whole tensors"),
    (
        has_no_mark,
        {
            "floats are stepped as arrays are",
            "every weight is stepped by itself, or marked",
            "renamed coordinates give renamed results",
            SYMBOLS,
        },
        "mark it with lossopt.primitives.whole_tensor",
    ),
    (favours_the_last, {"renamed coordinates give renamed results", PRINTED}, "come in another order"),
    (looks_at_the_step, {SYMBOLS}, "raises TypeError while it is checked that SymPy's symbols pass through it"),
    (computes_in_place, {PRINTED}, "has no formula that can be printed: a formula is made of assignments, got"),
    (has_an_impossible_default, {"its defaults lie in their ranges"}, "eps must lie in [0, inf), got -1e-08"),
    (
        starts_at_the_first_gradient,
        {"an Optimizer, saved and loaded, goes on as a loop", PRINTED},
        "away from a plain loop",
    ),
    (is_half_documented, {"its docstring describes every argument"}, "does not describe its argument lr"),
]


@pytest.mark.parametrize(("rule", "laws", "words"), BROKEN_RULES, ids=lambda x: getattr(x, "__name__", ""))
def test_a_broken_rule_is_told_which_laws_it_breaks_and_how(rule, laws, words):
    error = broken(check_rule, rule)
    names_every_broken_law_once(error, rule.__name__, laws)
    assert words in str(error)


def test_every_law_of_rules_has_a_rule_that_breaks_it():
    assert {law.statement for law in testing._RULE} == set().union(*(laws for _, laws, _ in BROKEN_RULES))


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("\nNotes\n-----\n", "\nNote\n----\n", "has no section Notes in its docstring"),
        ("beta1, beta2 : float", "beta1 : float", "does not describe its argument beta2 in its docstring"),
        ("t : int\n", "t, k : int\n", "describes an argument k in its docstring that it does not have"),
        ("lr : float in [0, inf)", "lr : float", "does not say in its docstring that lr lies in [0, inf)"),
        ("w, m, v\n", "w, v, m\n", "does not say in its docstring that it returns w, m, v"),
    ],
)
def test_a_docstring_with_sections_must_fit_the_signature(before, after, sentence):
    def mine(w, g, t, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
        return adam(w, g, t, m, v, lr, beta1, beta2, eps)

    mine.__doc__ = adam.__doc__
    assert broken(check_rule, mine).broken.keys() == {PRINTED}  # its call of adam is no formula
    mine.__doc__ = adam.__doc__.replace("\n    ", "\n").replace(before, after)
    assert mine.__doc__ != adam.__doc__.replace("\n    ", "\n")
    assert broken(check_rule, mine).broken["its docstring describes every argument"] == f"mine {sentence}"


def test_a_rule_is_run_with_the_hyper_parameters_it_is_checked_with():
    def shrinks(w, g, t, lr=0.1, decay=0.01):
        return (1 - decay) * w - lr * g

    laws = {"a gradient of zero leaves fresh weights alone", "a rate of zero leaves the weights alone"}
    names_every_broken_law_once(broken(check_rule, shrinks), "shrinks", laws)
    check_rule(shrinks, decay=0.0)


def test_a_rule_without_hyper_parameters_or_a_docstring_is_a_rule():
    def halves(w, g, t):
        return w - g / 2

    assert check_rule(halves).skipped == {
        "a rate of zero leaves the weights alone": "it has no hyper-parameter lr",
        "a grid of runs equals its runs one by one": "it has no hyper-parameters",
        "its docstring describes every argument": "its docstring has no section Parameters",
    }


def test_a_rule_without_source_is_checked_but_not_printed():
    made = {}
    exec("def mine(w, g, t, lr=0.1):\n    return w - lr * g", made)
    assert check_rule(made["mine"]).skipped[PRINTED] == "its source cannot be read"


@pytest.mark.parametrize(
    ("rule", "hyper", "error", "message"),
    [
        (3, {}, TypeError, "a rule is a function"),
        (len, {}, TypeError, "the first three arguments of a rule are w, g, t"),
        (adam, {"rate": 0.1}, TypeError, "adam: unknown hyper-parameter 'rate'"),
        (adam, {"beta1": 1.0}, ValueError, r"adam: beta1 must lie in \[0, 1\), got 1.0"),
        (adam, {"lr": np.ones(3)}, TypeError, "adam: lr must be one number here, got array"),
        (adam, {"lr": lambda t: 1 / t}, TypeError, "adam: lr must be one number here, got <function"),
    ],
)
def test_what_cannot_be_checked_as_a_rule_is_an_error(rule, hyper, error, message):
    with pytest.raises(error, match=message):
        check_rule(rule, **hyper)


# Losses ------------------------------------------------------------------------------------------------------------


def takes_logarithms(prediction, target):
    return (prediction - target).log()


def leaves_its_tensor(prediction, target):
    return (prediction - target).tolist()


def needs_labels(logits, target):
    return -logits.log_softmax(-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)


def averages(prediction, target):
    r = prediction - target
    return (r * r).mean()


def averages_rows(prediction, target):
    r = prediction - target
    return (r * r).mean(0)


def shares_among_its_batch(prediction, target):
    r = prediction - target
    return r * r / r.detach().abs().sum()


def spoils_its_input(prediction, target):
    r = prediction - target
    prediction.data *= 2
    return r * r


def stops_half_its_gradient(prediction, target):
    return (prediction - target) * (prediction.data - target.data)


def always_doubles(prediction, target):
    r = prediction - target
    return (r * r).double()


def loses_digits(prediction, target):
    r = prediction - target
    return (r * r + 1e4) - 1e4


def differs_in_torch(prediction, target):
    r = prediction - target
    return r * r * (2 if in_torch(r) else 1)


def needs_an_example(prediction, target):
    r = prediction - target
    return r * r * (1 // len(r) + 1)


def hides_nan(prediction, target):
    r = prediction - target
    return r.masked_fill(r.isnan(), 0.0) ** 2


def overflows_on_the_way(prediction, target):
    return (1 + (prediction - target).exp()).log()


@checked(probability=UNIT, target=UNIT)
def takes_the_logarithm_of_zero(probability, target):
    return -target * probability.log() - (1 - target) * (1 - probability).log()


def has_another_argument(prediction, target):
    r"""Square.

    Domain: any.

    Activation: none.

    .. math:: r^2

    Remark: none.

    Parameters
    ----------
    prediction, goal : tensor (...)

    Returns
    -------
    tensor (...)

    Raises
    ------
    ValueError
        Never.

    Source
    ------
    Nobody (2031).
    """
    return (prediction - target) ** 2


BROKEN_LOSSES = [
    (takes_logarithms, {"it gives finite numbers"}, "is not finite on random numbers; give it an example, or declare"),
    (leaves_its_tensor, {"it gives finite numbers"}, "must return a tensor, and returns a list"),
    (needs_labels, {"it gives finite numbers"}, "Error on random numbers: "),
    (averages, {"it is one number an example, never an average"}, "gives one number for the whole batch"),
    (averages_rows, {"it is one number an example, never an average"}, "gives losses of shape (3, 4) for an input of"),
    (
        shares_among_its_batch,
        {"it is one number an example, never an average"},
        "gives an example another loss in its batch than by itself",
    ),
    (
        spoils_its_input,
        {"nothing it is given is changed", "its tape gives its derivative"},
        "changes the prediction it was given",
    ),
    (
        stops_half_its_gradient,
        {"its tape gives its derivative"},
        "lope than its tape gives, or a kink in the example: ",
    ),
    (always_doubles, {"precision is kept"}, "makes float64 losses of float32 inputs"),
    (loses_digits, {"precision is kept"}, "loses its digits in float32"),
    (differs_in_torch, {"torch computes the same"}, "apart on tensors of torch and of lossopt"),
    (needs_an_example, {"an empty batch gives an empty result"}, "raises ZeroDivisionError while it is checked that"),
    (hides_nan, {"NaN is seen, in its own example alone"}, "hides a NaN in its prediction"),
    (overflows_on_the_way, {"finite numbers never make NaN"}, "has NaN in the gradient of its prediction"),
    (takes_the_logarithm_of_zero, {"finite numbers never make NaN"}, "is NaN at probability="),
    (
        has_another_argument,
        {"its docstring describes every argument"},
        "describes prediction, goal in its docstring, and its arguments are prediction, target",
    ),
]


@pytest.mark.parametrize(("loss", "laws", "words"), BROKEN_LOSSES, ids=lambda x: getattr(x, "__name__", ""))
def test_a_broken_loss_is_told_which_laws_it_breaks_and_how(loss, laws, words):
    error = broken(check_loss, loss)
    names_every_broken_law_once(error, loss.__name__, laws)
    assert words in str(error)


def test_every_law_of_losses_has_a_loss_that_breaks_it():
    assert {law.statement for law in testing._LOSS} == set().union(*(laws for _, laws, _ in BROKEN_LOSSES))


LABELS = np.array([0, 2, 1, 1])
LOGITS = np.linspace(-2, 2, 12).reshape(4, 3)


def test_a_loss_that_declares_nothing_is_checked_on_an_example():
    assert check_loss(needs_labels, LOGITS, LABELS).skipped == {
        "finite numbers never make NaN": "the domain of the given example is not known",
        "its docstring describes every argument": "its docstring has no section Parameters",
    }
    names_every_broken_law_once(
        broken(check_loss, needs_labels, LOGITS, LABELS + 9), "needs_labels", {"it gives finite numbers"}
    )


def test_a_loss_is_run_with_the_hyper_parameters_it_is_checked_with():
    def weighs(logits, target, weight=None):
        loss = needs_labels(logits, target)
        return loss if weight is None else weight[target] * loss

    check_loss(weighs, LOGITS, LABELS, weight=np.array([1.0, 2.0, 0.5]))
    error = broken(check_loss, weighs, LOGITS, LABELS, weight=np.array([1.0, np.inf, 0.5]))
    assert "weighs is not finite on the example" in str(error)


def test_declared_domains_are_where_a_loss_is_checked():
    @checked(rate=Interval(0, 1), target=Labels())
    def reads_its_domain(rate, target):
        values = rate.detach().numpy()
        assert 0 < values.min(initial=0.5) <= values.max(initial=0.5) < 1
        return -rate.log().gather(-1, target.unsqueeze(-1)).squeeze(-1)

    inside = {"NaN is seen, in its own example alone"}  # with a NaN the assertion fails
    names_every_broken_law_once(broken(check_loss, reads_its_domain), "reads_its_domain", inside)


def test_a_gradient_that_is_stopped_on_purpose_is_reported_and_not_judged():
    def stops(prediction, target):
        r = prediction - target
        return r * r.detach()

    why = "it calls detach, and so gives another gradient on purpose"
    assert check_loss(stops).skipped["its tape gives its derivative"] == why


@pytest.mark.parametrize(
    ("arguments", "hyper", "error", "message"),
    [
        ([3], {}, TypeError, "a loss is a function"),
        ([averages], {"delta": 1.0}, TypeError, "averages: unknown hyper-parameter 'delta', it has none"),
        ([averages, [1.0, 2.0]], {}, ValueError, "averages: an example has an array for each of prediction, target"),
        ([averages, [1.0, 2.0], [1.0]], {}, ValueError, r"equally many in each array, got shapes \(2,\), \(1,\)"),
        ([averages, [1.0], [1.0]], {}, ValueError, "two rows or more"),
        ([averages, 1.0, 1.0], {}, ValueError, "two rows or more"),
        ([averages, [1, 2], [1, 2]], {}, TypeError, "averages: prediction must be floating, got int64"),
    ],
)
def test_what_cannot_be_checked_as_a_loss_is_an_error(arguments, hyper, error, message):
    with pytest.raises(error, match=message):
        check_loss(*arguments, **hyper)


# Landscapes --------------------------------------------------------------------------------------------------------


def bowl(name="bowl", **other):
    """A good landscape, or one with something else in it."""

    def value(x, y):
        return x * x + 2 * y * y

    def gradient(x, y):
        return 2 * x, 4 * y

    parts = {"value": value, "gradient": gradient, "minima": [(0.0, 0.0, 0.0)]}
    parts |= {"window": ((-2.0, 2.0), (-2.0, 2.0)), "start": (1.0, 1.0)}
    return Landscape(name, **{**parts, **other})


def axes(x):
    return getattr(x, "ndim", 0)


def cut(x):
    return x.detach() if hasattr(x, "detach") else x


def no_symbol(x):
    return 1 if isinstance(x, (int, float)) or hasattr(x, "shape") else x.missing


def higher_in_a_grid(x, y):
    return x * x + 2 * y * y + 1.0 * (axes(x) == 2)


def flattens(x, y):
    both = x * x + 2 * y * y
    return both.reshape(-1) if axes(both) else both


def half_on_the_tape(x, y):
    return x * x + 2 * y * cut(y)


def other_in_torch(x, y):
    return (1 + in_torch(x)) * (x * x + 2 * y * y)


def double(x, y):
    return x * x + 2 * y * y * ONE


def no_symbols(x, y):
    return (x * x + 2 * y * y) * no_symbol(x)


def tuples(x, y):
    parts = (x * x, 2 * y * y)
    return parts[0] + parts[1]


def in_place(x, y):
    x *= 2
    return x, 4 * y


INSIDE = "its minima and its start lie in its window"
GOES = "its start has somewhere to go"
MINIMA = "its minima are right to the last digits"
LOWEST = "nothing in its window lies lower"
SLOPES = {"its gradient is its slope", "the tape gives its gradient", "torch computes the same"}
BROKEN_LANDSCAPES = [
    ({"value": lambda x, y: 0 * x + np.nan}, {"it has a height and two slopes"}, "has nan for its height at its start"),
    ({"value": lambda x, y: [x, y]}, {"it has a height and two slopes"}, "has a list for its height at its start"),
    ({"gradient": lambda x, y: (x, y, y)}, {"it has a height and two slopes"}, "raises ValueError while it is checked"),
    ({"gradient": lambda x, y: (2 * x, 2 * y)}, SLOPES, "and its gradient says"),
    ({"gradient": lambda x, y: (4 * y, 2 * x)}, SLOPES, "has the slope"),
    ({"value": half_on_the_tape}, {"the tape gives its gradient", "torch computes the same", PRINTED}, "Tensor"),
    ({"value": other_in_torch}, {"torch computes the same", PRINTED}, "apart on tensors of torch and on arrays"),
    ({"value": higher_in_a_grid}, {"a grid of points equals its points one by one", PRINTED}, "the two floats"),
    (
        {"value": flattens},
        {"a grid of points equals its points one by one", LOWEST, PRINTED},
        "has heights of shape (25,) for a grid of 5 by 5 points",
    ),
    ({"gradient": in_place}, {"nothing it is given is changed"}, "changes the coordinates it was given"),
    ({"value": double}, {"precision is kept"}, "has a height in float64 at points in float32"),
    ({"minima": [(1e-9, 0.0, 0.0)]}, {MINIMA}, "has a slope of 2.0e-09 at (1e-09, 0.0), which it states as a minimum"),
    ({"minima": [(0.0, 0.0, 1e-9)]}, {MINIMA, LOWEST}, "at its minimum (0.0, 0.0), and states 1e-09"),
    ({"minima": [(0.0, 0.0, 0.0), (0.0, 0.0, -1.0)]}, {MINIMA}, "and states -1.0"),
    ({"minima": []}, {LOWEST}, "states no minima, and the lowest point of its window lies inside: 0 at (0.000, 0.000)"),
    ({"start": (2.5, 0.0)}, {INSIDE}, "has its start (2.5, 0.0) outside its window"),
    ({"window": ((1.0, 2.0), (-2.0, 2.0)), "start": (1.5, 0.0)}, {INSIDE}, "has its minimum (0.0, 0.0) outside"),
    ({"start": (0.0, 0.0)}, {GOES}, "is flat at its start (0.0, 0.0)"),
    ({"value": no_symbols}, {SYMBOLS, PRINTED}, "raises AttributeError while it is checked that SymPy's symbols"),
    ({"value": tuples}, {PRINTED}, "has no formula that can be printed: "),
]


@pytest.mark.parametrize(("other", "laws", "words"), BROKEN_LANDSCAPES, ids=lambda x: "")
def test_a_broken_landscape_is_told_which_laws_it_breaks_and_how(other, laws, words):
    error = broken(check_landscape, bowl("broken", **other))
    names_every_broken_law_once(error, "broken", laws)
    assert words in str(error)


def test_every_law_of_landscapes_has_a_landscape_that_breaks_it():
    assert {law.statement for law in testing._LANDSCAPE} == set().union(*(laws for _, laws, _ in BROKEN_LANDSCAPES))


def test_a_minimum_that_is_only_local_is_found_out():
    def value(x, y):
        return x * x * x * x - 2 * x * x + 0.25 * x + y * y

    def gradient(x, y):
        return 4 * x * x * x - 4 * x + 0.25, 2 * y

    right = 0.9672838113999977
    for _ in range(5):
        right -= gradient(right, 0.0)[0] / (12 * right * right - 4)
    local = bowl("local", value=value, gradient=gradient, minima=[(right, 0.0, value(right, 0.0))])
    error = broken(check_landscape, local)
    names_every_broken_law_once(error, "local", {LOWEST})
    assert "local is lower than its minimum" in str(error)


def test_slopes_may_be_numbers_where_they_are_the_same_everywhere():
    def value(x, y):
        return x * x + y

    def gradient(x, y):
        return 2 * x, 1.0

    report = check_landscape(bowl("slide", value=value, gradient=gradient, minima=[]))
    assert report.skipped == {MINIMA: "it states no minima"}


def test_what_is_no_landscape_is_an_error():
    with pytest.raises(TypeError, match=r"a landscape is a lossopt\.landscapes\.Landscape, got <function"):
        check_landscape(higher_in_a_grid)


# What the package holds --------------------------------------------------------------------------------------------


def test_a_good_rule_loss_and_landscape_of_ones_own_keep_all_laws_that_apply():
    def heavy_ball(w, g, t, b, lr=0.1, momentum=0.9):
        b = momentum * b + g
        return w - lr * b, b

    def cubic(prediction, target, scale=2.0):
        r = (prediction - target).abs()
        return r * r * r / scale

    undocumented = {"its docstring describes every argument": "its docstring has no section Parameters"}
    assert check_rule(heavy_ball).skipped == undocumented
    assert check_loss(cubic).skipped == undocumented
    assert check_landscape(bowl()).skipped == {}


def test_a_report_lists_what_holds_and_what_was_not_checked():
    report = check_landscape(LANDSCAPES["saddle"])
    lines = repr(report).splitlines()
    assert lines[:2] == ["saddle keeps 12 laws:", "- it has a height and two slopes"]
    assert lines[-3:] == ["not checked:", f"- {MINIMA}", "  (it states no minima)"]
    assert len(lines) == 1 + 12 + 3
    assert max(map(len, repr(check_rule(adam)).splitlines())) <= 52  # a page shows it on a phone


def test_an_error_survives_pickling():
    error = broken(check_rule, goes_uphill)
    again = pickle.loads(pickle.dumps(error))
    assert isinstance(error, AssertionError)
    assert (str(again), again.name, again.broken) == (str(error), "goes_uphill", error.broken)


def test_what_is_not_installed_is_not_checked_and_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "sympy", None)
    missing = {"torch": "torch is not installed", "sympy": "sympy is not installed"}
    assert check_rule(RULES["adam"]).skipped == {
        "torch steps as NumPy does": missing["torch"], SYMBOLS: missing["sympy"], PRINTED: missing["sympy"],
    }  # fmt: skip
    assert check_loss(LOSSES["huber"]).skipped == {"torch computes the same": missing["torch"]}
    assert check_landscape(LANDSCAPES["booth"]).skipped == {
        "torch computes the same": missing["torch"], SYMBOLS: missing["sympy"], PRINTED: missing["sympy"],
    }  # fmt: skip


def test_importing_it_needs_numpy_alone():
    code = "import lossopt.testing, sys; print(sorted({'torch', 'sympy', 'pytest', 'matplotlib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
