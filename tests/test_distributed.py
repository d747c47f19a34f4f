"""Several processes, over real sockets on the loopback device.

Starting torch costs seconds, so two processes are started once, by torchrun: each runs `work` of this very file, and
the tests look at what it saved.
"""

import copy
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lossopt.rules import RULES, adam, lamb

torch = pytest.importorskip("torch")
from filelock import FileLock  # noqa: E402  (torch brings it along)

if not (torch.distributed.is_available() and torch.distributed.is_gloo_available()):
    pytest.skip("this torch was built without gloo", allow_module_level=True)

import lossopt.torch  # noqa: E402  (it needs torch, which the lines above ask for)
from lossopt.torch import Optimizer  # noqa: E402

ANY_SHAPE = [rule for rule in RULES.values() if not rule.matrices_only]
ELEMENTWISE = [rule for rule in RULES.values() if rule.elementwise]
WHOLE = [rule for rule in RULES.values() if not rule.elementwise]


def network(seed=0):
    """Of each matrix one of two processes holds more rows than the other, and of the PReLU's number one holds none."""
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(20, 7), torch.nn.PReLU(), torch.nn.Linear(7, 5)).double()


def train(model, optimizer, steps, rank=0, world=1):
    """Step on this process's share of the mini-batch of each step."""
    for t in steps:
        generator = torch.Generator().manual_seed(t)
        x = torch.randn(32, 20, generator=generator, dtype=torch.float64)
        y = torch.randint(5, (32,), generator=generator)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rank::world]), y[rank::world]).backward()
        optimizer.step()


def whole(tensor):
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach()


def flat(net):
    return torch.cat([whole(p).ravel() for p in net.parameters()])


def alone(rule):
    """The weights after training in one process, on whole mini-batches."""
    net = network()
    train(net, Optimizer(net.parameters(), rule, lr=0.01), range(6))
    return flat(net)


# What the two processes do


def work(folder):
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import init_device_mesh
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo")
    rank, mesh = torch.distributed.get_rank(), init_device_mesh("cpu", (2,))
    if os.environ["TORCHELASTIC_RESTART_COUNT"] != "0":
        restarted(folder, rank)
        return
    found = {"replicated": {}, "sharded": {}, "refused": {}}
    for kind, rules, wrap in (
        ("replicated", ANY_SHAPE, DistributedDataParallel),
        ("sharded", ELEMENTWISE, fully_shard),
    ):
        for rule in rules:
            net = network()
            model = wrap(net)
            train(model, Optimizer(model.parameters(), rule, lr=0.01), range(6), rank, 2)
            found[kind][rule.name] = flat(net)
    for rule in WHOLE:
        with pytest.raises(TypeError) as caught:
            Optimizer(fully_shard(torch.nn.Linear(4, 6, bias=False)).parameters(), rule)
        found["refused"][rule.name] = str(caught.value)
    found["by part"] = {rule.name: differences(rule, mesh, rank) for rule in ELEMENTWISE}
    found["summed"] = summed(mesh, rank)
    found["resumed"] = resumed(folder, fully_shard, rank)
    found["wrong state"] = wrong_states(fully_shard)
    found["calm"] = resumable(folder / f"calm {rank}.pt", rank)
    torch.save(found, folder / f"{rank}.pt")
    torch.distributed.barrier()  # nobody dies before all is saved
    resumable(folder / "struck.pt", rank, struck_at=17)


def restarted(folder, rank):
    """The second life of both processes."""
    torch.save({"restarted": resumable(folder / "struck.pt", rank)}, folder / f"{rank} again.pt")
    torch.distributed.destroy_process_group()


def differences(rule, mesh, rank):
    """Cases in which this process's part of a matrix goes elsewhere than in one process that holds all of it."""
    from torch.distributed.tensor import DTensor, Shard

    generator, found = torch.Generator().manual_seed(0), []
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        matrices = torch.randn(4, 5, 3, generator=generator, dtype=torch.float64).to(dtype)
        for in_numpy in (True, False):
            with pytest.MonkeyPatch.context() as patch:
                if not in_numpy:  # as on other devices
                    patch.setattr(lossopt.torch, "_in_numpy", lambda p: False)
                expected = stepped(rule, matrices)
                for axis in (0, 1):

                    def part(whole, axis=axis):
                        return whole.chunk(2, axis)[rank]

                    def sharded(whole, axis=axis):
                        size = {"shape": whole.shape, "stride": whole.stride()}
                        return DTensor.from_local(part(whole).contiguous(), mesh, [Shard(axis)], **size)

                    ends = [tensor.to_local() for tensor in stepped(rule, map(sharded, matrices))]
                    if not all(torch.equal(end, part(whole)) for end, whole in zip(ends, expected, strict=True)):
                        found.append(f"{dtype}, axis {axis}, {'NumPy' if in_numpy else 'tensor operations'}")
    return found


def stepped(rule, matrices):
    """The weights and the state after a step for each gradient."""
    start, *gradients = matrices
    p = torch.nn.Parameter(start.clone())
    optimizer = Optimizer([p], rule, lr=0.01)
    for p.grad in gradients:
        optimizer.step()
    return [p.detach(), *(optimizer.state[p][name] for name in rule.state)]


def summed(mesh, rank):
    """Where a weight that every process holds goes, if each process holds one summand of its gradient."""
    from torch.distributed.tensor import DTensor, Partial, Replicate

    p = torch.nn.Parameter(DTensor.from_local(torch.tensor([1.0, 2.0]), mesh, [Replicate()]))
    p.grad = DTensor.from_local(torch.tensor([1.0, 3.0 * rank]), mesh, [Partial()])
    Optimizer([p], RULES["sgd"], lr=1.0).step()
    return p.to_local().detach().clone()


def save(folder, net, optimizer):
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint.state_dict import get_state_dict

    model, optim = get_state_dict(net, optimizer)
    checkpoint.save({"model": model, "optim": optim}, checkpoint_id=folder)


def load(folder, net, optimizer):
    from torch.distributed import checkpoint
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    model, optim = get_state_dict(net, optimizer)
    checkpoint.load({"model": model, "optim": optim}, checkpoint_id=folder)
    set_state_dict(net, optimizer, model_state_dict=model, optim_state_dict=optim)


def resumed(folder, fully_shard, rank):
    """Weights after five steps, a checkpoint and five more, by the same network and by another that goes on from it."""
    net, other = fully_shard(network()), fully_shard(network(seed=1))
    optimizer, another = Optimizer(net.parameters(), adam, lr=0.01), Optimizer(other.parameters(), adam, lr=0.5)
    train(net, optimizer, range(5), rank, 2)
    save(folder / "checkpoint", net, optimizer)
    load(folder / "checkpoint", other, another)
    train(net, optimizer, range(5, 10), rank, 2)
    train(other, another, range(5, 10), rank, 2)
    return [flat(net), flat(other)]


def resumable(file, rank, struck_at=None):
    """Where thirty steps began, which is after the last checkpoint, and the weights at their end."""
    net = network()
    model = torch.nn.parallel.DistributedDataParallel(net)
    layers = [p for p in net.parameters() if p.ndim == 2]
    others = [p for p in net.parameters() if p.ndim != 2]
    optimizer = Optimizer([{"params": layers, "rule": lamb}, {"params": others}], adam, lr=0.01)
    done = 0
    if file.exists():
        saved = torch.load(file, weights_only=True)
        net.load_state_dict(saved["net"])
        optimizer.load_state_dict(saved["optimizer"])
        done = saved["done"]
    for t in range(done, 30):
        train(model, optimizer, [t], rank, 2)
        if (t, rank) == (struck_at, 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if rank == 0 and t % 10 == 9:
            saved = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "done": t + 1}
            torch.save(saved, file.with_suffix(".new"))
            os.replace(file.with_suffix(".new"), file)
    return done, flat(net)


def wrong_states(fully_shard):
    """What is said to a whole state for sharded weights, and to a sharded one for whole weights; what changed."""
    nets = [fully_shard(network()), network()]
    optimizers = [Optimizer(net.parameters(), adam, lr=0.01) for net in nets]
    for net, optimizer in zip(nets, optimizers, strict=True):
        for p in net.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
    found = []
    for optimizer, other in (optimizers, optimizers[::-1]):
        before = copy.deepcopy(optimizer.state_dict())
        with pytest.raises(ValueError) as caught:  # noqa: PT011  (the test looks at what it says)
            optimizer.load_state_dict(other.state_dict())
        after = optimizer.state_dict()
        same = all(
            torch.equal(whole(torch.as_tensor(before["state"][i][name])), whole(torch.as_tensor(value)))
            for i, state in after["state"].items()
            for name, value in state.items()
        )
        found.append((str(caught.value), same))
    return found


if __name__ == "__main__":
    work(Path(sys.argv[1]))


# What the tests say to it


@pytest.fixture(scope="session")
def both(tmp_path_factory):
    """What each of the two processes found, and the folder they worked in."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "two processes"
    with FileLock(f"{folder}.lock"):  # the workers of pytest-xdist share what one of them has started
        if not folder.exists():
            folder.mkdir()
            start(folder)
    return folder, [
        torch.load(folder / f"{rank}.pt", weights_only=True)
        | torch.load(folder / f"{rank} again.pt", weights_only=True)
        for rank in (0, 1)
    ]


def start(folder):
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        # Else the second life may be told the addresses of the first: https://github.com/pytorch/pytorch/issues/135712
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    command = [*torchrun, "--nproc-per-node=2", "--max-restarts=2", __file__, str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.parametrize("rule", ANY_SHAPE, ids=lambda rule: rule.name)
def test_two_processes_with_half_mini_batches_are_one_with_the_whole(rule, both):
    first, second = (found["replicated"][rule.name] for found in both[1])
    assert torch.equal(first, second)
    assert (first - alone(rule)).abs().max() < 1e-12


@pytest.mark.parametrize("rule", ELEMENTWISE, ids=lambda rule: rule.name)
def test_two_processes_that_hold_half_of_the_weights_are_one_that_holds_all(rule, both):
    first, second = (found["sharded"][rule.name] for found in both[1])
    assert torch.equal(first, second)
    assert (first - alone(rule)).abs().max() < 1e-12


@pytest.mark.parametrize("rule", ELEMENTWISE, ids=lambda rule: rule.name)
def test_a_part_of_a_matrix_and_of_its_state_goes_where_it_goes_in_the_whole(rule, both):
    assert [found["by part"][rule.name] for found in both[1]] == [[], []]


@pytest.mark.parametrize("rule", WHOLE, ids=lambda rule: rule.name)
def test_a_rule_for_whole_tensors_refuses_parts_of_them(rule, both):
    for found in both[1]:
        assert re.fullmatch(
            rf"{rule.name}: needs whole tensors, and of parameter 0 each process holds a part \(a DTensor with "
            r"placements \(Shard\(dim=0\),\)\); take a rule that steps each number alone, such as adamw, or "
            "DistributedDataParallel, where each process holds all of it",
            found["refused"][rule.name],
        )


def test_a_gradient_that_is_spread_over_processes_as_summands_is_summed_first(both):
    for found in both[1]:
        assert found["summed"].tolist() == [1 - (1 + 1), 2 - (0 + 3)]


def test_sharded_training_goes_on_bit_for_bit_from_a_checkpoint(both):
    for found in both[1]:
        assert torch.equal(*found["resumed"])


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")  # which is what this test is about
def test_one_process_goes_on_from_the_checkpoint_of_two(both):
    folder, (found, _) = both
    net = network(seed=1)
    optimizer = Optimizer(net.parameters(), adam, lr=0.5)
    load(folder / "checkpoint", net, optimizer)
    train(net, optimizer, range(5, 10))
    assert (flat(net) - found["resumed"][0]).abs().max() < 1e-12


def test_a_state_that_is_laid_out_otherwise_is_refused_and_changes_nothing(both):
    for found in both[1]:
        said, unchanged = zip(*found["wrong state"], strict=True)
        assert unchanged == (True, True)
        for text, here, given in zip(said, ("DTensor", "Tensor"), ("Tensor", "DTensor"), strict=True):
            assert f"parameter 0: m must be a {here} as the parameter is, got a {given}" in text
            assert "torch.distributed.checkpoint" in text


def test_a_process_killed_in_the_middle_goes_on_from_the_checkpoint_and_ends_bit_for_bit_alike(both):
    for found in both[1]:
        begun, undisturbed = found["calm"]
        again, end = found["restarted"]
        assert (begun, again) == (0, 10)
        assert torch.equal(end, undisturbed)
