"""The playground's driver: it runs the rules of lossopt over two floats and answers in JSON.

`answer(text)` is all there is to call: a question in, an answer out, and it never raises.
What can be asked is `QUESTIONS`, at the end.

Nothing here is mathematics: rules and landscapes are the package's own files, unchanged.
The same file runs on MicroPython, in your browser, and on CPython, where a test compares its paths with those of
`lossopt.minimize(rule, f, start, steps, noise=noise, rng=numpy.random.RandomState(seed), **hyper)`.
"""

import json
import sys
from collections import OrderedDict
from io import StringIO
from math import inf, log, nan, sqrt

import lossopt.dual as dual
from lossopt.landscapes import LANDSCAPES

FAR = 1e6  # a run that is farther from 0 than this in a coordinate has diverged, as in lossopt.minimize
WORDS = [word for word in dual.__all__ if word not in ("Dual", "gradient")]  # what a reader's f may use


def answer(text):
    """Answer a question, both of them JSON; whatever goes wrong is `{"error": {"message": ..., "line": ...}}`."""
    try:
        request = json.loads(text)
        return written(QUESTIONS[request["do"]](request))
    except (Exception, SystemExit) as error:
        return written(failed(error))


def written(value):
    """JSON in which numbers that are not finite are null; json.dumps takes three times as long over many floats."""
    if isinstance(value, dict):
        return "{" + ", ".join([f"{json.dumps(key)}: {written(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, list) and value and all(isinstance(item, float) for item in value):
        return "[" + ", ".join([repr(item) if -inf < item < inf else "null" for item in value]) + "]"
    if isinstance(value, list):
        return "[" + ", ".join([written(item) for item in value]) + "]"
    return "null" if isinstance(value, float) and not -inf < value < inf else json.dumps(value)


class Refused(Exception):  # noqa: N818  (it names what happened)
    """What the reader wrote or asked for cannot be done: a sentence, and the line of the reader's text, if any."""

    def __init__(self, message, line):
        self.message = message
        self.line = line


class RefusedLandscape(Refused):
    """The same of the reader's f, on which then no racer can run."""


def failed(error):
    """An error as an answer."""
    message, line = told(error)
    return {"error": {"message": message, "line": line}}


def told(error, who="", text="", before=0):
    """What an error says of whom, and the line of the reader's text that raised it, which so many of ours precede."""
    if isinstance(error, Refused):
        return error.message, error.line
    out = StringIO()
    if hasattr(sys, "print_exception"):  # MicroPython
        sys.print_exception(error, out)
    else:
        import traceback

        traceback.print_exception(error, file=out)
    _, found, rest = out.getvalue().rpartition(f'File "{text}", line ')
    message = f"{who}{type(error).__name__}: {error.args[0] if isinstance(error, SyntaxError) else error}"
    return message, int(rest.split("\n")[0].split(",")[0]) - before if found else None


def number(what, value):
    """The value as a float, if it is a number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Refused(f"{what} must be a number, got {value!r}", None)
    return float(value)


# Landscapes ----------------------------------------------------------------------------------------------------------


def landscape(request):
    """Value, gradient and window; a reader's own function has no window, as in lossopt.minimize."""
    if request.get("own") is not None:
        return own_landscape(request["own"])
    f = LANDSCAPES.get(request["landscape"])
    if f is None:
        raise Refused(f"there is no landscape {request['landscape']!r}", None)
    return f.value, f.gradient, f.window


def own_landscape(text):
    """The reader's f(x, y), of which the text is an expression or the body."""

    def tried(evaluate, undefined):
        def call(x, y):
            try:
                return evaluate(x, y)
            except (ArithmeticError, ValueError):  # where arrays go on with inf or nan
                return undefined
            except Exception as error:
                raise RefusedLandscape(*told(error, "f: ", "f", before=1)) from None

        return call

    def value(x, y):
        try:
            z = f(x, y)
        except Exception:  # a dual says it better
            z = dual.gradient(f, x, y)[0]
        return nan if isinstance(z, complex) else number("f", z)  # a root of a negative number is complex

    def where_defined(function):
        """The function, with nan for a float that it would refuse: MicroPython takes a millisecond to raise."""
        return lambda x: nan if isinstance(x, float) and not x > 0 and (x < 0 or function is dual.log) else function(x)

    names = {word: getattr(dual, word) for word in WORDS}
    names["log"], names["sqrt"] = where_defined(dual.log), where_defined(dual.sqrt)
    try:
        f = eval(compile(f"lambda x, y: (\n{text}\n)", "f", "eval"), names)
    except SyntaxError:
        try:
            exec(compile("def f(x, y):\n    " + text.replace("\n", "\n    "), "f", "exec"), names)
        except SyntaxError as error:
            raise RefusedLandscape(*told(error, "f: ", "f", before=1)) from None
        f = names["f"]
    return tried(value, nan), tried(lambda x, y: dual.gradient(f, x, y)[1], (nan, nan)), None


# Rules ---------------------------------------------------------------------------------------------------------------


unedited = {}  # what is declared by the package's own rules


def declared(racer):
    """A racer's rule, the names of its state, and its hyper-parameters with their defaults."""
    name, text = racer["rule"], racer.get("source")
    if text is None and (name, racer["family"]) in unedited:
        return unedited[name, racer["family"]]
    module = __import__("lossopt.rules." + racer["family"], None, None, ["*"])
    names = dict(module.__dict__)
    if text is None:
        with open(module.__file__, encoding="utf-8") as file:
            _, state, hyper = header(file.read(), name, names)
        rule = names[name]
        if getattr(rule, "whole_tensor", False):
            raise Refused(f"{name}: a rule that needs whole tensors cannot step one number after the other", None)
        unedited[name, racer["family"]] = rule if state else lambda *arguments: (rule(*arguments),), state, hyper
        return unedited[name, racer["family"]]
    try:
        exec(compile(text, "rule", "exec"), names)
        name, state, hyper = header(text, name, names)
    except Exception as error:
        raise Refused(*told(error, f"{name}: ", "rule")) from None
    return checked(names[name], name, state), state, hyper


def header(text, wanted, names):
    """Read what the function of that name, or the only one in a text, declares (MicroPython has no `inspect`)."""
    lines = text.split("\n")
    starts = {line[4:].split("(")[0].strip(): i for i, line in enumerate(lines) if line.startswith("def ")}
    name = max(starts) if len(starts) == 1 else wanted
    if name not in starts:
        got = ", ".join(sorted(starts)) or "none"
        raise Refused(f"{wanted}: the text must define a function {wanted}, or one function alone, got {got}", None)
    parameters, depth = [""], 0
    for c in " ".join([line.split("#")[0] for line in lines[starts[name] :]]).partition("(")[2]:
        depth += (c in "([{") - (c in ")]}")
        if depth < 0:
            break
        if c == "," and depth == 0:
            parameters.append("")
        else:
            parameters[-1] += c
    words, state, hyper = [], [], OrderedDict()
    for parameter in parameters:
        declaration, equals, default = parameter.partition("=")
        word = declaration.split(":")[0].strip()
        words.append(word)
        if word[:1] in ("*", "/"):
            message = f"{name}: a rule has neither * nor ** nor keyword-only arguments, got {parameter.strip()}"
            raise Refused(message, starts[name] + 1)
        if len(words) > 3 and equals:
            hyper[word] = eval(default.strip(), names)
            number(f"{name}: the default of {word}", hyper[word])
        elif len(words) > 3 and word:  # there is none after a last comma
            state.append(word)
    if words[:3] != ["w", "g", "t"]:
        message = f"{name}: the first three arguments of a rule are w, g, t, got {', '.join(words[:3]) or 'none'}"
        raise Refused(message, starts[name] + 1)
    return name, state, hyper


def settings(name, hyper, given):
    """The hyper-parameters in order, as given or else by default; whole numbers are floats where the default is one."""
    for key in given:
        if key not in hyper:
            raise Refused(f"{name}: unknown hyper-parameter {key!r}, it has {', '.join(hyper) or 'none'}", None)
    values = []
    for key, default in hyper.items():
        value = given.get(key, default)
        as_float = number(f"{name}: {key}", value)
        values.append(as_float if isinstance(default, float) else value)
    return values


def checked(rule, name, state):
    """The reader's rule, held to what lossopt.minimize asks of one, and to numbers."""
    wanted = ["w"] + state  # noqa: RUF005  (MicroPython)
    said = [f"{name}: {what}" for what in wanted]

    def step(w, g, t, *others):
        try:
            result = rule(w, g, t, *others)
        except Exception as error:
            raise Refused(*told(error, f"{name}: step {t}: ", "rule")) from None
        values = result if isinstance(result, tuple) else (result,)
        if len(values) != len(wanted):
            expected = f"{', '.join(wanted)} ({len(wanted)} values)"
            raise Refused(f"{name}: must return {expected}, got {len(values)}", None)
        values = [number(*pair) for pair in zip(said, values)]  # noqa: B905  (MicroPython)
        if values[0] != values[0] and -inf < g < inf:
            raise Refused(f"{name}: step {t}: w must be a number, got nan", None)
        return values

    return step


# Runs ----------------------------------------------------------------------------------------------------------------


def run(rule, state, hyper, f, request, trail=None):
    """Walk as lossopt.minimize does; a run that diverges ends before the step at which it did.

    What is known at each point goes to `trail`: the gradient, and what the rule remembers of x and of y.
    """
    value, gradient, window = f
    x, y = [number("start", w) for w in request["start"]]
    noise, steps = request["noise"], request["steps"]
    z = normals(request["seed"], 2 * steps + 2) if noise else []
    a = b = [0.0] * len(state)
    xs, ys, losses, left, diverged = [], [], [], -1, -1
    gx = gy = 0.0
    for t in range(steps + 1):
        if t:
            try:
                x, *a = rule(x, gx, t, *a, *hyper)
                y, *b = rule(y, gy, t, *b, *hyper)
            except ArithmeticError:  # where arrays go on with inf or nan
                x = nan
        if window and left < 0 and not (window[0][0] <= x <= window[0][1] and window[1][0] <= y <= window[1][1]):
            left = t
        loss = value(x, y) if -FAR <= x <= FAR and -FAR <= y <= FAR else nan
        if not -inf < loss < inf:
            diverged = t
            break
        gx, gy = gradient(x, y)
        if noise:
            gx += noise * z[2 * t]
            gy += noise * z[2 * t + 1]
        xs.append(x)
        ys.append(y)
        losses.append(loss)
        if trail is not None:
            trail.append((gx, gy, a, b))
    return {"x": xs, "y": ys, "loss": losses, "left": left, "diverged": diverged}


drawn = {}  # of the last seed: where its draws come from, and those so far


def normals(seed, count):
    """At least `count` draws from the standard normal distribution, those of numpy.random.RandomState(seed)."""
    if seed not in drawn:
        drawn.clear()
        drawn[seed] = gaussian(words(seed)), []
    source, given = drawn[seed]
    while len(given) < count:
        given.append(next(source))
    return given


def gaussian(source):
    """Draws from the standard normal distribution for ever, by Marsaglia's polar method."""
    while True:
        square = 0.0
        while not 0 < square < 1:
            u, v = [((next(source) >> 5) * 2**26 + (next(source) >> 6)) / 2**52 - 1 for _ in "uv"]
            square = u * u + v * v
        scale = sqrt(-2 * log(square) / square)
        yield scale * v
        yield scale * u


def words(seed):
    """Random whole numbers of 32 bits for ever: the Mersenne Twister MT19937 of Matsumoto and Nishimura (1998)."""
    mt = [seed]
    for i in range(1, 624):
        mt.append(0xFFFFFFFF & (1812433253 * (mt[-1] ^ mt[-1] >> 30) + i))
    while True:
        for i in range(624):
            y = mt[i] & 0x80000000 | mt[(i + 1) % 624] & 0x7FFFFFFF
            y = mt[(i + 397) % 624] ^ y >> 1 ^ (y & 1) * 0x9908B0DF
            mt[i] = y
            y ^= y >> 11
            y ^= y << 7 & 0x9D2C5680
            y ^= y << 15 & 0xEFC60000
            yield y ^ y >> 18


# The questions -------------------------------------------------------------------------------------------------------


def race(request):
    """The paths of some racers on one landscape, and of the racer `detail` what its rule saw and remembered.

    {"do": "race", "landscape": "beale", "start": [1, 1.5], "steps": 300, "noise": 0.1, "seed": 1, "detail": 0,
     "racers": [{"rule": "adam", "family": "adam", "hyper": {"lr": 0.1}}]}
    The reader's own texts are "own", which replaces "landscape", and a racer's "source".
    """
    f = landscape(request)
    paths, detail = [], None
    for i, racer in enumerate(request["racers"]):
        trail = [] if i == request.get("detail") else None
        try:
            rule, state, hyper = declared(racer)
            hyper = settings(racer["rule"], hyper, racer.get("hyper") or {})
            paths.append(run(rule, state, hyper, f, request, trail))
        except RefusedLandscape:
            raise
        except Exception as error:
            paths.append(failed(error))
            continue
        if trail is not None:
            remembered = {name: [[at[side][k] for at in trail] for side in (2, 3)] for k, name in enumerate(state)}
            detail = {"gx": [at[0] for at in trail], "gy": [at[1] for at in trail], "state": remembered}
    return {"racers": paths, "detail": detail}


def surface(request):
    """The values of a landscape on a grid: row by row, y ascending.

    {"do": "surface", "landscape": "beale", "window": [[-1, 4.5], [-1.5, 2.5]], "columns": 97, "rows": 97}
    """
    value = landscape(request)[0]
    (x0, x1), (y0, y1) = request["window"]
    columns, rows = request["columns"] - 1, request["rows"] - 1
    xs = [x0 + (x1 - x0) * i / columns for i in range(columns + 1)]
    return {"values": [value(x, y0 + (y1 - y0) * j / rows) for j in range(rows + 1) for x in xs]}


def chart(request):
    """The loss of one racer after the last step for all pairs of two hyper-parameters: a row for each value of `up`.

    As "race", with "across": {"name": "lr", "values": [0.01, 0.1]}, "up": {"name": "beta1", "values": [0, 0.9]}
    """
    f, racer = landscape(request), request["racers"][0]
    rule, state, hyper = declared(racer)
    given, rows = dict(racer.get("hyper") or {}), []
    for up in request["up"]["values"]:
        given[request["up"]["name"]] = up
        rows.append([])
        for across in request["across"]["values"]:
            given[request["across"]["name"]] = across
            path = run(rule, state, settings(racer["rule"], hyper, given), f, request)
            rows[-1].append(nan if path["diverged"] >= 0 else path["loss"][-1])
    return {"loss": rows}


def signature(request):
    """What a rule remembers, and its hyper-parameters with their defaults.

    {"do": "signature", "rule": "adam", "family": "adam", "source": null}
    """
    _, state, hyper = declared(request)
    return {"hyper": hyper, "state": state}


QUESTIONS = {"race": race, "surface": surface, "map": chart, "signature": signature}
