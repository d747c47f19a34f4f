"""Both kinds of tensors behind one call."""

import numpy as np
import pytest
import torch
from hypothesis import settings

from lossopt import tensor

settings.register_profile("untimed", deadline=None, derandomize=True)  # a busy machine is no failure
settings.load_profile("untimed")


class Kind:
    """One kind of tensor: makes it from arrays, and evaluates losses on arrays."""

    def __init__(self, name, make):
        self.name, self.make = name, make

    def __repr__(self):
        return self.name

    def inputs(self, arrays):
        return [self.make(a, requires_grad=np.asarray(a).dtype.kind == "f") for a in arrays]

    def value(self, loss, *arrays, **hyper):
        return self.value_and_gradients(loss, *arrays, **hyper)[0]

    def value_and_gradients(self, loss, *arrays, **hyper):
        """The loss of every example as an array, and the gradient of their sum (None for integers)."""
        inputs = self.inputs(arrays)
        hyper = {name: self.make(h) if isinstance(h, np.ndarray) else h for name, h in hyper.items()}
        result = loss(*inputs, **hyper)
        result.sum().backward()
        gradients = [self._gradient(x) if x.requires_grad else None for x in inputs]
        return result.detach().numpy(), gradients

    def gradient(self, loss, *arrays, **hyper):
        """The gradient with respect to what the model computed, the first argument."""
        return self.value_and_gradients(loss, *arrays, **hyper)[1][0]

    @staticmethod
    def _gradient(x):
        return np.zeros(tuple(x.shape)) if x.grad is None else np.array(x.grad.tolist()).reshape(tuple(x.shape))


KINDS = [Kind("lossopt", tensor), Kind("torch", torch.tensor)]


@pytest.fixture(params=KINDS, ids=repr)
def kind(request):
    return request.param


@pytest.fixture
def kinds():
    return KINDS


@pytest.fixture
def rng():
    return np.random.default_rng(7)
