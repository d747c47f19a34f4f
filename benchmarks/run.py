"""Speed as ratios in one run: `nox -s bench` prints the tables and saves benchmarks/results.json.

Contestants of one row are timed in turn, round after round, in one process and on one thread each, and their
medians are divided: so a busy machine slows both sides of a ratio. Absolute times are saved for orientation only.
`-- steps cuda runs tape losses` picks some of the parts; `-- --quick` takes small sizes, to see that it runs.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numba
import numpy as np
import torch

import lossopt
from lossopt import losses, nn
from lossopt.torch import Optimizer

# Libraries read these when they are loaded: whoever starts this script sets them.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")

Contestants = dict[str, Callable[[], object]]
RESULTS = Path(__file__).with_name("results.json")


def medians(contestants: Contestants, rounds: int, least: float = 0.004) -> dict[str, float]:
    """Seconds a call of each contestant: the median over rounds in which all take turns."""
    calls = {}
    for name, call in contestants.items():
        call()
        start = time.perf_counter()
        call()
        calls[name] = max(1, round(least / max(time.perf_counter() - start, 1e-7)))
    samples: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, call in contestants.items():
            start = time.perf_counter()
            for _ in range(calls[name]):
                call()
            samples[name].append((time.perf_counter() - start) / calls[name])
    return {name: statistics.median(times) for name, times in samples.items()}


def row(part: str, what: str, contestants: Contestants, rounds: int, at_once: int = 1) -> dict[str, object]:
    """Time one row, print it as ratios (below 1: we are faster) and return it.

    Contestants whose name begins with "torch" are the peers; ours do `at_once` times the work of one of theirs.
    """
    seconds = medians(contestants, rounds)
    peers = [name for name in seconds if name.startswith("torch")]
    ratios = {
        f"{name} / {peer}": float(f"{seconds[name] / seconds[peer] / at_once:.3g}")
        for name in seconds
        if name not in peers
        for peer in peers
    }
    print(f"{part:7} {what:34} " + "  ".join(f"{pair} {ratio:.3g}" for pair, ratio in ratios.items()), flush=True)
    milliseconds = {name: float(f"{1e3 * s:.4g}") for name, s in seconds.items()}
    return {"part": part, "what": what, "ratios": ratios, "milliseconds": milliseconds}


# --- one step of an optimizer -----------------------------------------------------------------------------------------

PEERS = {
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "rmsprop": (torch.optim.RMSprop, {}),
}


def numpy_step(name: str, sizes: list[int], engine: str) -> Callable[[], None]:
    """One step of `lossopt.Optimizer` over tensors of these sizes, their gradients given."""
    rng = np.random.default_rng(0)
    parameters = [lossopt.tensor(rng.standard_normal(n, dtype=np.float32), requires_grad=True) for n in sizes]
    for parameter in parameters:
        parameter.grad = lossopt.tensor(rng.standard_normal(parameter.shape, dtype=np.float32))
    return lossopt.Optimizer(parameters, lossopt.RULES[name].rule, lr=1e-3, engine=engine).step


def given(sizes: list[int], device: str) -> list[torch.Tensor]:
    """Parameters of these sizes with their gradients."""
    torch.manual_seed(0)
    parameters = [torch.randn(n, device=device).requires_grad_() for n in sizes]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter)
    return parameters


def torch_step(name: str, sizes: list[int], device: str = "cpu", **form: bool) -> Callable[[], None]:
    """One step of PyTorch's own optimizer over tensors of these sizes, their gradients given."""
    optimizer, hyper = PEERS[name]
    return finished(optimizer(given(sizes, device), lr=1e-3, **hyper, **form).step, device)


def wrapped_step(name: str, sizes: list[int], engine: str, device: str = "cpu") -> Callable[[], None]:
    """One step of `lossopt.torch.Optimizer` over tensors of these sizes, their gradients given."""
    return finished(Optimizer(given(sizes, device), lossopt.RULES[name].rule, lr=1e-3, engine=engine).step, device)


def finished(step: Callable[[], None], device: str) -> Callable[[], None]:
    """A step that is over when it returns."""
    if device == "cpu":
        return step

    def call() -> None:
        step()
        torch.cuda.synchronize()

    return call


def steps(rounds: int, quick: bool) -> list[dict[str, object]]:
    """Adam, AdamW, momentum and RMSProp at 1e3 to 1e7 floats, in 1 and in 200 tensors."""
    rows = []
    for name in PEERS:
        for total in (10**3, 10**5) if quick else (10**3, 10**4, 10**5, 10**6, 10**7):
            for tensors in (1, 200):
                sizes = [max(1, total // tensors)] * tensors
                contestants: Contestants = {
                    "numpy": numpy_step(name, sizes, "numpy"),
                    "numba": numpy_step(name, sizes, "numba"),
                    "wrapped": wrapped_step(name, sizes, "numpy"),
                    "wrapped numba": wrapped_step(name, sizes, "numba"),
                    "torch default": torch_step(name, sizes),
                    "torch foreach": torch_step(name, sizes, foreach=True),
                }
                if name != "rmsprop":  # PyTorch has no fused RMSprop
                    contestants["torch fused"] = torch_step(name, sizes, fused=True)
                rows.append(row("steps", f"{name} {total:.0e} floats, {tensors} tensors", contestants, rounds))
    return rows


def cuda(rounds: int, quick: bool) -> list[dict[str, object]]:
    """The same on a GPU, where there is one."""
    rows = []
    for name in PEERS if torch.cuda.is_available() else ():
        for total in (10**5,) if quick else (10**5, 10**7, 10**8):
            for tensors in (1, 200):
                sizes = [total // tensors] * tensors
                contestants: Contestants = {
                    "tensors": wrapped_step(name, sizes, "numpy", "cuda"),
                    "compile": wrapped_step(name, sizes, "compile", "cuda"),
                    "torch default": torch_step(name, sizes, "cuda"),
                }
                if name != "rmsprop":
                    contestants["torch fused"] = torch_step(name, sizes, "cuda", fused=True)
                rows.append(row("cuda", f"{name} {total:.0e} floats, {tensors} tensors", contestants, rounds))
    return rows


# --- many runs as one array -------------------------------------------------------------------------------------------


def torch_loop(optimizer: type[torch.optim.Optimizer], hyper: dict[str, object], steps: int) -> None:
    """One run on Rosenbrock's function with every step recorded, as one would write it with PyTorch."""
    w = torch.tensor([-1.5, 2.0], requires_grad=True)
    descent = optimizer([w], **hyper)
    path = []
    for _ in range(steps):
        descent.zero_grad()
        loss = (1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2
        loss.backward()
        descent.step()
        path.append(w.detach().clone())


def runs(rounds: int, quick: bool) -> list[dict[str, object]]:
    """10,000 recorded runs of 500 steps as one array, against a torch.optim loop that is timed once and multiplied."""
    side, length = (10, 50) if quick else (100, 500)
    lr, beta = np.logspace(-5, -3, side)[:, None], np.linspace(0, 0.99, side)[None, :]
    f, w0 = lossopt.landscapes.rosenbrock, (-1.5, 2.0)
    rows = []
    for name, hyper, optimizer, settings in (
        ("momentum", {"lr": lr, "momentum": beta}, torch.optim.SGD, {"lr": 1e-4, "momentum": 0.9}),
        ("adam", {"lr": lr, "beta1": beta}, torch.optim.Adam, {"lr": 1e-3}),
    ):
        rule = lossopt.RULES[name].rule
        contestants: Contestants = {
            "array": lambda rule=rule, hyper=hyper: lossopt.minimize(rule, f, w0, length, **hyper),
            "torch loop": lambda o=optimizer, s=settings: torch_loop(o, s, length),
        }
        what = f"{name}, {side * side} runs of {length} recorded steps"
        rows.append(row("runs", what, contestants, rounds, at_once=side * side))
    return rows


# --- the tape ---------------------------------------------------------------------------------------------------------


def tape(rounds: int, quick: bool) -> list[dict[str, object]]:
    """The 784-256-128-10 network, forward and backward, and single operations, against PyTorch eager."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((128, 784), dtype=np.float32)
    y = rng.integers(0, 10, 128)

    def network(layers, tensor) -> Callable[[], None]:
        net = layers.Sequential(
            layers.Linear(784, 256), layers.ReLU(), layers.Linear(256, 128), layers.ReLU(), layers.Linear(128, 10)
        )
        inputs, labels = tensor(x), tensor(y)
        if layers is nn:
            for parameter in net.parameters():
                parameter.data = parameter.data.astype(np.float32)
        cost = losses.cross_entropy if layers is nn else torch.nn.functional.cross_entropy

        def step() -> None:
            for parameter in net.parameters():
                parameter.grad = None
            cost(net(inputs), labels).mean().backward()

        return step

    both = {"tape": network(nn, lossopt.tensor), "torch": network(torch.nn, torch.tensor)}
    rows = [row("tape", "784-256-128-10, batch 128", both, rounds)]
    for n in (1, 10, 1000, 10_000):
        data = rng.standard_normal(n, dtype=np.float32)
        for what, op in (("mul + sum", lambda a: (a * a).sum()), ("tanh + sum", lambda a: a.tanh().sum())):

            def once(tensor, op=op, data=data) -> Callable[[], None]:
                a = tensor(data, requires_grad=True)

                def call() -> None:
                    a.grad = None
                    op(a).backward()

                return call

            both = {"tape": once(lossopt.tensor), "torch": once(torch.tensor)}
            rows.append(row("tape", f"{what}, {n} elements", both, rounds))
    return rows


# --- losses through the tape ------------------------------------------------------------------------------------------


def loss_rows(rounds: int, quick: bool) -> list[dict[str, object]]:
    """Value and gradient of six losses through the tape, against PyTorch's own."""
    functional = torch.nn.functional
    rows = []
    for shape in ((128, 1000),) if quick else ((128, 1000), (10_000, 1000), (1_000_000, 10)):
        rng = np.random.default_rng(0)
        z = rng.standard_normal(shape, dtype=np.float32)
        other = rng.standard_normal(shape, dtype=np.float32)
        binary = (other > 0).astype(np.float32)
        labels = rng.integers(0, shape[1], shape[0])

        def log_cosh(a, t):
            return (functional.softplus(-2 * (a - t)) + (a - t) - np.log(2)).mean()

        def focal(a, t):
            p = torch.sigmoid(a)
            p_t = p * t + (1 - p) * (1 - t)
            cost = functional.binary_cross_entropy_with_logits(a, t, reduction="none") * (1 - p_t) ** 2
            return cost.mean()

        table = {
            "cross_entropy": (losses.cross_entropy, functional.cross_entropy, labels),
            "binary_cross_entropy_with_logits": (
                losses.binary_cross_entropy_with_logits,
                functional.binary_cross_entropy_with_logits,
                binary,
            ),
            "huber": (losses.huber, functional.huber_loss, other),
            "squared_error": (losses.squared_error, functional.mse_loss, other),
            "log_cosh": (losses.log_cosh, log_cosh, other),
            "focal": (losses.focal, focal, binary),
        }
        for name, (ours, theirs, target) in table.items():

            def once(tensor, cost, target=target, z=z) -> Callable[[], None]:
                a, t = tensor(z, requires_grad=True), tensor(target)

                def call() -> None:
                    a.grad = None
                    cost(a, t).backward()

                return call

            contestants = {
                "tape": once(lossopt.tensor, lambda a, t, ours=ours: ours(a, t).mean()),
                "torch": once(torch.tensor, theirs),
            }
            rows.append(row("losses", f"{name} {shape[0]}x{shape[1]}", contestants, rounds))
    return rows


PARTS = {"steps": steps, "cuda": cuda, "runs": runs, "tape": tape, "losses": loss_rows}


def main() -> None:
    """Measure the parts asked for, print the ratios and save them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which parts to measure (default: all)")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="small sizes; nothing is saved")
    options = parser.parse_args()
    if any(os.environ.get(variable) != "1" for variable in THREADS):
        parser.error(f"one thread each: run `nox -s bench`, or set {', '.join(THREADS)} to 1")
    print(f"1 thread each; ratios of the medians of {options.rounds} rounds taken in turn\n")
    rows = [line for part in options.parts or PARTS for line in PARTS[part](options.rounds, options.quick)]
    if options.quick or options.parts:
        return
    conditions = {
        "command": "nox -s bench",
        "threads": 1,
        "rounds": options.rounds,
        "cpu": platform.machine(),
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version()}
        | {module.__name__: module.__version__ for module in (np, torch, numba, lossopt)},
    }
    RESULTS.write_text(json.dumps({"conditions": conditions, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(f"\nsaved to {RESULTS.name}")


if __name__ == "__main__":
    main()
