"""Writes files as Keras 1 did, has Keras 2 (tf_keras) read them, and keeps what it made of them: argv[1] is a folder."""

import json
import sys

import h5py
import numpy as np
import tf_keras
from tf_keras import layers

FOLDER = sys.argv[1]
SOURCE = np.random.default_rng(0)
NAMES = {
    "Dense": "W b", "Convolution1D": "W b", "Convolution2D": "W b", "Deconvolution2D": "W b", "Embedding": "W",
    "BatchNormalization": "gamma beta running_mean running_std", "SimpleRNN": "W U b",
    "LSTM": "W_i U_i b_i W_c U_c b_c W_f U_f b_f W_o U_o b_o", "GRU": "W_z U_z b_z W_r U_r b_r W_h U_h b_h",
}  # fmt: skip


def models():
    images = tf_keras.Sequential([
        layers.Conv2D(4, 3, name="conv", input_shape=(9, 9, 3)), layers.BatchNormalization(name="norm"),
        layers.Conv2D(4, 3, name="square"), layers.Flatten(), layers.Dense(5, name="fc"),
    ])  # fmt: skip
    up = tf_keras.Sequential([layers.Conv2DTranspose(4, 3, name="up", input_shape=(5, 5, 3)),
                              layers.Conv2DTranspose(4, 3, name="again")])  # fmt: skip
    text = tf_keras.Sequential([
        layers.Embedding(11, 6, name="table", input_length=7), layers.Conv1D(6, 3, name="conv"),
        layers.Bidirectional(layers.LSTM(5, return_sequences=True, name="inner"), name="both"),
        layers.GRU(5, reset_after=False, return_sequences=True, name="gru"), layers.LSTM(5, return_sequences=True, name="lstm"),
        layers.SimpleRNN(4, name="rnn"), layers.Dense(3, name="fc"),
    ])  # fmt: skip
    return {"images": images, "up": up, "text": text}


def keras1_class(layer):
    kind = type(layer).__name__
    return {"Conv1D": "Convolution1D", "Conv2D": "Convolution2D", "Conv2DTranspose": "Deconvolution2D"}.get(
        kind, kind
    )


def keras1_weights(layer):
    """(name, random array) of each weight in Keras 1's form."""
    kind = keras1_class(layer)
    if kind == "Bidirectional":
        return [(f"{side}_{n}", a) for side, one in (("forward", layer.forward_layer), ("backward", layer.backward_layer))
                for n, a in keras1_weights(one)]  # fmt: skip
    shapes = [tuple(w.shape) for w in layer.weights]
    if kind in ("LSTM", "GRU"):
        gates = {"LSTM": 4, "GRU": 3}[kind]
        shapes = [(*s[:-1], s[-1] // gates) for s in shapes] * gates
    if kind == "Convolution1D":
        shapes[0] = (shapes[0][0], 1, *shapes[0][1:])
    if kind == "Deconvolution2D":
        shapes[0] = (*shapes[0][:2], shapes[0][3], shapes[0][2])
    made = [SOURCE.uniform(0.5, 1.5, s).astype("f4") for s in shapes]
    return [(f"{layer.name}_{n}", a) for n, a in zip(NAMES.get(kind, "").split(), made)]


def write(root, model, ending):
    root.attrs["layer_names"] = [x.name.encode() for x in model.layers]
    for layer in model.layers:
        held = [(name + ending, array) for name, array in keras1_weights(layer)]
        group = root.create_group(layer.name)
        group.attrs["weight_names"] = [name.encode() for name, _ in held]
        for name, array in held:
            group[name] = array


def config(model):
    def one(layer):
        if isinstance(layer, layers.Bidirectional):
            inside = {"name": layer.name, "layer": one(layer.layer)}
        else:
            inside = {"name": layer.name, "dim_ordering": "tf"}
        return {"class_name": keras1_class(layer), "config": inside}

    return {"class_name": "Sequential", "config": [one(layer) for layer in model.layers]}


for number, (name, model) in enumerate(models().items()):
    with h5py.File(f"{FOLDER}/{name}.h5", "w") as file:  # a whole model of Keras 1.2
        file.attrs["keras_version"] = b"1.2.2"
        file.attrs["model_config"] = json.dumps(config(model)).encode()
        write(file.create_group("model_weights"), model, ("", ":0", "_1:0")[number])
    with (
        h5py.File(f"{FOLDER}/{name}.h5", "r") as whole,
        h5py.File(f"{FOLDER}/{name}_weights.h5", "w") as alone,
    ):
        for key, value in whole["model_weights"].attrs.items():
            alone.attrs[key] = value
        for layer in whole["model_weights"]:
            whole.copy(f"model_weights/{layer}", alone)  # Keras 1.0 wrote no version
    model.load_weights(f"{FOLDER}/{name}_weights.h5")
    np.savez(f"{FOLDER}/{name}.npz", **{w.name: w.numpy() for w in model.weights})
