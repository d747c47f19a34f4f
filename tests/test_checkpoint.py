"""A checkpoint is the training, whole or not at all: every bit comes back, and every damage is told."""

import io
import json
import os
import re
import subprocess
import sys
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from lossopt import Optimizer, checkpoint, tensor
from lossopt.checkpoint import DamagedError, load, save
from lossopt.losses import cross_entropy
from lossopt.nn import BatchNorm1d, Dropout, Linear, Module, ReLU, Sequential
from lossopt.rules import adam, lamb, momentum, sgd

SUFFIXES = [".npz", ".safetensors"]
DTYPES = sorted(checkpoint.DTYPES)
BIT_GENERATORS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    if request.param == ".safetensors":
        pytest.importorskip("safetensors", reason="the extra lossopt[safetensors] is not installed")
    return tmp_path / f"run{request.param}"


class Training:
    """A small network in the middle of its training, with one generator for everything."""

    def __init__(self, seed=0, rule=adam, hidden=4, dtype=np.float32, steps=0, **hyper):
        self.rng = np.random.default_rng(seed)
        self.net = Sequential(
            Linear(3, hidden, rng=self.rng, dtype=dtype),
            BatchNorm1d(hidden, dtype=dtype),
            Dropout(0.3, rng=self.rng),
            ReLU(),
            Linear(hidden, 2, rng=self.rng, dtype=dtype),
        )
        self.optimizer = Optimizer(self.net.parameters(), rule, **{"lr": 0.1, **hyper})
        self.train(steps)

    def train(self, steps):
        dtype = self.net.state_dict()["0.weight"].dtype
        for _ in range(steps):
            x, y = self.rng.standard_normal((8, 3)), self.rng.integers(0, 2, 8)
            loss = cross_entropy(self.net(tensor(x.astype(dtype))), tensor(y)).mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return self

    @property
    def parts(self):
        return {"net": self.net, "optimizer": self.optimizer, "rng": self.rng}

    def state(self):
        return {name: checkpoint._state(part) for name, part in self.parts.items()}


def same(a, b):
    """Whether two trees are equal bit for bit, types included."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    return (a == b and str(a) == str(b)) or (a != a and b != b)  # NaN is NaN, and 0.0 is not -0.0


def names_in(folder):
    return sorted(entry.name for entry in folder.iterdir())


# What comes back ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_of_every_dtype_and_shape_come_back_bit_for_bit(path, dtype):
    noise = np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 256, 24 * 8).astype(np.uint8)
    a = noise[: 24 * np.dtype(dtype).itemsize].view(dtype).reshape(2, 3, 4)  # floats: NaNs with a payload as well
    saved = {"cube": a, "number": np.array(a[1, 2, 3]), "empty": a[:0], "row": a[0, 0]}
    save(path, **saved)
    assert same(load(path), saved)


def test_the_layout_and_the_byte_order_of_an_array_do_not_matter(path):
    a = np.arange(12.0).reshape(3, 4)
    save(path, f=np.asfortranarray(a), reversed=a[::-1, ::-2], transposed=a.T, big=a.astype(">f8"), one=a[:, :1])
    expected = {"f": a, "reversed": a[::-1, ::-2].copy(), "transposed": a.T.copy(), "big": a, "one": a[:, :1].copy()}
    assert same(load(path), expected)


@settings(max_examples=40, deadline=None)
@given(
    arrays_of.arrays(
        st.sampled_from(DTYPES).map(np.dtype), arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
    )
)
def test_any_array_comes_back(tmp_path_factory, a):
    path = tmp_path_factory.mktemp("any") / "a.npz"
    save(path, a=a)
    assert same(load(path), {"a": np.array(a, order="C")})


def test_plain_values_come_back_as_they_were(path):
    saved = {
        "whole": 3, "huge": -(2**200), "real": 0.1, "tiny": 5e-324, "minus": -0.0, "infinite": -np.inf, "no": np.nan,
        "yes": True, "none": None, "words": 'lr "0.1"\n한글 \ud800', "file": np.ones(2),
        "dict": {"a": {"b": np.arange(3), "c": {}}, "a.b": 1, "0": 0.5},
    }  # fmt: skip
    save(path, **saved)
    assert same(load(path), saved)


def test_numbers_of_numpy_come_back_as_python_numbers(path):
    save(path, a=np.float32(0.1), b=np.int8(3), c=np.bool_(True), d=np.float64(0.1), e=np.str_("e"))
    assert same(load(path), {"a": float(np.float32(0.1)), "b": 3, "c": True, "d": 0.1, "e": "e"})


def test_what_is_returned_may_be_written_to(path):
    save(path, a=np.zeros(3))
    load(path)["a"][0] = 1.0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("rule", [sgd, momentum, adam, lamb])
def test_training_goes_on_bit_for_bit(path, rule, dtype):
    undisturbed = Training(rule=rule, dtype=dtype, steps=5)
    save(path, **undisturbed.parts, step=5)
    resumed = Training(seed=1, rule=rule, dtype=dtype, steps=2, lr=0.7)
    assert load(path, **resumed.parts) == {"step": 5}
    assert same(resumed.state(), undisturbed.state())
    assert same(resumed.train(5).state(), undisturbed.train(5).state())


def test_many_runs_go_on_bit_for_bit(path):
    def build(seed):
        rngs = [np.random.default_rng(seed + k) for k in range(3)]
        net = Linear(3, 2, rng=rngs, runs=3)
        return net, Optimizer(net.parameters(), adam, runs=3, lr=np.array([0.1, 0.2, 0.3])), rngs

    def train(net, optimizer, rngs):
        for _ in range(3):
            x = np.stack([rng.standard_normal((4, 3)) for rng in rngs]).astype(np.float32)
            optimizer.zero_grad()
            net(tensor(x)).square().sum().backward()
            optimizer.step()
        return net.state_dict()

    net, optimizer, rngs = build(0)
    train(net, optimizer, rngs)
    save(path, net=net, optimizer=optimizer, rngs=rngs)
    other, another, others = build(10)
    assert load(path, net=other, optimizer=another, rngs=others) == {}
    assert same(train(other, another, others), train(net, optimizer, rngs))


@pytest.mark.parametrize("bits", BIT_GENERATORS)
def test_every_generator_goes_on_with_the_same_numbers(path, bits):
    rng, other = (np.random.Generator(bits(seed)) for seed in (0, 1))
    rng.integers(0, 2**32, 5, dtype=np.uint32)  # leaves half of a 64-bit number behind
    save(path, rng=rng)
    load(path, rng=other)
    assert rng.integers(0, 2**32, 3, dtype=np.uint32).tolist() == other.integers(0, 2**32, 3, dtype=np.uint32).tolist()
    assert rng.standard_normal(700).tobytes() == other.standard_normal(700).tobytes()


def test_one_part_may_be_filled_and_the_others_returned(path):
    training = Training(steps=2)
    save(path, **training.parts)
    other = Training(seed=1)
    rest = load(path, net=other.net)
    assert same(other.net.state_dict(), training.net.state_dict())
    assert same(rest, {name: training.state()[name] for name in ("optimizer", "rng")})
    assert same(load(path), training.state())


def test_the_caller_and_the_file_share_nothing(path):
    training = Training(steps=2)
    before = training.state()
    save(path, **training.parts)
    assert same(training.state(), before)
    other = Training(seed=1)
    load(path, **other.parts)
    other.train(1)
    assert same(load(path), before)


def test_the_same_training_gives_the_same_bytes(path, tmp_path):
    again = tmp_path / f"again{path.suffix}"
    save(path, **Training(steps=2).parts)
    save(again, **Training(steps=2).parts)
    assert path.read_bytes() == again.read_bytes()


def test_other_programs_can_read_the_arrays(tmp_path):
    training = Training()
    weight = training.net.state_dict()["0.weight"]
    save(tmp_path / "run.npz", net=training.net)
    with np.load(tmp_path / "run.npz", allow_pickle=False) as arrays:
        assert same(arrays["net/0.weight"], weight)
    library = pytest.importorskip("safetensors.numpy")
    save(tmp_path / "run.safetensors", net=training.net)
    assert same(library.load_file(tmp_path / "run.safetensors")["net/0.weight"], weight)


# What is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"a": [1.0, 2.0]}, TypeError, "save: a is of type list; it must be a number, a str, an array"),
        ({"a": {"b": {1}}}, TypeError, "save: a/b is of type set;"),
        ({"a": np.array([{}])}, TypeError, "save: a is of type array of object;"),
        ({"a": np.array(["a"])}, TypeError, "save: a is of type array of <U1;"),
        ({"a": np.ones(2, np.complex128)}, TypeError, "save: a is of type array of complex128;"),
        ({"a": np.ones(2, np.longdouble)}, TypeError, "save: a is of type array of"),
        ({"a": np.ma.masked_equal([1, 2], 1)}, TypeError, "save: a is of type MaskedArray;"),
        ({"a": 1j}, TypeError, "save: a is of type complex;"),
        ({"a": tensor([1.0])}, TypeError, "save: a is of type Tensor;"),
        ({"a": {0: 1.0}}, TypeError, "save: the keys of a must be str, got 0"),
        ({"a": {"b/c": 1.0}}, ValueError, "a name must be printable and without slashes, got 'b/c' in a"),
        ({"a": {"b\0": 1.0}}, ValueError, r"got 'b\\x00' in a"),
        ({"a": {"b\\c": 1.0}}, ValueError, "without slashes, got"),
        ({"a": {"": 1.0}}, ValueError, "got '' in a"),
        ({"a/b": 1.0}, ValueError, "got 'a/b' in the parts"),
    ],
)
def test_what_cannot_be_saved_is_refused_and_the_old_file_stays(path, parts, error, message):
    save(path, a=1)
    old = path.read_bytes()
    with pytest.raises(error, match=message):
        save(path, b=np.ones(3), **parts)
    assert path.read_bytes() == old
    assert names_in(path.parent) == [path.name]


def test_a_name_that_safetensors_keeps_is_refused_and_the_old_file_stays(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "run.safetensors"
    save(path, a=1)
    with pytest.raises(ValueError, match="safetensors keeps the name __metadata__"):
        save(path, __metadata__=np.ones(3))
    assert load(path) == {"a": 1}
    assert names_in(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["run.pt", "run", "run.npz.old"])
def test_the_name_says_the_format(tmp_path, name):
    for act in (save, load):
        with pytest.raises(ValueError, match=rf"{name}: the name of a checkpoint must end in \.npz or \.safetensors"):
            act(tmp_path / name)
    assert names_in(tmp_path) == []


def test_without_safetensors_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for act in (save, load):
        with pytest.raises(ImportError, match=re.escape('.safetensors needs safetensors: pip install "lossopt[safet')):
            act(tmp_path / "run.safetensors")
    save(tmp_path / "run.npz", a=1)


def test_a_missing_file_and_a_missing_folder_are_what_they_are(path):
    with pytest.raises(FileNotFoundError, match=path.name):
        load(path)
    with pytest.raises(FileNotFoundError):
        save(path.parent / "nowhere" / path.name, a=1)


WRONG_SHAPE = (
    r"net: load_state_dict: .*0\.weight must have shape \(5, 3\), got \(4, 3\)|optimizer: .* is \[5 3\] here, got"
)
MISFITS = [
    (
        lambda: Training(hidden=5).parts,
        r"net: .*0\.weight must have shape \(5, 3\), got \(4, 3\)|optimizer: .*\[5 3\] here",
    ),
    (
        lambda: Training(dtype=np.float64).parts,
        "net: .* is float64 here and float32 in the file; convert|optimizer: .*64",
    ),
    (lambda: Training().parts | {"net": Linear(3, 2)}, "net: load_state_dict: weight is missing; bias is missing; 0"),
    (lambda: Training(rule=momentum).parts, "optimizer: state_dict: 0.rule is momentum here, got adam"),
    (lambda: Training(lr=lambda t: 0.1).parts, r"optimizer: state_dict: .* not expected \['0\.lr'\]"),
    (lambda: Training().parts | {"rng": np.random.Generator(np.random.SFC64())}, "rng: .* is a SFC64, the saved one P"),
    (lambda: Training().parts | {"rng": [np.random.default_rng()]}, "rng: there are 1 generators here, and 4 in the f"),
    (lambda: Training().parts | {"rgn": np.random.default_rng()}, "no 'rgn', it has net, .*, did you mean 'rng'"),
    (lambda: Training().parts | {"step": np.random.default_rng()}, "step is a plain value, it cannot fill .* Generato"),
    (lambda: Training().parts | {"extra": np.random.default_rng()}, "extra: .* is a PCG64, the saved one None"),
    (lambda: Training().parts | {"step": 0}, r"load: step is of type int; .* are returned: load\(path\)\['step'\]"),
]


@pytest.mark.parametrize(("build", "message"), MISFITS)
def test_what_does_not_fit_is_named_and_nothing_is_changed(path, build, message):
    save(path, **Training(steps=3).parts, step=3, extra={"a": 1})
    parts = build()
    before = {name: checkpoint._state(part) for name, part in parts.items()}
    for order in (parts, dict(reversed(parts.items()))):  # whatever was filled before the misfit is as it was
        with pytest.raises((TypeError, ValueError), match=message) as caught:
            load(path, **order)
        assert not isinstance(caught.value, DamagedError)
        assert same({name: checkpoint._state(part) for name, part in parts.items()}, before)


class Interrupted(Module):
    """A module whose user presses Ctrl-C while it is being filled."""

    def __init__(self):
        self.inner = Linear(2, 2)

    def load_state_dict(self, state):
        super().load_state_dict(state)
        if state["inner.bias"][0] == 7:
            raise KeyboardInterrupt


def test_an_interrupt_between_two_parts_changes_nothing(path):
    module, rng = Interrupted(), np.random.default_rng(0)
    before = module.state_dict(), rng.bit_generator.state
    changed = {"inner.weight": np.ones((2, 2), np.float32), "inner.bias": np.full(2, 7, np.float32)}
    save(path, rng=np.random.default_rng(1), module=changed)
    with pytest.raises(KeyboardInterrupt):
        load(path, rng=rng, module=module)
    assert same((module.state_dict(), rng.bit_generator.state)[0], before[0])
    assert rng.bit_generator.state == before[1]


@pytest.mark.parametrize(("bits", "place", "value"), [(np.random.MT19937, "pos", 625), (np.random.Philox, "b", -1)])
def test_a_generator_is_not_sent_beyond_its_own_memory(path, bits, place, value):
    rng = np.random.Generator(bits(0))
    before, state = rng.bit_generator.state, rng.bit_generator.state
    if place == "pos":
        state["state"]["pos"] = value
    else:
        state["buffer_pos"] = value
    save(path, rng=state)
    with pytest.raises(ValueError, match=rf"rng: (buffer_)?pos must lie in \[0, \d+\], got {value}"):
        load(path, rng=rng)
    assert same(rng.bit_generator.state, before)


@pytest.mark.parametrize("state", [{"state": {}}, {"state": {"state": -1, "inc": 1}}, {"has_uint32": 2**70}])
def test_what_is_no_state_of_a_generator_is_refused(path, state):
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state
    save(path, rng={**before, **state})
    with pytest.raises((TypeError, ValueError), match="rng: "):
        load(path, rng=rng)
    assert rng.bit_generator.state == before


# Damage ------------------------------------------------------------------------------------------------------------


def test_a_file_cut_short_anywhere_is_told_from_a_whole_one(path):
    training = Training(hidden=1)
    save(path, **training.parts)
    whole, before = path.read_bytes(), training.state()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedError, match=rf"{path.name} was cut short or changed after it was saved: \S"):
            load(path, **training.parts)
    assert same(training.state(), before)


@pytest.mark.parametrize("change", [lambda byte, k: byte ^ 1 << k % 8, lambda byte, k: 255 - byte, lambda byte, k: 0])
def test_a_file_with_one_wrong_byte_is_told_or_gives_what_was_saved(path, change):
    saved = {"a": np.arange(3.0), "empty": np.empty((0, 2)), "optimizer": {"lr": 0.1, "rule": "adam"}}
    save(path, **saved)
    whole, told = path.read_bytes(), 0
    tracemalloc.start()
    for k, byte in enumerate(whole):  # some bytes say nothing of the contents, such as the date of a zip file
        path.write_bytes(whole[:k] + bytes([change(byte, k)]) + whole[k + 1 :])
        try:
            assert same(load(path), saved)
        except DamagedError:
            told += 1
        except ValueError as error:
            assert re.search("run.* is of version .*, and this lossopt reads version 1", str(error))  # noqa: PT017
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told > len(whole) / 2
    assert peak < 4e6


def rewritten(path, change=lambda text, members: text, **options):
    """Write a zip file anew as somebody would who knows its format, but not what the checksum is for."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    before = dict(members)
    members["manifest.json"] = change(members["manifest.json"].decode(), members).encode()
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return members != before


def member(name, content):
    def change(text, members):
        members[name] = content(members.get(name))
        return text

    return change


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, array, **options)
    return file.getvalue()


def shaped(text):
    """The bytes of an array of shape (2, 3), with a header that says something else."""
    return lambda old: old.replace(b"(2, 3), }" + b" " * (len(text) - 6), text.encode() + b", }")


TAMPERED = {
    "a number": lambda text, _: text.replace('"step": 3', '"step": 4'),
    "a name": lambda text, _: text.replace('"step"', '"stop"'),
    "a shape": lambda text, _: text.replace("[2, 3]", "[3, 2]"),
    "a dtype": lambda text, _: text.replace('"float64"', '"int64"'),
    "the checksum": lambda text, _: re.sub(r'"sha256": "....', '"sha256": "0000', text),
    "no checksum": lambda text, _: re.sub(r', "sha256": "\w+"', "", text),
    "no version": lambda text, _: text.replace('"version": 1, ', ""),
    "no parts": lambda text, _: '{"version": 1, "sha256": ""}',
    "a list": lambda text, _: "[1]",
    "no JSON": lambda text, _: text[:-1],
    "too deep": lambda text, _: "[" * 100_000,
    "a weight": member("a.npy", lambda _: npy(np.ones((2, 3)))),
    "the order of bytes": member("a.npy", lambda old: old.replace(b"'<f8'", b"'>f8'")),
    "another array": member("b.npy", lambda _: npy(np.ones(3))),
    "one array less": lambda text, members: members.pop("a.npy") and text,
    "what is no array": member("a.npy", lambda _: b"PK"),
    "a newer array": member("a.npy", lambda _: npy(np.zeros((2, 3)), version=(2, 0))),
    "addresses": member("a.npy", lambda _: npy(np.zeros(6), version=(1, 0)).replace(b"'<f8'", b"'|O8'")),
    "a pickle": member("a.npy", lambda _: npy(np.array([print, {}], dtype=object))),
    "a header of a terabyte": member("a.npy", shaped("(1000, 200000000)")),
    "a negative header": member("a.npy", shaped("(-2, -3)")),
    "a header that overflows": member("a.npy", shaped("(4294967296, 4294967296)")),
    "a smaller header": member("a.npy", shaped("(2, 2)")),
    "a transposed header": member("a.npy", shaped("(3, 2)")),
    "the dtype in a header": member("a.npy", lambda old: old.replace(b"'<f8'", b"'<i8'")),
    "a header without an end": member("a.npy", lambda old: old.replace(b"}", b" ")),
    "a header of brackets": member("a.npy", lambda old: old[:8] + b"\xf6\x00" + b"(" * 246),
    "a long header of brackets": member("a.npy", lambda old: old[:8] + b"\x00\x20" + b"(" * 8192),
    "a header of indents": member("a.npy", lambda old: old[:8] + b"\x76\x00" + b" \n  0\n 0\n".ljust(118)),
    "a header of Python 2": member("a.npy", lambda old: old.replace(b"(2, 3), }  ", b"(2L, 3L), }")),
    "a header that is no shape": member("a.npy", shaped("(2., 3)")),
}


@pytest.mark.parametrize("tampering", TAMPERED)
def test_a_file_that_was_tampered_with_is_refused_and_takes_no_memory(tmp_path, tampering):
    path = tmp_path / "run.npz"
    save(path, a=np.arange(6.0).reshape(2, 3), step=3, rng=np.random.default_rng(0))
    assert rewritten(path, TAMPERED[tampering])
    rng = np.random.default_rng(1)
    before = rng.bit_generator.state
    tracemalloc.start()
    with pytest.raises(DamagedError, match=r"run\.npz was cut short or changed after it was saved: \S"):
        load(path, rng=rng)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert rng.bit_generator.state == before
    assert peak < 4e6


def test_a_number_changed_in_a_safetensors_file_is_told(tmp_path):
    pytest.importorskip("safetensors")
    path = tmp_path / "run.safetensors"
    save(path, a=np.ones(3), step=3)
    whole = path.read_bytes()
    path.write_bytes(whole.replace(rb"\"step\": 3", rb"\"step\": 4"))
    assert path.read_bytes() != whole
    with pytest.raises(DamagedError, match="its SHA-256 is not that of its contents"):
        load(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_packed_file_is_refused_before_it_is_unpacked(tmp_path, method):
    path = tmp_path / "run.npz"
    save(path, a=np.zeros(10_000_000, np.uint8))
    rewritten(path, compression=method)
    tracemalloc.start()
    with pytest.raises(DamagedError, match="it is packed, and save packs nothing"):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_a_packed_file_that_calls_itself_unpacked_is_refused_too(tmp_path):
    path = tmp_path / "run.npz"
    save(path, a=np.zeros(10_000_000, np.uint8))
    rewritten(path, compression=zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(path, "a") as archive:
        for info in archive.filelist:
            info.file_size = info.compress_size
        archive._didModify = True
    tracemalloc.start()
    with pytest.raises(DamagedError, match="it is packed, and save packs nothing"):
        load(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1e6


def test_a_member_that_is_there_many_times_is_not_read_as_often(tmp_path):
    path = tmp_path / "run.npz"
    save(path, a=np.zeros(1000))
    with zipfile.ZipFile(path, "a") as archive:  # the directory names the same bytes again and again
        archive.filelist += [archive.getinfo("a.npy")] * 100
        archive._didModify = True
    with pytest.raises(DamagedError, match="what it is said to hold is larger than the file"):
        load(path)


def test_a_rewritten_file_with_the_same_contents_is_as_good(tmp_path):
    path = tmp_path / "run.npz"
    save(path, a=np.ones((2, 3)), step=3)
    assert not rewritten(path)
    assert same(load(path), {"a": np.ones((2, 3)), "step": 3})


@pytest.mark.parametrize("version", [0, 2, "1"])
def test_a_file_of_another_version_says_so(tmp_path, version):
    path = tmp_path / "run.npz"
    save(path, a=1)
    rewritten(path, lambda text, _: text.replace('"version": 1', f'"version": {json.dumps(version)}'))
    with pytest.raises(
        ValueError, match=f"run.npz is of version {version}, and this lossopt reads version 1"
    ) as caught:
        load(path)
    assert not isinstance(caught.value, DamagedError)


def test_a_file_of_another_program_says_so(path):
    if path.suffix == ".npz":
        np.savez_compressed(path, a=np.array(["a word"]))
    else:
        import safetensors.numpy

        safetensors.numpy.save_file({"a": np.ones(3)}, path)
    with pytest.raises(DamagedError, match=r"is not from lossopt\.checkpoint\.save: it has no manifest\.json"):
        load(path)
    path.write_text("words")
    with pytest.raises(DamagedError, match="cut short or changed"):
        load(path)


# Killed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "name", "call", "survivor"),
    [
        ("zipfile", "ZipFile", 1, "old"),
        ("os", "fsync", 1, "old"),
        ("os", "replace", 1, "old"),
        ("os", "fsync", 2, "new"),
    ],
)
@pytest.mark.parametrize("error", [OSError("the disk is full"), KeyboardInterrupt()])
def test_a_step_of_saving_that_fails_leaves_one_whole_file(tmp_path, monkeypatch, module, name, call, survivor, error):
    path = tmp_path / "run.npz"
    save(path, a="old")
    original, calls = getattr(sys.modules[module], name), []

    def fails(*arguments, **options):
        calls.append(arguments)
        if len(calls) == call:
            raise error
        return original(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(sys.modules[module], name, fails)
        with pytest.raises(type(error)):
            save(path, a="new")
    assert load(path) == {"a": survivor}
    assert names_in(tmp_path) == ["run.npz"]


def test_the_contents_and_then_the_name_are_forced_to_the_disk(path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (done.append(os.fstat(file)), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *files: (done.append("replace"), replace(*files)))
    save(path, a=np.ones(1000))
    contents, between, folder = done
    assert between == "replace"
    assert (contents.st_ino, contents.st_size) == (path.stat().st_ino, path.stat().st_size)
    assert folder.st_ino == path.parent.stat().st_ino


def test_a_full_disk_leaves_the_old_file(path):
    save(path, a="old")
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # as good as a disk with no more room
    try:
        with pytest.raises(OSError, match="large"):
            save(path, a=np.ones(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert load(path) == {"a": "old"}
    assert names_in(path.parent) == [path.name]


SAVING = '''
import os, random, signal, sys, time
from pathlib import Path
import numpy as np
from lossopt.checkpoint import load, save

folder, suffix = Path(sys.argv[1]), sys.argv[2]


def killed(act, moment=None):
    """Let a child act, and kill it at a moment; without one it must do that itself."""
    child = os.fork()
    if not child:
        act()
        os._exit(1)
    if moment:
        moment()
        os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def once_saved(path, seconds):
    """Wait until there is a newer file, and then a little."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    while not path.exists() or path.stat().st_mtime_ns == before:
        time.sleep(0.001)
    time.sleep(seconds)


def parts(k):
    return {"k": k, "a": np.full(150_000, k, np.float64), "b": np.full(1000, k, np.int32)}


def whole(path):
    found = load(path)
    assert all((found[name] == found["k"]).all() for name in "ab"), found["k"]
    return found["k"]
'''

AT_RANDOM = """
path = folder / ("run" + suffix)
seen = []
for turn in range(24):
    def saving():
        for k in range(turn * 1000, turn * 1000 + 1000):
            save(path, **parts(k))

    killed(saving, lambda: once_saved(path, random.Random(turn).uniform(0, 0.05)))
    seen.append(whole(path))
print(len(set(seen)), len(list(folder.glob(f".run{suffix}.*.part"))))
save(path, last=True)
assert load(path) == {"last": True}
"""

AT_A_STEP = """
def suicide(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def after(function, calls=1):
    def then(*arguments):
        nonlocal calls
        calls -= 1
        result = function(*arguments)
        return suicide() if calls == 0 else result
    return then

for step, (name, replacement) in enumerate([
    ("fsync", suicide), ("fsync", after(os.fsync)), ("replace", suicide), ("replace", after(os.replace)),
    ("fsync", after(os.fsync, 2)),
]):
    path = folder / f"{step}{suffix}"
    save(path, **parts(1))
    def saving():
        setattr(os, name, replacement)
        save(path, **parts(2))
    killed(saving)
    print(whole(path), end=" ")
"""


def run_script(*arguments):
    done = subprocess.run(
        [sys.executable, "-c", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked, to kill many in little time")


@needs_fork
def test_a_process_killed_at_random_leaves_one_whole_file(path):
    different, leftovers = map(int, run_script(SAVING + AT_RANDOM, path.parent, path.suffix))
    assert different == 24  # every saver came as far as to save
    assert leftovers > 0  # and some were killed in the middle of the next one


@needs_fork
def test_a_process_killed_at_any_step_of_saving_leaves_the_old_file_or_the_new(path):
    assert run_script(SAVING + AT_A_STEP, path.parent, path.suffix) == ["1", "1", "1", "2", "2"]


def test_what_a_killed_process_left_behind_does_no_harm(path):
    left = path.with_name(f".{path.name}.0123456789abcdef.part")
    left.write_bytes(b"half of a")
    save(path, a=1)
    assert load(path) == {"a": 1}
    assert left.read_bytes() == b"half of a"  # it might belong to a process that is still saving


def test_many_savers_of_one_file_do_not_mix(path):
    def saving(k):
        for _ in range(15):
            save(path, k=k, a=np.full(20_000, k, np.float64))

    saving(0)
    savers = [threading.Thread(target=saving, args=(k,)) for k in range(1, 5)]
    for saver in savers:
        saver.start()
    while any(saver.is_alive() for saver in savers):
        found = load(path)
        assert (found["a"] == found["k"]).all()
    for saver in savers:
        saver.join()
    assert names_in(path.parent) == [path.name]


def test_a_link_is_followed_and_permissions_are_those_of_any_new_file(path):
    real = path.with_name(f"epoch-3{path.suffix}")
    save(real, a=1)
    path.symlink_to(real.name)
    save(path, a=2)
    assert path.is_symlink()
    assert load(real) == {"a": 2}
    ordinary = path.with_name("ordinary")
    ordinary.write_text("")
    assert real.stat().st_mode == ordinary.stat().st_mode


TRAINING = """
import sys
import numpy as np
from lossopt import Optimizer, tensor
from lossopt.checkpoint import load, save
from lossopt.data import batches, digits
from lossopt.losses import cross_entropy
from lossopt.nn import Linear, ReLU, Sequential
from lossopt.rules import adam


def train(path, epochs, data=digits().train):
    rng = np.random.default_rng(0)
    net = Sequential(Linear(64, 16, rng=rng), ReLU(), Linear(16, 10, rng=rng))
    optimizer = Optimizer(net.parameters(), adam, lr=lambda t: 0.01 / t**0.25)
    parts = {"net": net, "optimizer": optimizer, "rng": rng}
    epoch = load(path, **parts)["epoch"] if path.exists() else 0
    while epoch < epochs:
        epoch += 1
        for index in batches(len(data.y), 64, rng):
            loss = cross_entropy(net(tensor(data.x[index])), tensor(data.y[index])).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        save(path, **parts, epoch=epoch)


train(folder / ("undisturbed" + suffix), 12)
path, lives = folder / ("killed" + suffix), 0
while not path.exists() or load(path)["epoch"] < 12:
    killed(lambda: (train(path, 12), time.sleep(60)), lambda: once_saved(path, random.Random(lives).uniform(0, 0.01)))
    lives += 1
assert path.read_bytes() == (folder / ("undisturbed" + suffix)).read_bytes()
print(lives)
"""


@needs_fork
def test_a_training_killed_many_times_ends_bit_equal_to_an_undisturbed_one(path):
    pytest.importorskip("sklearn")
    (lives,) = map(int, run_script(SAVING + TRAINING, path.parent, path.suffix))
    assert lives > 2  # it was killed in the middle of its training more than once
