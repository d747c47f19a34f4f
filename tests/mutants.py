"""Break every formula in small ways, one at a time, and see a test fail each time.

    python tests/mutants.py                        every file of lossopt/rules and lossopt/losses
    python tests/mutants.py lossopt/rules/adam.py  one file

cosmic-ray finds the places and writes the mutants: another operator, a number one more or one less, a sign or a `not`
taken away, a bound that moves in or out, a branch exchanged.  Running its own command for each would import torch a
thousand times, so here a parent imports everything but lossopt once, and every mutant is tested in a fork of it, on a
temporary copy of the package and its tests: nothing is written into the checkout.

A mutant that no test notices must be explained in mutants.toml; an explanation that no survivor needs is stale.
Both make the run fail.  pytest does not collect this file, since its name does not begin with test_.
"""

import ast
import difflib
import gc
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import tomllib
from collections import Counter
from pathlib import Path
from typing import NamedTuple

os.environ["OMP_NUM_THREADS"] = "1"  # a fork of a process with threads may hang

import hypothesis.extra.numpy  # noqa: F401  (this and the next: what the tests import, once for all of them)
import matplotlib.pyplot  # noqa: F401
import mpmath  # noqa: F401
import pytest
import schedulefree  # noqa: F401
import sympy  # noqa: F401
import torch._dynamo  # noqa: F401  (torch.optim imports it at its first step)
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator

ROOT = Path(__file__).resolve().parent.parent
EXPLAINED = Path(__file__).with_suffix(".toml")
# These compile the same text that NumPy and torch run: they would say the same again, slowly.
LEFT_OUT = ("jax", "optax", "numba")
REPLACED = {
    "Binary": ["Add_Sub", "Sub_Add", "Mul_Div", "Div_Mul", "Pow_Mul", "Mod_FloorDiv", "BitAnd_BitOr", "BitOr_BitAnd"],
    "Comparison": ["Lt_LtE", "LtE_Lt", "Gt_GtE", "GtE_Gt", "Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is"],
    "Unary": ["Delete_USub", "Delete_Not", "Delete_Invert"],
}
OPERATORS = [f"core/Replace{kind}Operator_{name}" for kind, names in REPLACED.items() for name in names]
OPERATORS += [f"core/Replace{name}" for name in ("TrueWithFalse", "FalseWithTrue", "AndWithOr", "OrWithAnd")]
OPERATORS += [f"core/{name}" for name in ("AddNot", "NumberReplacer", "ExceptionReplacer", "ZeroIterationForLoop")]


class Mutant(NamedTuple):
    """One change of one file: its whole new text, and the line before and after."""

    file: str
    line: int
    before: str
    after: str
    text: str


def mutants(file):
    """All mutants of a file, in the order of its lines; what annotates a type is no behaviour and stays."""
    source = Path(file).read_text("utf-8")
    nodes = list(ast_nodes(get_ast(source)))
    types = [getattr(node, of, None) for node in ast.walk(ast.parse(source)) for of in ("annotation", "returns")]
    spans = [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in types if n]
    found = []
    for operator in (get_operator(name)() for name in OPERATORS):
        places = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for occurrence, place in enumerate(places):
            if not any(start <= place < end for start, end in spans):
                text = mutate_code(source, operator, occurrence)
                found.append(Mutant(file, place[0], *_changed(source, text), text))
    return sorted(found)


def _changed(before, after):
    """The lines that differ, before and after, their spaces counted as one."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    return (" ".join(" ".join(line[2:] for line in lines if line[:2] == mark).split()) for mark in ("- ", "+ "))


def stages_of(file):
    """A file's own tests, then the laws, then the rest of its directory; pytest imports a stage before it runs it."""
    directory = Path("tests", *Path(file).parts[1:-1])
    own, laws = [directory / f"test_{Path(file).stem}.py"], [directory / f"test_{n}.py" for n in ("registry", "laws")]
    rest = sorted({*directory.glob("test_*.py")} - {*own, *laws})
    return [[str(path) for path in stage if path.exists()] for stage in (own, laws, rest)]


def _child(stages, seconds):
    """Run tests on the copy in a fork; its exit code is pytest's, and what it prints goes into a file there."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
    output = os.open("output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.path.insert(0, str(Path.cwd()))
    sys.modules |= dict.fromkeys(LEFT_OUT)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
    sys.exit(next((int(code) for tests in stages if tests and (code := pytest.main([*options, *tests]))), 0))


def passes(stages, limit):
    """Whether the tests pass on the copy as it is; None where they took more than `limit` seconds of processor time."""
    child = multiprocessing.get_context("fork").Process(target=_child, args=(stages, limit))
    child.start()
    child.join(10 * limit)  # by the clock, which a busy machine stretches, only against what waits for ever
    if child.exitcode is None:
        child.kill()
        child.join()
        return None
    return None if child.exitcode == -signal.SIGXCPU else child.exitcode == 0


def survivors_of(file, limit, counts):
    """Test every mutant of a file and yield those that nothing notices."""
    path, stages = Path(file), stages_of(file)
    original, times = path.read_text("utf-8"), path.stat()
    for mutant in mutants(file):
        path.write_text(mutant.text, "utf-8")
        alive = passes(stages, limit)
        counts.update(("mutants", "hung" if alive is None else "survived" if alive else "killed"))
        if alive:
            yield mutant
    path.write_text(original, "utf-8")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # its compiled form is right again


def limits_of(files):
    """How much processor time the tests of each directory may take; they must pass on the code as it is."""
    limits = {}
    for directory, file in {Path(file).parent: file for file in files}.items():
        start = children_seconds()
        if not passes(stages_of(file), 900):
            print(Path("output").read_text("utf-8"))
            sys.exit(f"the tests of {directory} do not pass on the code as it is: mend that first")
        limits[directory] = 20 + 3 * round(children_seconds() - start)
    return limits


def children_seconds():
    """The processor time of all forks so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(files):
    """Mutate the files, print what survived, and return the number of complaints."""
    files = files or [str(path) for d in ("rules", "losses") for path in sorted(Path("lossopt", d).glob("[!_]*.py"))]
    explained = tomllib.loads(EXPLAINED.read_text("utf-8"))["mutant"]
    reasons = {(entry["file"], entry["before"], to): entry["reason"] for entry in explained for to in entry["after"]}
    limits, survived = limits_of(files), set()
    sys.dont_write_bytecode = True  # the tests are compiled by now; a compiled mutant would outlive it
    for file in files:
        start, counts = time.monotonic(), Counter()
        for mutant in survivors_of(file, limits[Path(file).parent], counts):
            key = mutant.file, mutant.before, mutant.after
            survived.add(key)
            counts["explained"] += key in reasons
            print(f"{mutant.file}:{mutant.line}: {reasons.get(key, 'NOT EXPLAINED')}")
            print(f"  - {mutant.before}\n  + {mutant.after}", flush=True)
        tally = ", ".join(f"{counts[kind]} {kind}" for kind in ("mutants", "killed", "hung", "survived", "explained"))
        print(f"{file}: {tally}, {time.monotonic() - start:.0f} s", flush=True)
    stale = [key for key in reasons if key[0] in files and key not in survived]
    for file, before, after in stale:
        print(f"{file}: stale in {EXPLAINED.name}, nothing survives as\n  - {before}\n  + {after}")
    print(f"{len(survived - set(reasons))} survivors not explained, {len(stale)} explanations stale")
    return len(survived - set(reasons)) + len(stale)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as copy:
        for directory in ("lossopt", "tests"):
            shutil.copytree(ROOT / directory, Path(copy, directory), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        os.chdir(copy)
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = copy
        gc.freeze()  # a fork need not look at what the parent imported
        sys.exit(main(sys.argv[1:]) > 0)
