"""The fair comparison: every rule gets the same budget, its own best rate, and seeds that had no part in choosing it.

1. A rule is run with every rate of its grid and every *tuning* seed; the rate with the best mean on the validation data
   is chosen.
2. A best rate at the edge of its grid is an error, not a result: the true best may lie beyond.
3. The chosen rate is run with *reporting* seeds, none of which was used for tuning, and measured on the test data.
   Beside it stands the rule at its default rate, because that is what many readers will have run.

All runs of a rule train as one array, or rate by rate wherever joblib sends them: the numbers are the same.

Source: protocol after Schneider, Balles and Hennig, DeepOBS: a deep learning optimizer benchmark suite (2019),
arXiv:1903.05499; equal budgets after Sivaprasad et al., Optimizer benchmarking needs to account for hyperparameter
tuning (2020), arXiv:1910.11758.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .rules import RULES
from .rules.registry import Rule, describe

__all__ = [
    "Comparison",
    "EdgeError",
    "Estimate",
    "Problem",
    "Result",
    "Table",
    "best_rate",
    "compare",
    "estimate",
    "log_grid",
    "performance_profile",
]

Floats = NDArray[np.float64]


class EdgeError(ValueError):
    """A rule's best rate lies at the edge of its grid, so the grid says nothing about how good the rule is.

    Parameters
    ----------
    rule : str
        The rule's name.
    rate : float
        The best rate, the first or last of `rates`.
    rates : array
        The rule's grid.
    edge : str
        `lowest` or `highest`.
    """

    def __init__(self, rule: str, rate: float, rates: Floats, edge: str) -> None:
        self.rule, self.rate, self.rates, self.edge = rule, rate, rates, edge
        direction = "lower" if edge == "lowest" else "higher"
        super().__init__(
            f"compare: {rule}'s best rate {rate:.4g} is the {edge} of its grid of {len(rates)} "
            f"from {rates[0]:.4g} to {rates[-1]:.4g}, so a better one may lie beyond it. "
            f"Give {rule} {direction} rates, or let every grid grow with extend=2."
        )


class Problem(Protocol):
    """What `compare` needs of a problem.

    Attributes
    ----------
    name : str
        What is trained.
    metric : str
        What is measured, the *lower the better*: an error rate or a loss.
    """

    name: str
    metric: str

    def run(
        self, rule: Callable[..., Any], hyper: Mapping[str, Any], seeds: NDArray[np.int64], steps: int
    ) -> tuple[Floats, Floats]:
        """Train R runs at once.

        Parameters
        ----------
        rule : callable
            The rule.
        hyper : mapping
            Its hyper-parameters: numbers, arrays of shape (R,), or functions of the step that return either.
        seeds : int64 array, shape (R,)
            Seed of each run's start and mini-batches; equal seeds give equal ones, whatever the other runs are.
        steps : int
            Number of steps.

        Returns
        -------
        validation, test : float64 arrays, shape (R,)
            The metric on data for choosing and on data for reporting; not finite for a run that diverged.
        """
        ...


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its confidence interval.

    Parameters
    ----------
    mean, low, high : float
        The mean and the ends of the interval; all infinite where a run diverged.
    diverged : int
        How many runs diverged.
    """

    mean: float
    low: float
    high: float
    diverged: int = 0

    def __str__(self) -> str:
        if self.diverged:
            return f"diverged ({self.diverged})"
        return f"{self.mean:.3g} [{self.low:.3g}, {self.high:.3g}]"


@dataclass(frozen=True)
class Result:
    """What one rule did.

    Parameters
    ----------
    rates : array, shape (K,)
        Its grid, increasing.
    validation : array, shape (K, S)
        Metric on the validation data by rate and tuning seed.
    best : int
        Index of the chosen rate.
    default : float
        The rate of its signature.
    test : array, shape (T,)
        Metric on the test data at the chosen rate, by reporting seed.
    default_test : array, shape (T,)
        The same at the default rate.
    """

    rates: Floats
    validation: Floats
    best: int
    default: float
    test: Floats
    default_test: Floats

    @property
    def rate(self) -> float:
        """The chosen rate."""
        return float(self.rates[self.best])


@dataclass(frozen=True)
class Table:
    """A table that shows itself in a notebook, in Markdown and in a terminal.

    Parameters
    ----------
    header : sequence of str
        Column titles.
    rows : sequence of sequences of str
        Cells, the first of each row its name.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        widths = [max(len(cell) for cell in column) for column in zip(self.header, *self.rows, strict=True)]
        lines = [self.header, ["-" * width for width in widths], *self.rows]
        return "\n".join(
            "  ".join([line[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(line[1:], widths[1:], strict=True))])
            for line in lines
        )

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        lines = [self.header, ["---", *["---:"] * (len(self.header) - 1)], *self.rows]
        return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in self.header)
        rows = "".join(
            f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(c)}</td>" for c in row[1:]) + "</tr>"
            for row in self.rows
        )
        return f'<table class="comparison"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Parameters
    ----------
    problem, metric : str
        Names of the problem and of its metric, the lower the better.
    steps : int
        Steps of every run.
    tuning_seeds, reporting_seeds : tuple of int
        Seeds used to choose rates, and seeds used to report.
    results : mapping of str to Result
        By the rule's name, in the order given.
    level : float
        Level of the confidence intervals.
    """

    problem: str
    metric: str
    steps: int
    tuning_seeds: tuple[int, ...]
    reporting_seeds: tuple[int, ...]
    results: Mapping[str, Result]
    level: float = 0.95

    def tuned(self, name: str) -> Estimate:
        """Return a rule's test metric at its chosen rate.

        Parameters
        ----------
        name : str
            The rule's name.

        Returns
        -------
        Estimate
            Mean over the reporting seeds and its confidence interval.
        """
        return estimate(self.results[name].test, self.level)

    def untuned(self, name: str) -> Estimate:
        """Return a rule's test metric at the rate of its signature.

        Parameters
        ----------
        name : str
            The rule's name.

        Returns
        -------
        Estimate
            Mean over the reporting seeds and its confidence interval.
        """
        return estimate(self.results[name].default_test, self.level)

    def difference(self, name: str, other: str) -> Estimate:
        """Return how much higher the test metric of one tuned rule is than another's, seed by seed.

        Parameters
        ----------
        name, other : str
            Two rules; a negative mean says that `name` is better.

        Returns
        -------
        Estimate
            Mean of the paired differences. The seeds decide nothing where its interval holds 0.
        """
        with np.errstate(invalid="ignore"):  # both diverged: inf - inf
            return estimate(self.results[name].test - self.results[other].test, self.level)

    def ranking(self) -> list[str]:
        """Return the rules' names, the best tuned mean on the test data first.

        Returns
        -------
        list of str
            Neighbours need not differ by more than chance; ask `difference`.
        """
        return sorted(self.results, key=lambda name: self.tuned(name).mean)

    def table(self) -> Table:
        """Return one row a rule, best first: the rate, the test metric there, and at the default rate.

        Returns
        -------
        Table
            Displays as HTML, Markdown or text. Intervals are those of `level`, over the reporting seeds.
        """
        header = ["rule", "lr", self.metric, "default lr", f"{self.metric} at default lr"]
        rows = [
            [name, f"{r.rate:.3g}", str(self.tuned(name)), f"{r.default:.3g}", str(self.untuned(name))]
            for name in self.ranking()
            for r in [self.results[name]]
        ]
        return Table(header, rows)

    def to_json(self) -> str:
        """Return everything as text, for a file that a page or a colleague reads with `from_json`.

        Returns
        -------
        str
            JSON; an infinite or missing number is written as text, since JSON has none.
        """
        plain = {**vars(self), "results": {name: vars(result) for name, result in self.results.items()}}
        return json.dumps(plain, default=_plain, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Read a comparison back.

        Parameters
        ----------
        text : str
            What `to_json` returned.

        Returns
        -------
        Comparison
            Equal to the one that was written, number by number.

        Raises
        ------
        ValueError
            When the text is not a comparison.
        """
        try:
            plain = json.loads(text)
            results = {name: _result(**found) for name, found in plain.pop("results").items()}
            plain["tuning_seeds"], plain["reporting_seeds"] = (
                tuple(plain["tuning_seeds"]),
                tuple(plain["reporting_seeds"]),
            )
            return cls(**plain, results=results)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(f"Comparison.from_json: the text is not a comparison: {error}") from None

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def compare(
    problem: Problem,
    rules: Iterable[str | Rule | Callable[..., Any]],
    *,
    rates: Iterable[float] | Mapping[str, Iterable[float]],
    tuning_seeds: Iterable[int],
    reporting_seeds: Iterable[int],
    steps: int,
    extend: int = 0,
    hyper: Mapping[str, Mapping[str, Any]] | None = None,
    schedule: Callable[[int, Any], Any] | None = None,
    level: float = 0.95,
    n_jobs: int = 1,
) -> Comparison:
    """Tune every rule on equal budgets and report it on seeds that had no part in the tuning.

    Parameters
    ----------
    problem : Problem
        What is trained, for example one of `lossopt.problems`: `digits_mlp()` or `LandscapeProblem(f)`.
    rules : iterable of str, Rule or callable
        Rules by name, by description or as functions, your own included; each must have the hyper-parameter `lr`.
    rates : iterable of float, or mapping of str to them
        The grid of rates, see `log_grid`; a mapping gives each rule its own, all of the same length.
    tuning_seeds, reporting_seeds : iterable of int
        At least one seed to choose rates with and at least two others to report with.
    steps : int
        Steps of every run, >= 1.
    extend : int
        How many rates each grid may grow by, one at a time, always at the end nearer to the best rate so far and by the
        ratio of its neighbours there. Every rule spends all of them, so the budget stays equal.
    hyper : mapping of str to mapping, optional
        Hyper-parameters other than `lr`, by the rule's name.
    schedule : callable, optional
        `schedule(t, lr)` gives the rate of step t, from 1 to `steps`, for every rule alike, tuned or at its default.
    level : float
        Level of the confidence intervals, between 0 and 1.
    n_jobs : int
        1 runs everything here, all runs of a rule as one array. Any other number gives joblib one task for each rule
        and rate, so many at a time, -1 for as many as there are workers: processes of this machine, or whatever
        `joblib.parallel_config` names, such as the machines of a Dask cluster.

    Returns
    -------
    Comparison
        Displays as its table. The same for every `n_jobs`, bit for bit, where all workers have the same libraries and
        as many threads for products of matrices.

    Raises
    ------
    EdgeError
        When a rule's best rate is the lowest or highest of its grid after all extensions.
    ValueError, TypeError
        When the comparison would not be fair or makes no sense: seeds that overlap or repeat, grids of different
        lengths or not increasing, unknown names, a rule without `lr`, no rate at which all runs of a rule stay finite.
    ImportError
        When `n_jobs` is not 1 and joblib is not installed.

    Notes
    -----
    Runs that diverge count as infinitely bad, so a rate at which any tuning run diverges is never chosen. Where several
    rates are equally good, the lowest of them is chosen.
    """
    described = [_describe(rule) for rule in rules]
    grids = _grids(described, rates)
    tuning, reporting = _seeds(tuning_seeds, reporting_seeds)
    _check(described, steps, extend, hyper, level)

    def run(lr: Floats, seeds: NDArray[np.int64]) -> Floats:
        """Run every rule at its row of rates with every seed; return both metrics, (2, rules, rates, seeds)."""
        parts = 1 if n_jobs == 1 else lr.shape[1]
        cells = [
            (problem, rule, (hyper or {}).get(rule.name, {}), schedule, steps, rates, seeds)
            for rule, row in zip(described, lr, strict=True)
            for rates in np.split(row, parts)
        ]
        return np.stack(_run_all(cells, n_jobs), axis=1).reshape(2, *lr.shape, len(seeds))

    grid = [grids[rule.name] for rule in described]
    validation = list(run(np.stack(grid), tuning)[0])
    for _ in range(extend):
        grown = [_next_rate(*known) for known in zip(grid, validation, strict=True)]
        more = run(np.array([[rate] for _, rate in grown]), tuning)[0]
        grid = [np.insert(rates, *new) for rates, new in zip(grid, grown, strict=True)]
        validation = [
            np.insert(known, place, new, axis=0) for known, (place, _), new in zip(validation, grown, more, strict=True)
        ]
    best = [
        best_rate(rule.name, rates, scores.mean(axis=1))
        for rule, rates, scores in zip(described, grid, validation, strict=True)
    ]
    default = [float(rule.hyper["lr"]) for rule in described]
    chosen = [rates[k] for rates, k in zip(grid, best, strict=True)]
    test = run(np.stack([chosen, default], axis=1), reporting)[1]
    results = {
        rule.name: Result(grid[k], validation[k], best[k], default[k], *test[k]) for k, rule in enumerate(described)
    }
    return Comparison(
        problem.name, problem.metric, steps, tuple(map(int, tuning)), tuple(map(int, reporting)), results, level
    )


def log_grid(low: float, high: float, per_decade: int) -> Floats:
    """Return rates evenly spaced in logarithm, `per_decade` of them to a factor of ten, both ends included.

    Parameters
    ----------
    low, high : float
        Ends of the grid, 0 < low < high; the last rate is the first of the series that reaches `high`.
    per_decade : int
        Rates per factor of ten, >= 1.

    Returns
    -------
    float64 array
        Increasing rates `low * 10**(k / per_decade)`.

    Raises
    ------
    ValueError
        When an argument is out of range.
    """
    if not 0 < low < high < math.inf:
        raise ValueError(f"log_grid: 0 < low < high is needed, got {low} and {high}")
    if per_decade < 1:
        raise ValueError(f"log_grid: per_decade must be >= 1, got {per_decade}")
    count = math.ceil(per_decade * math.log10(high / low) - 1e-9)
    grid: Floats = low * 10 ** (np.arange(count + 1) / per_decade)
    return grid


def best_rate(rule: str, rates: ArrayLike, scores: ArrayLike) -> int:
    """Return the place of the rate with the lowest score, or refuse where that rate is the first or the last.

    Parameters
    ----------
    rule : str
        Whose rates they are, for the message.
    rates : array, shape (K,)
        Increasing rates, at least three.
    scores : array, shape (K,)
        What each rate reached, the lower the better; one that is not finite is never chosen.

    Returns
    -------
    int
        Index of the best rate, from 1 to K - 2; the lowest of several that are equally good.

    Raises
    ------
    EdgeError
        When the best rate is the lowest or the highest.
    ValueError
        When no score is finite, or there is not one score a rate.

    Examples
    --------
    >>> best_rate("sgd", [0.1, 0.3, 1.0], [2.0, 1.0, 5.0])
    1
    """
    grid, reached = np.asarray(rates, np.float64), np.asarray(scores, np.float64)
    if grid.shape != reached.shape or grid.ndim != 1:
        raise ValueError(f"best_rate: {rule} needs one score a rate, got shapes {reached.shape} and {grid.shape}")
    reached = np.where(np.isfinite(reached), reached, np.inf)
    best = int(reached.argmin())
    if not math.isfinite(reached[best]):
        raise ValueError(
            f"compare: {rule} diverged at every rate from {grid[0]:.4g} to {grid[-1]:.4g}; give lower rates"
        )
    if best in (0, len(grid) - 1):
        raise EdgeError(rule, float(grid[best]), grid, "lowest" if best == 0 else "highest")
    return best


def estimate(samples: Any, level: float = 0.95) -> Estimate:
    """Return the mean of a few independent samples and its confidence interval by Student's t.

    Parameters
    ----------
    samples : array, shape (n,)
        At least two samples. The interval is exact for normal samples, and a fair guide for others.
    level : float
        Level of confidence, between 0 and 1.

    Returns
    -------
    Estimate
        `mean +- t * s / sqrt(n)`; infinite where a sample is not finite.

    Raises
    ------
    ValueError
        When there are fewer than two samples, or `level` is not between 0 and 1.

    Source
    ------
    Student (1908), The probable error of a mean, https://doi.org/10.1093/biomet/6.1.1.
    """
    samples = np.asarray(samples, np.float64)
    if samples.ndim != 1 or len(samples) < 2:
        raise ValueError(f"estimate: at least two samples in one axis are needed, got shape {samples.shape}")
    if not 0 < level < 1:
        raise ValueError(f"estimate: level must lie between 0 and 1, got {level}")
    diverged = int((~np.isfinite(samples)).sum())
    if diverged:
        return Estimate(math.inf, math.inf, math.inf, diverged)
    mean = float(samples.mean())
    half = _student(level, len(samples) - 1) * float(samples.std(ddof=1)) / math.sqrt(len(samples))
    return Estimate(mean, mean - half, mean + half)


def performance_profile(scores: Mapping[str, ArrayLike], factors: ArrayLike = 1.0) -> dict[str, Floats]:
    """Return the share of problems on which each rule comes within a factor of the best rule.

    Parameters
    ----------
    scores : mapping of str to array, shape (P,)
        What each rule reached on each of P problems, by its name: positive, the lower the better, and not finite where
        it failed. Only scores of one problem are compared with each other, so each problem may have its own unit.
    factors : float or array, shape (F,)
        The largest multiple of a problem's best score that still counts, each >= 1.

    Returns
    -------
    dict of str to float64 array
        Shares between 0 and 1, in the shape of `factors`; at factor 1 the share of problems on which a rule is the
        best, where equal scores count for each.

    Raises
    ------
    ValueError
        When there are no rules, the rules have different numbers of problems, a factor is below 1, a score is not
        positive, or all rules failed on a problem.

    Source
    ------
    Dolan and More, Benchmarking optimization software with performance profiles, Mathematical Programming 91 (2002),
    201-213, https://doi.org/10.1007/s101070100263.

    Examples
    --------
    >>> profile = performance_profile({"sgd": [1.0, 8.0], "adam": [3.0, 2.0]}, [1, 3, 4])
    >>> profile["adam"].tolist()
    [0.5, 1.0, 1.0]
    """
    if not scores:
        raise ValueError("performance_profile: scores is empty, at least one rule is needed")
    reached = {name: np.asarray(values, np.float64) for name, values in scores.items()}
    shapes = {name: values.shape for name, values in reached.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 1 or shape == (0,) for shape in shapes.values()):
        found = ", ".join(f"{name} has shape {shape}" for name, shape in shapes.items())
        raise ValueError(f"performance_profile: every rule needs one score a problem, but {found}")
    within = np.asarray(factors, np.float64)
    if not (within >= 1).all():
        raise ValueError(f"performance_profile: a factor must be >= 1, got {within}")
    for name, values in reached.items():
        if (values <= 0).any():
            raise ValueError(f"performance_profile: scores must be positive, but {name} has {values.min():.4g}")
    reached = {name: np.where(np.isfinite(values), values, np.inf) for name, values in reached.items()}
    best = np.min(list(reached.values()), axis=0)
    if not np.isfinite(best).all():
        raise ValueError(f"performance_profile: every rule failed on problem {int(np.isinf(best).argmax())}")
    return {name: (values / best <= within[..., None]).mean(axis=-1) for name, values in reached.items()}


def _describe(rule: str | Rule | Callable[..., Any]) -> Rule:
    if isinstance(rule, Rule):
        return rule
    if isinstance(rule, str):
        if rule not in RULES:
            close = difflib.get_close_matches(rule, RULES, n=1)
            raise ValueError(f"compare: unknown rule {rule!r}" + (f", did you mean {close[0]!r}?" if close else ""))
        return RULES[rule]
    return describe(rule)


def _grids(rules: Sequence[Rule], rates: Iterable[float] | Mapping[str, Iterable[float]]) -> dict[str, Floats]:
    names = [rule.name for rule in rules]
    if not names:
        raise ValueError("compare: rules is empty, at least one is needed")
    if len(set(names)) < len(names):
        raise ValueError(f"compare: each rule once, got {', '.join(names)}")
    if isinstance(rates, Mapping):
        if set(rates) != set(names):
            raise ValueError(f"compare: rates are given for {', '.join(rates)}, but the rules are {', '.join(names)}")
        grids = {name: np.array(list(rates[name]), np.float64) for name in names}
    else:
        grids = dict.fromkeys(names, np.array(list(rates), np.float64))
    lengths = {name: len(grid) for name, grid in grids.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{name} has {n}" for name, n in lengths.items())
        raise ValueError(f"compare: every rule must get the same number of rates, but {counts}")
    for name, grid in grids.items():
        if len(grid) < 3:
            raise ValueError(f"compare: {name} needs at least 3 rates to have one inside its grid, got {len(grid)}")
        if not (np.isfinite(grid).all() and grid[0] > 0 and (np.diff(grid) > 0).all()):
            raise ValueError(f"compare: {name}'s rates must be positive and increasing, got {grid}")
    return grids


def _seeds(tuning: Iterable[int], reporting: Iterable[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    first, second = np.array(list(tuning), np.int64), np.array(list(reporting), np.int64)
    for name, seeds, least in (("tuning_seeds", first, 1), ("reporting_seeds", second, 2)):
        if len(seeds) < least:
            raise ValueError(f"compare: {name} must hold at least {least}, got {len(seeds)}")
        if len(set(seeds.tolist())) < len(seeds):
            raise ValueError(f"compare: {name} repeats a seed: {seeds.tolist()}")
    common = sorted(set(first.tolist()) & set(second.tolist()))
    if common:
        raise ValueError(
            f"compare: seeds {common} are in tuning_seeds and in reporting_seeds; "
            "a rate would be reported on the very runs it was chosen by"
        )
    return first, second


def _check(
    rules: Sequence[Rule], steps: int, extend: int, hyper: Mapping[str, Mapping[str, Any]] | None, level: float
) -> None:
    if steps < 1:
        raise ValueError(f"compare: steps must be >= 1, got {steps}")
    if extend < 0:
        raise ValueError(f"compare: extend must be >= 0, got {extend}")
    if not 0 < level < 1:
        raise ValueError(f"compare: level must lie between 0 and 1, got {level}")
    for rule in rules:
        if "lr" not in rule.hyper:
            raise ValueError(f"compare: {rule.name} has no hyper-parameter lr to tune")
    for name, settings in (hyper or {}).items():
        if name not in {rule.name for rule in rules}:
            raise ValueError(f"compare: hyper names {name!r}, which is not among the rules")
        if "lr" in settings:
            raise ValueError(f"compare: {name}'s lr is what is tuned; give it in rates, not in hyper")


def _run_all(cells: Sequence[tuple[Any, ...]], n_jobs: int) -> list[Floats]:
    if n_jobs == 1:
        return [_run(*cell) for cell in cells]
    try:
        from joblib import Parallel, delayed
    except ImportError:
        raise ImportError('compare: n_jobs other than 1 needs joblib: pip install "lossopt[data]"') from None
    found: list[Floats] = Parallel(n_jobs=n_jobs)(delayed(_run)(*cell) for cell in cells)
    return found


def _run(
    problem: Problem,
    rule: Rule,
    hyper: Mapping[str, Any],
    schedule: Callable[[int, Any], Any] | None,
    steps: int,
    lr: Floats,
    seeds: NDArray[np.int64],
) -> Floats:
    """Run a rule at every rate with every seed as one array; return both metrics, (2, rates, seeds)."""
    flat = np.repeat(lr, len(seeds))
    rate = flat if schedule is None else lambda t: schedule(t, flat)
    scores = problem.run(rule.rule, {**hyper, "lr": rate}, np.tile(seeds, len(lr)), steps)
    validation, test = (np.asarray(score, np.float64).reshape(len(lr), len(seeds)) for score in scores)
    return np.stack([np.where(np.isfinite(validation), validation, np.inf), test])


def _next_rate(grid: Floats, validation: Floats) -> tuple[int, float]:
    """Return where to add a rate and which: beyond the end of the grid that is nearer to the best so far."""
    best = int(validation.mean(axis=1).argmin())
    if best < len(grid) / 2:
        return 0, float(grid[0] ** 2 / grid[1])
    return len(grid), float(grid[-1] ** 2 / grid[-2])


def _result(*, best: int, default: float, **arrays: Any) -> Result:
    numbers = {name: np.array(values, np.float64) for name, values in arrays.items()}
    return Result(best=best, default=default, **numbers)


def _plain(array: Floats) -> Any:
    """Return an array as lists of numbers, with text for those that JSON cannot hold."""
    if array.ndim:
        return [_plain(part) for part in array]
    return float(array) if np.isfinite(array) else str(float(array))


def _student(level: float, freedom: int) -> float:
    """Return the t with P(|T| <= t) = level, by bisection.

    Source
    ------
    The finite series of Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4.
    """

    def within(t: float) -> float:
        angle = math.atan(t / math.sqrt(freedom))
        term = math.cos(angle) if freedom % 2 else 1.0
        total = 0.0 if freedom == 1 else term
        for k in range(3 if freedom % 2 else 2, freedom - 1, 2):
            term *= (k - 1) / k * math.cos(angle) ** 2
            total += term
        return 2 / math.pi * (angle + math.sin(angle) * total) if freedom % 2 else math.sin(angle) * total

    low, high = 0.0, 1.0
    while within(high) < level:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle) < level else (low, middle)
    return high
