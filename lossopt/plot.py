"""Figures: contours, paths, curves, sensitivity, intervals, graphs, and the race that plays in a page.

Every optimizer has one colour and one dash, the same in every figure. Ink is `INK` and the ground is transparent, so
that one SVG reads on a light and on a dark page. Words in figures are symbols and the optimizers' names.

The only module that imports matplotlib (the extra `lossopt[plot]`).
"""

from __future__ import annotations

import importlib.resources
import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

try:
    import contourpy
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.patches import FancyArrowPatch, Rectangle
    from matplotlib.path import Path as MplPath
    from matplotlib.ticker import LogLocator, NullFormatter
except ModuleNotFoundError:
    raise ModuleNotFoundError("lossopt.plot needs matplotlib: pip install 'lossopt[plot]'") from None

from .compare import performance_profile
from .rules import RULES
from .tensor import Tensor, trace

if TYPE_CHECKING:
    from .compare import Comparison

__all__ = [
    "INK",
    "PALETTE",
    "Race",
    "contours",
    "curves",
    "graph",
    "intervals",
    "paths",
    "profile",
    "race",
    "sensitivity",
    "styles",
    "use_style",
]

INK = "#1a1a1b"

# Chosen by search: at least 3:1 against white and against #121212, and as far apart as eight colours can be, also for
# readers without red, green or blue cones.
PALETTE = ("#cc0000", "#2299bb", "#007755", "#bb8800", "#aa77ff", "#aa22aa", "#ff3399", "#7722ff")
_DASHES = ((), (6, 2), (2, 2), (8, 2, 2, 2), (1, 1), (10, 4))

Array = NDArray[Any]


def use_style() -> None:
    """Set matplotlib's defaults to the style of these figures."""
    mpl.style.use(str(importlib.resources.files("lossopt") / "lossopt.mplstyle"))


def styles(names: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the colour and dash of each name, as keyword arguments for `Axes.plot`.

    Parameters
    ----------
    names : iterable of str
        Labels of lines. A rule's name always gets the same style; any other label gets the first colour that no other
        label of the figure has.

    Returns
    -------
    dict of str to dict
        `{name: {"color": ..., "dashes": ...}}`; `dashes` is in points, empty for a solid line.
    """
    names = list(names)
    rules = list(RULES)
    taken = {name: rules.index(name) for name in names if name in RULES}
    free = (i for i in itertools.count() if i not in taken.values())
    place = {name: taken[name] if name in taken else next(free) for name in names}
    return {
        name: {"color": PALETTE[i % len(PALETTE)], "dashes": _DASHES[i // len(PALETTE) % len(_DASHES)]}
        for name, i in place.items()
    }


def contours(landscape: Any, ax: Axes | None = None, *, lines: int = 12) -> Axes:
    """Draw a landscape's contour lines over its window, its minima as stars and its start as a ring.

    Parameters
    ----------
    landscape : Landscape
        Any function of two arrays with `.window`, `.minima` and `.start`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    lines : int
        Number of contour lines, >= 1. Their levels are quantiles of the landscape's values over the window, so that a
        narrow valley gets its lines too.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax)
    # As plain lines, which matplotlib writes to SVG without the points that nobody can see; contours it does not.
    for line in _contour_lines(landscape, lines):
        ax.plot(*line.T, color=INK, alpha=0.35, linewidth=0.8)
    ax.plot(*landscape.start, "o", color=INK, fillstyle="none")
    for minimum in landscape.minima:
        ax.plot(*minimum[:2], "*", color=INK, markersize=10)
    ax.set(xlim=landscape.window[0], ylim=landscape.window[1], xlabel="x", ylabel="y")
    ax.grid(False)
    return ax


def paths(landscape: Any, runs: Mapping[str, Any], ax: Axes | None = None) -> Axes:
    """Draw the paths of several runs over the contours of their landscape.

    Parameters
    ----------
    landscape : Landscape
        As for `contours`.
    runs : mapping of str to Path or array, shape (steps + 1, 2)
        The points each run went through, by the optimizer's name. A path ends where it leaves the drawing far behind.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    ax = contours(landscape, ax)
    for name, style in styles(runs).items():
        points = _points(name, runs[name], landscape.window)
        ax.plot(*points.T, **style, label=name)
        ax.plot(*points[-1], "o", color=style["color"])
    ax.legend()
    return ax


def curves(runs: Mapping[str, Any], ax: Axes | None = None, *, log: bool = True, ylabel: str = "loss") -> Axes:
    """Draw losses against the step.

    Parameters
    ----------
    runs : mapping of str to Path or array, shape (steps + 1,) or (steps + 1, R)
        Losses by the optimizer's name, the first before any step; several runs of one name are drawn as thin lines.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    log : bool
        Whether the loss axis is logarithmic.
    ylabel : str
        Label of the loss axis.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax)
    for name, style in styles(runs).items():
        loss = np.asarray(getattr(runs[name], "loss", runs[name]))
        thin: dict[str, Any] = {"linewidth": 0.8, "alpha": 0.7} if loss.ndim > 1 else {}
        lines = ax.plot(np.where(np.isfinite(loss), loss, np.nan), **style, **thin)
        lines[0].set_label(name)
    ax.set(xlabel="t", ylabel=ylabel, yscale="log" if log else "linear")
    ax.legend()
    return ax


def sensitivity(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw what each rule reaches on the validation data against its rate, best as a dot, default as a tick below.

    Parameters
    ----------
    comparison : Comparison
        What `lossopt.compare.compare` returned.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax)
    for name, style in styles(comparison.results).items():
        result = comparison.results[name]
        scores = result.validation.mean(axis=1)
        ax.plot(result.rates, np.where(np.isfinite(scores), scores, np.nan), **style, label=name)
        ax.plot(result.rate, scores[result.best], "o", color=style["color"])
        ax.plot(result.default, 0.02, "|", color=style["color"], markersize=12, transform=ax.get_xaxis_transform())
    ax.set(xscale="log", xlabel="lr", ylabel=comparison.metric)
    _spread(ax.yaxis, (score for result in comparison.results.values() for score in result.validation.mean(axis=1)))
    ax.legend(loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def intervals(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw each rule's mean and confidence interval on the test data, best on top: tuned as a dot, untuned as a ring.

    Parameters
    ----------
    comparison : Comparison
        What `lossopt.compare.compare` returned.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(ax)
    names = comparison.ranking()[::-1]
    for row, (name, style) in enumerate(styles(names).items()):
        for estimate, fill in ((comparison.tuned(name), style["color"]), (comparison.untuned(name), "none")):
            if math.isfinite(estimate.mean):
                ax.errorbar(
                    estimate.mean,
                    row,
                    xerr=[[estimate.mean - estimate.low], [estimate.high - estimate.mean]],
                    fmt="o",
                    color=style["color"],
                    markerfacecolor=fill,
                    capsize=3,
                )
    ax.set(yticks=range(len(names)), yticklabels=names, xlabel=comparison.metric)
    _spread(
        ax.xaxis, (estimate.mean for name in names for estimate in (comparison.tuned(name), comparison.untuned(name)))
    )
    return ax


def profile(scores: Mapping[str, Any], ax: Axes | None = None, *, upto: float = 10.0) -> Axes:
    """Draw the share of problems on which each rule comes within a factor of the best rule, against that factor.

    Parameters
    ----------
    scores : mapping of str to array, shape (P,)
        What each rule reached on each of P problems, as for `lossopt.compare.performance_profile`.
    ax : matplotlib Axes, optional
        Where to draw; a new figure by default.
    upto : float
        The largest factor drawn, > 1.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        When `upto` is not above 1, or `performance_profile` refuses the scores.
    """
    if not 1 < upto < math.inf:
        raise ValueError(f"profile: upto must be a number above 1, got {upto}")
    performance_profile(scores)  # refuses what cannot be drawn
    reached = np.array(list(scores.values()), np.float64)
    ratios = reached / np.nanmin(reached, axis=0)
    factors = np.unique([1.0, *ratios[(ratios > 1) & (ratios < upto)], upto])  # a share rises at one of these
    shares = performance_profile(scores, factors)
    ax = _axes(ax)
    for name, style in styles(scores).items():
        ax.plot(factors, shares[name], **style, drawstyle="steps-post", label=name)
    _spread(ax.xaxis, (1.0, upto))
    ax.set(xlim=(1, upto), ylim=(0, 1.02), xlabel=r"$\tau$", ylabel=r"$\rho(\tau)$")
    ax.legend()
    return ax


def graph(
    result: Tensor, names: Mapping[str, Tensor] | None = None, ax: Axes | None = None, *, gradients: bool = True
) -> Axes:
    """Draw how a tensor was computed: what went in on the left, the result on the right, an arrow for each argument.

    A box holds its operation (or its name, where nothing was computed) and its value; the tinted part holds the
    gradient of the result with respect to it, as a key says in symbols. Leaves that require a gradient have a thick
    frame, and what requires none has no tinted part. Several elements are shown by their shape. A drawing is readable
    up to about twenty operations.

    Parameters
    ----------
    result : Tensor
        Computed from a tensor with `requires_grad=True`; several elements are differentiated as their sum.
    names : mapping of str to Tensor, optional
        Names to write, such as `{"w": w, "x": x}`: in the box of what went in, above the box of what was computed.
    ax : matplotlib Axes, optional
        Where to draw; a new figure of the size that the graph needs by default.
    gradients : bool
        Whether to write the gradients.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If nothing in `result` requires a gradient, since then there is no record of its computation, or if a name is
        that of a tensor with no part in it.
    """
    boxes = _boxes(result, {tensor: name for name, tensor in (names or {}).items()}, gradients)
    columns, ways = _columns(boxes)
    _place(columns, ways)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    top = min(box.top for box in boxes)
    if gradients:
        key = _Box(("$x$",), r"$\bar{x}$", width=36)
        right = max(right, key.width)
        key.x, key.y = right - key.width / 2, bottom - key.height / 2
        if any(box.right > key.x - key.width and box.bottom > key.top - _ROOM / 2 for box in boxes):
            key.y = bottom + _ROOM + key.height / 2
        boxes.append(key)
        bottom = key.bottom
    if ax is None:
        _, ax = plt.subplots(figsize=((right + 8) / 72, (bottom - top + 24) / 72))
    ax.set(xlim=(-4, right + 4), ylim=(bottom + 4, top - 20), aspect="equal")
    ax.axis("off")
    for box in boxes:  # arrows to one box end one below the other, and two from one box begin so
        into = [way for way in ways if way[-1] is box]
        for number, way in enumerate(into):
            shift = 9 * (number - (len(into) - 1) / 2)
            twice = sum(other[0] is way[0] for other in into) > 1
            _draw_arrow(ax, way, shift if twice else 0.0, shift)
    for box in boxes:
        _draw_box(ax, box)
    return ax


def _spread(axis: Axis, scores: Iterable[float]) -> None:
    """Give positive scores a logarithmic axis: the good ones lie close together, the bad ones far apart."""
    finite = [score for score in scores if math.isfinite(score)]
    if not finite or min(finite) <= 0:
        return
    axis.axes.set(**{"xscale" if axis is axis.axes.xaxis else "yscale": "log"})
    if max(finite) < 1000 * min(finite):
        # Powers of ten alone would leave one tick or two.
        close = max(finite) < 10 * min(finite)
        axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if close else (1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


@dataclass(frozen=True)
class Race:
    """A race of optimizers that plays in a page; `race` makes it.

    As the last value of a cell it displays itself: the finished paths and, where scripts run, controls to play, pause
    and scrub. It starts by itself once it is in view, and never for readers who ask for reduced motion. Two panels
    stand side by side where the page is wide enough, one above the other where it is not, and share one clock.

    Parameters
    ----------
    panels : tuple of str
        What each panel shows, as an `<svg>` element; the panels stand side by side in one coordinate system.
    key : str
        The names of the runs, below the panels.
    label : str
        What a screen reader says of the picture.
    width, height : int
        Size of a panel.
    rows : int
        Rows of the key.
    steps : int
        Number of steps of the longest path.
    seconds : float
        How long playing it takes.
    """

    panels: tuple[str, ...]
    key: str
    label: str
    width: int
    height: int
    rows: int
    steps: int
    seconds: float

    def still(self) -> str:
        """Return the finished race as an SVG file's text, for print.

        Returns
        -------
        str
            A complete SVG document in ink `INK`.
        """
        width = max(_WIDTH, (self.width + _BETWEEN) * len(self.panels) - _BETWEEN)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {self.height + _ROW * self.rows + 8}" '
            f'role="img" aria-label="{escape(self.label)}" color="{INK}" font-family="sans-serif">'
            f"{''.join(self.panels)}{self.key}</svg>\n"
        )

    def _repr_html_(self) -> str:
        # Each panel, and the key, is a window on the coordinate system of the still.
        views = "".join(
            f'<svg viewBox="{i * (self.width + _BETWEEN)} 0 {self.width} {self.height}">{panel}</svg>'
            for i, panel in enumerate(self.panels)
        )
        # The controls stay hidden until the script is there to serve them.
        return (
            f'<div class="lossopt-race" data-steps="{self.steps}" data-seconds="{self.seconds:g}">'
            f'<div class="race-picture" role="img" aria-label="{escape(self.label)}">{views}'
            f'<svg class="race-key" viewBox="0 {self.height} {_WIDTH} {_ROW * self.rows + 8}">{self.key}</svg></div>'
            f'<div class="race-controls" hidden><button type="button"></button>'
            f'<input type="range" min="0" max="{self.steps}" step="1" value="{self.steps}">'
            f'<output aria-live="off">t = {self.steps}</output></div></div>'
            f"<style>{_CSS}</style><script>{_SCRIPT}</script>"
        )

    def __repr__(self) -> str:
        return f"<Race: {self.label}>"


def race(landscape: Any, runs: Mapping[str, Any], *, seconds: float = 8.0, label: str | None = None) -> Race:
    """Let several runs race over the contours of their landscape, all at the same step at the same time.

    Parameters
    ----------
    landscape : Landscape
        Any function of two arrays with `.window`, `.minima` and `.start`.
    runs : mapping of str to Path or array, shape (steps + 1, 2), or mapping of str to such mappings
        The points each run went through, by the optimizer's name. Several groups of runs, such as
        `{"lr*": tuned, "lr": untuned}`, race in panels side by side, with the group's name in the panel's corner.
    seconds : float
        How long playing it takes, > 0.
    label : str, optional
        What a screen reader says; by default the landscape's name, the groups' and the optimizers'.

    Returns
    -------
    Race
        Displays itself in a notebook; `.still()` is the SVG for print. The same input gives the same bytes.

    Raises
    ------
    ValueError
        When there is nothing to race, a run is not a path in the plane, runs and groups of runs are mixed, or `seconds`
        is not positive.
    """
    grouped = {isinstance(run, Mapping) for run in runs.values()}
    if len(grouped) > 1:
        raise ValueError("race: runs mixes paths and groups of paths")
    groups: dict[str, Mapping[str, Any]] = dict(runs) if grouped == {True} else {"": runs}
    if not all(groups.values()):
        raise ValueError("race: runs is empty, at least one path is needed")
    if not seconds > 0:
        raise ValueError(f"race: seconds must be > 0, got {seconds}")
    width = _WIDTH if len(groups) == 1 else _NARROW
    (x0, x1), (y0, y1) = landscape.window
    height = round(min(max(width * (y1 - y0) / (x1 - x0), 0.5 * width), 0.85 * width))
    scale = np.array([width / (x1 - x0), -height / (y1 - y0)])

    def place(points: Any) -> Array:
        pixels: Array = (np.asarray(points, float) - (x0, y1)) * scale
        return pixels

    looks = styles(dict.fromkeys(name for group in groups.values() for name in group))
    ground = (
        f'<path d="{_contour_path(landscape, place)}" transform="scale(.1)" stroke="currentColor" '
        f'stroke-opacity=".3" stroke-width="7"/>' + "".join(_star(place(minimum[:2])) for minimum in landscape.minima)
    )
    trails = [
        {name: place(_points(name, run, landscape.window)) for name, run in group.items()} for group in groups.values()
    ]
    panels = [
        # A svg cuts off what leaves it, without an id that a second player on the page could share.
        f'<svg x="{i * (width + _BETWEEN)}" width="{width}" height="{height}" fill="none" stroke-linejoin="round">'
        f"{ground}{''.join(_trail(trail, looks[name]) for name, trail in panel.items())}"
        f"{''.join(_dot(trail[-1], looks[name]) for name, trail in panel.items())}"
        f"{_corner(f'({x0:g}, {y0:g})', 4, height - 5, 'start')}{_corner(f'({x1:g}, {y1:g})', width - 4, 12, 'end')}"
        f"{_corner(group, 6, 16, 'start', 13) if group else ''}"
        f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" stroke="currentColor" stroke-opacity=".4"/>'
        "</svg>"
        for i, (group, panel) in enumerate(zip(groups, trails, strict=True))
    ]
    columns = 3 if max(map(len, looks)) <= _NAME else 2
    name = ", ".join(filter(None, (getattr(landscape, "name", "landscape"), *groups)))
    return Race(
        panels=tuple(panels),
        key="".join(_key(i, columns, height + 18, name, look) for i, (name, look) in enumerate(looks.items())),
        label=label or f"{name}: {', '.join(looks)}",
        width=width,
        height=height,
        rows=math.ceil(len(looks) / columns),
        steps=max(len(trail) for panel in trails for trail in panel.values()) - 1,
        seconds=seconds,
    )


# The drawing of a race, in pixels: a panel alone and beside another, the gap between, a row of the key, and how many
# letters of a name a third of its width holds.
_WIDTH = 400
_NARROW = 300
_BETWEEN = 10
_ROW = 20
_NAME = 12


# The drawing of a graph, in points: letters, lines and gaps.
_LETTER = 6.2
_LINE = 13
_GAP = 18
_ROOM = 15
_SYMBOLS = {"add": "+", "sub": "\u2212", "mul": "\u00d7", "div": "\u00f7", "pow": "^", "matmul": "@", "neg": "\u2212"}


@dataclass(eq=False)
class _Box:
    """A tensor in the drawing or, without lines, the room of a long arrow in a column that it passes."""

    lines: tuple[str, ...] = ()
    gradient: str = ""
    arguments: tuple[_Box, ...] = ()
    name: str = ""
    thick: bool = False
    width: float = 0.0
    column: int = 0
    x: float = 0.0
    y: float = 0.0  # downwards

    @property
    def height(self) -> float:
        return _LINE * (len(self.lines) + bool(self.gradient)) + 4 * bool(self.lines)

    @property
    def left(self) -> float:
        return self.x - self.width / 2

    @property
    def right(self) -> float:
        return self.x + self.width / 2

    @property
    def top(self) -> float:
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        return self.y + self.height / 2


def _boxes(result: Tensor, names: Mapping[Tensor, str], gradients: bool) -> list[_Box]:
    """Return a box for every tensor, arguments before what was computed from them."""
    boxes: dict[Tensor, _Box] = {}
    for tensor, operation, arguments, gradient in reversed(trace(result)):
        tensors = [argument for argument in arguments if isinstance(argument, Tensor)]
        for argument in tensors:
            if argument not in boxes:  # it requires no gradient
                boxes[argument] = _Box((names.get(argument, ""), _value(argument.data)))
        name, slope = names.get(tensor, ""), _value(gradient) if gradients else ""
        if operation is None:
            boxes[tensor] = _Box((name, _value(tensor.data)), slope, thick=True)
        else:
            lines = _operation(operation, arguments), _value(tensor.data)
            boxes[tensor] = _Box(lines, slope, tuple(boxes[argument] for argument in tensors), name)
    strangers = [name for tensor, name in names.items() if tensor not in boxes]
    if strangers:
        raise ValueError(f"graph: the result was not computed from {', '.join(strangers)}")
    for box in boxes.values():
        box.lines = tuple(filter(None, box.lines))
        box.width = 8 + _LETTER * max(map(len, (*box.lines, box.gradient, box.name)))
    return list(boxes.values())


def _value(array: Array) -> str:
    return f"{array.item():.3g}".replace("-", "\u2212") if array.size == 1 else str(array.shape)


def _operation(name: str, arguments: tuple[Any, ...]) -> str:
    """Return an operation's sign, with the number it was given beside it, or else its name."""
    if name not in _SYMBOLS:
        return name
    sides = ["" if isinstance(argument, Tensor) else _value(np.asarray(argument)) for argument in arguments]
    return _SYMBOLS[name].join(sides) if len(sides) == 2 else _SYMBOLS[name]


def _columns(boxes: list[_Box]) -> tuple[list[list[_Box]], list[list[_Box]]]:
    """Sort the boxes into columns, and return the way of each arrow, with room for it in the columns it passes."""
    for box in boxes:
        box.column = 1 + max((argument.column for argument in box.arguments), default=-1)
    for box in boxes:  # what was not computed stands next to where it is used first
        used = [other.column for other in boxes if box in other.arguments]
        if used and not box.arguments:
            box.column = min(used) - 1
    ways = [
        [argument, *(_Box(column=column) for column in range(argument.column + 1, box.column)), box]
        for box in boxes
        for argument in box.arguments
    ]
    columns: list[list[_Box]] = [[] for _ in range(1 + max(box.column for box in boxes))]
    for box in (*boxes, *(room for way in ways for room in way[1:-1])):
        columns[box.column].append(box)
    return columns, ways


def _place(columns: list[list[_Box]], ways: list[list[_Box]]) -> None:
    """Give every box its place: close to its neighbours in the next columns, and nothing upon another."""
    before: dict[_Box, list[_Box]] = {box: [] for column in columns for box in column}
    after: dict[_Box, list[_Box]] = {box: [] for box in before}
    left = 0.0
    for column in columns:
        width = max(box.width for box in column)
        for box in column:
            box.x, box.width = left + width / 2, width
        left += width + _GAP
    for way in ways:
        for box, following in itertools.pairwise(way):
            before[following].append(box)
            after[box].append(following)
    for column in reversed(columns):  # an order: the arguments of one box stand together, the first on top
        for box in column:
            places = [other.y + (before[other].index(box) + 0.5) / len(before[other]) for other in after[box]]
            box.y = float(np.mean(places or [0.0]))
        column.sort(key=lambda box: box.y)
        for place, box in enumerate(column):
            box.y = float(place)
    for column in [*columns, *columns[::-1]] * 4:
        for box in column:
            box.y = float(np.mean([other.y for other in before[box] + after[box]] or [0.0]))
        _set_apart(column)


def _set_apart(column: list[_Box]) -> None:
    """Move boxes, keeping their order, as little as gives each of them room."""
    room = np.array([box.height + _ROOM for box in column])
    offsets = np.cumsum(room) - room / 2
    groups: list[tuple[float, int]] = []  # boxes without a gap: where the first would be, and how many they are
    for box, offset in zip(column, offsets, strict=True):
        groups.append((box.y - offset, 1))
        while len(groups) > 1 and groups[-2][0] > groups[-1][0]:
            (a, n), (b, m) = groups[-2:]
            groups[-2:] = [((a * n + b * m) / (n + m), n + m)]
    starts = [start for start, number in groups for _ in range(number)]
    for box, start, offset in zip(column, starts, offsets, strict=True):
        box.y = float(start + offset)


def _draw_arrow(ax: Axes, way: list[_Box], start: float, end: float) -> None:
    """Draw an arrow along a way, level where it meets a box, `start` and `end` below the middle of its boxes."""
    points = [(way[0].right, way[0].y + start)]
    for room in way[1:-1]:
        points += [(room.left, room.y), (room.right, room.y)]
    points.append((way[-1].left - 1, way[-1].y + end))
    path, codes = points[:1], [MplPath.MOVETO]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        middle = (x0 + x1) / 2
        path += [(middle, y0), (middle, y1), (x1, y1)]
        codes += [MplPath.CURVE4] * 3
    head = "-|>,head_length=3,head_width=2"
    ax.add_patch(FancyArrowPatch(path=MplPath(path, codes), arrowstyle=head, mutation_scale=1, linewidth=1, color=INK))


def _draw_box(ax: Axes, box: _Box) -> None:
    place, edge = (box.left, box.top), 1.8 if box.thick else 0.8
    ax.add_patch(Rectangle(place, box.width, box.height, facecolor="none", edgecolor=INK, linewidth=edge))
    if box.gradient:
        tinted = box.left, box.bottom - _LINE - 2
        ax.add_patch(Rectangle(tinted, box.width, _LINE + 2, facecolor=PALETTE[0], alpha=0.18, linewidth=0))
    for row, text in enumerate(filter(None, (*box.lines, box.gradient))):
        ax.text(box.x, box.top + 2 + _LINE * (row + 0.5), text, size=10, ha="center", va="center")
    ax.text(box.x, box.top - 2, box.name, size=10, weight="bold", ha="center", va="bottom")


def _axes(ax: Axes | None) -> Axes:
    return plt.subplots()[1] if ax is None else ax


def _contour_lines(landscape: Any, count: int) -> list[Array]:
    """Return the contour lines at `count` levels, each an array of points."""
    if count < 1:
        raise ValueError(f"contours: at least one line is needed, got {count}")
    (x0, x1), (y0, y1) = landscape.window
    x, y = np.linspace(x0, x1, 240), np.linspace(y0, y1, 240)
    z = np.asarray(landscape(*np.meshgrid(x, y)), float)
    # Squared fractions space the rings of a round bowl evenly.
    levels = np.unique(np.quantile(z, (np.arange(1, count + 1) / (count + 1)) ** 2))
    generator = contourpy.contour_generator(x, y, z)
    return [np.asarray(line) for level in levels for line in generator.lines(level)]


def _points(name: str, run: Any, window: Any) -> Array:
    """Return a run's points up to the first that lies beyond three windows, or is not finite."""
    points = np.asarray(getattr(run, "points", run), float)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{name}: a path to draw has shape (steps + 1, 2), got {points.shape}")
    low, high = np.transpose(window)
    with np.errstate(invalid="ignore"):
        far = ~(abs(points - (low + high) / 2) <= 1.5 * (high - low)).all(axis=1)
    stop = far.argmax() if far.any() else len(points)
    if stop == 0:
        raise ValueError(f"{name}: the path starts outside the window {tuple(map(tuple, window))}")
    return points[: stop + int(stop < len(points) and np.isfinite(points[stop]).all())]


def _contour_path(landscape: Any, place: Any) -> str:
    """Write contour lines in whole tenths of a pixel, each point relative to the last: half the size of plain text."""
    parts = []
    for line in _contour_lines(landscape, 8):
        path = MplPath(place(line))
        path.simplify_threshold = 0.25  # leave out what is nearer than this, in pixels, to the line through the others
        vertices = np.asarray(path.cleaned(simplify=True).vertices)[:-1]  # the last is a full stop, not a point
        tenths = np.rint(vertices * 10).astype(int)
        x0, y0 = tenths[0]
        steps = " ".join(f"{dx} {dy}" for dx, dy in np.diff(tenths, axis=0) if dx or dy)
        parts.append(f"M{x0} {y0}l{steps}")
    return "".join(parts).replace(" -", "-")


def _tenths(points: Array) -> Array:
    # The bound keeps the last point of a run that fled from filling the file with digits.
    tenths: Array = np.clip(np.rint(points * 10), -99999, 99999).astype(int)
    return tenths / 10


def _pairs(points: Array) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in _tenths(points))


def _trail(points: Array, look: Mapping[str, Any]) -> str:
    # Every step is written, also one that stays in place: the points are all that the player knows.
    color = look["color"]
    return f'<polyline class="race-trail" points="{_pairs(points)}" stroke="{color}" stroke-width="2"{_dash(look)}/>'


def _dot(point: Array, look: Mapping[str, Any]) -> str:
    x, y = _tenths(point)
    return f'<circle class="race-dot" cx="{x:g}" cy="{y:g}"{_face(look)}/>'


def _face(look: Mapping[str, Any]) -> str:
    # Two lines of one colour differ in their dash; their dots differ too: full, filled with ink, or hollow.
    place = _DASHES.index(look["dashes"])
    if place == 0:
        return f' r="4.5" fill="{look["color"]}" stroke="currentColor"'
    return f' r="3.8" fill="{"currentColor" if place == 1 else "none"}" stroke="{look["color"]}" stroke-width="2.4"'


def _corner(text: str, x: float, y: float, anchor: str, size: int = 10) -> str:
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="currentColor" fill-opacity=".7">'
        f"{escape(text)}</text>"
    )


def _dash(look: Mapping[str, Any]) -> str:
    return f' stroke-dasharray="{" ".join(map(str, look["dashes"]))}"' if look["dashes"] else ""


def _star(centre: Array) -> str:
    angles = np.pi * np.arange(10) / 5
    rays = np.where(np.arange(10) % 2, 3.0, 7.0)[:, None] * np.stack([np.sin(angles), -np.cos(angles)], axis=1)
    return f'<polygon points="{_pairs(centre + rays)}" fill="currentColor"/>'


def _key(i: int, columns: int, top: int, name: str, look: Mapping[str, Any]) -> str:
    x, y = i % columns * (_WIDTH // columns), top + _ROW * (i // columns)
    return (
        f'<path d="M{x},{y - 4}h22" stroke="{look["color"]}" stroke-width="3"{_dash(look)}/>'
        f'<circle cx="{x + 22}" cy="{y - 4}"{_face(look)}/>'
        f'<text x="{x + 31}" y="{y}" font-size="13" fill="currentColor">{escape(name)}</text>'
    )


_CSS = """
.lossopt-race{max-width:44rem;margin:1rem auto}
.race-picture{display:flex;flex-wrap:wrap;gap:.5rem 1rem;justify-content:center}
.race-picture>svg{display:block;flex:1 1 16rem;min-width:0;max-width:36rem;height:auto}
.race-picture>.race-key{flex:0 1 30rem}
.race-controls{display:flex;align-items:center;gap:.6rem;max-width:36rem;margin:.4rem auto 0}
.race-controls[hidden]{display:none}
.race-controls button{width:2.6rem;height:2.2rem;padding:.3rem;border:1px solid;border-radius:.3rem;background:none;
color:inherit;cursor:pointer}
.race-controls button svg{width:1.1rem;height:1.1rem;margin:auto}
.race-controls input{flex:1;min-width:4rem;height:2.2rem;accent-color:currentColor}
.race-controls output{min-width:5.5em;text-align:right;font-variant-numeric:tabular-nums}
@media print{
.race-controls{display:none}
.lossopt-race{break-inside:avoid;color:INK;background:#fff}
}
""".replace("INK", INK)

_SCRIPT = """
(function(){
var words=(document.documentElement.lang||'en').slice(0,2)==='ko'?
 {play:'재생',pause:'일시 정지',step:'스텝'}:{play:'play',pause:'pause',step:'step'};
function icon(d){return '<svg viewBox="0 0 16 16" aria-hidden="true"><path fill="currentColor" d="'+d+'"/></svg>';}
var PLAY=icon('M3 1l11 7-11 7z'),PAUSE=icon('M3 1h4v14H3zM9 1h4v14H9z');
function start(race){
 if(race.dataset.ready)return;
 race.dataset.ready='1';
 var last=+race.dataset.steps,seconds=+race.dataset.seconds,at=last,playing=false,then=0,waiting=true;
 var controls=race.querySelector('.race-controls'),button=controls.querySelector('button');
 var slider=controls.querySelector('input'),output=controls.querySelector('output');
 var dots=race.querySelectorAll('.race-dot');
 var runs=Array.prototype.map.call(race.querySelectorAll('.race-trail'),function(line,i){
  var points=line.getAttribute('points').split(' ');
  return{line:line,dot:dots[i],points:points,xy:points.map(function(p){return p.split(',').map(Number);})};
 });
 function show(t){
  at=t;
  runs.forEach(function(run){
   var end=run.xy.length-1,i=Math.min(Math.floor(t),end),a=run.xy[i],b=run.xy[Math.min(i+1,end)],part=t-Math.floor(t);
   var x=a[0]+(b[0]-a[0])*part,y=a[1]+(b[1]-a[1])*part;
   run.line.setAttribute('points',run.points.slice(0,i+1).join(' ')+' '+x+','+y);
   run.dot.setAttribute('cx',x);run.dot.setAttribute('cy',y);
  });
  var step=Math.floor(t);
  slider.value=step;slider.setAttribute('aria-valuetext',words.step+' '+step);output.textContent='t = '+step;
 }
 function set(on){
  playing=on;button.innerHTML=on?PAUSE:PLAY;
  button.setAttribute('aria-label',on?words.pause:words.play);button.title=on?words.pause:words.play;
  if(on){if(at>=last)show(0);then=0;requestAnimationFrame(tick);}
 }
 function tick(now){
  if(!playing)return;
  if(then)show(Math.min(last,at+(now-then)/1000*last/seconds));
  then=now;
  if(at>=last)set(false);else requestAnimationFrame(tick);
 }
 button.addEventListener('click',function(){waiting=false;set(!playing);});
 slider.addEventListener('input',function(){waiting=false;set(false);show(+slider.value);});
 window.addEventListener('beforeprint',function(){set(false);show(last);});
 slider.setAttribute('aria-label',words.step);
 set(false);show(last);controls.hidden=false;
 if(window.IntersectionObserver&&!(window.matchMedia&&matchMedia('(prefers-reduced-motion: reduce)').matches)){
  new IntersectionObserver(function(entries){
   var seen=entries[entries.length-1].intersectionRatio>=.4;
   if(!seen&&playing){waiting=true;set(false);}
   if(seen&&waiting){waiting=false;set(true);}
  },{threshold:.4}).observe(race);
 }
}
document.querySelectorAll('.lossopt-race').forEach(start);
})();
"""
