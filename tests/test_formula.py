"""What is printed is what runs: the equations give the rule's own numbers, and the LaTeX names every symbol."""

import re

import numpy as np
import pytest
import sympy

from lossopt import formula
from lossopt.landscapes import LANDSCAPES
from lossopt.rules import RULES

every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
every_landscape = pytest.mark.parametrize("f", LANDSCAPES.values(), ids=lambda f: f.name)
elementwise = pytest.mark.parametrize("rule", [r for r in RULES.values() if r.elementwise], ids=lambda rule: rule.name)


def evaluated(equations, known):
    """Put the numbers in, line after line, as a reader would."""
    known = {sympy.Symbol(name): value for name, value in known.items()}
    for symbol, expression in equations:
        known[symbol] = float(sympy.lambdify(list(known), expression, "numpy")(*known.values()))
    return {symbol.name: value for symbol, value in known.items()}


def random_run(rule, rng):
    """Return a weight, a gradient, a step after the first, states, and hyper-parameters inside their ranges."""
    state = {name: rng.uniform(0.1, 0.9) for name in rule.state}
    hyper = {}
    for name, default in rule.hyper.items():
        value = default * rng.uniform(0.5, 1.0) if default else rng.uniform(0.1, 0.5)
        # A float far from its default, so that no symbol can stand for another one unnoticed.
        hyper[name] = max(value, 1e-3) if rule.ranges[name].holds(max(value, 1e-3)) else value
    return rng.normal(), rng.normal(), int(rng.integers(2, 40)), state, hyper


@elementwise
def test_the_printed_equations_give_the_rules_own_numbers(rule):
    rng = np.random.default_rng(3)
    for _ in range(5):
        w, g, t, state, hyper = random_run(rule, rng)
        out = rule.rule(w, g, t, **state, **hyper)
        expected = dict(zip(["w", *rule.state], out if rule.state else [out], strict=True))
        known = {"w_{t-1}": w, "g_t": g, "t": t}
        known |= {formula._name(name, "t-1"): value for name, value in state.items()}
        known |= {formula._name(name): value for name, value in hyper.items()}
        results = evaluated(formula.expressions(rule), known)
        for name, value in expected.items():
            assert results[formula._name(name, "t")] == pytest.approx(value, rel=1e-12, abs=1e-14), name


@every_landscape
def test_the_printed_value_of_a_landscape_is_its_value(f):
    rng = np.random.default_rng(4)
    around = {r"\kappa": 25.0, r"\theta": 0.5}
    for x, y in rng.uniform(0.2, 1.5, (3, 2)):
        assert evaluated(formula.expressions(f), around | {"x": x, "y": y})["f(x, y)"] == pytest.approx(
            f(x, y), rel=1e-12
        )


@every_rule
def test_the_latex_names_every_hyper_parameter_and_every_state_before_and_after(rule):
    text = formula.latex(rule)
    assert text.startswith("\\begin{aligned}\n")
    assert text.endswith("\n\\end{aligned}")
    for name in rule.hyper:
        assert formula._name(name) in text, name
    for name in ["w", *rule.state]:
        assert formula._name(name, "t-1") in text, name
        assert f"\n{formula._name(name, 't')} &= " in text, name
    assert "g_t" in text


@every_rule
def test_no_two_names_of_a_rule_share_a_symbol(rule):
    arguments = ["w", *rule.state, *rule.hyper]
    assert len({formula._name(name) for name in arguments}) == len(arguments)
    symbols = [symbol.name for symbol, _ in formula.expressions(rule)]
    assert len(set(symbols)) == len(symbols)


@every_rule
def test_a_symbol_is_defined_before_it_is_used(rule):
    names = {formula._name(name, "t-1") for name in ["w", *rule.state]} | {formula._name(name) for name in rule.hyper}
    defined = names | {"t", "g_t"}
    for symbol, expression in formula.expressions(rule):
        used = {s.name for s in sympy.sympify(expression).free_symbols}
        if symbol.name == formula._name("w", "t") or not rule.elementwise:
            # What follows in a rule with helpers are their definitions, which have arguments of their own.
            continue
        assert used <= defined, symbol
        defined.add(symbol.name)


@pytest.mark.parametrize("thing", [*RULES.values(), *LANDSCAPES.values()], ids=lambda thing: thing.name)
def test_the_latex_is_balanced_and_needs_no_exotic_macro(thing):
    text = formula.latex(thing)
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert text.count(r"\left") - text.count(r"\left|") == text.count(r"\right") - text.count(r"\right|")
    assert re.findall(r"\\begin\{(\w+)\}", text).count("cases") == text.count(r"\end{cases}")
    allowed = [
        "begin",
        "end",
        "frac",
        "sqrt",
        "left",
        "right",
        "hat",
        "bar",
        "mathrm",
        "operatorname",
        "text",
        "max",
        "min",
        "sign",
        "cos",
        "sin",
        "log",
        "lVert",
        "rVert",
        "top",
        "infty",
        "prime",
        "cdot",
        "dots",
        "pi",
        "bmod",
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "eta",
        "theta",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "psi",
        "rho",
        "sigma",
        "tau",
        "phi",
        "Delta",
    ]
    assert set(re.findall(r"\\([A-Za-z]+)", text)) <= set(allowed)
    assert re.search(r"\^[^{]*\^|'\^", re.sub(r"[\s=+(){},-].*?", " ", "")) is None
    assert "**" not in text
    assert "_{t-1}_" not in text


def test_adam_reads_as_in_its_paper():
    assert formula.latex(RULES["adam"]) == "\n".join(
        [
            r"\begin{aligned}",
            r"m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\",
            r"v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\",
            r"\hat{m}_t &= \frac{m_t}{1 - \beta_1^t} \\",
            r"\hat{v}_t &= \frac{v_t}{1 - \beta_2^t} \\",
            r"w_t &= w_{t-1} - \frac{\eta \hat{m}_t}{\sqrt{\hat{v}_t} + \epsilon}",
            r"\end{aligned}",
        ]
    )


def test_a_function_is_as_good_as_its_description():
    assert formula.latex(RULES["lion"].rule) == formula.latex(RULES["lion"])


def test_a_formula_is_a_text_that_a_notebook_shows_as_it_is_set():
    text = formula.latex(RULES["adam"])
    assert isinstance(text, str)
    assert text._repr_latex_() == "$\\displaystyle " + text + "$"


def last_line(rule):
    return formula.latex(rule).splitlines()[-2]


def test_everything_stands_in_the_order_and_form_of_the_source():
    def rule(w, g, t, lr=0.1, beta2=0.9, eps=1e-8):
        return w - lr * (g - (eps - beta2)) / beta2**t / (g * g * g + eps) * -w + 2 * 0.5 - 3.0

    assert last_line(rule) == (
        r"w_t &= w_{t-1} - \frac{\eta (g_t - (\epsilon - \beta_2))}{\beta_2^t (g_t^3 + \epsilon)} (-w_{t-1})"
        r" + 2 \cdot 0.5 - 3"
    )


def test_maximum_absolute_value_norm_and_root():
    from lossopt.primitives import maximum, norm

    def rule(w, g, t, lr=0.1):
        return w - lr * maximum(abs(g), 1e-12) ** 0.5 / norm(w)

    assert r"\frac{\eta \sqrt{\max\left(" in last_line(rule).replace(r"\max(", r"\max\left(")
    assert r"\lVert w_{t-1} \rVert" in last_line(rule)
    assert r"10^{-12}" in last_line(rule)


def test_a_mask_and_a_conditional_are_cases():
    def mask(w, g, t, lr=0.1):
        return w - lr * (t > 5) * g

    def conditional(w, g, t, lr=0.1):
        return w - lr * g if t > 5 else w

    assert r"\begin{cases} 1 & \text{if } t > 5 \\ 0 & \text{otherwise} \end{cases}" in last_line(mask)
    assert (
        last_line(conditional)
        == r"w_t &= \begin{cases} w_{t-1} - \eta g_t & \text{if } t > 5 \\ w_{t-1} & \text{otherwise} \end{cases}"
    )


def test_a_name_assigned_twice_wears_a_prime_and_the_gradient_given_keeps_its_symbol():
    def rule(w, g, t, m, lr=0.1, weight_decay=0.1):
        g = g + weight_decay * w
        m = m + g
        m = m * 0.5
        return w - lr * m, m

    left = [symbol.name for symbol, _ in formula.expressions(rule)]
    assert left == ["g'_t", "m'_t", "m_t", "w_t"]


def test_a_state_returned_as_an_expression_or_under_another_name_gets_its_line():
    def rule(w, g, t, m, v, lr=0.1):
        u = m + g
        return w - lr * u, u, v

    assert formula.latex(rule).splitlines()[2:-1] == [
        r"w_t &= w_{t-1} - \eta u_t \\",
        r"m_t &= u_t \\",
        "v_t &= v_{t-1}",
    ]


def test_a_number_of_the_module_and_a_local_constant_carry_no_time():
    def rule(w, g, t, lr=0.1, beta2=0.9):
        rho_inf = 2 / (1 - beta2) - 1
        return w - lr * g / rho_inf

    assert formula.latex(rule).splitlines()[1].startswith(r"\rho_{\infty} &= \frac{2}{1 - \beta_2} - 1")


def test_a_loop_becomes_a_sequence_and_a_helper_is_defined_below():
    text = formula.latex(RULES["muon"])
    assert r"k &= 1, \dots, 5" in text
    assert r"x_0 &= " in text
    assert text.index("w_t &= ") < text.index(r"x_0 &= ")
    assert r"x_{k-1} x_{k-1}^\top" in text


def lambda_rule():
    return lambda w, g, t, lr=0.1: w - lr * g


def prints(w, g, t, lr=0.1):
    print(w)
    return w - lr * g


def indexes(w, g, t, lr=0.1):
    return w - lr * g[0]


def calls(w, g, t, lr=0.1):
    return w - lr * np.sqrt(g)


def returns_too_little(w, g, t, m, lr=0.1):
    return w - lr * g


def keeps_going(w, g, t, lr=0.1):
    while t > 1:
        t = t - 1
    return w - lr * g


def appears_under_a_condition(w, g, t, lr=0.1):
    if t > 1:
        u = g
    return w - lr * u


def returns_too_little_at_first(w, g, t, m, lr=0.1):
    if t == 1:
        return w
    return w - lr * g, m


def loops_over_something_else(w, g, t, lr=0.1):
    for x in g:
        w = w - lr * x
    return w


def prints_in_a_loop(w, g, t, lr=0.1):
    for _ in range(3):
        print(w)
    return w - lr * g


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (appears_under_a_condition, "appears_under_a_condition: u has no value where the condition does not hold"),
        (returns_too_little_at_first, "returns_too_little_at_first: a formula ends by returning w, m, got 'return w'"),
        (loops_over_something_else, r"loops_over_something_else: a formula repeats with range\(n\)"),
        (prints_in_a_loop, r"prints_in_a_loop: a formula is made of assignments, got 'print\(w\)'"),
        (prints, r"prints: a formula is made of assignments, got 'print\(w\)'"),
        (indexes, "indexes: "),
        (calls, r"calls: this is no arithmetic, got 'np.sqrt\(g\)'"),
        (returns_too_little, "returns_too_little: a formula ends by returning w, m, got 'return w - lr \\* g'"),
        (keeps_going, "keeps_going: a formula is made of assignments, got 'while"),
        (lambda_rule(), "<lambda>: "),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_no_formula_is_refused_by_name(rule, message):
    with pytest.raises(ValueError, match=message):
        formula.latex(rule)


def test_a_function_without_source_is_refused():
    namespace = {"__name__": "typed"}
    exec("def typed(w, g, t, lr=0.1):\n    return w - lr * g", namespace)
    with pytest.raises(ValueError, match="typed: its source cannot be read"):
        formula.latex(namespace["typed"])


def test_what_is_no_rule_is_refused():
    with pytest.raises(TypeError, match="the first three arguments of a rule are w, g, t"):
        formula.latex(np.sum)


def test_the_equations_take_numbers_for_symbols():
    (_, value), *_ = [pair for pair in formula.expressions(RULES["adamax"]) if pair[0].name == "u_t"]
    numbers = {r"\beta_2": 0.5, "u_{t-1}": 4.0, r"\epsilon": 0.25}
    for gradient, larger in [(-1.0, 2.0), (-3.0, 3.25)]:
        known = {sympy.Symbol(name): number for name, number in (numbers | {"g_t": gradient}).items()}
        assert float(value.subs(known)) == larger
