"""A Keras model and its recorded twin side by side: weights carried by the record, values and gradients compared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from einops import rearrange

keras = pytest.importorskip("keras")
tf = pytest.importorskip("tensorflow")

from tfport import compat  # noqa: E402


def fresh(floatx="float32"):
    """Automatic names start again on both sides; the seed is fixed."""
    keras.config.set_floatx(floatx)
    keras.utils.clear_session()
    keras.utils.set_random_seed(7)
    compat.keras.backend.clear_session()
    torch.manual_seed(7)


def keras_layers(model, prefix=""):
    """The layers of a Keras model with nested models flattened as the record flattens them."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from keras_layers(layer, f"{prefix}{layer.name}/")
        else:
            yield prefix + layer.name, layer


def randomise(model, seed=0):
    """Weights that tell axes apart: no zeros, no ones."""
    source = np.random.default_rng(seed)
    for weight in model.weights:
        value = weight.numpy()
        if value.dtype.kind == "f" and "seed" not in weight.name:
            positive = "variance" in weight.name
            weight.assign(
                np.abs(source.normal(1, 0.2, value.shape)) + 0.3
                if positive
                else source.normal(0, 0.4, value.shape)
            )


def carry(model, twin):
    """Put the Keras weights into the torch model by its record; every weight must have one place."""
    (entry,) = twin.tfport_record["models"].values()
    theirs = dict(keras_layers(model))
    ours = {r["name"]: r for r in entry["layers"]}
    assert list(theirs) == list(ours)
    tensors = {**dict(twin.named_parameters(remove_duplicate=False)), **dict(twin.named_buffers())}
    pairs = []
    for name, record in ours.items():
        variables = {v.name: v for v in theirs[name].weights if "seed" not in v.name}
        assert list(variables) == list(record["weights"]), name
        for variable, (path, pattern, sizes) in record["weights"].items():
            made = rearrange(torch.tensor(np.asarray(variables[variable].numpy())), pattern, **sizes)
            target = tensors[f"{record['path']}.{path}"]
            assert target.shape == made.shape, (name, variable)
            with torch.no_grad():
                target.copy_(made)
            pairs.append((variables[variable], target, pattern, sizes))
    return pairs


def to_torch(value, layout):
    """A Keras input in the layout that the record states: None is TensorFlow's order."""
    tensor = torch.as_tensor(value)
    return tensor.movedim(-1, 1).contiguous() if layout else tensor


def to_keras(tensor, layout):
    """An output of the recorded model in TensorFlow's order."""
    tensor = tensor.detach()
    return (tensor.movedim(1, -1) if layout else tensor).numpy()


def assert_close(ours, theirs, rtol, what):
    """Largest difference relative to the largest value of the reference, shapes equal."""
    theirs = np.asarray(theirs)
    assert ours.shape == theirs.shape, (what, ours.shape, theirs.shape)
    scale = max(np.abs(theirs).max(initial=0), 1e-6)
    worst = np.abs(ours - theirs).max(initial=0) / scale
    assert worst <= rtol, f"{what}: {worst:.2e} of the largest value"


def compare(build, *shapes, training=False, rtol=1e-5, integers=None, gradients=True):
    """Build with ``keras`` and with ``compat.keras``, run both on the same input, compare outputs and gradients.

    ``build(keras)`` returns a model; shapes include the batch. Returns both models.
    """
    fresh()
    model = build(keras)
    randomise(model)
    fresh()
    twin = build(compat.keras)
    assert [tuple(o.shape) for o in twin.outputs] == [tuple(o.shape) for o in model.outputs]
    pairs = carry(model, twin)
    source = np.random.default_rng(3)
    arrays = [source.integers(0, integers, s).astype("int32") if integers else source.standard_normal(s).astype("float32")
              for s in shapes]  # fmt: skip
    constants = [tf.constant(a) for a in arrays]
    with tf.GradientTape() as tape:
        tape.watch(constants)
        result = model(constants if len(constants) > 1 else constants[0], training=training)
        results = result if isinstance(result, list | tuple) else [result]
        loss = tf.add_n([tf.reduce_sum(tf.sin(r * 1.3)) for r in results])
    trained = [v for v, *_ in pairs if v.trainable]
    wanted = [*trained, *([] if integers else constants)]
    slopes = tape.gradient(loss, wanted) if gradients else []
    twin.train(training)
    record = twin.tfport_record
    layouts = [a["layout"] for a in record["arguments"]]
    tensors = [
        to_torch(a, layout).requires_grad_(not integers) for a, layout in zip(arrays, layouts, strict=True)
    ]
    made = twin(*tensors)
    mades = list(made) if isinstance(made, list | tuple) else [made]
    for index, (mine, reference) in enumerate(zip(mades, results, strict=True)):
        assert_close(
            to_keras(mine, record["results"][index]["layout"]), reference.numpy(), rtol, f"output {index}"
        )
    if training:
        for variable, target, pattern, sizes in pairs:
            if not variable.trainable:
                expected = rearrange(torch.tensor(np.asarray(variable.numpy())), pattern, **sizes)
                assert_close(target.numpy(), expected.numpy(), rtol, variable.path)
    if gradients:
        sum(torch.sin(m * 1.3).sum() for m in mades).backward()
        for (variable, target, pattern, sizes), slope in zip([p for p in pairs if p[0].trainable], slopes):
            reference = rearrange(torch.tensor(np.asarray(tf.convert_to_tensor(slope))), pattern, **sizes)
            assert_close(target.grad.numpy(), reference.numpy(), 20 * rtol, f"gradient of {variable.path}")
        if not integers:
            for tensor, layout, slope in zip(tensors, layouts, slopes[len(trained) :], strict=True):
                assert_close(to_keras(tensor.grad, layout), slope.numpy(), 20 * rtol, "gradient of the input")
    return model, twin
