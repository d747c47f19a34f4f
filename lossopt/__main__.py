"""`python -m lossopt`: list the formulas, show one, or copy some into a file that needs nothing of lossopt."""

from __future__ import annotations

import argparse
import os
import sys
from itertools import groupby
from pathlib import Path

from . import copying


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, optional
        What follows `python -m lossopt`; taken from the command line when None.

    Returns
    -------
    int
        0 when all went well, 2 when something asked for does not exist or must not be overwritten.
    """
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
        sys.stdout.flush()
    except (ValueError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            # `list | head` closed the pipe; nothing more can be said, not even at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"lossopt: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lossopt", description="Formulas to read and to copy into a project."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    listing = commands.add_parser("list", help="every rule, loss, schedule and landscape, with a sentence on each")
    listing.set_defaults(run=_list)

    showing = commands.add_parser("show", help="the source of one of them, and where it comes from")
    showing.add_argument("name", help="such as adam, or rules.adam")
    showing.set_defaults(run=_show)

    copy = commands.add_parser("copy", help="write some of them to a file that needs nothing of lossopt")
    copy.add_argument("names", nargs="+", metavar="name", help="such as adam huber cross_entropy")
    copy.add_argument("-o", "--output", type=Path, metavar="FILE", help="the file to write; printed when left out")
    copy.add_argument("--force", action="store_true", help="overwrite the file if it exists")
    copy.set_defaults(run=_copy)
    return parser


def _list(options: argparse.Namespace) -> None:
    for kind, members in copying.CATALOGUE.items():
        entries = sorted(members.values(), key=lambda entry: entry.family)
        for family, group in groupby(entries, key=lambda entry: entry.family):
            print(kind if family == kind else f"{kind}, {family}")
            for entry in group:
                print(f"  {entry.name:<34}{entry.summary}")
            print()


def _show(options: argparse.Namespace) -> None:
    print(copying.source(options.name), end="")


def _copy(options: argparse.Namespace) -> None:
    text = copying.text(options.names)
    if options.output is None:
        print(text, end="")
    else:
        _write(options.output, text, options.force)


def _write(path: Path, text: str, force: bool) -> None:
    """Write a file whole or not at all."""
    if path.exists() and not force:
        raise ValueError(f"{path} exists; --force overwrites it")
    if path.is_dir():
        raise ValueError(f"{path} is a folder, a file is needed")
    if not path.parent.is_dir():
        raise ValueError(f"there is no folder {path.parent}")
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
