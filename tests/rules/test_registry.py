import copy
import dataclasses
import inspect
import math
from pathlib import Path

import numpy as np
import pytest

import lossopt.rules
from lossopt.rules import RULES
from lossopt.rules.registry import RANGES, Interval, Rule, at_step, describe, validate

EACH_RULE = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
EACH_HYPER = pytest.mark.parametrize(
    ("rule", "name"),
    [pytest.param(rule, name, id=f"{rule.name}-{name}") for rule in RULES.values() for name in rule.hyper],
)


def test_every_family_file_is_found():
    files = {path.stem for path in Path(lossopt.rules.__file__).parent.glob("*.py")} - {"__init__", "registry"}
    assert {rule.family for rule in RULES.values()} == files


@EACH_RULE
def test_a_rule_is_reached_by_its_name(rule):
    home = lossopt.rules.dialects if rule.family == "dialects" else lossopt.rules
    assert getattr(home, rule.name) is rule.rule
    assert RULES[rule.name] is rule
    assert describe(rule.rule) is rule
    assert describe(rule) is rule


def test_rules_come_oldest_first_and_dialects_last():
    names = list(RULES)
    assert names[:3] == ["sgd", "momentum", "nesterov"]
    families = [rule.family == "dialects" for rule in RULES.values()]
    assert families == sorted(families)
    years = [rule.year for rule in RULES.values() if rule.family != "dialects"]
    assert years == sorted(years)


def test_adam_is_described_by_its_signature_and_docstring():
    adam = RULES["adam"]
    assert adam.state == ("m", "v")
    assert dict(adam.hyper) == {"lr": 1e-3, "beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
    assert {name: str(interval) for name, interval in adam.ranges.items()} == {
        "lr": "[0, inf)",
        "beta1": "[0, 1)",
        "beta2": "[0, 1)",
        "eps": "[0, inf)",
    }
    assert (adam.family, adam.year) == ("adam", 2015)
    assert adam.elementwise
    assert not adam.matrices_only


def test_all_rules_but_the_first_say_from_which_older_rules_they_were_made_and_what_they_add():
    (first,) = [rule for rule in RULES.values() if not rule.parents]
    assert first.name == "sgd"
    for rule in RULES.values():
        for parent in rule.parents:
            assert RULES[parent].year <= rule.year, f"{rule.name} is older than its parent {parent}"
            assert RULES[parent].family != "dialects"
        assert rule is first or (rule.adds[0].isupper() or rule.adds.startswith("eps ")), rule.name
        assert rule is first or rule.adds.endswith("."), rule.name


def test_several_parents_are_described_in_order_and_a_long_sentence_is_read_to_its_end():
    def mine(w, g, t, lr=0.1):
        """Do something new.

        Extends
        -------
        adam, nesterov: A sentence that
            goes on in the next line: with a colon.

        Source
        ------
        Me (2031): not this.
        """

    assert describe(mine).parents == ("adam", "nesterov")
    assert describe(mine).adds == "A sentence that goes on in the next line: with a colon."
    assert (RULES["sgd"].parents, RULES["sgd"].adds) == ((), "")


def test_marks_are_described():
    assert [RULES["lars"].elementwise, RULES["lars"].matrices_only] == [False, False]
    assert [RULES["muon"].elementwise, RULES["muon"].matrices_only] == [False, True]


def test_your_own_rule_is_described_alike():
    def mine(w, g, t, memory, lr=0.1, twist=2.0):
        """Do something new.

        Source: me (2031), after a Source (1999).
        """
        return w - lr * twist * g, memory

    rule = describe(mine)
    assert (rule.name, rule.state, dict(rule.hyper)) == ("mine", ("memory",), {"lr": 0.1, "twist": 2.0})
    assert rule.year == 1999
    assert rule.family == "test_registry"
    assert "mine" not in RULES
    validate(mine, {"twist": -3.0})  # of a name of yours nothing is known, but that it is a number
    for value in [math.nan, math.inf, -math.inf]:
        with pytest.raises(ValueError, match=r"mine: twist must lie in \(-inf, inf\), got"):
            validate(mine, {"twist": value})


def test_a_rule_without_a_docstring_has_no_year():
    def bare(w, g, t):
        return w

    assert describe(bare).year is None
    with pytest.raises(TypeError, match=r"^bare: unknown hyper-parameter 'lr', it has none$"):
        validate(bare, {"lr": 1.0})


def test_a_rule_that_was_made_in_no_file_has_no_family():
    made = {}
    exec("def mine(w, g, t, lr=0.1):\n    return w - lr * g", made)
    assert made["mine"].__module__ is None
    assert describe(made["mine"]).family == ""
    assert dict(describe(made["mine"]).hyper) == {"lr": 0.1}


@pytest.mark.parametrize("thing", ["adam", 3, None])
def test_what_is_not_a_function_is_no_rule(thing):
    with pytest.raises(TypeError, match=r"a rule is a function such as lossopt.rules.adam, got"):
        describe(thing)


def test_a_wrapped_rule_is_a_rule():
    jax = pytest.importorskip("jax")
    assert describe(jax.jit(RULES["adam"].rule)).hyper == RULES["adam"].hyper


def test_a_function_with_other_arguments_is_no_rule():
    def swapped(g, w, t, m):
        return w

    def short():
        return 0

    with pytest.raises(TypeError, match=r"^swapped: the first three arguments of a rule are w, g, t, got g, w, t$"):
        describe(swapped)
    with pytest.raises(TypeError, match=r"^short: the first three arguments of a rule are w, g, t, got none$"):
        describe(short)


def test_a_rule_takes_nothing_but_plain_arguments():
    def keyword(w, g, t, *, lr=0.1):
        return w

    def any_number(w, g, t, *state):
        return w

    def any_name(w, g, t, **hyper):
        return w

    def positional(w, g, t, m, /, lr=0.1):
        return w, m

    def counting(w, g, t=1, lr=0.1):
        return w

    for function, named in [(keyword, "lr=0.1"), (any_number, r"\*state"), (any_name, r"\*\*hyper")]:
        with pytest.raises(TypeError, match=rf"{function.__name__}: a rule has neither .* arguments, got {named}$"):
            describe(function)
    assert describe(positional).state == ("m",)
    assert dict(describe(counting).hyper) == {"lr": 0.1}


def test_a_description_is_read_only():
    with pytest.raises(TypeError):
        RULES["adam"] = RULES["sgd"]
    with pytest.raises(TypeError):
        RULES["adam"].hyper["lr"] = 1.0
    with pytest.raises(TypeError):
        RULES["adam"].ranges["lr"] = Interval()
    with pytest.raises(dataclasses.FrozenInstanceError):
        RULES["adam"].name = "mine"
    with pytest.raises(dataclasses.FrozenInstanceError):
        RANGES["lr"].low = -1.0
    with pytest.raises(TypeError):
        RANGES["lr"] = Interval()


@EACH_RULE
def test_a_description_survives_copying(rule):
    assert copy.copy(rule) is rule
    assert copy.deepcopy(rule) is rule


@EACH_HYPER
def test_every_hyper_parameter_has_a_range_in_the_table(rule, name):
    assert rule.ranges[name] is RANGES[name]
    assert RANGES[name].holds(rule.hyper[name])
    validate(rule, {name: rule.hyper[name]})


def test_the_table_has_no_range_that_no_rule_needs():
    assert set(RANGES) == {name for rule in RULES.values() for name in rule.hyper}


def test_the_ranges():
    ranges = {
        "lr": "[0, inf)",
        "eta": "[0, inf)",
        "momentum": "[0, 1]",
        "momentum_decay": "[0, inf)",
        "alpha": "[0, 1)",
        "rho": "[0, 1)",
        "beta": "(0, 1]",
        "beta1": "[0, 1)",
        "beta2": "[0, 1)",
        "eps": "[0, inf)",
        "weight_decay": "[0, inf)",
        "trust_coefficient": "[0, inf)",
        "initial_accumulator_value": "[0, inf)",
        "frequency": "[1, inf)",
    }
    assert {name: str(RANGES[name]) for name in ranges} == ranges


@EACH_HYPER
def test_every_range_is_enforced_with_its_message(rule, name):
    interval = rule.ranges[name]
    low, high = float(interval.low), float(interval.high)
    inside, outside = [low + 0.5], [low - 0.5, high + 0.5, math.nan]
    (inside if interval.low_closed else outside).append(low)
    (inside if interval.high_closed else outside).append(high)
    for value in inside:
        validate(rule, {name: value})
        validate(rule.rule, {name: np.array([value, value])})
    for value in outside:
        sentence = f"{rule.name}: {name} must lie in {interval}, got {value}"
        for given in [value, np.float64(value), np.array(value), np.array([[inside[0]], [value]])]:
            with pytest.raises(ValueError, match="must lie in") as caught:
                validate(rule, {name: given})
            assert str(caught.value) == sentence
    for value in ["0.1", None, [0.1], 1j]:
        with pytest.raises(
            TypeError, match=f"^{rule.name}: {name} must be a number, an array of numbers or a function"
        ):
            validate(rule, {name: value})


def test_arrays_of_other_libraries_are_checked_too():
    torch = pytest.importorskip("torch")
    validate(RULES["adam"], {"lr": torch.tensor([0.1, 0.2]), "beta1": torch.tensor(0.5)})
    with pytest.raises(ValueError, match=r"adam: lr must lie in \[0, inf\), got -1.0"):
        validate(RULES["adam"], {"lr": torch.tensor([[0.1], [-1.0]])})


def test_the_first_of_many_numbers_outside_is_named():
    with pytest.raises(ValueError, match=r"^adam: lr must lie in \[0, inf\), got -1\.0$"):
        validate(RULES["adam"], {"lr": np.array([[0.1, -1.0], [-2.0, 0.2], [-3.0, 0.3]])})


@pytest.mark.parametrize(
    ("given", "hint"),
    [("beta_1", "did you mean 'beta1'?"), ("esp", "did you mean 'eps'?"), ("x", "it has lr, beta1, beta2, eps")],
)
def test_an_unknown_name_gets_a_suggestion(given, hint):
    with pytest.raises(TypeError) as caught:
        validate(RULES["adam"], {given: 0.1})
    assert str(caught.value) == f"adam: unknown hyper-parameter {given!r}, {hint}"


def test_a_function_of_the_step_is_checked_when_it_is_called():
    hyper = {"lr": lambda t: 0.1 / t, "momentum": 0.9, "own": lambda t: -t}
    validate(RULES["momentum"], {"lr": hyper["lr"]})
    assert at_step(hyper, 4) == {"lr": 0.025, "momentum": 0.9, "own": -4}
    with pytest.raises(ValueError, match=r"^step 3: lr must lie in \[0, inf\), got -2$"):
        at_step({"lr": lambda t: 1 - t}, 3)
    with pytest.raises(ValueError, match=r"^step 3: own must lie in \(-inf, inf\), got nan$"):
        at_step({"own": lambda t: math.nan}, 3)
    with pytest.raises(TypeError, match=r"^step 1: lr must be a number, .* got None$"):
        at_step({"lr": lambda t: None}, 1)


def test_an_interval_knows_its_ends():
    closed, opened = Interval(0, 1, low_closed=True, high_closed=True), Interval(0, 1)
    numbers = np.array([-1, 0, 0.5, 1, 2, math.nan])
    assert closed.holds(numbers).tolist() == [False, True, True, True, False, False]
    assert opened.holds(numbers).tolist() == [False, False, True, False, False, False]
    assert [str(closed), str(opened)] == ["[0, 1]", "(0, 1)"]


def test_every_field_of_a_description_is_documented():
    text = inspect.getdoc(Rule)
    for field in dataclasses.fields(Rule):
        assert f"\n{field.name} : " in text
