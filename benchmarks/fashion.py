"""Ten rules on Fashion-MNIST: `nox -s fashion` tunes and reports them, and saves what page and package read.

The protocol is that of the page on digits: equal budgets, the edge guard, tuning and reporting seeds apart.
A network's comparison is saved to lossopt/recorded/ when it is whole. `-- --only cnn` runs one of the two.
`-- --place` runs nothing of that: it looks with one seed of its own, which tunes and reports nothing, for the part of
the rates that each grid should cover.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import numpy as np

import lossopt
from lossopt import schedules
from lossopt.compare import best_rate, compare, log_grid
from lossopt.data import fashion_mnist
from lossopt.nn import Conv2d, Flatten, Linear, Module, ReLU, Sequential
from lossopt.problems import Classifier
from lossopt.tensor import Tensor

RECORDED = Path(__file__).resolve().parents[1] / "lossopt" / "recorded"
BATCH, STEPS = 64, 782  # one pass over the 50,000 training images
TUNING, REPORTING = range(2), range(10, 18)
PLACING = 100

Generators = Sequence[np.random.Generator]


class Image(Module):
    """784 numbers as one channel of 28 by 28."""

    def forward(self, x: Tensor) -> Tensor:
        """Give the last axis its rows and columns back."""
        return x.reshape(*x.shape[:-1], 1, 28, 28)


def mlp(rngs: Generators, runs: int) -> Module:
    """784 inputs, 64 hidden units, 10 classes."""
    return Sequential(Linear(784, 64, rng=rngs, runs=runs), ReLU(), Linear(64, 10, rng=rngs, runs=runs))


def cnn(rngs: Generators, runs: int) -> Module:
    """Two convolutions that halve the image, 8 and 16 channels, and a linear layer."""
    return Sequential(
        Image(),
        Conv2d(1, 8, 5, stride=2, rng=rngs, runs=runs),
        ReLU(),
        Conv2d(8, 16, 5, stride=2, rng=rngs, runs=runs),
        ReLU(),
        Flatten(-3),
        Linear(256, 10, rng=rngs, runs=runs),
    )


NETWORKS: dict[str, tuple[str, Callable[[Generators, int], Module]]] = {
    "mlp": ("Fashion-MNIST 784-64-10", mlp),
    "cnn": ("Fashion-MNIST conv 8-16", cnn),
}

# The lowest rate of each grid; the highest is a thousand times as high.
LOWEST = {
    "sgd": 1e-2, "momentum": 3e-3, "nesterov": 3e-3, "adagrad": 1e-3, "adadelta": 1e-1, "rmsprop": 1e-4,
    "adam": 3e-4, "nadam": 3e-4, "adamw": 3e-4, "lion": 1e-4,
}  # fmt: skip


def schedule(t: int, lr: float) -> float:
    """Every rule's rate: it falls to zero along half a cosine."""
    return schedules.cosine(t, lr, STEPS)


def place(problem: Classifier) -> None:
    """Print each rule's best of nine rates with one seed, and where a grid of seven with that in the middle begins."""
    for name, low in LOWEST.items():
        grid = log_grid(low / 10**0.5, low * 10**3.5, per_decade=2)
        hyper = {"lr": lambda t, grid=grid: schedule(t, grid)}
        validation, _ = problem.run(lossopt.RULES[name].rule, hyper, np.full(len(grid), PLACING), STEPS)
        best = grid[best_rate(name, grid, validation)]
        print(f"{name:9} best {best:.3g}, lowest {best / 10**1.5:.3g}", validation.round(1), flush=True)


def record(name: str, problem: Classifier) -> None:
    """Compare the rules, print the table, and save it."""
    start = time.process_time()
    found = compare(
        problem,
        LOWEST,
        rates={rule: log_grid(low, 1000 * low, per_decade=2) for rule, low in LOWEST.items()},
        tuning_seeds=TUNING,
        reporting_seeds=REPORTING,
        steps=STEPS,
        schedule=schedule,
    )
    print(found, flush=True)
    conditions = {
        "command": "python -m nox -s fashion",
        "date": date.today().isoformat(),
        "cpu_seconds": round(time.process_time() - start),
        "batch": BATCH,
        "epochs": 1,
        "schedule": "cosine to 0",
        "machine": platform.machine(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "lossopt": lossopt.__version__,
    }
    text = json.dumps({"conditions": conditions, "comparison": json.loads(found.to_json())}, indent=1)
    (RECORDED / f"fashion_{name}.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=NETWORKS, help="one of the two networks")
    parser.add_argument("--place", action="store_true", help="look for each rule's grid with one seed")
    asked = parser.parse_args()
    data = fashion_mnist()
    for key in [asked.only] if asked.only else NETWORKS:
        name, network = NETWORKS[key]
        problem = Classifier(name, data, network, BATCH)
        print(f"{name}: {STEPS} steps of {BATCH}", flush=True)
        if asked.place:
            place(problem)
        else:
            record(key, problem)


if __name__ == "__main__":
    main()
