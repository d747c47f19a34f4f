"""`{playground}`: a race of optimizers that the reader starts, in the page, on the package's own files.

The directive stands after a cell that shows a figure. It takes that figure as its body:
what is seen without a script, in print, and in a small playground before it is asked for.
Everything the widget knows of rules and landscapes is read from the package here:
names, settings, ranges, colours, windows, and the rates that races begin with.
Its files are in `_static/playground`; `runtime.js` is made from the interpreter and the package when the site is built.
"""

from __future__ import annotations

import base64
import functools
import gzip
import inspect
import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util.docutils import SphinxDirective, SphinxRole
from sphinx.writers.html5 import HTML5Translator

from .notebooks import package_folder
from .sources import code_of, member

INTERPRETER = Path(__file__).parent / "vendor" / "micropython"
DRIVER = Path(__file__).parents[1] / "_static" / "playground" / "driver.py"
# What the package's files import of one another in the browser.
FILES = ("primitives.py", "dual.py", "landscapes.py", "rules/*.py")

LANDSCAPE = "beale"
RACE = "sgd;momentum;nesterov;adagrad;rmsprop;adam;adamw"
STEPS = 300
LIMITS = {"steps": (1, 1000), "noise": (0, 1000), "seed": (0, 999_999)}
RATES = np.array([digit * 10.0**power for power in range(-5, 3) for digit in (1, 2, 5)])


class Playground(nodes.General, nodes.Element):
    """The still figure; `landscape`, `racers`, `steps` and `full` say what is raced."""


class PlaygroundDirective(SphinxDirective):
    """`:landscape: beale`, `:race: adam:lr=0.1;sgd` as in a link, `:steps: 200`; `:full:` for all that it can."""

    option_spec: ClassVar = {
        "landscape": directives.unchanged_required,
        "race": directives.unchanged_required,
        "steps": directives.positive_int,
        "full": directives.flag,
    }

    def run(self) -> list[nodes.Node]:
        self.env.note_reread()  # a change of the package is not seen by Sphinx
        landscape, race = self.options.get("landscape", LANDSCAPE), self.options.get("race", RACE)
        steps = self.options.get("steps", STEPS)
        try:
            link = f"landscape={landscape}&steps={steps}&race={race}"
            check_race(link)
        except LookupError as error:
            raise self.error(f"playground: {error.args[0]}") from None
        name = f"playground-{self.env.new_serialno('playground')}"
        node = Playground("", name=name, landscape=landscape, racers=parsed(race), steps=steps, link=link)
        node["full"] = "full" in self.options
        self.set_source_info(node)
        return [node]


class RaceRole(SphinxRole):
    """{race}`text <landscape=beale&race=adam:lr=0.1;sgd>`: a link that opens this race in the full playground."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        found = re.fullmatch(r"(?P<text>.+?)\s*<(?P<race>[^<>]+)>", self.text, re.DOTALL)
        try:
            if found is None:
                raise LookupError("write it as {race}`text <landscape=beale&race=adam:lr=0.1;sgd>`")
            check_race(found["race"])
        except LookupError as error:
            message = self.inliner.reporter.error(f"race: {error.args[0]}", line=self.lineno)
            return [], [message]
        page = f"{'../' * self.env.docname.count('/')}playground.html#{found['race']}"
        return [nodes.reference(self.rawtext, found["text"], refuri=page, internal=True)], []


def check_race(link: str) -> None:
    """LookupError unless a link names a landscape and rules of the package, and numbers inside their limits."""
    said = dict(part.partition("=")[::2] for part in link.split("&"))
    if not {"landscape", "race"} <= set(said) <= {"landscape", "start", "race", *LIMITS}:
        raise LookupError(f"a race has landscape and race, and perhaps start, steps, noise and seed, got {link!r}")
    member("LANDSCAPES", said["landscape"])
    parsed(said["race"])
    for name, (low, high) in LIMITS.items():
        if name in said and not low <= number(name, said[name]) <= high:
            raise LookupError(f"{name} must lie in [{low}, {high}], got {said[name]}")
    if "start" in said and len([number("start", each) for each in said["start"].split(",")]) != 2:
        raise LookupError(f"start must be two numbers, got {said['start']}")


def parsed(race: str) -> list[tuple[str, dict[str, float]]]:
    """The rules of `adam:lr=0.1,beta1=0.5;sgd` with their settings; LookupError where one does not exist or fit."""
    racers = []
    for racer in race.split(";"):
        name, _colon, settings = racer.strip().partition(":")
        rule = member("RULES", name)
        if not rule.elementwise:
            raise LookupError(f"{name} cannot be run on two floats: it needs whole tensors")
        pairs = [pair.partition("=")[::2] for pair in settings.split(",") if pair]
        hyper = {key: number(f"{name}:{key}", value) for key, value in pairs}
        try:
            import_module("lossopt").rules.validate(rule, hyper)
        except (TypeError, ValueError) as error:
            raise LookupError(str(error)) from None
        racers.append((name, hyper))
    return racers


def number(what: str, text: str) -> float:
    """The number that a text says; LookupError where it says none."""
    try:
        return float(text)
    except ValueError:
        raise LookupError(f"{what} must be a number, got {text!r}") from None


def adopt_figures(app: Sphinx, doctree: nodes.document) -> None:
    """Make the output of the cell before a playground its body."""
    for place in doctree.findall(Playground):
        before = place.previous_sibling()
        outputs = list(filter(is_output, before.children)) if isinstance(before, nodes.Element) else []
        if not outputs:
            raise ValueError(f"{place.source}:{place.line}: a playground stands after the cell of its still figure")
        for output in outputs:
            output.parent.remove(output)
            place += output


def is_output(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code_output"


@functools.cache
def first_rate(landscape_name: str, rule_name: str) -> float:
    """The rate a race begins with: that of RATES with the lowest mean loss over STEPS steps from the start.

    Runs that leave the window are passed over as long as one does not.
    Where a function falls for ever every loss can be beaten: there the first step is a fortieth of the window's width.
    """
    lossopt = import_module("lossopt")
    f, rule = lossopt.LANDSCAPES[landscape_name], lossopt.RULES[rule_name]
    start = np.array(f.start)
    if not f.minima:
        first = lossopt.minimize(rule, f, start, 1, lr=1.0).points
        length = float(np.hypot(*(first[1] - first[0])))
        wanted = (f.window[0][1] - f.window[0][0]) / 40
        return float(f"{wanted / length:.2g}")
    runs = lossopt.minimize(rule, f, start, STEPS, lr=RATES)
    stayed = (runs.left_window < 0) & (runs.diverged < 0)
    usable = stayed if stayed.any() else runs.diverged < 0
    with np.errstate(all="ignore"):
        return float(RATES[np.argmin(np.where(usable, runs.loss.mean(axis=0), np.inf))])


def limits(name: str) -> dict[str, Any]:
    """The interval a hyper-parameter lies in, for its slider and for what is typed; infinity is null."""
    interval = import_module("lossopt").rules.registry.RANGES[name]
    low, high = (None if np.isinf(end) else end for end in (interval.low, interval.high))
    closed = {"low_closed": interval.low_closed, "high_closed": interval.high_closed}
    return {"low": low, "high": high, **closed, "text": str(interval)}


def rule_facts(rule: Any, look: dict[str, Any]) -> dict[str, Any]:
    """What the widget knows of a rule."""
    module = sys.modules[rule.rule.__module__]
    return {
        "family": rule.family,
        "hyper": dict(rule.hyper),
        "state": rule.state,
        "color": look["color"],
        "dashes": look["dashes"],
        "source": code_of(rule.rule).rstrip(),
        # What the text may use of its file, for a program that holds the text alone.
        "names": sorted(name for name, value in vars(module).items() if inspect.isfunction(value)),
    }


def facts(node: Playground) -> dict[str, Any]:
    """What the widget is told: all landscapes and rules for the full one, those of the race for a small one."""
    lossopt = import_module("lossopt")
    landscapes = lossopt.LANDSCAPES if node["full"] else {node["landscape"]: lossopt.LANDSCAPES[node["landscape"]]}
    rules = {name: rule for name, rule in lossopt.RULES.items() if rule.elementwise}
    looks = import_module("lossopt.plot").styles(rules)
    if not node["full"]:
        rules = {name: rules[name] for name, _hyper in node["racers"]}
    return {
        "landscape": node["landscape"],
        "racers": node["racers"],
        "steps": node["steps"],
        "landscapes": {
            name: {
                "import": name if getattr(lossopt.landscapes, name) is f else f"{name}()",
                "window": f.window,
                "start": f.start,
                "minima": f.minima,
                "rates": {rule: first_rate(name, rule) for rule in rules},
            }
            for name, f in landscapes.items()
        },
        "rules": {name: rule_facts(rule, looks[name]) for name, rule in rules.items()},
        "ranges": {name: limits(name) for name in sorted({key for rule in rules.values() for key in rule.hyper})},
        "limits": LIMITS,
        # What the reader's own f may use.
        "functions": [name for name in lossopt.dual.__all__ if name not in ("Dual", "gradient")],
        "words": words(),
    }


def words() -> dict[str, str]:
    """What the script says; what it only shows is in the template."""
    return {
        "arrow_gradient": _("minus the gradient"),
        "arrow_step": _("the step"),
        "copied": _("Copied."),
        "undefined": _("not defined here"),
        "ends": _("{name} must run from a lower to a higher number, got {low} to {high}."),
        "diverged": _("diverged at step {step}"),
        "edited": _("{rule}, edited"),
        "line": _("line {line}: {message}"),
        "lowest": _("Lowest: loss {loss} at {where}."),
        "map_label": _("Map of the loss after {steps} steps. {lowest} Arrow keys change the two settings."),
        "not_started": _("Python could not start here: {reason}"),
        "not_copied": _("The browser did not allow copying; the program stands above, the link in the address bar."),
        "outside": _("outside"),
        "paths_label": _("The paths of {names} after {step} of {steps} steps."),
        "pause": _("Pause"),
        "play": _("Play"),
        "range": _("{name} must lie in {interval}, got {value}."),
        "remove": _("Remove {rule}"),
        "start_label": _("Start at x = {x}, y = {y}. Arrow keys move it."),
        "step_of": _("{step} of {steps}"),
        "too_long": _("Stopped: this took longer than four seconds. Is there a loop that never ends?"),
    }


def visit_playground(self: HTML5Translator, node: Playground) -> None:
    kind = "full" if node["full"] else "small"
    self.body.append(f'<div class="playground {kind}" id="{node["name"]}">\n<div class="playground-still">')


def depart_playground(self: HTML5Translator, node: Playground) -> None:
    known = facts(node)
    rules = import_module("lossopt").RULES
    context = {
        "name": node["name"],
        "full": node["full"],
        "facts": json.dumps(known, ensure_ascii=False).replace("<", "\\u003c"),
        "known": known,
        "families": families(known["rules"], rules),
        "link": self.builder.get_relative_uri(self.builder.current_docname, "playground") + "#" + node["link"],
    }
    self.body.append("</div>\n" + self.builder.templates.render("playground.html", context) + "</div>\n")


def families(names: Any, rules: Any) -> dict[str, list[str]]:
    """The rules by family, in the registry's order."""
    grouped: dict[str, list[str]] = {}
    for name in names:
        grouped.setdefault(rules[name].family, []).append(name)
    return grouped


def visit_still(self: Any, node: Playground) -> None:
    """Other formats have the figure alone."""


def package_files() -> dict[str, str]:
    """The files that Python finds in the browser: the package's own, as they are, and the driver."""
    folder = package_folder()
    paths = sorted(path for pattern in FILES for path in folder.glob(pattern))
    found = {f"lossopt/{path.relative_to(folder).as_posix()}": path.read_text(encoding="utf-8") for path in paths}
    # The package's own front doors import what only CPython has.
    return found | {"lossopt/__init__.py": "", "lossopt/rules/__init__.py": "", "driver.py": DRIVER.read_text("utf-8")}


def runtime() -> str:
    """The script that holds the interpreter and the files: a page opened as a file can load nothing else."""
    parts = {
        "module": (INTERPRETER / "micropython.mjs").read_bytes(),
        "binary": (INTERPRETER / "micropython.wasm").read_bytes(),
        "files": json.dumps(package_files()).encode(),
    }
    packed = {name: base64.b64encode(gzip.compress(data, mtime=0)).decode() for name, data in parts.items()}
    licence = (INTERPRETER / "LICENSE").read_text(encoding="utf-8")
    head = f"/* MicroPython, unchanged, and files of lossopt.\n\n{licence}*/\n"
    return f"{head}lossoptPlayground.runtime = {json.dumps(packed)};\n"


def after_build(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        Path(app.outdir, "_static", "playground", "runtime.js").write_text(runtime(), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("playground", PlaygroundDirective)
    app.add_role("race", RaceRole())
    still = (visit_still, visit_still)
    app.add_node(Playground, html=(visit_playground, depart_playground), text=still, latex=still)
    app.connect("doctree-read", adopt_figures)
    app.connect("build-finished", after_build)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
