"""A Keras model and its torch twin: weights through a file, outputs and all gradients compared.

Gradients of weights travel the same way as weights: a second model gets them as its values, is saved and loaded into a
second twin, whose parameters must then equal the gradients of the first. No layout is spelt out here.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

import tfport  # noqa: E402  # after importorskip
from tfport import compat  # noqa: E402  # after importorskip


def fresh(floatx: str) -> None:
    """Automatic names start again on both sides."""
    keras.config.set_floatx(floatx)
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(7)
    fresh_twin(floatx)


def fresh_twin(floatx: str) -> None:
    """The torch side of `fresh`."""
    compat.keras.backend.clear_session()
    torch.set_default_dtype(getattr(torch, floatx))
    torch.manual_seed(7)


def randomise(model) -> None:
    """Weights that tell axes apart; variances are positive."""
    source = np.random.default_rng(0)
    for weight in model.weights:
        value = weight.numpy()
        if value.dtype.kind == "f" and "seed" not in weight.path:
            made = source.normal(0, 0.4, value.shape)
            weight.assign(np.abs(made) + 0.5 if "variance" in weight.path else made)
    for layer in model.layers:
        if hasattr(layer, "finalize_state"):  # Normalization computes from what it has adapted to
            layer.finalize_state()


def flat(value):
    """All arrays or tensors of a nested result."""
    if isinstance(value, list | tuple):
        return [item for part in value for item in flat(part)]
    return [value]


def distance(ours, theirs) -> float:
    """Largest difference relative to the largest value of all references; shapes must be equal."""
    pairs = [(np.asarray(a), np.asarray(b)) for a, b in zip(ours, theirs, strict=True)]
    assert all(a.shape == b.shape for a, b in pairs), [(a.shape, b.shape) for a, b in pairs]
    scale = max((np.abs(b).max(initial=0) for _, b in pairs), default=0.0)
    return float(max((np.abs(a - b).max(initial=0) for a, b in pairs), default=0.0) / max(scale, 1e-6))


def first(tensor, change):
    """A Keras input in the layout that the record states."""
    return tensor.movedim(-1, 1).contiguous() if change else tensor


def last(tensor, change):
    """A torch value in Keras' layout."""
    return tensor.movedim(1, -1) if change else tensor


class Pair:
    """Both models of one description, and the way of weights between them."""

    def __init__(self, describe, twin, folder, floatx) -> None:
        self.describe, self.make_twin, self.folder, self.floatx = describe, twin, folder, floatx

    def keras_model(self):
        fresh(self.floatx)
        return self.describe()

    def twin(self, model):
        """A twin with the model's weights."""
        fresh_twin(self.floatx)
        made = self.make_twin()
        if model.weights:
            path = self.folder / f"{len(list(self.folder.iterdir()))}.weights.h5"
            model.save_weights(path)
            report = tfport.load_weights(made, path)
            assert not report.missing and not report.left_over
        return made


def errors(pair: Pair, arrays, training=False, gradients=True):
    """Errors of forward, of the inputs' gradients and of the weights' gradients, by the layouts of the twin's record."""
    model = pair.keras_model()
    randomise(model)
    twin = pair.twin(model)
    constants = [tf.constant(a) for a in arrays]
    with tf.GradientTape() as tape:
        tape.watch(constants)
        results = flat(model(constants if len(constants) > 1 else constants[0], training=training))
        loss = tf.add_n([tf.reduce_sum(tf.sin(r * 1.3)) for r in results])
    floating = [c for c in constants if c.dtype.is_floating]
    twin.train(training)
    given = [torch.tensor(a) for a in arrays]
    record = twin.tfport_record
    changes = [a["layout"] for a in record["arguments"]]
    given = [first(t, c).requires_grad_(t.is_floating_point()) for t, c in zip(given, changes, strict=True)]
    made = [last(m, r["layout"]) for m, r in zip(flat(twin(*given)), record["results"], strict=True)]
    found = {"forward": distance([m.detach() for m in made], results)}
    if not gradients:
        return found, model, twin
    sum(torch.sin(m * 1.3).sum() for m in made).backward()
    trained = model.trainable_weights
    slopes = tape.gradient(loss, [*floating, *trained])
    ours = [last(t.grad, c) for t, c in zip(given, changes, strict=True) if t.requires_grad]
    reached = [(a, b) for a, b in zip(ours, slopes) if b is not None]
    found["inputs"] = distance([a for a, _ in reached], [b for _, b in reached])
    if trained:
        for weight, slope in zip(trained, slopes[len(floating) :], strict=True):
            weight.assign(tf.convert_to_tensor(slope) if slope is not None else tf.zeros_like(weight))
        expected = dict(pair.twin(model).named_parameters())
        pairs = [(p, expected[n]) for n, p in twin.named_parameters() if p.requires_grad]
        assert pairs
        scale = max(float(e.detach().abs().max()) for _, e in pairs)
        worst = [float((p.grad - e.detach()).abs().max()) for p, e in pairs if p.grad is not None]
        unused = [float(e.detach().abs().max()) for p, e in pairs if p.grad is None]
        found["weights"] = max(*worst, *unused, 0.0) / max(scale, 1e-6)
    return found, model, twin
