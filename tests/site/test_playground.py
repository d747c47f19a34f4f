"""What a page says of a race is checked while it is built, and the widget is told all that it needs."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from itertools import count
from unittest.mock import MagicMock

import numpy as np
import pytest
from _ext import playground
from _ext.notebooks import DOCS
from _ext.plain_markdown import plain
from _ext.playground import RATES, STEPS, first_rate, package_files, runtime
from _ext.sources import code_of
from bs4 import BeautifulSoup
from nbformat import v4
from sphinx.errors import ExtensionError

import lossopt
from lossopt import LANDSCAPES, dual

SCRIPTS = DOCS / "_static" / "playground"
TEMPLATE = DOCS / "_templates" / "playground.html"
ELEMENTWISE = [name for name, rule in lossopt.RULES.items() if rule.elementwise]
SETTINGS = {
    "extensions": ["_ext.playground"],
    "templates_path": [str(DOCS / "_templates")],
    "html_static_path": [str(DOCS / "_static")],
    "nb_execution_mode": "off",
}


def page(*parts: str) -> str:
    """A notebook whose cell has shown a figure already, and Markdown after it."""
    shown = v4.new_output("stream", text="the still figure")
    cells = [v4.new_markdown_cell("# Page"), v4.new_code_cell("show()", outputs=[shown])]
    cells += [v4.new_markdown_cell(part) for part in parts]
    return json.dumps(v4.new_notebook(cells=cells, metadata={"language_info": {"name": "python"}}))


def scripts() -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in SCRIPTS.glob("*.js"))


def html(built, name: str = "index.html") -> BeautifulSoup:
    return BeautifulSoup(built.text(name), "html.parser")


def facts(widget) -> dict:
    return json.loads(widget.select_one('[data-part="facts"]').text)


FULL = "```{playground}\n:full:\n```"
SMALL = "```{playground}\n:landscape: booth\n:race: adam:lr=0.5,beta1=0.8;sgd\n:steps: 200\n```"


# The directive -------------------------------------------------------------------------------------------------------


def test_the_figure_of_the_cell_before_becomes_what_is_seen_without_a_script(project):
    read = html(project({"index.ipynb": page(SMALL)}, **SETTINGS))
    still = read.select_one(".playground.small > .playground-still")
    assert "the still figure" in still.text
    assert read.text.count("the still figure") == 1, "it has left its cell"
    assert read.select_one(".playground > .playground-stage").has_attr("hidden")


def test_each_playground_of_a_page_has_its_own_figure_race_and_name(project):
    cell = v4.new_code_cell("again()", outputs=[v4.new_output("stream", text="another figure")])
    notebook = v4.reads(page(SMALL))
    notebook.cells += [cell, v4.new_markdown_cell(SMALL.replace("booth", "saddle"))]
    first, second = html(project({"index.ipynb": json.dumps(notebook)}, **SETTINGS)).select(".playground")
    assert "the still figure" in first.text
    assert "another figure" in second.text
    assert [facts(each)["landscape"] for each in (first, second)] == ["booth", "saddle"]
    assert first["id"] != second["id"]
    assert not {each["id"] for each in first.select("[id]")} & {each["id"] for each in second.select("[id]")}


@pytest.mark.parametrize(("builder", "file"), [("text", "index.txt"), ("latex", "project.tex")])
def test_other_formats_have_the_figure_alone(project, builder, file):
    text = project({"index.ipynb": page(SMALL)}, builder=builder, project="project", **SETTINGS).text(file)
    assert "the still figure" in text
    assert "adam" not in text


def test_a_page_with_one_has_a_template_for_its_translation(project):
    built = project({"index.ipynb": page(SMALL, "After.")}, builder="gettext", **SETTINGS)
    assert 'msgid "After."' in built.text("index.pot")
    assert built.warnings == ""


@pytest.mark.parametrize("between", ["", "```{code-cell}\nsilent = 1\n```\n\n", "```{code-cell}\n1\n```\n\nText.\n\n"])
def test_without_a_figure_right_before_it_a_playground_is_an_error_on_its_line(project, between):
    head = "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n---\n\n# Page\n\n" + between
    line = head.count("\n") + 1
    with pytest.raises(ExtensionError, match=rf"index\.md:{line}: a playground stands after the cell of its still"):
        project({"index.md": head + SMALL}, **SETTINGS)


WRONG_RACES = {
    ":landscape: beaale": "there is no beaale in lossopt.LANDSCAPES; did you mean beale?",
    ":race: adm;sgd": "there is no adm in lossopt.RULES; did you mean adam?",
    ":race: adam:beta=0.9": "adam: unknown hyper-parameter 'beta', did you mean 'beta2'?",
    ":race: adam:beta1=1": "adam: beta1 must lie in [0, 1), got 1.0",
    ":race: sgd:lr=-1": "sgd: lr must lie in [0, inf), got -1.0",
    ":race: sgd:lr=nan": "sgd: lr must lie in [0, inf), got nan",
    ":race: sgd:lr=fast": "sgd:lr must be a number, got 'fast'",
    ":race: sgd:lr": "sgd:lr must be a number, got ''",
    ":race: muon": "muon cannot be run on two floats: it needs whole tensors",
}


def test_a_race_that_cannot_be_run_is_an_error_that_says_why(project):
    pages = {f"page{i}.ipynb": page(f"```{{playground}}\n{wrong}\n```") for i, wrong in enumerate(WRONG_RACES)}
    said = project({"index.md": "# Page", **pages}, **SETTINGS).warnings.split("\n/")
    for i, (wrong, message) in enumerate(WRONG_RACES.items()):
        assert any(f"page{i}.ipynb:" in each and "ERROR" in each and message in each for each in said), wrong


# What the widget is told ---------------------------------------------------------------------------------------------


def test_the_full_one_knows_every_landscape_and_every_rule_that_two_floats_can_run(project):
    known = facts(html(project({"index.ipynb": page(FULL)}, **SETTINGS)))
    assert list(known["landscapes"]) == list(lossopt.LANDSCAPES)
    assert list(known["rules"]) == ELEMENTWISE
    for name, landscape in known["landscapes"].items():
        ours = lossopt.LANDSCAPES[name]
        assert [tuple(point) for point in landscape["minima"]] == ours.minima
        assert (tuple(map(tuple, landscape["window"])), tuple(landscape["start"])) == (ours.window, ours.start)
        assert landscape["rates"] == {rule: first_rate(name, rule) for rule in ELEMENTWISE}
    for name, rule in known["rules"].items():
        ours = lossopt.RULES[name]
        assert (rule["family"], tuple(rule["state"]), rule["hyper"]) == (ours.family, ours.state, dict(ours.hyper))
        assert rule["source"] + "\n" == code_of(ours.rule)
        for setting in rule["hyper"]:
            assert known["ranges"][setting]["text"] == str(ours.ranges[setting])
    looks = [(rule["color"], *map(str, rule["dashes"])) for rule in known["rules"].values()]
    assert len(set(looks)) == len(looks), "no two rules look alike"


def test_a_range_says_both_ends_and_whether_they_belong_to_it(project):
    ranges = facts(html(project({"index.ipynb": page(FULL)}, **SETTINGS)))["ranges"]
    ends = ("low", "high", "low_closed", "high_closed")
    assert [ranges["lr"][end] for end in ends] == [0, None, True, False]
    assert [ranges["beta1"][end] for end in ends] == [0, 1, True, False]
    assert [ranges["momentum"][end] for end in ends] == [0, 1, True, True]


def test_a_small_one_knows_its_own_race_alone(project):
    small = html(project({"index.ipynb": page(SMALL)}, **SETTINGS)).select_one(".playground")
    known = facts(small)
    assert (known["landscape"], known["steps"]) == ("booth", 200)
    assert known["racers"] == [["adam", {"lr": 0.5, "beta1": 0.8}], ["sgd", {}]]
    assert (list(known["landscapes"]), set(known["rules"])) == (["booth"], {"adam", "sgd"})
    link = small.select_one(".playground-stage a")["href"]
    assert link == "playground.html#landscape=booth&steps=200&race=adam:lr=0.5,beta1=0.8;sgd"


def test_nothing_that_a_rule_says_ends_the_script_it_is_told_in(project, monkeypatch):
    text = "def sgd(w, g, t):\n    return '</script><b>' < '<!--'"
    monkeypatch.setattr(playground, "code_of", lambda function: text + "\n")
    built = project({"index.ipynb": page(SMALL)}, **SETTINGS)
    assert facts(html(built))["rules"]["sgd"]["source"] == text
    assert "</script><b>" not in built.text("index.html")
    assert "<!--" not in html(built).select_one('[data-part="facts"]').string


def test_the_script_asks_for_every_word_it_is_told_and_for_no_other():
    assert set(re.findall(r"words\.(\w+)", scripts())) == set(playground.words())


def test_every_part_the_script_looks_for_is_in_the_full_widget(project):
    wanted = set(re.findall(r'\.(?:part|on)\("([\w-]+)"', scripts()))
    full = html(project({"index.ipynb": page(FULL)}, **SETTINGS))
    assert wanted - {each["data-part"] for each in full.select("[data-part]")} == set()


def test_every_label_comes_from_the_catalogue(project):
    written = TEMPLATE.read_text(encoding="utf-8") + (DOCS / "_ext" / "playground.py").read_text(encoding="utf-8")
    number = count(1)
    entries = [f'msgid "{text}"\nmsgstr "말 {next(number)}"' for text in set(re.findall(r'\b_\("([^"]+)"\)', written))]
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8"'
    catalogue = {"words/ko/LC_MESSAGES/sphinx.po": "\n\n".join([head, *entries])}
    files = {"index.ipynb": page(FULL), **catalogue}
    widget = html(project(files, language="ko", locale_dirs=["words"], **SETTINGS)).select_one(".playground-stage")
    assert not [word for word in facts(widget)["words"].values() if "말" not in word]
    names = {*lossopt.RULES, *lossopt.LANDSCAPES, *(rule.family for rule in lossopt.RULES.values())}
    names |= {name for rule in lossopt.RULES.values() for name in rule.hyper}
    said = {text.strip() for text in widget.find_all(string=True) if text.parent.name not in ("script", "template")}
    said |= {each[key] for key in ("aria-label", "title", "label") for each in widget.select(f"[{key}]")}
    english = {text for text in said - names if "말" not in text and re.search(r"[A-Za-z]{2}", text)}
    assert english == set()


# What pages say of it ------------------------------------------------------------------------------------------------

PLAYGROUND = re.compile(
    r"```\{code-cell\} python\n---\n(?:(?!---).*\n)*---\n(?P<cell>(?:(?!```).*\n)*)```\n\n"
    r"```\{playground\}\n(?P<options>(?:.*\n)*?)```"
)
WITH_ONE = [path for path in sorted(DOCS.rglob("*.md")) if "\n```{playground}\n" in path.read_text(encoding="utf-8")]


@pytest.mark.parametrize("path", WITH_ONE, ids=lambda path: path.stem)
def test_the_still_figure_shows_the_race_that_the_widget_begins_with(path, monkeypatch):
    (found,) = PLAYGROUND.finditer(path.read_text(encoding="utf-8"))
    options = dict(re.findall(r"^:(\w+):[ ]*(.*)$", found["options"], re.MULTILINE))
    drawn = []

    def minimize(rule, f, start, steps, **hyper):
        drawn.append((f.name, tuple(start), steps, lossopt.rules.describe(rule).name, hyper))

    monkeypatch.setattr(lossopt, "minimize", minimize)
    monkeypatch.setattr(lossopt.plot, "paths", MagicMock())
    names = {
        **vars(lossopt.landscapes),
        **vars(lossopt),
        "np": np,
        "plot": lossopt.plot,
        "bowl": LANDSCAPES["quadratic"],
    }
    exec(found["cell"], names)
    f = LANDSCAPES[options["landscape"]]
    race = [(f.name, f.start, int(options["steps"]), *racer) for racer in playground.parsed(options["race"])]
    assert drawn == race


def test_the_page_says_what_the_widget_does():
    said = (DOCS / "playground.md").read_text(encoding="utf-8")
    version = re.search(rb"MicroPython v([\d.]+)", (playground.INTERPRETER / "micropython.wasm").read_bytes())[1]
    assert f"MicroPython {version.decode()}," in said
    kilobytes = int(re.search(r"about (\d+) KB", said)[1])
    assert len(gzip.compress(runtime().encode())) / 1000 == pytest.approx(kilobytes, rel=0.05)
    grid = re.search(r"^grid = (.*)$", said, re.MULTILINE)[1]
    assert eval(grid) == RATES.tolist()
    assert f"lowest mean loss over {STEPS} steps" in said
    assert playground.LIMITS["steps"][1] == 1000
    assert "**A thousand steps** are the most" in said
    assert "const PATIENCE = 4000;" in scripts()
    assert "stopped after four seconds" in said
    assert "longer than four seconds" in (DOCS / "_ext" / "playground.py").read_text(encoding="utf-8")
    (listed,) = re.findall(r"It may use ((?:`\w+`(?:, | and )?)+)", said)
    assert set(re.findall(r"\w+", listed.replace(" and ", " "))) == set(dual.__all__) - {"Dual", "gradient"}


# The rates that races begin with -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("landscape", "rule"), [("beale", "sgd"), ("rosenbrock", "adam"), ("rastrigin", "momentum")])
def test_the_first_rate_has_the_lowest_mean_loss_of_all_that_stay_in_the_window(landscape, rule):
    f = lossopt.LANDSCAPES[landscape]
    runs = {rate: lossopt.minimize(lossopt.RULES[rule], f, f.start, STEPS, lr=rate) for rate in RATES}
    stayed = {rate: run.loss.mean() for rate, run in runs.items() if run.left_window < 0 and run.diverged < 0}
    assert 0 < len(stayed) < len(RATES)
    assert first_rate(landscape, rule) == min(stayed, key=stayed.get)


def test_where_every_rate_leaves_the_window_the_best_that_does_not_diverge_is_taken(monkeypatch):
    f = lossopt.LANDSCAPES["beale"]
    narrow = lossopt.landscapes.Landscape("narrow", f.value, f.gradient, f.minima, ((9, 10), (9, 10)), f.start)
    monkeypatch.setattr(lossopt, "LANDSCAPES", {"narrow": narrow})
    runs = lossopt.minimize(lossopt.RULES["sgd"], narrow, np.array(f.start), STEPS, lr=RATES)
    best = RATES[np.nanargmin(np.where(runs.diverged < 0, runs.loss.mean(axis=0), np.nan))]
    assert first_rate.__wrapped__("narrow", "sgd") == best


@pytest.mark.parametrize("landscape", [name for name, f in lossopt.LANDSCAPES.items() if not f.minima])
def test_where_a_function_falls_for_ever_all_rules_begin_with_a_step_of_one_length(landscape):
    f = lossopt.LANDSCAPES[landscape]
    width = f.window[0][1] - f.window[0][0]
    for rule in ELEMENTWISE:
        path = lossopt.minimize(lossopt.RULES[rule], f, f.start, 1, lr=first_rate(landscape, rule))
        # The rate has two digits.
        assert np.hypot(*(path.points[1] - path.points[0])) == pytest.approx(width / 40, rel=0.05), rule


# The link to a race --------------------------------------------------------------------------------------------------


def test_a_race_in_the_text_is_a_link_to_the_playground_from_any_folder(project):
    race = "landscape=beale&start=1,1.5&steps=100&noise=0.1&seed=3&race=adam:lr=0.1;sgd"
    pages = {
        "index.md": f"# Page\n\nTry {{race}}`this\nrace <{race}>`.",
        "folder/inner.md": f"# In\n\n{{race}}`it <{race}>`",
    }
    built = project(pages, **SETTINGS)
    outer, inner = (html(built, name).select_one(f'a[href$="{race}"]') for name in ("index.html", "folder/inner.html"))
    assert (" ".join(outer.text.split()), outer["href"]) == ("this race", f"playground.html#{race}")
    assert (inner.text, inner["href"]) == ("it", f"../playground.html#{race}")


WRONG_LINKS = {
    "this race": "write it as {race}`text <landscape=beale&race=adam:lr=0.1;sgd>`",
    "it <race=adam>": "a race has landscape and race, and perhaps start, steps, noise and seed, got 'race=adam'",
    "it <landscape=beale&race=adam&rate=1>": "a race has landscape and race, and perhaps",
    "it <beale>": "a race has landscape and race",
    "it <landscape=beaale&race=adam>": "there is no beaale in lossopt.LANDSCAPES; did you mean beale?",
    "it <landscape=beale&race=adm>": "there is no adm in lossopt.RULES; did you mean adam?",
    "it <landscape=beale&race=adam:beta1=1>": "adam: beta1 must lie in [0, 1), got 1.0",
    "it <landscape=beale&race=soap>": "soap cannot be run on two floats",
    "it <landscape=beale&race=adam&steps=2000>": "steps",
    "it <landscape=beale&race=adam&start=1>": "start",
    "it <landscape=beale&race=adam&noise=loud>": "noise",
    "it <landscape=beale&race=adam&seed=-1>": "seed",
}


def test_a_link_to_a_race_that_cannot_be_run_is_an_error_on_its_line(project):
    lines = [f"Try {{race}}`{text}`." for text in WRONG_LINKS]
    said = project({"index.md": "\n\n".join(["# Page", *lines])}, **SETTINGS).warnings.splitlines()
    for i, (text, message) in enumerate(WRONG_LINKS.items()):
        (here,) = [each for each in said if f"index.md:{2 * i + 3}: ERROR: race: " in each]
        assert message in here, text


# What is taken away and what is sent ---------------------------------------------------------------------------------


def test_a_notebook_that_is_taken_away_has_the_text_of_a_race_and_no_widget():
    assert plain(f"Before.\n\n{FULL}\n\nAfter.") == "Before.\n\n\n\nAfter."
    assert plain("Before.\n\n```{playground}\n```\n\nAfter.") == "Before.\n\n\n\nAfter."
    assert plain(f"Before.\n\n{SMALL}\n\nAfter.") == "Before.\n\n\n\nAfter."
    assert plain("Try {race}`this one <landscape=beale&race=adam:lr=0.1;sgd>`.") == "Try this one."


def unpacked() -> dict[str, bytes]:
    found = re.search(r"^lossoptPlayground\.runtime = (.*);$", runtime(), re.MULTILINE)
    return {name: gzip.decompress(base64.b64decode(packed)) for name, packed in json.loads(found[1]).items()}


def test_the_runtime_holds_the_interpreter_as_it_was_published():
    recorded = dict(reversed(line.split()) for line in (DOCS / "_ext/vendor/SHA256SUMS").read_text().splitlines())
    parts = unpacked()
    for part, file in {"module": "micropython.mjs", "binary": "micropython.wasm"}.items():
        assert hashlib.sha256(parts[part]).hexdigest() == recorded[f"_ext/vendor/micropython/{file}"]


def test_the_runtime_holds_the_files_of_the_package_as_they_are():
    files = json.loads(unpacked()["files"])
    folder = DOCS.parent / "lossopt"
    emptied = {"lossopt/__init__.py", "lossopt/rules/__init__.py"}
    for name, text in files.items():
        if name in emptied:
            assert text == ""
        elif name == "driver.py":
            assert text == (SCRIPTS / "driver.py").read_text(encoding="utf-8")
        else:
            assert text == (folder.parent / name).read_text(encoding="utf-8"), name
    families = {f"lossopt/rules/{lossopt.RULES[name].family}.py" for name in ELEMENTWISE}
    assert {*families, *emptied, "driver.py", "lossopt/landscapes.py", "lossopt/dual.py"} <= set(files)


def test_the_runtime_is_the_same_each_time_it_is_made():
    assert runtime() == runtime()
    assert list(package_files()) == list(package_files())


def test_a_built_site_holds_the_runtime_beside_the_scripts(project):
    built = project({"index.md": "# Page"}, **SETTINGS)
    assert built.text("_static/playground/runtime.js") == runtime()
