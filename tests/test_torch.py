import copy
import io
import math
import shutil

import numpy as np
import pytest

from lossopt import optim
from lossopt.rules import adagrad, adam, adamw, lamb, momentum, muon, nesterov, rmsprop, sgd
from lossopt.rules.registry import RULES, describe
from lossopt.tensor import tensor

torch = pytest.importorskip("torch")

from torch.optim.optimizer import (  # noqa: E402
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from lossopt.torch import Optimizer, _kernel  # noqa: E402  (it needs torch, which the line above asks for)

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
    """The gradients of step t, one coordinate of each array being always zero."""
    for i, parameter in enumerate(params):
        g = np.asarray(np.random.default_rng([t, i]).standard_normal(parameter.shape))
        if g.ndim:
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


side_by_side_or_alone = pytest.mark.parametrize("sizes", [(12, 100), (0, 0)], ids=["side by side", "each alone"])


@every_rule
@side_by_side_or_alone
def test_tensor_operations_train_as_numpy_does(rule, sizes, monkeypatch):
    by_numpy, by_torch = parameters(SQUARE * 2), parameters(SQUARE * 2)
    train(Optimizer(by_numpy, rule.rule), by_numpy, range(1, 11))
    monkeypatch.setattr("lossopt.torch._in_numpy", lambda p: False)
    monkeypatch.setattr("lossopt.torch._DEVICE_SIZES", sizes)
    optimizer = Optimizer(by_torch, rule.rule)
    train(optimizer, by_torch, range(1, 11))
    assert_close(by_torch, by_numpy)
    optimizer.load_state_dict(through_a_file(optimizer.state_dict()))
    train(optimizer, by_torch, [11])


@pytest.fixture
def fresh_kernels():
    """No kernel of another test is found, and none is left."""
    _kernel.cache_clear()
    yield
    _kernel.cache_clear()


elementwise_rule = pytest.mark.parametrize(
    "rule", [rule for rule in RULES.values() if rule.elementwise], ids=lambda rule: rule.name
)


@elementwise_rule
@side_by_side_or_alone
def test_the_kernel_of_a_rule_trains_as_numpy_does(rule, sizes, fresh_kernels, monkeypatch):
    monkeypatch.setattr("torch.compile", lambda kernel, **options: kernel)  # its text is the same, compiled or not
    monkeypatch.setattr("lossopt.torch._DEVICE_SIZES", sizes)
    by_numpy, by_kernel = parameters(SQUARE * 2), parameters(SQUARE * 2)
    for params, engine in ((by_numpy, "numpy"), (by_kernel, "compile")):
        train(Optimizer(params, rule.rule, engine=engine, weight_decay=0.1), params, range(1, 11))
    assert _kernel.cache_info().currsize > 0
    assert_close(by_kernel, by_numpy)


@pytest.mark.skipif(not shutil.which("c++"), reason="torch.compile needs a C++ compiler")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # torch's own, in its compiler
def test_a_compiled_kernel_serves_every_step_rate_and_size(fresh_kernels):
    by_numpy, compiled = parameters([*SQUARE, (70,)]), parameters([*SQUARE, (70,)])
    for params, engine in ((by_numpy, "numpy"), (compiled, "compile")):
        optimizer = Optimizer(params, adam, lr=lambda t: 0.1 / t, engine=engine)
        train(optimizer, params, [1])
        made = torch._dynamo.utils.counters["stats"]["unique_graphs"] if engine == "compile" else 0
        train(optimizer, params, [2, 3])
        params[0].grad = None
        optimizer.step()  # other parameters, side by side: another size, and one of them alone
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == made > 0
    assert_close(compiled, by_numpy)


def keeps_its_weights(w, g, t, before, lr=0.5):
    return before - lr * g, w


def keeps_its_gradient(w, g, t, first, second, lr=0.5):
    return w - lr * second, g, first


def counts(w, g, t, n, lr=0.5):
    return w - lr * g / t, 2.0


@pytest.mark.parametrize("rule", [keeps_its_weights, keeps_its_gradient, counts])
@pytest.mark.parametrize("engine", ["numpy", "numba", "compile", "tensors"])
@side_by_side_or_alone
def test_a_rule_may_keep_what_it_was_given_or_a_number(rule, engine, sizes, fresh_kernels, monkeypatch):
    if engine == "numba":
        pytest.importorskip("numba")
    monkeypatch.setattr("torch.compile", lambda kernel, **options: kernel)
    monkeypatch.setattr("lossopt.torch._in_numpy", lambda p: engine != "tensors")
    monkeypatch.setattr("lossopt.torch._DEVICE_SIZES", sizes)
    monkeypatch.setattr("lossopt.torch._CPU_SIZES", sizes)
    monkeypatch.setattr("lossopt.engine.ENGINES", {"numpy": 0, "numba": 0})
    params = parameters(SQUARE * 2)
    expected = [(w, *[0.0] * len(describe(rule).state)) for w in values(params)]
    optimizer = Optimizer(params, rule, engine="numpy" if engine == "tensors" else engine)
    for t in range(1, 5):
        gradients(t, params)
        expected = [rule(w, p.grad.clone(), t, *state) for p, (w, *state) in zip(params, expected, strict=True)]
        optimizer.step()
    assert same(values(params), [w for w, *_ in expected])


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


def assorted(dtype=torch.float32):
    """Parameters of all kinds: in one piece or not, of several precisions, empty, and with gradients of any order."""
    params = parameters([(3, 4), (), (0,), (5,), (2, 3, 4, 4)] * 2, dtype)
    params += parameters([(4,), (2, 2)], torch.bfloat16) + parameters([(4,), (2, 2)], torch.float64)
    params += [torch.nn.Parameter(p.detach().T) for p in parameters([(3, 4), (2, 5)], dtype)]
    params += [torch.nn.Parameter(p.detach()[..., 0]) for p in parameters([(10, 5, 2), (10, 2)], dtype)]
    for p in params[4:10:5]:
        p.data = p.detach().to(memory_format=torch.channels_last)
    return params


@pytest.mark.parametrize("engine", ["numpy", "numba", "tensors"])
@pytest.mark.parametrize("sizes", [(20, 30), (2048, 32768), (0, 0)], ids=["some alone", "side by side", "each alone"])
def test_many_parameters_of_all_kinds_are_stepped_as_each_by_itself(engine, sizes, monkeypatch):
    if engine == "numba":
        pytest.importorskip("numba")
    monkeypatch.setattr("lossopt.torch._in_numpy", lambda p: engine != "tensors")
    monkeypatch.setattr("lossopt.engine.ENGINES", {"numpy": 0, "numba": 0})
    together, apart = assorted(), assorted()
    optimizer = Optimizer(together, adam, lr=0.1, engine=engine.replace("tensors", "numpy"))
    others = [Optimizer([p], adam, lr=0.1) for p in apart]
    for t in range(1, 6):
        for params in (together, apart):
            gradients(t, params)
            params[-3].grad = params[-3].grad.T.contiguous().T
            for k in (t, t + 5):  # no gradient now, and another number of steps from now on
                params[k].grad = None
        monkeypatch.setattr("lossopt.torch._CPU_SIZES", sizes)
        monkeypatch.setattr("lossopt.torch._DEVICE_SIZES", sizes)
        optimizer.step()
        monkeypatch.setattr("lossopt.torch._CPU_SIZES", (0, 0))
        monkeypatch.setattr("lossopt.torch._DEVICE_SIZES", (0, 0))
        for other in others:
            other.step()
    assert same(values(together), values(apart))


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


@pytest.mark.parametrize("rule", [adam, muon])
@pytest.mark.parametrize("engine", ["numpy", "numba", "tensors"])
@side_by_side_or_alone
def test_a_graph_through_old_weights_refuses_to_be_run_after_a_step(rule, engine, sizes, monkeypatch):
    if engine == "numba":
        pytest.importorskip("numba")
    monkeypatch.setattr("lossopt.torch._in_numpy", lambda p: engine != "tensors")
    monkeypatch.setattr("lossopt.torch._CPU_SIZES", sizes)
    monkeypatch.setattr("lossopt.torch._DEVICE_SIZES", sizes)
    monkeypatch.setattr("lossopt.engine.ENGINES", {"numpy": 0, "numba": 0})
    params = parameters()
    optimizer = Optimizer(params, rule, engine=engine.replace("tensors", "numpy"))
    losses = [parameter.square().sum() for parameter in params]
    for loss in losses:
        loss.backward(retain_graph=True)
    optimizer.step()
    for loss in losses:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@every_rule
def test_gradients_may_have_graphs_of_their_own(rule):
    plain, graphed = parameters(SQUARE), parameters(SQUARE)
    for params, graph in ((plain, False), (graphed, True)):
        grads = torch.autograd.grad(sum((p**4).sum() for p in params), params, create_graph=graph)
        for parameter, grad in zip(params, grads, strict=True):
            parameter.grad = grad
        Optimizer(params, rule.rule).step()
    assert params[0].grad.requires_grad
    assert same(values(plain), values(graphed))
    assert all(parameter.is_leaf for parameter in params)


def test_parameters_are_changed_in_their_own_memory():
    params = parameters()
    addresses = [parameter.data_ptr() for parameter in params]
    train(Optimizer(params, adam), params, [1, 2])
    assert [parameter.data_ptr() for parameter in params] == addresses


# What torch.optim does too


def columns(shape):
    """A parameter that is not in one piece of memory."""
    return torch.nn.Parameter(torch.randn(*shape, 2, dtype=torch.float64)[..., 0])


@every_rule
@pytest.mark.parametrize("make", [lambda shape: torch.nn.Parameter(torch.randn(shape, dtype=torch.float64)), columns])
def test_the_loss_falls_with_and_without_a_schedule(rule, make):
    torch.manual_seed(0)
    weight, bias, x = make((10, 5)), make((10, 1)), torch.randn(5, 1, dtype=torch.float64)
    optimizer = Optimizer([weight, bias], rule.rule)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.9)

    def closure():
        optimizer.zero_grad()
        loss = (weight @ x + bias).square().sum()
        loss.backward()
        return loss

    losses = [closure().item()]
    for t in range(200):
        optimizer.step(closure)
        if t >= 100:
            scheduler.step()
        if t % 100 == 99:
            losses.append(closure().item())
    assert losses[0] > losses[1] > losses[2]


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


def test_the_default_precision_of_torch_does_not_matter():
    trained = []
    for default in (torch.float32, torch.float64):
        torch.set_default_dtype(default)
        try:
            params = parameters(dtype=torch.float32)
            optimizer = Optimizer(params, adam)
            train(optimizer, params, [1, 2])
        finally:
            torch.set_default_dtype(torch.float32)
        trained.append(values(params))
        assert all(optimizer.state[p]["m"].dtype == torch.float32 for p in params)
    assert same(*trained)


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


SCHEDULERS = {
    "StepLR": {"step_size": 2, "gamma": 0.1},
    "MultiStepLR": {"milestones": [1, 3]},
    "LambdaLR": {"lr_lambda": lambda t: 0.9**t},
    "MultiplicativeLR": {"lr_lambda": lambda t: 0.9},
    "ConstantLR": {},
    "LinearLR": {},
    "ExponentialLR": {"gamma": 0.9},
    "PolynomialLR": {},
    "CosineAnnealingLR": {"T_max": 4},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "OneCycleLR": {"max_lr": 0.5, "total_steps": 8},
    "CyclicLR": {"base_lr": 0.1, "max_lr": 0.5, "step_size_up": 2},
    "ReduceLROnPlateau": {"patience": 1},
}


@pytest.mark.parametrize("name", SCHEDULERS)
@pytest.mark.parametrize("tensor_rate", [False, True])
def test_the_schedulers_of_torch_move_what_they_move_there(name, tensor_rate):
    rates = []
    for make in (Optimizer, lambda params, _, **options: torch.optim.SGD(params, **options)):
        params = parameters()
        optimizer = make(params, momentum, lr=torch.tensor(0.1) if tensor_rate else 0.1, momentum=0.9)
        scheduler = getattr(torch.optim.lr_scheduler, name)(optimizer, **SCHEDULERS[name])
        rates.append([])
        for t in range(1, 8):
            train(optimizer, params, [t])
            rates[-1].append([float(optimizer.param_groups[0][n]) for n in ("lr", "momentum")])
            scheduler.step(*[1.0] * (name == "ReduceLROnPlateau"))
    assert rates[0] == rates[1]
    assert rates[0].count(rates[0][0]) < 7


def test_a_chain_of_schedulers_moves_the_rate_and_goes_on_from_a_file():
    def make():
        params = parameters()
        optimizer = Optimizer(params, adam, lr=0.1)
        warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=2)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
        return params, optimizer, torch.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, falling], milestones=[2])

    def go_on(params, optimizer, scheduler, steps):
        for t in steps:
            train(optimizer, params, [t])
            scheduler.step()

    first, second = make(), make()
    go_on(*first, range(1, 4))
    with torch.no_grad():
        torch._foreach_copy_(second[0], first[0])
    for mine, saved in zip(second[1:], first[1:], strict=True):
        mine.load_state_dict(through_a_file(saved.state_dict()))
    for trained in (first, second):
        go_on(*trained, range(4, 7))
    assert same(values(first[0]), values(second[0]))


@every_rule
@pytest.mark.parametrize("in_numpy", [True, False], ids=["by numpy", "by tensor operations"])
def test_a_rate_may_be_a_tensor_or_a_function_of_the_step(rule, in_numpy, monkeypatch):
    monkeypatch.setattr("lossopt.torch._in_numpy", lambda p: in_numpy)
    trained = []
    for lr in (0.01, *(torch.tensor(x, dtype=torch.float64) for x in (0.01, [0.01])), lambda t: 0.01):
        params = parameters()
        train(Optimizer(params, rule.rule, lr=lr), params, range(1, 5))
        trained.append(values(params))
    assert all(same(trained[0], other) for other in trained[1:])


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


def test_hooks_are_called_in_order_until_they_are_removed():
    calls = []
    params = parameters()
    optimizer = Optimizer(params, sgd)
    hooks = [
        optimizer.register_step_pre_hook(lambda *_: calls.append("before 1")),
        optimizer.register_step_pre_hook(lambda *_: calls.append("before 2")),
        optimizer.register_step_post_hook(lambda *_: calls.append("after")),
        register_optimizer_step_pre_hook(lambda *_: calls.append("before all")),
        register_optimizer_step_post_hook(lambda *_: calls.append("after all")),
    ]
    train(optimizer, params, [1])
    for hook in hooks:
        hook.remove()
    train(optimizer, params, [2])
    assert calls == ["before all", "before 1", "before 2", "after", "after all"]


def test_hooks_of_saving_see_the_state_before_and_the_dict_after():
    optimizer = Optimizer(parameters(), adam)
    optimizer.register_state_dict_pre_hook(lambda optimizer: optimizer.state.update(note=1))
    optimizer.register_state_dict_post_hook(lambda optimizer, saved: saved | {"seen": saved["state"].pop("note")})
    saved = optimizer.state_dict()
    assert (saved["seen"], saved["state"], saved["param_groups"][0]["rule"]) == (1, {}, "adam")


def test_hooks_of_loading_change_what_is_loaded_and_see_what_was():
    params = parameters(dtype=torch.bfloat16)
    optimizer = Optimizer(params, adam, lr=0.1)
    train(optimizer, params, [1])
    saved = optimizer.state_dict()
    kept = copy.deepcopy(flat(saved))
    seen = []

    def halve(optimizer, given):
        given = copy.deepcopy(given)
        given["param_groups"][0]["lr"] /= 2
        given["state"][0]["m"] /= 2
        return given | {"state": given["state"] | {"note": 1}}

    optimizer.register_load_state_dict_pre_hook(halve)
    optimizer.register_load_state_dict_post_hook(lambda optimizer: seen.append(optimizer.state[params[0]]["m"].clone()))
    optimizer.load_state_dict(saved)
    assert optimizer.param_groups[0]["lr"] == 0.05
    assert optimizer.state["note"] == 1
    assert torch.equal(seen[0], saved["state"][0]["m"] / 2)
    assert torch.equal(optimizer.state[params[0]]["m"], seen[0])
    assert seen[0].dtype == torch.float32
    assert flat(saved) == kept
    optimizer.register_load_state_dict_pre_hook(lambda _, given: given["param_groups"][0].update(lr=-1.0))
    before = copy.deepcopy(flat(optimizer.state_dict() | {"state": {}}))
    with pytest.raises(ValueError, match="adam: lr must lie in"):
        optimizer.load_state_dict(copy.deepcopy(saved))
    assert flat(optimizer.state_dict() | {"state": {}}) == before
    assert len(optimizer._optimizer_load_state_dict_pre_hooks) == 2


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


@every_rule
@pytest.mark.parametrize("wanted", [True, False])
def test_a_step_without_any_gradient_changes_nothing(rule, wanted):
    params = [parameter.requires_grad_(wanted) for parameter in parameters()]
    before = values(params)
    optimizer = Optimizer(params, rule.rule, weight_decay=0.1)
    assert optimizer.step(lambda: torch.tensor([1.0])) == torch.tensor([1.0])
    assert same(values(params), before)
    assert not optimizer.state


@every_rule
@on_every_device
def test_gradients_of_zero_change_nothing_where_nothing_decays(rule, device):
    params = parameters(device=device)
    before = values(params)
    optimizer = Optimizer(params, rule.rule, weight_decay=0.0)
    for _ in range(3):
        for parameter in params:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
    assert_close(params, before)


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
    assert vars(twin).keys() >= {name for name in vars(optimizer) if name[0] != "_"}
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


def test_names_of_parameters_are_kept_whichever_side_has_them():
    named, unnamed = (Optimizer(params, adam) for params in (network().named_parameters(), network().parameters()))
    names = ["0.weight", "0.bias", "2.weight", "2.bias"]
    for here, there in ((named, unnamed), (unnamed, named)):
        here.load_state_dict(through_a_file(there.state_dict()))
        assert here.param_groups[0]["param_names"] == names


def test_a_step_saved_as_a_tensor_is_a_number_again():
    params = parameters()
    optimizer = Optimizer(params, adam)
    train(optimizer, params, [1, 2])
    saved = copy.deepcopy(optimizer.state_dict())
    for state in saved["state"].values():
        state["step"] = torch.tensor(float(state["step"]))
    optimizer.load_state_dict(saved)
    assert [type(optimizer.state[p]["step"]) for p in params] == [int, int]
    train(optimizer, params, [3])
    assert [state["step"] for state in saved["state"].values()] == [2.0, 2.0]


def test_state_in_another_order_of_memory_is_put_in_one_piece():
    params, others = parameters(), parameters()
    optimizer, other = Optimizer(params, adam), Optimizer(others, adam)
    train(optimizer, params, [1])
    saved = copy.deepcopy(optimizer.state_dict())
    for state in saved["state"].values():
        state["m"] = state["m"].T.contiguous().T
    with torch.no_grad():
        torch._foreach_copy_(others, params)
    other.load_state_dict(saved)
    assert all(other.state[p]["m"].is_contiguous() for p in others)
    train(optimizer, params, [2])
    train(other, others, [2])
    assert same(values(params), values(others))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every_rule
def test_a_state_saved_on_the_cpu_goes_on_on_a_device(rule):
    cpu, cuda = parameters(SQUARE), parameters(SQUARE, device="cuda")
    optimizers = [Optimizer(params, rule.rule) for params in (cpu, cuda)]
    train(optimizers[0], cpu, [1, 2])
    with torch.no_grad():
        torch._foreach_copy_(cuda, cpu)
    optimizers[1].load_state_dict(through_a_file(optimizers[0].state_dict()))
    for optimizer, params in zip(optimizers, (cpu, cuda), strict=True):
        train(optimizer, params, [3, 4])
    assert all(type(optimizers[1].state[p]["step"]) is int for p in cuda)
    assert_close(cuda, cpu)


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
        case "step":
            state[1]["step"] = "two"
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
        ("step", ValueError, "parameter 1: step must be a whole number from 0, got 'two'"),
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


def clips(w, g, t, lr=0.1):
    return w - lr * g.clip(-1, 1)


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
        (([{"params": set(TWO)}], adam), {}, TypeError, "ordered collections"),
        (([("weight", TWO[0]), TWO[1]], adam), {}, ValueError, "Some param names are missing"),
        (
            ([{"params": TWO[:1]}, {"params": [("weight", TWO[1])]}], adam),
            {},
            ValueError,
            "cannot add param group with names",
        ),
        (([torch.zeros(3, dtype=torch.complex64)], adam), {}, TypeError, "parameter 0 must be of real floating-point"),
        (([torch.zeros(3, dtype=torch.int64)], adam), {}, TypeError, "got torch.int64"),
        ((TWO, "adam"), {}, TypeError, "a rule is a function such as lossopt.rules.adam, got 'adam'"),
        ((TWO, adam), {"lr": -1.0}, ValueError, r"adam: lr must lie in \[0, inf\), got -1.0"),
        ((TWO, adam), {"lr": torch.tensor(math.nan)}, ValueError, "adam: lr must lie in"),
        ((TWO, adam), {"lr": torch.tensor([0.1, 0.2])}, ValueError, "adam: lr must be one number, got an array"),
        ((TWO, adam), {"lr": lambda t: -0.1}, ValueError, r"step 1: lr must lie in \[0, inf\), got -0.1"),
        ((TWO, adam), {"betas": (0.9, 0.99)}, TypeError, "adam: unknown hyper-parameter 'betas', did you mean 'beta"),
        ((TWO, adam), {"weight_decay": -1}, ValueError, "adam: weight_decay must lie in"),
        ((TWO, adam), {"beta1": 1.0}, ValueError, r"adam: beta1 must lie in \[0, 1\), got 1.0"),
        ((TWO, adam), {"eps": -1e-8}, ValueError, "adam: eps must lie in"),
        ((TWO, rmsprop), {"alpha": 1.5}, ValueError, "rmsprop: alpha must lie in"),
        ((TWO, momentum), {"momentum": -0.5}, ValueError, "momentum: momentum must lie in"),
        ((TWO, adam), {"maximize": True}, TypeError, "adam: unknown hyper-parameter 'maximize'"),
        ((TWO, clips), {"engine": "compile"}, ValueError, "clips: engine='compile' runs rules of arithmetic alone"),
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


@pytest.mark.parametrize("engine", ["numpy", "numba", "tensors"])
def test_a_parameter_that_has_outgrown_its_state_is_refused(engine, monkeypatch):
    if engine == "numba":
        pytest.importorskip("numba")
    monkeypatch.setattr("lossopt.torch._in_numpy", lambda p: engine != "tensors")
    monkeypatch.setattr("lossopt.engine.ENGINES", {"numpy": 0, "numba": 0})
    params = parameters([(5,)])
    optimizer = Optimizer(params, adam, engine=engine.replace("tensors", "numpy"))
    train(optimizer, params, [1])
    params[0].grad = None
    params[0].data = torch.ones(7, dtype=torch.float64)
    with pytest.raises((RuntimeError, ValueError), match=r"must have one shape|size of tensor"):
        train(optimizer, params, [2])
    assert torch.equal(params[0], torch.ones(7, dtype=torch.float64))


def test_a_rate_that_became_wrong_is_refused_and_nothing_is_changed():
    params = parameters()
    optimizer = Optimizer([{"params": params[:1]}, {"params": params[1:]}], adam)
    before = values(params)
    gradients(1, params)
    optimizer.param_groups[1]["lr"] = float("nan")
    with pytest.raises(ValueError, match="adam: lr must lie in"):
        optimizer.step()
    assert same(values(params), before)
