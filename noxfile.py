"""Every task of the project, one session each: `nox -l` lists them, `nox -s NAME` runs one."""

import os
import shutil
from pathlib import Path

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["docs"]

ROOT = Path(__file__).resolve().parent
PINNED = ("-c", str(ROOT / "constraints.txt"))
EVERYTHING = "[plot,torch,fast,data,formula,progress,safetensors]"


def install(session: nox.Session, *what: str) -> None:
    """Install into the session's environment, every version as constraints.txt pins it."""
    session.install(*what, *PINNED)


def install_wheel(session: nox.Session, *groups: str) -> None:
    """Install lossopt as its users get it: as a wheel, so that a file missing from it is missed here."""
    dist = Path(session.create_tmp()).resolve() / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(dist), str(ROOT), silent=True)
    (wheel,) = dist.glob("lossopt-*.whl")
    install(session, f"lossopt{EVERYTHING} @ {wheel.as_uri()}", *(f"--group={name}" for name in groups))
    # The version does not change between two builds of a checkout: put this build in place of the last one.
    session.install("--no-deps", "--force-reinstall", str(wheel))
    session.env["LOSSOPT_INSTALLED"] = "1"
    session.env["PYTHONSAFEPATH"] = "1"  # else `python -m` finds the checkout before the wheel


@nox.session
def docs(session: nox.Session) -> None:
    """Build both editions of the site; `-- serve` to read them, `-- live` to rebuild while writing."""
    install(session, "-e", f".{EVERYTHING}", "--group", "docs")
    session.run("python", "docs/build.py", *session.posargs)


@nox.session(default=False)
def tests(session: nox.Session) -> None:
    """Build the site and run the tests, its browser tests included, against the built wheel."""
    install_wheel(session, "test")
    session.run("python", "docs/build.py")
    session.env["LOSSOPT_SITE"] = str(ROOT / "docs" / "_build" / "site")
    session.run("pytest", "--numprocesses=auto", "--dist=worksteal", *session.posargs)


@nox.session(default=False)
def nightly(session: nox.Session) -> None:
    """Build the site and run the downloads of every page in a fresh environment."""
    install_wheel(session, "test")
    session.run("python", "docs/build.py")
    session.env["LOSSOPT_SITE"] = str(ROOT / "docs" / "_build" / "site")
    session.run("pytest", "tests/site/test_downloads.py", "-m", "nightly or not nightly", *session.posargs)


@nox.session(default=False)
def referees(session: nox.Session) -> None:
    """Run the rules' and losses' tests with the engines and referees that are never required (jax, optax)."""
    install_wheel(session, "test", "referees")
    session.run("pytest", "tests", "--ignore=tests/site", *session.posargs)


@nox.session(default=False)
def lint(session: nox.Session) -> None:
    """Check style, types, the floors of the house and spelling."""
    install(session, "-e", f".{EVERYTHING}", "--group", "lint", "nox")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports")
    session.run("codespell")


@nox.session(default=False)
def mutate(session: nox.Session) -> None:
    """Break every rule and loss in small ways and see a test fail each time; `-- FILE` for one file."""
    install(session, "-e", f".{EVERYTHING}", "--group", "mutate")
    session.run("python", "tests/mutants.py", *session.posargs)


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure speed as ratios in one run, print them and save them to benchmarks/results.json."""
    install_wheel(session)
    # One thread each: threads that contend would be measured, not programs.
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    session.run("python", "benchmarks/run.py", *session.posargs, env=dict.fromkeys(threads, "1"))


@nox.session(default=False)
def fashion(session: nox.Session) -> None:
    """Compare ten rules on Fashion-MNIST and save the results to lossopt/recorded (about a quarter of an hour)."""
    install(session, "-e", ".")
    # One thread, as it was recorded: products that are split otherwise round otherwise.
    session.run("python", "benchmarks/fashion.py", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session(default=False)
def linkcheck(session: nox.Session) -> None:
    """Ask every link of the site whether it still answers (needs a network)."""
    install(session, "-e", f".{EVERYTHING}", "--group", "docs")
    session.run("python", "docs/build.py", "linkcheck")


@nox.session(default=False)
def lock(session: nox.Session) -> None:
    """Write constraints.txt anew from a fresh environment that holds every group."""
    if os.environ.get("LOSSOPT_LOCK") != "1":
        session.error("this replaces constraints.txt by today's newest versions: run it with LOSSOPT_LOCK=1")
    session.install("-e", f".{EVERYTHING}", *(f"--group={g}" for g in ("test", "lint", "mutate", "referees")), "nox")
    frozen = session.run("python", "-m", "pip", "freeze", "--exclude-editable", silent=True)
    lines = sorted({line.split("+")[0] for line in frozen.splitlines() if "==" in line}, key=str.lower)
    (ROOT / "constraints.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
