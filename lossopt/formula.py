r"""The formula of a rule or a landscape, printed from its source through SymPy.

The source is read statement by statement, each assignment becomes one SymPy equation in the order written, and nothing
is simplified: what stands on the page is what runs. `expressions` gives the equations, `latex` prints them.

Notation: `w_{t-1}` is the weight before the step and `w_t` after it, `g_t` the gradient, `m_{t-1}` and `m_t` a state
before and after; a name that is assigned several times wears primes until its last assignment.
Names have the symbols of `SYMBOLS`, or their own: `v_hat` is `\hat{v}_t`, `rho_inf` is `\rho_{\infty}`, `mu_next` is
`\mu_{t+1}`. Products, quotients and powers of arrays are element by element; a matrix product, `@` in the source, has
no sign between its factors either and is told by the transposes. Functions that a rule calls are defined below it.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

try:
    import sympy
    from sympy.printing.latex import LatexPrinter
except ModuleNotFoundError:
    raise ModuleNotFoundError("lossopt.formula needs SymPy: pip install 'lossopt[formula]'") from None

from .landscapes import Landscape
from .rules.registry import Rule, describe

__all__ = ["SYMBOLS", "Formula", "expressions", "latex"]

# The one table of symbols, for the names whose symbol is not simply the name.
SYMBOLS = {
    "lr": r"\eta",
    "eta": r"\eta^{\mathrm{schedule}}",
    "momentum": r"\mu",
    "eps": r"\epsilon",
    "weight_decay": r"\lambda",
    "momentum_decay": r"\psi",
    "trust_coefficient": r"\tau",
    "initial_accumulator_value": "G_0",
    "weight_sum": "S",
    "step": r"\Delta",
    "condition": r"\kappa",
    "angle": r"\theta",
}

_GREEK = {"alpha", "beta", "gamma", "delta", "theta", "kappa", "mu", "nu", "psi", "rho", "sigma", "tau", "phi"}


class maximum(sympy.Function):  # type: ignore[misc]  # noqa: N801 - SymPy has no types; named as the primitive
    """The larger of two numbers, its arguments in the order written."""

    nargs = 2

    @classmethod
    def eval(cls, a: Any, b: Any) -> Any:
        """Return the larger of two numbers; symbols wait."""
        return sympy.Max(a, b) if a.is_number and b.is_number else None


_FUNCTIONS: dict[str, Any] = {
    "abs": sympy.Abs,
    "cos": sympy.cos,
    "exp": sympy.exp,
    "log": sympy.log,
    "maximum": maximum,
    "norm": sympy.Function("norm"),
    "sign": sympy.sign,
    "sin": sympy.sin,
    "transposed": sympy.Function("transposed"),
}

# Functions that return two things, and what each of them is called.
_PAIRS = {"eigh": ("eigenvalues", "eigenvectors"), "qr": ("orthogonal factor", "triangular factor")}

_COMPARISONS: dict[type[ast.cmpop], Any] = {
    ast.Lt: sympy.Lt,
    ast.LtE: sympy.Le,
    ast.Gt: sympy.Gt,
    ast.GtE: sympy.Ge,
    ast.Eq: sympy.Eq,
    ast.NotEq: sympy.Ne,
}

_matmul = sympy.Function("matmul")


def expressions(function: Callable[..., Any] | Rule | Landscape) -> list[tuple[Any, Any]]:
    r"""Return the equations of a rule or a landscape, one for every assignment, in the source's order.

    Parameters
    ----------
    function : callable, Rule or Landscape
        A rule (your own as well), its description, or a landscape.

    Returns
    -------
    list of tuple
        `(symbol, expression)`. A symbol is named by its LaTeX: the new weights are `w_t`, a new state `m` is `m_t`.
        The equations of functions that a rule calls follow its own.

    Raises
    ------
    TypeError
        If it is neither a rule nor a landscape.
    ValueError
        If its source cannot be read, or holds something that is no formula; the message says what.

    Source
    ------
    The function's own text.
    """
    if isinstance(function, Landscape):
        return _Reader(function.value, {"x": "x", "y": "y"}, fixed="xy").equations(["f(x, y)"])
    rule = function if isinstance(function, Rule) else describe(function)
    arguments = {"w": "w_{t-1}", "g": "g_t", "t": "t"} | {name: _name(name, "t-1") for name in rule.state}
    arguments |= {name: _name(name) for name in rule.hyper}
    names = ["w", *rule.state]
    return _Reader(rule.rule, arguments, fixed=rule.hyper).equations([_name(name, "t") for name in names], names)


class Formula(str):
    """A formula as LaTeX: a text, which notebooks show as it is set."""

    __slots__ = ()

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self}$"


def latex(function: Callable[..., Any] | Rule | Landscape) -> Formula:
    r"""Return the formula of a rule or a landscape as LaTeX, one aligned line for every assignment.

    Parameters
    ----------
    function : callable, Rule or Landscape
        A rule (your own as well), its description, or a landscape.

    Returns
    -------
    Formula
        An `aligned` environment, without the dollars around it, in the LaTeX that KaTeX knows.

    Raises
    ------
    TypeError
        If it is neither a rule nor a landscape.
    ValueError
        If its source cannot be read, or holds something that is no formula; the message says what.

    Source
    ------
    The function's own text.
    """
    printer = _Printer()
    lines = [f"{printer.doprint(symbol)} &= {printer.doprint(value)}" for symbol, value in expressions(function)]
    return Formula("\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}")


def _name(name: str, time: str = "", primes: int = 0) -> str:
    r"""Return the LaTeX of a Python name at a time: `v_hat` at `t` is `\hat{v}_t`."""
    first, *words = [SYMBOLS[name]] if name in SYMBOLS else name.split("_")
    head = first.rstrip("0123456789") if first != SYMBOLS.get(name) else first
    words = [first[len(head) :], *words] if head != first else words
    if name not in SYMBOLS:
        head = rf"\{head}" if head in _GREEK else head if len(head) == 1 else rf"\mathrm{{{head}}}"
    below, above = [], []
    for word in words:
        if word in ("hat", "bar"):
            head = rf"\{word}{{{head}}}"
        elif word == "next":
            time = "t+1"
        elif word == "inf" or len(word) == 1:
            below.append(r"\infty" if word == "inf" else word)
        else:
            above.append(rf"\{word}" if word in ("max", "min") else rf"\mathrm{{{word}}}")
    below += [time] if time else []
    if above:
        return head + _script("_", ",".join(below)) + _script("^", " ".join([*above, *[r"\prime"] * primes]))
    return head + "'" * primes + _script("_", ",".join(below))


def _script(mark: str, text: str) -> str:
    """Return an index or an exponent, in braces where it needs them."""
    return "" if not text else mark + (text if len(text) == 1 else f"{{{text}}}")


def _statements(function: Callable[..., Any]) -> list[ast.stmt]:
    """Return the statements of a function, without its docstring."""
    try:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    except (OSError, TypeError, SyntaxError, ValueError):
        raise ValueError(f"{function.__name__}: its source cannot be read, so there is no formula to print") from None
    if not isinstance(definition, ast.FunctionDef):
        raise ValueError(f"{function.__name__}: a formula is printed from a function written with def")
    return [s for s in definition.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]


def _assigned(nodes: Iterable[ast.AST]) -> Counter[str]:
    """Count how often each name is assigned."""
    names = [n for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return Counter(n.id for n in names)


def _items(node: ast.expr | None) -> list[ast.expr]:
    """Return the elements of a tuple, the one thing that is none, or nothing."""
    return node.elts if isinstance(node, ast.Tuple) else [node] if node else []


class _Reader:
    """Turn the statements of one function into equations.

    `known` says what a Python name stands for at the statement being read; the arguments in `fixed` are the same at
    every step.
    """

    def __init__(self, function: Callable[..., Any], arguments: dict[str, str], fixed: Iterable[str]) -> None:
        self.function = function
        self.known: dict[str, Any] = {name: sympy.Symbol(symbol) for name, symbol in arguments.items()}
        self.fixed = {self.known[name] for name in fixed}
        self.taken = set(arguments.values())
        self.still: Counter[str] = Counter()
        self.lines: list[tuple[Any, Any]] = []
        self.early: list[tuple[Any, list[Any]]] = []
        self.helpers: dict[str, list[tuple[Any, Any]]] = {}

    def equations(self, outputs: Sequence[str], names: Sequence[str] = ()) -> list[tuple[Any, Any]]:
        """Return the equations, what is returned among them under the symbols `outputs`.

        What is returned under its own name (`names`, in that order) already has its line.
        """
        *statements, last = _statements(self.function)
        due = f"a formula ends by returning {', '.join(names) or 'its value'}"
        if not isinstance(last, ast.Return):
            raise self.error(last, due)
        for node in [n for statement in [*statements, last] for n in ast.walk(statement)]:
            if isinstance(node, ast.Return) and len(_items(node.value)) != len(outputs):
                raise self.error(node, due)
        own = self.own(statements, last, names)
        self.taken |= {symbol for symbol, name in zip(outputs, names, strict=False) if name not in own}
        self.still = _assigned(statements)
        for statement in statements:
            self.read(statement)
        values = [self.value(item) for item in _items(last.value)]
        for condition, others in reversed(self.early):
            values = [_cases(other, condition, value) for other, value in zip(others, values, strict=True)]
        self.lines += [(sympy.Symbol(o), v) for o, v in zip(outputs, values, strict=True) if v != sympy.Symbol(o)]
        return self.lines + [line for lines in self.helpers.values() for line in lines]

    def own(self, statements: list[ast.stmt], last: ast.Return, names: Sequence[str]) -> set[str]:
        """Return the names whose last assignment is what every return gives back in their place."""
        own = set(names)
        for place, statement in [*enumerate(statements), (len(statements), last)]:
            for returned in [n for n in ast.walk(statement) if isinstance(n, ast.Return)]:
                later = _assigned(statements[place:])
                same = zip(names, _items(returned.value), strict=False)
                own &= {name for name, item in same if isinstance(item, ast.Name) and item.id == name not in later}
        return own

    def read(self, statement: ast.stmt, condition: Any = None) -> None:
        """Read one statement; under a condition, a name keeps its value where the condition does not hold."""
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            targets = _items(statement.targets[0])
            for target, value in zip(targets, self.values(statement.value, len(targets)), strict=True):
                if not isinstance(target, ast.Name):
                    raise self.error(target, "only names are assigned")
                if condition is not None and target.id not in self.known:
                    raise self.error(statement, f"{target.id} has no value where the condition does not hold")
                self.assign(target.id, value if condition is None else _cases(value, condition, self.known[target.id]))
        elif isinstance(statement, ast.If) and condition is None and not statement.orelse:
            self.branch(statement.body, self.condition(statement.test))
        elif isinstance(statement, ast.For) and condition is None:
            self.loop(statement)
        else:
            raise self.error(statement, "a formula is made of assignments")

    def branch(self, body: list[ast.stmt], condition: Any) -> None:
        """Read what happens under a condition: a return, or assignments."""
        if isinstance(body[0], ast.Return):
            self.early.append((condition, [self.value(item) for item in _items(body[0].value)]))
        else:
            for statement in body:
                self.read(statement, condition)

    def loop(self, statement: ast.For) -> None:
        """Read `for _ in range(n)`: what it changes becomes a sequence with the index k."""
        call = statement.iter
        if not (isinstance(call, ast.Call) and ast.unparse(call.func) == "range" and len(call.args) == 1):
            raise self.error(statement, "a formula repeats with range(n)")
        times = self.value(call.args[0])
        changed = [name for name in _assigned(statement.body) if name in self.known]
        for name in changed:
            self.lines.append((sympy.Symbol(_name(name, "0")), self.known[name]))
            self.known[name] = sympy.Symbol(_name(name, "k-1"))
        self.lines.append((sympy.Symbol("k"), sympy.Range(1, times + 1)))
        for inner in statement.body:
            match inner:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    symbol = sympy.Symbol(_name(name, "k"))
                    self.lines.append((symbol, self.value(value)))
                    self.known[name] = symbol
                case _:
                    raise self.error(inner, "a formula is made of assignments")
        for name in changed:
            self.known[name] = sympy.Symbol(_name(name, str(times)))

    def assign(self, name: str, value: Any) -> None:
        """Write one equation; the name has a prime unless this is its last assignment and its symbol is free."""
        self.still[name] -= 1
        time = "" if value.free_symbols <= self.fixed else "t"
        primes = int(self.still[name] > 0)
        while _name(name, time, primes) in self.taken:
            primes += 1
        symbol = sympy.Symbol(_name(name, time, primes))
        self.taken.add(symbol.name)
        self.fixed |= set() if time else {symbol}
        self.known[name] = symbol
        self.lines.append((symbol, value))

    def values(self, node: ast.expr, count: int) -> list[Any]:
        """Return what an assignment to `count` names gives each of them."""
        if count == 1:
            return [self.value(node)]
        if isinstance(node, ast.Tuple) and len(node.elts) == count:
            return [self.value(item) for item in node.elts]
        return [self.part(node, place) for place in range(count)]

    def part(self, node: ast.expr, place: int) -> Any:
        """Return one of the results of a function that has two."""
        if not (isinstance(node, ast.Call) and ast.unparse(node.func) in _PAIRS):
            raise self.error(node, "only eigh and qr can be taken apart")
        name = _PAIRS[ast.unparse(node.func)][place]
        return sympy.Function(name)(*[self.value(argument) for argument in node.args])

    def value(self, node: ast.expr) -> Any:
        """Return a Python expression as a SymPy one, unevaluated, so that it keeps the form it was written in."""
        match node:
            case ast.Constant(value=bool() | int() | float() as number):
                return sympy.sympify(number)
            case ast.Name(id=name):
                return self.known[name] if name in self.known else self.outside(node)
            case ast.Attribute(value=ast.Name(id="math"), attr="pi" | "e" as name):
                return {"pi": sympy.pi, "e": sympy.E}[name]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return _product(sympy.Integer(-1), self.value(operand))
            case ast.BinOp(left=left, op=operator, right=right):
                return self.operation(node, operator, self.value(left), self.value(right))
            case ast.Compare():
                return _cases(sympy.Integer(1), self.condition(node), sympy.Integer(0))
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return _cases(self.value(body), self.condition(test), self.value(orelse))
            case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
                return self.call(node, name)(*[self.value(argument) for argument in arguments], evaluate=False)
            case ast.Subscript(value=ast.Attribute(value=array, attr="shape"), slice=place):
                return sympy.Function("rows" if ast.unparse(place) == "0" else "columns")(self.value(array))
            case ast.Subscript(value=pair, slice=ast.Constant(value=int() as place)):
                return self.part(pair, place)
        raise self.error(node, "this is no arithmetic")

    def operation(self, node: ast.expr, operator: ast.operator, left: Any, right: Any) -> Any:
        """Return `left operator right`."""
        match operator:
            case ast.Add():
                return sympy.Add(*sympy.Add.make_args(left), *sympy.Add.make_args(right), evaluate=False)
            case ast.Sub():
                return sympy.Add(*sympy.Add.make_args(left), _product(sympy.Integer(-1), right), evaluate=False)
            case ast.Mult():
                return _product(left, right)
            case ast.Div():
                return sympy.Mul(*sympy.Mul.make_args(left), sympy.Pow(right, -1, evaluate=False), evaluate=False)
            case ast.Pow():
                half = sympy.Rational(1, 2) if right == 0.5 else right
                return sympy.Pow(left, half, evaluate=False)
            case ast.Mod():
                return sympy.Mod(left, right, evaluate=False)
            case ast.MatMult():
                return _matmul(left, right)
        raise self.error(node, "this is no arithmetic")

    def condition(self, node: ast.expr) -> Any:
        """Return a comparison."""
        if not (isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS):
            raise self.error(node, "a condition is one comparison")
        return _COMPARISONS[type(node.ops[0])](self.value(node.left), self.value(node.comparators[0]), evaluate=False)

    def outside(self, node: ast.Name) -> Any:
        """Return what a name from outside the function means: a number of its module, or a parameter around it."""
        variables = inspect.getclosurevars(self.function)
        if node.id in variables.nonlocals:
            self.known[node.id] = sympy.Symbol(_name(node.id))
            self.fixed.add(self.known[node.id])
            return self.known[node.id]
        if isinstance(variables.globals.get(node.id), int | float):
            return sympy.sympify(variables.globals[node.id])
        raise self.error(node, "nothing is known under this name")

    def call(self, node: ast.expr, name: str) -> Any:
        """Return the SymPy function for a name; one of the rule's own helpers is read as well, once."""
        if name in _FUNCTIONS:
            return _FUNCTIONS[name]
        helper = (
            self.function if name == self.function.__name__ else inspect.getclosurevars(self.function).globals.get(name)
        )
        if not inspect.isfunction(helper):
            raise self.error(node, "this function is none a formula knows")
        function = sympy.Function(name.replace("_", " "))
        if helper is not self.function and name not in self.helpers:
            arguments = {argument: _name(argument) for argument in inspect.signature(helper).parameters}
            reader = _Reader(helper, arguments, fixed=arguments)
            left = _Printer().doprint(function(*map(sympy.Symbol, arguments.values())))
            self.helpers[name] = reader.equations([left])
        return function

    def error(self, node: ast.AST, reason: str) -> ValueError:
        """Return an error that says what was found and why it is no formula."""
        return ValueError(f"{self.function.__name__}: {reason}, got {ast.unparse(node)!r}")


def _product(left: Any, right: Any) -> Any:
    """Return the product as written, with `g * g` as a square."""
    factors = [*sympy.Mul.make_args(left)]
    base, power = factors[-1].as_base_exp() if isinstance(factors[-1], sympy.Pow) else (factors[-1], sympy.Integer(1))
    if right == base and power.is_Integer and power > 0 and not right.is_number:
        factors[-1] = sympy.Pow(base, power + 1, evaluate=False)
    else:
        inner = sympy.Mul.make_args(right)
        factors += [right] if inner[0] == -1 else inner
    return sympy.Mul(*factors, evaluate=False) if len(factors) > 1 else factors[0]


def _cases(value: Any, condition: Any, otherwise: Any) -> Any:
    """Return `value` where the condition holds and `otherwise` elsewhere."""
    if value == otherwise:
        return value
    return sympy.Piecewise((value, condition), (otherwise, True), evaluate=False)


# SymPy finds the methods of a printer by the name of the class they print, hence
# ruff: noqa: N802
class _Printer(LatexPrinter):  # type: ignore[misc]  # SymPy has no types
    """SymPy's printer, with sums and products in the order written."""

    def __init__(self) -> None:
        super().__init__({"order": "none"})

    def doprint(self, expr: Any) -> str:
        """Print an expression, `g^{2}` as `g^2`."""
        return re.sub(r"\^\{(\w)\}", r"^\1", super().doprint(expr))

    def _add_parens(self, s: str) -> str:
        return rf"\left({s}\right)" if any(tall in s for tall in (r"\frac", r"\sqrt", r"\begin")) else f"({s})"

    def _print_Symbol(self, expr: Any, style: str = "plain") -> str:
        return str(expr.name)

    def _print_Float(self, expr: Any) -> str:
        mantissa, _, exponent = repr(float(expr)).partition("e")
        if not exponent:
            return mantissa.removesuffix(".0")
        power = f"10^{{{int(exponent)}}}"
        return power if mantissa == "1" else rf"{mantissa} \cdot {power}"

    def _print_Add(self, expr: Any, order: Any = None) -> str:
        text = ""
        for term in expr.args:
            printed = self._print(term)
            text += printed if not text else f" - {printed[1:].lstrip()}" if printed[0] == "-" else f" + {printed}"
        return text

    def _print_Mul(self, expr: Any) -> str:
        """Print a fraction where the source divides; its numerator reaches back to the division before."""
        factors = [*sympy.Mul.make_args(expr)]
        sign = "-" if factors[0] == -1 else ""
        fractions: list[tuple[list[Any], list[Any]]] = [([], [])]
        for factor in factors[len(sign) :]:
            if isinstance(factor, sympy.Pow) and factor.exp == -1:
                fractions[-1][1].append(factor.base)
            elif fractions[-1][1]:
                fractions.append(([factor], []))
            else:
                fractions[-1][0].append(factor)
        alone = not sign and len(fractions) == 1
        parts = []
        for above, below in fractions:
            if below:
                parts.append(rf"\frac{{{self.row(above, True) if above else 1}}}{{{self.row(below, True)}}}")
            else:
                parts.append(self.row(above, alone))
        return sign + self.joined(parts)

    def row(self, factors: list[Any], alone: bool) -> str:
        """Print factors side by side; a sum among them is put in parentheses unless it stands alone."""
        if len(factors) == 1 and alone:
            return str(self._print(factors[0]))
        return self.joined([self.factor(factor) for factor in factors])

    def factor(self, expr: Any) -> str:
        """Print something to stand inside a product."""
        printed = str(self._print(expr))
        return self._add_parens(printed) if isinstance(expr, sympy.Add) or printed[0] == "-" else printed

    def joined(self, parts: list[str]) -> str:
        """Put factors side by side, with a dot before a digit and some air beside a word."""
        text = parts[0]
        for before, part in pairwise(parts):
            dot = part.lstrip("{")[0].isdigit()
            word = ("mathrm" in before and before.endswith("}")) or part.startswith((r"\mathrm", r"\operatorname"))
            text += (r" \cdot " if dot else r" \, " if word else " ") + part
        return text

    def _print_Function(self, expr: Any, exp: Any = None) -> str:
        name, arguments = expr.func.__name__, [self._print(argument) for argument in expr.args]
        if name == "matmul":
            printed = self.joined([self.factor(argument) for argument in expr.args])
        elif name == "transposed":
            printed = rf"{self.parenthesize_super(self.factor(expr.args[0]))}^\top"
        elif name == "norm":
            printed = rf"\lVert {arguments[0]} \rVert"
        else:
            known = {"maximum": r"\max", "cos": r"\cos", "sin": r"\sin", "log": r"\log"}
            printed = known.get(name, rf"\operatorname{{{name}}}".replace(" ", r"\ ")) + self._add_parens(
                ", ".join(arguments)
            )
        return printed if exp is None else f"{self._add_parens(printed)}^{{{exp}}}"

    def _print_Piecewise(self, expr: Any) -> str:
        (value, condition), (otherwise, _) = expr.args
        first = rf"{self._print(value)} & \text{{if }} {self._print(condition)}"
        return rf"\begin{{cases}} {first} \\ {self._print(otherwise)} & \text{{otherwise}} \end{{cases}}"

    def _print_Range(self, expr: Any) -> str:
        return rf"{self._print(expr.start)}, \dots, {self._print(expr.stop - 1)}"
