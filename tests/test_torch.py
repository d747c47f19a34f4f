import copy
import io
import math
import os
import subprocess
import sys

import numpy as np
import pytest

from lossopt import optim
from lossopt.rules import adagrad, adam, adamw, lamb, momentum, muon, nesterov, rmsprop, sgd
from lossopt.rules.registry import RULES
from lossopt.tensor import tensor

torch = pytest.importorskip("torch")

from lossopt.torch import Optimizer  # noqa: E402  (it needs torch, which the line above asks for)

SHAPES = [(3, 4), (2, 5)]
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.name)
on_every_device = pytest.mark.parametrize("device", DEVICES)


def parameters(shapes=SHAPES, dtype=torch.float64, device="cpu", seed=0):
    rng = np.random.default_rng(seed)
    return [
        torch.nn.Parameter(torch.tensor(rng.standard_normal(shape), dtype=dtype, device=device)) for shape in shapes
    ]


def gradients(t, params):
    """The gradients of step t, one coordinate of which is always zero."""
    for i, parameter in enumerate(params):
        g = np.random.default_rng([t, i]).standard_normal(parameter.shape)
        g[..., -1:] = 0
        parameter.grad = torch.tensor(g, dtype=parameter.dtype, device=parameter.device)


def train(optimizer, params, steps):
    for t in steps:
        gradients(t, params)
        optimizer.step()


def values(params):
    return [parameter.detach().clone() for parameter in params]


def same(these, those):
    return all(a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(these, those, strict=True))


def assert_close(these, those):
    for a, b in zip(values(these), values(those), strict=True):
        assert a.cpu().numpy() == pytest.approx(b.cpu().numpy(), rel=1e-9, abs=1e-11)


def flat(state_dict):
    """A state dict as a plain list, to compare."""
    state = {key: {n: torch.as_tensor(v).tolist() for n, v in s.items()} for key, s in state_dict["state"].items()}
    return state, state_dict["param_groups"]


def through_a_file(state_dict):
    file = io.BytesIO()
    torch.save(state_dict, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def network(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.Tanh(), torch.nn.Linear(16, 5)).to(dtype)


def batch(dtype=torch.float64):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(32, 20, generator=generator, dtype=dtype), torch.randint(5, (32,), generator=generator)


# What it computes


@every_rule
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_it_trains_as_the_numpy_optimizer_does(rule, dtype):
    params = parameters(dtype=getattr(torch, dtype))
    others = [tensor(parameter.detach().numpy().copy(), requires_grad=True) for parameter in params]
    mine, other = Optimizer(params, rule.rule), optim.Optimizer(others, rule.rule)
    for t in range(1, 11):
        gradients(t, params)
        for parameter, twin in zip(params, others, strict=True):
            twin.grad = tensor(parameter.grad.numpy())
        mine.step()
        other.step()
    assert all(np.array_equal(p.detach().numpy(), q.data) for p, q in zip(params, others, strict=True))


SQUARE = [(3, 3), (4, 4)]  # so that no eigenvector is a matter of choice, which libraries may make differently


@every_rule
def test_tensor_operations_train_as_numpy_does(rule, monkeypatch):
    by_numpy, by_torch = parameters(SQUARE), parameters(SQUARE)
    train(Optimizer(by_numpy, rule.rule), by_numpy, range(1, 11))
    monkeypatch.setattr("lossopt.torch._in_numpy", lambda p: False)
    optimizer = Optimizer(by_torch, rule.rule)
    train(optimizer, by_torch, range(1, 11))
    assert_close(by_torch, by_numpy)
    optimizer.load_state_dict(through_a_file(optimizer.state_dict()))
    train(optimizer, by_torch, [11])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_rule
def test_cuda_trains_as_the_cpu_does(rule):
    cpu, cuda = parameters(SQUARE), parameters(SQUARE, device="cuda")
    for params in (cpu, cuda):
        optimizer = Optimizer(params, rule.rule)
        train(optimizer, params, range(1, 11))
    assert all(s.is_cuda for p in cuda for name, s in optimizer.state[p].items() if name != "step")
    assert_close(cuda, cpu)


@every_rule
def test_numba_trains_as_numpy_does(rule, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr("lossopt.engine.ENGINES", {"numpy": 0, "numba": 0})
    trained = []
    for engine in ("numpy", "numba"):
        params = parameters(dtype=torch.float32)
        train(Optimizer(params, rule.rule, engine=engine), params, range(1, 6))
        trained.append(values(params))
    assert same(*trained)


THEIRS = {
    "sgd": (sgd, {}, torch.optim.SGD, {}),
    "momentum": (momentum, {"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9}),
    "nesterov with L2": (
        nesterov,
        {"momentum": 0.9, "weight_decay": 0.01},
        torch.optim.SGD,
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
    ),
    "adagrad": (adagrad, {}, torch.optim.Adagrad, {}),
    "rmsprop": (rmsprop, {}, torch.optim.RMSprop, {}),
    # The loss falls to 1e-8: gradients as small as the default eps would magnify each other's last digits.
    "adam": (adam, {"beta1": 0.8, "beta2": 0.95, "eps": 1e-4}, torch.optim.Adam, {"betas": (0.8, 0.95), "eps": 1e-4}),
    "adamw": (adamw, {"weight_decay": 0.1}, torch.optim.AdamW, {"weight_decay": 0.1}),
}


@pytest.mark.parametrize(("rule", "hyper", "theirs", "options"), THEIRS.values(), ids=THEIRS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=["f64", "f32"])
def test_a_thousand_steps_with_a_cosine_schedule_are_those_of_torch(rule, hyper, theirs, options, dtype, tolerance):
    ends = []
    for make in (
        lambda params: Optimizer(params, rule, lr=0.01, **hyper),
        lambda params: theirs(params, lr=0.01, foreach=False, **options),
    ):
        net, (x, y) = network(dtype=dtype), batch(dtype)
        optimizer = make(net.parameters())
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: 0.5 + 0.5 * math.cos(math.pi * t / 1000))
        for _ in range(1000):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            scheduler.step()
        ends.append(torch.cat([parameter.detach().ravel() for parameter in net.parameters()]))
    assert (ends[0] - ends[1]).abs().max() < tolerance


@every_rule
@on_every_device
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_stepped_in_float32_and_then_rounded(rule, device, dtype):
    params = parameters(dtype=dtype, device=device)
    wide = [torch.nn.Parameter(parameter.detach().float()) for parameter in params]
    mine, other = Optimizer(params, rule.rule, lr=0.01), Optimizer(wide, rule.rule, lr=0.01)
    for t in range(1, 5):
        gradients(t, params)
        for parameter, twin in zip(params, wide, strict=True):
            twin.data = parameter.detach().float()
            twin.grad = parameter.grad.float()
        mine.step()
        other.step()
        assert same([parameter.detach() for parameter in params], [twin.detach().to(dtype) for twin in wide])
    assert all(s.dtype == torch.float32 for p in params for name, s in mine.state[p].items() if name != "step")


@every_rule
def test_a_float16_parameter_without_a_gradient_to_follow_stays_finite(rule):
    params = parameters(dtype=torch.float16)
    optimizer = Optimizer(params, rule.rule, lr=1e-3)
    for _ in range(3):
        for parameter in params:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    assert all(parameter.isfinite().all() for parameter in params)


@pytest.mark.parametrize("rule", [adam, lamb, muon])
@on_every_device
def test_the_order_of_a_parameter_in_memory_does_not_matter(rule, device):
    plain = parameters([(3, 4)], device=device)
    turned = [torch.nn.Parameter(plain[0].detach().T.contiguous().T)]
    assert not turned[0].is_contiguous()
    for params in (plain, turned):
        train(Optimizer(params, rule, lr=0.1), params, range(1, 5))
    assert_close(turned, plain)


def test_channels_last_and_turned_gradients_are_stepped_in_place():
    p = torch.nn.Parameter(torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last))
    q = torch.nn.Parameter(p.detach().contiguous())
    address = p.data_ptr()
    g = torch.randn(4, 4, 3, 2).permute(3, 2, 0, 1)
    for parameter in (p, q):
        parameter.grad = g.clone(memory_format=torch.preserve_format)
        Optimizer([parameter], adam, lr=0.1).step()
    assert p.data_ptr() == address
    assert torch.equal(p, q)


def test_parameters_are_changed_in_their_own_memory():
    params = parameters()
    addresses = [parameter.data_ptr() for parameter in params]
    train(Optimizer(params, adam), params, [1, 2])
    assert [parameter.data_ptr() for parameter in params] == addresses


# What torch.optim does too


def test_groups_are_separate_optimizers_and_a_rate_of_zero_moves_nothing():
    together, apart = parameters(), parameters()
    fixed = values(together)[0]
    groups = [{"params": together[:1], "lr": 0.0}, {"params": together[1:], "weight_decay": 0.1}]
    train(Optimizer(groups, adam, lr=0.1), together, range(1, 6))
    optimizer = Optimizer(apart[1:], adam, lr=0.1, weight_decay=0.1)
    for t in range(1, 6):
        gradients(t, apart)
        optimizer.step()
    assert torch.equal(together[0], fixed)
    assert torch.equal(together[1], apart[1])


def test_a_group_may_have_a_rule_of_its_own():
    net = network()
    matrices = [p for p in net.parameters() if p.ndim == 2]
    others = [p for p in net.parameters() if p.ndim != 2]
    optimizer = Optimizer(
        [{"params": matrices, "rule": muon, "lr": 0.02}, {"params": others}], adamw, lr=0.1, beta1=0.5
    )
    assert set(optimizer.param_groups[0]) == {"params", "rule", "steps", *RULES["muon"].hyper}
    assert optimizer.param_groups[0]["momentum"] == RULES["muon"].hyper["momentum"]
    assert optimizer.param_groups[1]["beta1"] == 0.5
    x, y = batch()
    losses = []
    for _ in range(30):
        optimizer.zero_grad()
        losses.append(torch.nn.functional.cross_entropy(net(x), y))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.8 * losses[0]
    other = Optimizer([{"params": matrices, "rule": muon}, {"params": others}], adamw)
    other.load_state_dict(through_a_file(optimizer.state_dict()))
    assert other.param_groups[0]["lr"] == 0.02
    with pytest.raises(ValueError, match="the rule here is adamw, got muon"):
        Optimizer([{"params": matrices}, {"params": others}], adamw).load_state_dict(optimizer.state_dict())


def test_a_group_joins_later():
    params = parameters()
    optimizer = Optimizer(params[:1], adam, lr=0.1)
    train(optimizer, params, [1, 2])
    optimizer.add_param_group({"params": params[1], "lr": 0.2})
    train(optimizer, params, [3])
    assert [optimizer.state[parameter]["step"] for parameter in params] == [3, 1]
    assert optimizer.param_groups[1]["lr"] == 0.2


def test_named_parameters_keep_their_names():
    optimizer = Optimizer(network().named_parameters(), adam)
    assert optimizer.param_groups[0]["param_names"] == ["0.weight", "0.bias", "2.weight", "2.bias"]


def test_a_closure_is_evaluated_with_gradients_and_its_loss_returned():
    net, (x, y) = network(), batch()
    optimizer = Optimizer(net.parameters(), sgd, lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(x), y)
        loss.backward()
        return loss

    losses = [optimizer.step(closure).item() for _ in range(5)]
    assert losses == sorted(losses, reverse=True)
    assert optimizer.step() is None


def test_a_scheduler_of_torch_moves_the_rate():
    params = parameters()
    optimizer = Optimizer(params, sgd, lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.1)
    rates = []
    for t in range(1, 5):
        train(optimizer, params, [t])
        rates.append(optimizer.param_groups[0]["lr"])
        scheduler.step()
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01])


@every_rule
def test_a_rate_may_be_a_tensor_or_a_function_of_the_step(rule):
    trained = []
    for lr in (0.01, torch.tensor(0.01, dtype=torch.float64), lambda t: 0.01):
        params = parameters()
        train(Optimizer(params, rule.rule, lr=lr), params, range(1, 5))
        trained.append(values(params))
    assert same(trained[0], trained[1])
    assert same(trained[0], trained[2])


def test_a_function_of_the_step_counts_the_calls_of_step_from_one():
    seen = []
    params = parameters()
    optimizer = Optimizer(params, sgd, lr=lambda t: seen.append(t) or 0.1)
    seen.clear()
    train(optimizer, params, [1, 2])
    saved = optimizer.state_dict()
    assert "lr" not in saved["param_groups"][0]
    optimizer.load_state_dict(through_a_file(saved))
    seen.clear()
    train(optimizer, params, [3])
    assert seen == [3]


def test_hooks_are_called_in_order():
    calls = []
    params = parameters()
    optimizer = Optimizer(params, sgd)
    optimizer.register_step_pre_hook(lambda *_: calls.append("before 1"))
    optimizer.register_step_pre_hook(lambda *_: calls.append("before 2"))
    optimizer.register_step_post_hook(lambda *_: calls.append("after"))
    train(optimizer, params, [1])
    assert calls == ["before 1", "before 2", "after"]


def test_a_scaler_skips_a_step_whose_gradients_overflowed():
    params = parameters([(3,)], torch.float32)
    optimizer = Optimizer(params, sgd, lr=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    before = values(params)[0]
    for factor, expected in ((1.0, before - 0.5), (math.inf, before - 0.5)):
        optimizer.zero_grad()
        scaler.scale((params[0] * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert torch.equal(params[0], expected)
    assert scaler.get_scale() == 4.0


def test_a_parameter_without_a_gradient_is_skipped_and_its_step_waits():
    params, alone = parameters(), parameters()
    optimizer, reference = Optimizer(params, adam), Optimizer(alone[1:], adam)
    second = values(params)[1]
    gradients(1, params)
    params[1].grad = None
    optimizer.step()
    assert torch.equal(params[1], second)
    assert params[1] not in optimizer.state
    train(optimizer, params, [2])
    gradients(2, alone)
    reference.step()
    assert torch.equal(params[1], alone[1])


def test_a_step_without_any_gradient_changes_nothing():
    params = parameters()
    before = values(params)
    Optimizer(params, momentum, weight_decay=0.1).step()
    assert same(values(params), before)


@every_rule
@on_every_device
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_gradients_are_left_as_they_are(rule, device, dtype):
    params = parameters(dtype=dtype, device=device)
    optimizer = Optimizer(params, rule.rule, weight_decay=0.1)
    gradients(1, params)
    before = [parameter.grad.clone() for parameter in params]
    optimizer.step()
    assert same([parameter.grad for parameter in params], before)
    for parameter in params:
        parameter.grad.fill_(7)  # the state keeps no reference
    states = [state for p in params for name, state in optimizer.state[p].items() if name != "step"]
    assert not any((state == 7).any() for state in states)


def test_numbers_and_empty_parameters_are_parameters():
    params = parameters([(), (0,), (3,)])
    optimizer = Optimizer(params, adam)
    for parameter in params:
        parameter.grad = torch.ones_like(parameter)
    before = values(params)
    optimizer.step()
    assert [parameter.shape for parameter in params] == [(), (0,), (3,)]
    assert params[0] < before[0]


def test_a_deep_copy_goes_its_own_way():
    params = parameters()
    optimizer = Optimizer(params, adam, lr=0.1)
    train(optimizer, params, [1, 2])
    twins, twin = copy.deepcopy((params, optimizer))
    assert (twin.rule, twin.engine) == (optimizer.rule, optimizer.engine)
    assert twin.defaults.items() >= optimizer.defaults.items()
    before = values(params)
    train(twin, twins, [3, 4])
    assert same(values(params), before)
    train(optimizer, params, [3, 4])
    assert same(values(params), values(twins))


def test_it_shows_its_groups():
    text = repr(Optimizer(parameters(), adam, lr=torch.tensor(0.5)))
    assert "adam(lr=0.5, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0): 22 numbers in 2 parameters" in text


# Saving and loading


@every_rule
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_training_goes_on_bit_for_bit_after_saving_and_loading(rule, dtype):
    params = parameters(dtype=dtype)
    optimizer = Optimizer(params, rule.rule, lr=0.01)
    train(optimizer, params, range(1, 4))
    saved = through_a_file(optimizer.state_dict())
    resumed = [torch.nn.Parameter(w) for w in values(params)]
    other = Optimizer(resumed, rule.rule, lr=0.5)
    other.load_state_dict(saved)
    assert flat(other.state_dict()) == flat(optimizer.state_dict())
    train(optimizer, params, range(4, 8))
    train(other, resumed, range(4, 8))
    assert same(values(params), values(resumed))
    assert flat(other.state_dict()) == flat(optimizer.state_dict())


def test_a_state_dict_is_the_same_each_time_and_loading_leaves_it_as_it_is():
    params = parameters()
    optimizer = Optimizer(params, adam)
    train(optimizer, params, [1])
    assert flat(optimizer.state_dict()) == flat(optimizer.state_dict())
    saved = copy.deepcopy(optimizer.state_dict())
    kept = copy.deepcopy(saved)
    optimizer.load_state_dict(saved)
    train(optimizer, params, [2])
    assert flat(saved) == flat(kept)
    assert optimizer.param_groups[0]["rule"] is adam


def test_an_older_state_dict_keeps_what_it_lacks():
    params = parameters()
    optimizer = Optimizer(params, adam, lr=0.1, eps=1e-3)
    saved = optimizer.state_dict()
    del saved["param_groups"][0]["eps"], saved["param_groups"][0]["steps"]
    other = Optimizer(parameters(), adam, eps=1e-5)
    other.load_state_dict(saved)
    assert (other.param_groups[0]["lr"], other.param_groups[0]["eps"], other.param_groups[0]["steps"]) == (0.1, 1e-5, 0)


def spoil(saved, what):
    group, state = saved["param_groups"][0], saved["state"]
    match what:
        case "rule":
            group["rule"] = "sgd"
        case "lr":
            group["lr"] = -0.1
        case "name":
            group["momentum"] = 0.9
        case "count":
            group["params"] = [0]
        case "shape":
            state[1]["v"] = torch.zeros(5, 2)
        case "state":
            del state[1]["m"]
        case "groups":
            del saved["param_groups"]


@pytest.mark.parametrize(
    ("what", "error", "message"),
    [
        ("rule", ValueError, "the rule here is adam, got sgd"),
        ("lr", ValueError, r"adam: lr must lie in \[0, inf\), got -0.1"),
        ("name", TypeError, "adam: unknown hyper-parameter 'momentum'"),
        ("count", ValueError, r"the groups here have \[2\] parameters, got \[1\]"),
        ("shape", ValueError, r"parameter 1: v must have shape \(2, 5\), got \(5, 2\)"),
        ("state", ValueError, "parameter 1: adam remembers step, m, v, got"),
        ("groups", ValueError, r"must have 'state' and 'param_groups', got \['state'\]"),
    ],
)
def test_a_wrong_state_dict_is_refused_and_changes_nothing(what, error, message):
    params = parameters()
    optimizer = Optimizer(params, adam, lr=0.25)
    train(optimizer, params, [1, 2])
    before = copy.deepcopy(optimizer.state_dict())
    saved = copy.deepcopy(before)
    saved["param_groups"][0]["lr"] = 0.5
    spoil(saved, what)
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(saved)
    assert flat(optimizer.state_dict()) == flat(before)


# What it refuses

TWO = parameters()


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((TWO[0], adam), {}, TypeError, "should be an iterable of Tensors or dicts"),
        (([], adam), {}, ValueError, "empty parameter list"),
        (([1.0], adam), {}, TypeError, "can only optimize Tensors"),
        (([TWO[0] * 2], adam), {}, ValueError, "non-leaf"),
        (([TWO[0], TWO[0]], adam), {}, ValueError, "parameter 1 is there twice"),
        (([{"params": TWO[:1]}, {"params": TWO}], adam), {}, ValueError, "more than one parameter group"),
        (([{"lr": 1.0}], adam), {}, TypeError, "must be a dict with 'params'"),
        (([torch.zeros(3, dtype=torch.complex64)], adam), {}, TypeError, "parameter 0 must be of real floating-point"),
        (([torch.zeros(3, dtype=torch.int64)], adam), {}, TypeError, "got torch.int64"),
        ((TWO, "adam"), {}, TypeError, "a rule is a function such as lossopt.rules.adam, got 'adam'"),
        ((TWO, adam), {"lr": -1.0}, ValueError, r"adam: lr must lie in \[0, inf\), got -1.0"),
        ((TWO, adam), {"lr": torch.tensor(math.nan)}, ValueError, "adam: lr must lie in"),
        ((TWO, adam), {"lr": torch.tensor([0.1, 0.2])}, ValueError, "adam: lr must be one number, got an array"),
        ((TWO, adam), {"lr": lambda t: -0.1}, ValueError, r"step 1: lr must lie in \[0, inf\), got -0.1"),
        ((TWO, adam), {"betas": (0.9, 0.99)}, TypeError, "adam: unknown hyper-parameter 'betas', did you mean 'beta"),
        ((TWO, adam), {"weight_decay": -1}, ValueError, "adam: weight_decay must lie in"),
        ((TWO, adam), {"engine": "nunpy"}, ValueError, "engine must be one of .*, did you mean 'numpy'"),
        (
            (parameters([(3,)]), muon),
            {},
            ValueError,
            r"muon: only matrices .* shape \(3,\); put it in a group with another",
        ),
    ],
)
def test_wrong_arguments_are_refused(arguments, options, error, message):
    with pytest.raises(error, match=message):
        Optimizer(*arguments, **options)


def test_sparse_gradients_are_refused_and_nothing_is_changed():
    layer = torch.nn.Embedding(5, 3, sparse=True)
    dense = torch.nn.Parameter(torch.ones(2))
    optimizer = Optimizer([dense, *layer.parameters()], adam)
    (layer(torch.tensor([1, 2])).sum() + dense.sum()).backward()
    with pytest.raises(TypeError, match="adam: sparse gradients cannot be stepped; make the layer with sparse=False"):
        optimizer.step()
    assert torch.equal(dense, torch.ones(2))
    assert not optimizer.state


def test_a_rate_that_became_wrong_is_refused_and_nothing_is_changed():
    params = parameters()
    optimizer = Optimizer([{"params": params[:1]}, {"params": params[1:]}], adam)
    before = values(params)
    gradients(1, params)
    optimizer.param_groups[1]["lr"] = float("nan")
    with pytest.raises(ValueError, match="adam: lr must lie in"):
        optimizer.step()
    assert same(values(params), before)


# Several processes

WORKER = """
import sys, torch
from lossopt.rules import adam, momentum
from lossopt.torch import Optimizer
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
results = {}
for name, rule in (("adam", adam), ("momentum", momentum)):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(20, 16), torch.nn.Tanh(), torch.nn.Linear(16, 5)).double()
    model = torch.nn.parallel.DistributedDataParallel(net)
    x, y = torch.load(f"{folder}/batch.pt", weights_only=True)
    optimizer = Optimizer(model.parameters(), rule, lr=0.01)
    for _ in range(50):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x[rank::2]), y[rank::2]).backward()
        optimizer.step()
    results[name] = torch.cat([p.detach().ravel() for p in net.parameters()])
torch.save(results, f"{folder}/{rank}.pt")
torch.distributed.destroy_process_group()
"""


@pytest.mark.skipif(not torch.distributed.is_gloo_available(), reason="this torch was built without gloo")
def test_two_processes_with_half_batches_are_one_with_the_whole(tmp_path):
    x, y = batch()
    torch.save((x, y), tmp_path / "batch.pt")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "GLOO_SOCKET_IFNAME": "lo"}
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, str(rank), str(tmp_path)], env=environment, stderr=subprocess.PIPE
        )
        for rank in (0, 1)
    ]
    errors = [worker.communicate(timeout=120)[1].decode() for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], errors
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1)]
    for name, rule in (("adam", adam), ("momentum", momentum)):
        net = network()
        optimizer = Optimizer(net.parameters(), rule, lr=0.01)
        for _ in range(50):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
        whole = torch.cat([parameter.detach().ravel() for parameter in net.parameters()])
        assert torch.equal(ranks[0][name], ranks[1][name])
        assert (ranks[0][name] - whole).abs().max() < 1e-12
