"""A copied file gives the package's own numbers without the package, and the command line says what it does."""

import ast
import builtins
import inspect
import itertools
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lossopt import copying, tensor
from lossopt.__main__ import main
from lossopt.copying import CATALOGUE
from lossopt.landscapes import LANDSCAPES
from lossopt.losses import LOSSES
from lossopt.rules import RULES
from lossopt.schedules import SCHEDULES

EVERY = [f"{kind}.{name}" for kind, members in CATALOGUE.items() for name in members]
STEPS = np.random.default_rng(11).normal(size=(8, 3, 4)).tolist()  # weights, and seven gradients


def executed(names):
    """Execute a copied text where lossopt cannot be imported, and return what it defines."""

    def without_lossopt(name, *rest, **options):
        assert not name.startswith("lossopt"), f"the copy imports {name}"
        return builtins.__import__(name, *rest, **options)

    namespace = {"__name__": "copied", "__builtins__": {**vars(builtins), "__import__": without_lossopt}}
    exec(compile(copying.text(names), "copied.py", "exec"), namespace)
    return namespace


def equal(ours, theirs):
    """Whether two results are equal bit by bit, whatever they are made of."""
    if isinstance(ours, tuple):
        return len(ours) == len(theirs) and all(map(equal, ours, theirs))
    if isinstance(ours, torch.Tensor):
        return ours.dtype == theirs.dtype and torch.equal(ours, theirs)
    return np.array_equal(ours, theirs) and np.asarray(ours).dtype == np.asarray(theirs).dtype


def accepted(loss):
    """Return the first arguments that the package's own loss takes: its checks know what each of them may be."""
    torch.manual_seed(12)
    z = torch.randn(5, 4, dtype=torch.float64)
    corners = torch.cat([z[:, :2], z[:, :2] + torch.rand(5, 2, dtype=torch.float64)], -1)
    labels, coins = torch.tensor([3, 0, 2, 2, 1]), torch.tensor([1.0, 0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    scores = [z, z.sigmoid(), z.log_softmax(-1), corners]
    targets = [
        z.flip(0),
        z.flip(0).sigmoid(),
        (z > 0).double(),
        (z > 0) * 2.0 - 1,
        labels,
        coins,
        2 * coins - 1,
        corners.roll(1, 0),
    ]
    for first in scores:
        for rest in itertools.permutations(targets, len(loss.arguments) - 1):
            try:
                loss.loss(first, *rest)
            except (ValueError, TypeError):
                continue
            return first, *rest
    raise AssertionError(f"no arguments found that {loss.name} takes")


def numbers(x):
    """What is in it, and of which kind; JSON writes every double so that reading it gives the same bits."""
    return [str(x.dtype).removeprefix("torch."), x.tolist()] if hasattr(x, "dtype") else x


def steps(rule, start, gradients):
    """The weights and the state after each step."""
    arguments = [p for p in inspect.signature(rule).parameters.values() if p.default is p.empty]
    held, taken = (start, *[0.0] * (len(arguments) - 3)), []
    for t, g in enumerate(gradients, start=1):
        result = rule(held[0], g, t, *held[1:])
        held = result if isinstance(result, tuple) else (result,)
        taken.append([numbers(part) for part in held])
    return taken


def value_and_gradient(loss, first, *rest):
    """One number per example, and the gradient of their sum."""
    first.requires_grad_()
    value = loss(first, *rest)
    value.sum().backward()
    return [numbers(value), numbers(first.grad)]


# Runs in an environment, beside the copied files, on arguments that come as JSON and with results that leave as JSON.
PROGRAM = (
    "\n".join(["import inspect", *map(inspect.getsource, (numbers, steps, value_and_gradient))])
    + """
import importlib, importlib.util, json, sys
from pathlib import Path

sys.path.insert(0, "")
if sys.argv[1] == "numpy":
    import numpy
    from tensor import tensor
    array = numpy.array
else:
    import torch
    array = tensor = lambda data, dtype: torch.tensor(data, dtype=getattr(torch, dtype))

given = json.load(sys.stdin)
results = {}
for file in Path().glob("rules/*.py"):
    rule = getattr(importlib.import_module(f"rules.{file.stem}"), file.stem)
    for dtype in ("float64", "float32"):
        start, *gradients = (array(each, dtype=dtype) for each in given["steps"])
        results[f"{file.stem}, {dtype}"] = steps(rule, start, gradients)
for file in Path().glob("losses/*.py"):
    loss = getattr(importlib.import_module(f"losses.{file.stem}"), file.stem)
    arguments = (tensor(data, dtype=dtype) for dtype, data in given[file.stem])
    results[file.stem] = value_and_gradient(loss, *arguments)
found = [name for name in ("lossopt", "numpy", "torch", "scipy", "pytest") if importlib.util.find_spec(name)]
json.dump([found, results], sys.stdout)
"""
)


@pytest.fixture(scope="module", params=["numpy", "torch"])
def alone(request, environment, tmp_path_factory):
    """One of two libraries, what can be imported where it is alone, and what every copied file gave there."""
    library, folder = request.param, tmp_path_factory.mktemp(request.param)
    for kind in ("rules", "losses"):
        (folder / kind).mkdir()
        for name in CATALOGUE[kind]:
            assert main(["copy", f"{kind}.{name}", "-o", str(folder / kind / f"{name}.py")]) == 0
    if library == "numpy":  # arrays lack the methods of tensors; the file that has them needs NumPy alone as well
        shutil.copy(sys.modules["lossopt.tensor"].__file__, folder / "tensor.py")
    given = {name: [numbers(x) for x in accepted(loss)] for name, loss in LOSSES.items()} | {"steps": STEPS}
    # torch says once that it has no NumPy; any other warning is an error.
    strict = ["-I", "-W", "error", "-W", "ignore:Failed to initialize NumPy"]
    done = subprocess.run(
        [environment(library), *strict, "-c", PROGRAM, library],
        cwd=folder,
        input=json.dumps(given),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return library, *json.loads(done.stdout)


def test_neither_lossopt_nor_the_other_library_can_be_imported_there(alone):
    library, found, _ = alone
    assert found == [library]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", RULES)
def test_a_copied_rule_alone_with_a_library_takes_the_packages_steps_bit_by_bit(alone, name, dtype):
    library, _, results = alone
    make = np.array if library == "numpy" else torch.tensor
    start, *gradients = (make(each, dtype=getattr(np if library == "numpy" else torch, dtype)) for each in STEPS)
    assert json.dumps(results[f"{name}, {dtype}"]) == json.dumps(steps(RULES[name].rule, start, gradients))


@pytest.mark.parametrize("name", LOSSES)
def test_a_copied_loss_alone_with_a_library_gives_the_packages_values_and_gradients_bit_by_bit(alone, name):
    library, _, results = alone
    arguments = accepted(LOSSES[name])
    if library == "numpy":
        arguments = [tensor(x.numpy()) for x in arguments]
    expected = value_and_gradient(LOSSES[name].loss, *arguments)
    assert json.dumps(results[name]) == json.dumps(expected)
    assert np.any(expected[1][1])


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_copied_schedule_gives_the_packages_rates(name):
    settings = {"exponential": (0.9,), "wsd": (20, 3, 5), "multistep": ((3, 7),), "constant": ()}.get(name, (8,))
    t = np.arange(1, 25)
    assert equal(executed([name])[name](t, 0.1, *settings), SCHEDULES[name](t, 0.1, *settings))


@pytest.mark.parametrize("name", LANDSCAPES)
def test_a_copied_landscape_has_the_packages_values_and_gradients(name):
    copied, f = executed([name])[name], LANDSCAPES[name]
    copied = copied() if name == "quadratic" else copied
    x, y = np.random.default_rng(13).uniform(-2, 2, (2, 30))
    assert equal((copied(x, y), *copied.gradient(x, y)), (f(x, y), *f.gradient(x, y)))
    assert (copied.name, copied.minima, copied.window, copied.start) == (f.name, f.minima, f.window, f.start)


def test_a_file_with_everything_defines_everything_and_nothing_twice():
    text = copying.text(EVERY)
    compile(text, "copied.py", "exec")
    namespace = executed(EVERY)
    assert {name.partition(".")[2] for name in EVERY} <= set(namespace)
    defined = [node.name for node in ast.parse(text).body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert len(set(defined)) == len(defined)


def test_a_name_that_two_helpers_share_is_changed_in_one_of_them():
    # `norm` is the length of everything for a rule, and of every row for a loss.
    both = executed(["lars", "triplet"])
    rng = np.random.default_rng(14)
    w, g = rng.normal(size=(2, 3, 4))
    assert equal(both["lars"](w, g, 1, 0.0), RULES["lars"].rule(w, g, 1, 0.0))
    rows = torch.from_numpy(rng.normal(size=(3, 5, 4)))
    assert equal(both["triplet"](*rows), LOSSES["triplet"].loss(*rows))


def test_the_order_asked_for_does_not_matter():
    rng = np.random.default_rng(15)
    w, g = rng.normal(size=(2, 3, 4))
    for names in (["triplet", "lars", "muon"], ["muon", "lars", "triplet"]):
        assert equal(executed(names)["lars"](w, g, 1, 0.0), RULES["lars"].rule(w, g, 1, 0.0))


@pytest.mark.parametrize("name", EVERY)
def test_a_copy_imports_only_what_it_uses_and_uses_only_what_it_has(name):
    text = copying.text([name])
    tree = ast.parse(text)
    imported = {a.asname or a.name for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names}
    modules = {a.name for n in tree.body if isinstance(n, ast.Import) for a in n.names}
    modules |= {n.module for n in tree.body if isinstance(n, ast.ImportFrom)}
    defined = {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    defined |= {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
    used = copying._globals(text)
    assert imported <= used
    assert used <= imported | defined | set(dir(builtins))
    assert modules <= {"math", "sys", "typing", "numpy"}
    assert not [n for n in ast.walk(tree) if getattr(n, "decorator_list", [])]
    # Everything defined is asked for or called: nothing is copied for nothing.
    assert defined <= used | {name.partition(".")[2]}


def test_every_copy_together_is_clean_for_ruff(tmp_path):
    path = tmp_path / "copied.py"
    path.write_text(copying.text(EVERY), encoding="utf-8")
    check = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "E4,E7,E9,F,I", str(path)]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_head_names_version_licence_and_source_of_each():
    head = copying.text(["adam", "huber"]).partition("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    flat = " ".join(head.replace("#", " ").split())
    assert flat.startswith("Copied from lossopt ")
    assert "adam (lossopt/rules/adam.py): Kingma and Ba (2015)" in flat
    assert "huber (lossopt/losses/regression.py): Huber (1964)" in flat
    assert "the checks of its arguments stayed in lossopt" in flat
    assert " ".join(copying.LICENCE.split()) in flat
    assert "checks" not in copying.text(["adam"]).partition("\n\n")[0]


def test_the_licence_is_the_projects():
    written = Path(__file__).parent.parent / "LICENSE"
    assert copying.LICENCE.split() == written.read_text(encoding="utf-8").split()


def test_everything_has_a_sentence_and_a_source():
    for members in CATALOGUE.values():
        for entry in members.values():
            assert entry.summary.endswith("."), entry.name
            assert entry.origin, entry.name


@pytest.mark.parametrize("name", EVERY)
def test_the_source_shown_is_the_packages_text(name):
    shown = copying.source(name)
    path, _, line = shown.partition("\n")[0].removeprefix("# ").partition(", line ")
    file = (Path(copying.__file__).parent.parent / path).read_text(encoding="utf-8")
    short = name.partition(".")[2]
    assert f"def {short}(" in shown or f"\n{short} = " in shown
    assert all(part in file for part in shown.partition("\n")[2].strip().split("\n\n\n"))
    assert file.splitlines()[int(line) - 1].startswith("def ")


def test_a_name_of_several_things_is_told_apart(monkeypatch):
    twin = copying.Entry("schedules", "huber", "schedules", "lossopt.schedules", "A twin.", "None.")
    monkeypatch.setattr(copying, "CATALOGUE", {**CATALOGUE, "schedules": {**CATALOGUE["schedules"], "huber": twin}})
    with pytest.raises(
        ValueError, match=r"'huber' is the name of several things: write losses.huber or schedules.huber"
    ):
        copying.find("huber")
    assert copying.find("losses.huber").kind == "losses"
    with pytest.raises(ValueError, match="two of the formulas are called huber: copy them into two files"):
        copying.text(["losses.huber", "schedules.huber"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adm", "unknown name 'adm': did you mean 'adam'"),
        ("crossentropy", "did you mean 'cross_entropy'"),
        ("xyzzy", "unknown name 'xyzzy': `python -m lossopt list` shows every name"),
        ("rules.huber", "unknown name 'rules.huber'"),
        (
            "optimizers.adam",
            "unknown kind 'optimizers' in 'optimizers.adam': the kinds are rules, losses, schedules, landscapes",
        ),
    ],
)
def test_an_unknown_name_gets_a_suggestion(name, message):
    with pytest.raises(ValueError, match=message):
        copying.text(["adam", name])


def test_copying_nothing_is_refused_and_twice_is_once():
    with pytest.raises(ValueError, match="nothing to copy"):
        copying.text([])
    assert copying.text(["adam", "rules.adam", "adam"]) == copying.text(["adam"])


def test_list_names_everything_by_family_with_its_sentence(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for kind, members in CATALOGUE.items():
        for entry in members.values():
            (line,) = [
                line for line in lines if line.split() and line.split()[0] == entry.name and line.startswith("  ")
            ]
            assert line.endswith(f" {entry.summary}")
            heading = next(above for above in reversed(lines[: lines.index(line)]) if not above.startswith(" "))
            assert heading == (kind if entry.family == kind else f"{kind}, {entry.family}")


def test_show_prints_the_source_and_where_it_is_from(capsys):
    assert main(["show", "adam"]) == 0
    out = capsys.readouterr().out
    assert out == copying.source("adam")
    assert out.startswith("# lossopt/rules/adam.py, line ")
    assert "Kingma" in out


def test_copy_prints_without_a_file_and_writes_with_one(capsys, tmp_path):
    assert main(["copy", "adam", "huber"]) == 0
    assert capsys.readouterr().out == copying.text(["adam", "huber"])
    path = tmp_path / "mine.py"
    assert main(["copy", "adam", "huber", "-o", str(path)]) == 0
    assert capsys.readouterr().out == ""
    assert path.read_text(encoding="utf-8") == copying.text(["adam", "huber"])
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_overwritten_only_by_force(capsys, tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("precious", encoding="utf-8")
    assert main(["copy", "adam", "-o", str(path)]) == 2
    assert capsys.readouterr().err == f"lossopt: {path} exists; --force overwrites it\n"
    assert path.read_text(encoding="utf-8") == "precious"
    assert main(["copy", "adam", "-o", str(path), "--force"]) == 0
    assert path.read_text(encoding="utf-8") == copying.text(["adam"])
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(capsys, tmp_path, monkeypatch):
    path = tmp_path / "mine.py"
    path.write_text("precious", encoding="utf-8")

    def full(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    assert main(["copy", "adam", "-o", str(path), "--force"]) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert path.read_text(encoding="utf-8") == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_to_is_said_in_one_line(capsys, tmp_path):
    assert main(["copy", "adam", "-o", str(tmp_path), "--force"]) == 2
    assert capsys.readouterr().err == f"lossopt: {tmp_path} is a folder, a file is needed\n"
    assert main(["copy", "adam", "-o", str(tmp_path / "none" / "mine.py")]) == 2
    assert capsys.readouterr().err == f"lossopt: there is no folder {tmp_path / 'none'}\n"


@pytest.mark.parametrize("command", [["copy", "adam", "adm"], ["show", "adm"]])
def test_an_unknown_name_ends_with_code_2_one_line_and_no_file(command, capsys, tmp_path):
    path = tmp_path / "mine.py"
    assert main([*command, *(["-o", str(path)] if command[0] == "copy" else [])]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("lossopt: unknown name 'adm': did you mean 'adam'")
    assert err.count("\n") == 1
    assert not path.exists()


def test_a_missing_command_ends_with_code_2(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "command" in capsys.readouterr().err


def test_the_module_runs_and_a_closed_pipe_is_no_error():
    command = [sys.executable, "-m", "lossopt", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "rules, adam\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0
    done = subprocess.run([*command[:-1], "copy", "adm"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("lossopt: unknown name 'adm'")
