"""Layers in PyTorch's dialect: the names, shapes and defaults of `torch.nn`, so that state dicts can be exchanged.

With this module you can

- stack layers: `net = Sequential(Linear(784, 128), ReLU(), Linear(128, 10))`, then `net(x)`;
- write a layer: subclass `Module`, put `Parameter`, `Buffer` and other modules into attributes, define `forward`;
- hand the parameters to an optimizer: `net.parameters()`;
- save and load: `state_dict`, `load_state_dict`;
- start well: `he_normal`, `he_uniform`, `xavier_normal`, `xavier_uniform`;
- train many networks as one: with `runs=R` every parameter has a leading axis of R runs, and so has the output.

Randomness comes from an explicit generator, `rng=numpy.random.default_rng(0)`.  With `runs=R` it may be a list of R
generators, and then run number r is exactly the network that `rng[r]` alone would have made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import DTypeLike, NDArray

from .tensor import OPS, Tensor, apply

__all__ = [
    "GELU",
    "BatchNorm1d",
    "BatchNorm2d",
    "Buffer",
    "Conv2d",
    "Dropout",
    "Flatten",
    "Linear",
    "MaxPool2d",
    "Module",
    "Parameter",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Tanh",
    "he_normal",
    "he_uniform",
    "xavier_normal",
    "xavier_uniform",
]

Array: TypeAlias = NDArray[Any]
Generators: TypeAlias = np.random.Generator | Sequence[np.random.Generator] | None
Pair: TypeAlias = tuple[int, int]


class Parameter(Tensor):
    """A tensor that a module learns.

    Parameters
    ----------
    data : Tensor or array
        The values, shared.
    requires_grad : bool
        False freezes the parameter.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data.data if isinstance(data, Tensor) else data, requires_grad)


class Buffer(Tensor):
    """A tensor that a module keeps and saves but does not learn.

    Parameters
    ----------
    data : Tensor or array
        The values, shared.
    """

    __slots__ = ()

    def __init__(self, data: Any) -> None:
        super().__init__(data.data if isinstance(data, Tensor) else data)


class Module:
    """A function with parameters: subclass it, assign parameters and modules to attributes, define `forward`.

    Attributes
    ----------
    training : bool
        Whether batch normalisation and dropout behave as in training; set by `train` and `eval`.
    """

    training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output; every module defines its own."""
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Compute the output: the same as `forward`."""
        return self.forward(*args, **kwargs)

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly in this one, with their attribute names."""
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def modules(self) -> Iterator[Module]:
        """This module and all within it."""
        yield self
        for _, child in self.named_children():
            yield from child.modules()

    def _named_tensors(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        for name, value in vars(self).items():
            if isinstance(value, (Parameter, Buffer)):
                yield prefix + name, value
        for name, child in self.named_children():
            yield from child._named_tensors(f"{prefix}{name}.")

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter once, with its dotted name."""
        seen = set()
        for name, value in self._named_tensors():
            if isinstance(value, Parameter) and value not in seen:
                seen.add(value)
                yield name, value

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter once."""
        return (parameter for _, parameter in self.named_parameters())

    def train(self, mode: bool = True) -> Module:
        """Behave as in training, everywhere within; returns the module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Module:
        """Behave as in use, everywhere within; returns the module."""
        return self.train(False)

    def zero_grad(self) -> None:
        """Forget the gradients: `grad` becomes None."""
        for parameter in self.parameters():
            parameter.grad = None

    def to(self, dtype: DTypeLike) -> Module:
        """Convert floating-point parameters and buffers to `dtype`, in place; returns the module."""
        for _, value in self._named_tensors():
            if value.data.dtype.kind == "f":
                value.data = value.data.astype(dtype)
                value.grad = None if value.grad is None else value.grad.to(dtype)
        return self

    def float(self) -> Module:
        """Convert to float32, in place."""
        return self.to(np.float32)

    def double(self) -> Module:
        """Convert to float64, in place."""
        return self.to(np.float64)

    def state_dict(self) -> dict[str, Array]:
        """Copies of all parameters and buffers by dotted name, the names being PyTorch's.

        Returns
        -------
        dict of str to numpy.ndarray
            To load it into torch: `{name: torch.from_numpy(array) for name, array in state.items()}`.
        """
        return {name: value.data.copy() for name, value in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy all parameters and buffers from `state` into this module.

        Parameters
        ----------
        state : mapping of str to array
            Exactly the names and shapes of `state_dict()`; torch tensors will do.

        Raises
        ------
        ValueError
            If a name is missing or unexpected, or a shape is another; nothing is changed then.
        """
        own = dict(self._named_tensors())
        arrays = {name: np.asarray(value) for name, value in state.items()}
        complaints = [f"{name} is missing" for name in own if name not in arrays]
        complaints += [f"{name} is unexpected" for name in arrays if name not in own]
        for name, array in arrays.items():
            if name in own and array.shape != own[name].shape:
                complaints.append(f"{name} must have shape {own[name].shape}, got {array.shape}")
            if array.dtype.kind not in "fiu":
                complaints.append(f"{name} must be numbers, got dtype {array.dtype}")
        if complaints:
            raise ValueError("load_state_dict: " + "; ".join(complaints))
        for name, array in arrays.items():
            own[name].data[...] = array

    def __repr__(self) -> str:
        settings = [
            f"{name}={value!r}"
            for name, value in vars(self).items()
            if isinstance(value, (int, float, str, tuple)) and name != "training"
        ]
        children = [f"\n  {name}: " + repr(child).replace("\n", "\n  ") for name, child in self.named_children()]
        return f"{type(self).__name__}({', '.join(settings)}{','.join(children)}" + ("\n)" if children else ")")


class Sequential(Module):
    """Modules one after the other.

    Parameters
    ----------
    *layers : Module
        Named "0", "1", ... in the state dict.
    """

    def __init__(self, *layers: Module) -> None:
        for number, layer in enumerate(layers):
            setattr(self, str(number), layer)

    def forward(self, x: Tensor) -> Tensor:
        """Pass `x` through the layers in order."""
        for _, layer in self.named_children():
            x = layer(x)
        return x

    def __getitem__(self, number: int) -> Module:
        return [layer for _, layer in self.named_children()][number]

    def __len__(self) -> int:
        return sum(1 for _ in self.named_children())


# ---------------------------------------------------------------- drawing numbers


def _draw(sample: Callable[[np.random.Generator], Array], rng: Generators, runs: int | None) -> Array:
    """One sample, or one for each run along a leading axis."""
    if isinstance(rng, Sequence) and len(rng) != runs:
        raise ValueError(f"rng: one generator for each run is needed, got {len(rng)} for runs={runs}")
    generators: Sequence[Any] = rng if isinstance(rng, Sequence) else [_generator(rng)] * (runs or 1)
    samples = [sample(_generator(generator)) for generator in generators]
    return samples[0] if runs is None else np.stack(samples)


def _generator(rng: Any) -> np.random.Generator:
    if rng is None:
        return np.random.default_rng()
    if not isinstance(rng, np.random.Generator):
        raise TypeError(f"rng: must be a numpy Generator such as numpy.random.default_rng(0), got {type(rng).__name__}")
    return rng


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many inputs one output sees, and how many outputs one input reaches."""
    if len(shape) < 2:
        raise ValueError(f"a weight must have at least two axes (out, in, ...), got shape {shape}")
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


def _uniform(shape: tuple[int, ...], bound: float, rng: Generators, runs: int | None) -> Array:
    return _draw(lambda generator: generator.uniform(-bound, bound, shape), rng, runs)


def _normal(shape: tuple[int, ...], deviation: float, rng: Generators, runs: int | None) -> Array:
    return _draw(lambda generator: generator.normal(0, deviation, shape), rng, runs)


def he_normal(shape: tuple[int, ...], rng: Generators = None, *, runs: int | None = None) -> Array:
    """Draw a weight from N(0, 2 / fan_in), which keeps the size of activations through layers of ReLU.

    Parameters
    ----------
    shape : tuple of int
        (out, in) or (out, in, height, width), without the run axis.
    rng : numpy.random.Generator, or a list of one for each run
        Where the numbers come from.
    runs : int, optional
        Length of a leading run axis.

    Returns
    -------
    numpy.ndarray
        Shape `shape`, after a first axis `runs` where it is given; float64;
        use it as `layer.weight.data[...] = he_normal((out, in), rng)`.

    Raises
    ------
    ValueError
        If the shape has fewer than two axes.

    Source
    ------
    He, Zhang, Ren and Sun (2015), "Delving Deep into Rectifiers", arXiv:1502.01852, equation 10.
    """
    return _normal(shape, math.sqrt(2 / _fans(shape)[0]), rng, runs)


def he_uniform(shape: tuple[int, ...], rng: Generators = None, *, runs: int | None = None) -> Array:
    """Draw a weight from a uniform distribution of variance 2 / fan_in.

    Parameters, returns and errors are those of `he_normal`.

    Source
    ------
    He, Zhang, Ren and Sun (2015), "Delving Deep into Rectifiers", arXiv:1502.01852.
    """
    return _uniform(shape, math.sqrt(6 / _fans(shape)[0]), rng, runs)


def xavier_normal(shape: tuple[int, ...], rng: Generators = None, *, runs: int | None = None) -> Array:
    """Draw a weight from N(0, 2 / (fan_in + fan_out)), which suits tanh and sigmoid.

    Parameters, returns and errors are those of `he_normal`.

    Source
    ------
    Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS, PMLR 9:249-256, equation 12.
    """
    return _normal(shape, math.sqrt(2 / sum(_fans(shape))), rng, runs)


def xavier_uniform(shape: tuple[int, ...], rng: Generators = None, *, runs: int | None = None) -> Array:
    """Draw a weight from a uniform distribution of variance 2 / (fan_in + fan_out).

    Parameters, returns and errors are those of `he_normal`.

    Source
    ------
    Glorot and Bengio (2010), "Understanding the difficulty of training deep feedforward neural networks",
    AISTATS, PMLR 9:249-256, equation 16.
    """
    return _uniform(shape, math.sqrt(6 / sum(_fans(shape))), rng, runs)


# ---------------------------------------------------------------- layers with parameters


class Linear(Module):
    """An affine map of the last axis: x @ weight.mT + bias.

    Parameters
    ----------
    in_features, out_features : int
        Lengths of the last axis before and after.
    bias : bool
        Whether to add one.
    rng : numpy.random.Generator, or a list of one for each run
        Draws weight and bias from U(-b, b), b = 1 / sqrt(in_features), as torch does.
    runs : int, optional
        Leading run axis: x (batch, in) or (runs, batch, in) gives (runs, batch, out).
    dtype : dtype
        Of the parameters.

    Attributes
    ----------
    weight : Parameter, ([runs,] out, in)
    bias : Parameter, ([runs,] out), or None

    Raises
    ------
    ValueError
        If the last axis of x has another length.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        rng: Generators = None,
        runs: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_features, self.out_features, self.runs = in_features, out_features, runs
        bound = 1 / math.sqrt(in_features)
        self.weight = Parameter(_uniform((out_features, in_features), bound, rng, runs).astype(dtype))
        self.bias = Parameter(_uniform((out_features,), bound, rng, runs).astype(dtype)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., in) to (..., out)."""
        if x.shape[-1:] != (self.in_features,):
            raise ValueError(f"Linear: the last axis must have length {self.in_features}, got shape {x.shape}")
        if x.ndim == 1:
            return self.forward(x.unsqueeze(0)).squeeze(-2)
        y = apply("linear", x, self.weight)
        if self.bias is None:
            return y
        return y + (self.bias if self.runs is None else self.bias.unsqueeze(-2))


class Conv2d(Module):
    """Cross-correlation of images with learned windows.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.
    kernel_size, stride, padding : int or (int, int)
        Height and width of the window, its steps, and the border of zeros around the image.
    bias : bool
        Whether to add one to each channel.
    rng : numpy.random.Generator, or a list of one for each run
        Draws weight and bias from U(-b, b), b = 1 / sqrt(in_channels * height * width), as torch does.
    runs : int, optional
        Leading run axis: x (batch, C, H, W) or (runs, batch, C, H, W) gives (runs, batch, out, H', W').
    dtype : dtype
        Of the parameters.

    Attributes
    ----------
    weight : Parameter, ([runs,] out, in, height, width)
    bias : Parameter, ([runs,] out), or None

    Raises
    ------
    ValueError
        If x has other channels, or is smaller than the window.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        *,
        bias: bool = True,
        rng: Generators = None,
        runs: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.in_channels, self.out_channels, self.runs = in_channels, out_channels, runs
        self.kernel_size, self.stride, self.padding = _pair(kernel_size), _pair(stride), _pair(padding)
        shape = (out_channels, in_channels, *self.kernel_size)
        bound = 1 / math.sqrt(math.prod(shape[1:]))
        self.weight = Parameter(_uniform(shape, bound, rng, runs).astype(dtype))
        self.bias = Parameter(_uniform((out_channels,), bound, rng, runs).astype(dtype)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., in, H, W) to (..., out, H', W')."""
        if x.ndim < 3 or x.shape[-3] != self.in_channels:
            raise ValueError(f"Conv2d: needs (..., {self.in_channels}, height, width), got shape {x.shape}")
        x = _padded(x, self.padding, 0.0)
        size = _window_counts(x, self.kernel_size, self.stride)
        weight = self.weight.flatten(-3)
        if self.runs is not None:
            weight = weight.unsqueeze(1)
        y = weight @ apply("unfold", x, self.kernel_size, self.stride)
        if self.bias is not None:
            bias = self.bias.unsqueeze(-1)
            y = y + (bias if self.runs is None else bias.unsqueeze(1))
        return y.reshape(*y.shape[:-1], *size)


class _BatchNorm(Module):
    """What `BatchNorm1d` and `BatchNorm2d` share: everything but the number of axes they take."""

    axes: tuple[int, ...]  # how many axes an input without run axis may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        *,
        runs: int | None = None,
        dtype: DTypeLike = np.float32,
    ) -> None:
        self.num_features, self.eps, self.momentum, self.runs = num_features, eps, momentum, runs
        shape = (num_features,) if runs is None else (runs, num_features)
        self.weight = Parameter(np.ones(shape, dtype))
        self.bias = Parameter(np.zeros(shape, dtype))
        self.running_mean = Buffer(np.zeros(shape, dtype))
        self.running_var = Buffer(np.ones(shape, dtype))
        self.num_batches_tracked = Buffer(np.array(0))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (batch, C, ...), with `runs` also (runs, batch, C, ...)."""
        channel = self._channel_axis(x)
        window = (1,) * (x.ndim - channel - 1)

        def seen(parameter: Tensor) -> Tensor:
            lead = () if self.runs is None else (self.runs, 1)
            return parameter.reshape(*lead, self.num_features, *window)

        if not self.training:
            mean, variance = seen(self.running_mean), seen(self.running_var)
            return (x - mean) / (variance + self.eps).sqrt() * seen(self.weight) + seen(self.bias)
        averaged = tuple(axis for axis in range(channel - 1, x.ndim) if axis != channel)
        mean = x.mean(averaged, keepdim=True)
        centred = x - mean
        variance = centred.square().mean(averaged, keepdim=True)
        self._track(mean.data, variance.data, x.numel() // mean.numel())
        return centred / (variance + self.eps).sqrt() * seen(self.weight) + seen(self.bias)

    def _channel_axis(self, x: Tensor) -> int:
        """Where the channels are: behind the batch, and behind the run axis if x has one."""
        own_runs = self.runs is not None and x.ndim - 1 in self.axes and x.shape[0] == self.runs
        shared = x.ndim in (self.axes if self.runs is None else self.axes[:1])
        channel = 2 if own_runs else 1
        if not (own_runs or shared) or x.shape[channel] != self.num_features:
            lead = "batch" if self.runs is None else f"[{self.runs},] batch"
            raise ValueError(f"{type(self).__name__}: needs ({lead}, {self.num_features}, ...), got shape {x.shape}")
        return channel

    def _track(self, mean: Array, variance: Array, count: int) -> None:
        """Move the running statistics towards those of this batch; the running variance is the unbiased one."""
        if count < 2:
            raise ValueError(f"{type(self).__name__}: training needs more than one value for each channel")
        unbiased = variance * (count / (count - 1))
        for running, new in ((self.running_mean.data, mean), (self.running_var.data, unbiased)):
            running[...] = (1 - self.momentum) * running + self.momentum * new.reshape(-1, self.num_features)
        self.num_batches_tracked.data += 1


class BatchNorm1d(_BatchNorm):
    """Batch normalisation of features: each channel to mean 0 and variance 1 over the batch, then scaled and shifted.

    Parameters
    ----------
    num_features : int
        Number of channels C; x has shape (batch, C) or (batch, C, length).
    eps : float
        Added to the variance.
    momentum : float
        Weight of the new batch in the running statistics that `eval` mode uses.
    runs : int, optional
        Leading run axis: statistics are kept for each run apart.
    dtype : dtype
        Of parameters and statistics.

    Attributes
    ----------
    weight, bias : Parameter, ([runs,] C)
    running_mean, running_var : Buffer, ([runs,] C)
        The running variance is the unbiased one, while training divides by the biased one, as in torch.
    num_batches_tracked : Buffer
        Batches seen in training.

    Raises
    ------
    ValueError
        If x has another shape, or one value for each channel in training.

    Source
    ------
    Ioffe and Szegedy (2015), arXiv:1502.03167.
    """

    axes = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images: each channel to mean 0 and variance 1 over batch, height and width.

    Parameters, attributes and errors are those of `BatchNorm1d`; x has shape ([runs,] batch, C, height, width).

    Source
    ------
    Ioffe and Szegedy (2015), arXiv:1502.03167.
    """

    axes = (4,)


# ---------------------------------------------------------------- layers without parameters


class MaxPool2d(Module):
    """The greatest value of each window; of equal ones the first gets the gradient, as in torch.

    Parameters
    ----------
    kernel_size, stride, padding : int or (int, int)
        Height and width of the window, its steps (the window's size if None), and a border of -inf.

    Raises
    ------
    ValueError
        If x (..., height, width) is smaller than the window, or the padding exceeds half of it.
    """

    def __init__(self, kernel_size: int | Pair, stride: int | Pair | None = None, padding: int | Pair = 0) -> None:
        self.kernel_size, self.padding = _pair(kernel_size), _pair(padding)
        self.stride = self.kernel_size if stride is None else _pair(stride)
        if any(2 * border > window for border, window in zip(self.padding, self.kernel_size, strict=True)):
            raise ValueError(f"MaxPool2d: padding must be at most half of {self.kernel_size}, got {self.padding}")

    def forward(self, x: Tensor) -> Tensor:
        """Map x (..., H, W) to (..., H', W')."""
        x = _padded(x, self.padding, -math.inf)
        size = _window_counts(x, self.kernel_size, self.stride)
        windows = apply("unfold", x.unsqueeze(-3), self.kernel_size, self.stride)
        greatest: Tensor = windows.max(-2).values
        return greatest.reshape(*x.shape[:-2], *size)


class Dropout(Module):
    """Zero each value with probability p in training and divide the others by 1 - p; nothing in `eval` mode.

    Parameters
    ----------
    p : float in [0, 1]
        Probability of zero.
    rng : numpy.random.Generator, or a list of one for each run
        Where the choice comes from.
    runs : int, optional
        The first axis of x is a run axis of this length, each run drawing its own.

    Raises
    ------
    ValueError
        If p lies outside [0, 1], or x lacks the run axis.

    Source
    ------
    Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov (2014), JMLR 15:1929-1958.
    """

    def __init__(self, p: float = 0.5, *, rng: Generators = None, runs: int | None = None) -> None:
        if not 0 <= p <= 1:
            raise ValueError(f"Dropout: p must lie in [0, 1], got {p}")
        self.p, self.runs = p, runs
        self._rng = rng if isinstance(rng, Sequence) else _generator(rng)

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of x, of any shape."""
        if not self.training or self.p == 0:
            return x
        if self.runs is not None and x.shape[:1] != (self.runs,):
            raise ValueError(f"Dropout: the first axis must hold {self.runs} runs, got shape {x.shape}")
        shape = x.shape if self.runs is None else x.shape[1:]
        kept = _draw(lambda generator: generator.random(shape) >= self.p, self._rng, self.runs)
        scale = 0.0 if self.p == 1 else 1 / (1 - self.p)
        return x * (kept * scale).astype(x.dtype)


class ReLU(Module):
    """max(x, 0); the slope at 0 is 0."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every value."""
        return x.relu()


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every value."""
        return x.tanh()


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every value."""
        return x.sigmoid()


class GELU(Module):
    """x times the probability that a standard normal number is below x.

    Parameters
    ----------
    approximate : "none" or "tanh"
        The exact function, or its older approximation by tanh, which is faster here.

    Raises
    ------
    ValueError
        If `approximate` is something else.

    Source
    ------
    Hendrycks and Gimpel (2016), arXiv:1606.08415.
    """

    def __init__(self, approximate: str = "none") -> None:
        if approximate not in ("none", "tanh"):
            raise ValueError(f'GELU: approximate must be "none" or "tanh", got {approximate!r}')
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """Apply it to every value."""
        if self.approximate == "tanh":
            return x / 2 * (1 + (math.sqrt(2 / math.pi) * (x + 0.044715 * x * x * x)).tanh())
        return x / 2 * (1 + (x / math.sqrt(2)).erf())


class Flatten(Module):
    """The axes from `start_dim` to `end_dim` as one; images with a run axis take `start_dim=-3`.

    Parameters
    ----------
    start_dim, end_dim : int
        First and last axis to join.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Tensor) -> Tensor:
        """Join the axes of x."""
        return x.flatten(self.start_dim, self.end_dim)


# ---------------------------------------------------------------- operations of layers


def _pair(value: int | Pair) -> Pair:
    return value if isinstance(value, tuple) else (value, value)


def _padded(x: Tensor, padding: Pair, value: float) -> Tensor:
    return x if padding == (0, 0) else apply("pad", x, padding, value)


def _window_counts(x: Tensor, window: Pair, stride: Pair) -> Pair:
    """How many windows fit along height and width."""
    height, width = (
        (length - extent) // step + 1 for length, extent, step in zip(x.shape[-2:], window, stride, strict=True)
    )
    if height < 1 or width < 1:
        raise ValueError(f"the window {window} does not fit into an image of shape {x.shape[-2:]}")
    return height, width


def _unfold(a: Array, window: Pair, stride: Pair) -> Array:
    """The windows of images (..., C, H, W) as columns: (..., C * height * width, number of windows)."""
    windows = sliding_window_view(a, window, axis=(-2, -1))[..., :: stride[0], :: stride[1], :, :]
    lead, (channels, down, across) = windows.shape[:-5], windows.shape[-5:-2]
    return np.moveaxis(windows, (-2, -1), (-4, -3)).reshape(*lead, channels * math.prod(window), down * across)


def _fold(g: Array, y: Array, a: Array, window: Pair, stride: Pair) -> Array:
    """The pullback of `_unfold`: every window's gradient added where the window was."""
    whole = np.zeros_like(a)
    down, across = ((n - extent) // step + 1 for n, extent, step in zip(a.shape[-2:], window, stride, strict=True))
    g = g.reshape(*a.shape[:-2], *window, down, across)
    for i in range(window[0]):
        for j in range(window[1]):
            there = slice(i, i + stride[0] * down, stride[0]), slice(j, j + stride[1] * across, stride[1])
            whole[..., *there] += g[..., i, j, :, :]
    return whole


def _pad(a: Array, padding: Pair, value: float) -> Array:
    """Images (..., H, W) with a border of `value`."""
    high, wide = padding
    whole = np.full((*a.shape[:-2], a.shape[-2] + 2 * high, a.shape[-1] + 2 * wide), value, a.dtype)
    whole[..., high : high + a.shape[-2], wide : wide + a.shape[-1]] = a
    return whole


def _crop(g: Array, y: Array, a: Array, padding: Pair, value: float) -> Array:
    """The pullback of `_pad`."""
    high, wide = padding
    return g[..., high : high + a.shape[-2], wide : wide + a.shape[-1]]


OPS["unfold"] = (_unfold, _fold)
OPS["pad"] = (_pad, _crop)
OPS["linear"] = (  # x @ w.mT in one step, so that the gradient of w comes in the layout of w
    lambda x, w: x @ w.swapaxes(-1, -2),
    lambda g, y, x, w: g @ w,
    lambda g, y, x, w: g.swapaxes(-1, -2) @ x,
)
