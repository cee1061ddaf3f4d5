"""Run in a process of its own: TensorFlow writes every dtype and layout in every format, and says what it wrote.

Usage: python tensorflow_writes.py FOLDER. Leaves the checkpoints and `values.json`: for each of them name -> shape,
dtype, bytes in hexadecimal. Runs on TensorFlow 2 with Keras 2 and 3.
"""

import json
import os
import sys

os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")

import numpy as np
import tensorflow as tf

FOLDER = sys.argv[1]
SHAPES = {"scalar": (), "empty": (0, 3), "one": (5,), "cube": (2, 3, 4), "five": (2, 1, 3, 2, 2)}
DTYPES = (
    "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32",
    "uint64", "complex64", "complex128", "bool", "float8_e5m2", "float8_e4m3fn",
)  # fmt: skip
SMALL = {"int4": (-8, 8), "uint4": (0, 16), "int2": (-2, 2), "uint2": (0, 4), "float4_e2m1fn": (0, 4)}
RARE = ("float8_e4m3fnuz", "float8_e4m3b11fnuz", "float8_e5m2fnuz", *SMALL)
"""Dtypes of TensorFlow's later versions, of which no variable is made."""
NOT_IN_V1 = {"bfloat16", "uint32", "uint64", "float8_e5m2", "float8_e4m3fn"}  # Saver refuses them there
written = {}


def path(name):
    return os.path.join(FOLDER, name)


def flat(name):
    return name.replace("/", "_")


def value(dtype, shape, seed):
    """Random bits, so that NaN, infinities, denormals and negative zeros come along."""
    kind = getattr(tf, dtype, None) or tf.as_dtype(dtype)
    source = np.random.RandomState(seed)
    if dtype in SMALL:
        return source.randint(*SMALL[dtype], shape).astype(kind.as_numpy_dtype)
    if dtype == "bool":
        return source.randint(0, 2, shape).astype(bool)
    size = np.dtype(kind.as_numpy_dtype).itemsize
    data = source.randint(0, 256, size * int(np.prod(shape, dtype=int)), np.uint8).tobytes()
    return np.frombuffer(data, kind.as_numpy_dtype).reshape(shape)


def told(array):
    array = np.asarray(array)
    if array.dtype == object:
        return [list(array.shape), "string", [bytes(v).hex() for v in array.ravel()]]
    return [list(array.shape), array.dtype.name, np.ascontiguousarray(array).tobytes().hex()]


def known(dtype):
    try:
        tf.as_dtype(dtype)
        return True
    except TypeError:
        return False


values = {
    f"{d}/{s}": value(d, shape, i)
    for i, (d, s, shape) in enumerate(
        (d, s, shape) for d in DTYPES if known(d) for s, shape in SHAPES.items()
    )
}
rare = {f"{d}/{s}": value(d, shape, 3) for d in RARE if known(d) for s, shape in SHAPES.items()}


def by_name(name, save, names):
    """A Saver's checkpoint of TensorFlow 1, by the operations that it runs, with a variable in three slices."""
    part = np.random.RandomState(1).standard_normal((200, 8)).astype(np.float32)
    rows = [(0, 67), (67, 67), (134, 66)]
    save(
        list(names) + ["part/kernel"] * 3,
        [""] * len(names) + ["200 8 {},{}:0,8".format(*row) for row in rows],
        [tf.constant({**values, **rare}[n]) for n in names] + [tf.constant(part[a : a + n]) for a, n in rows],
    )
    written[name] = {n: told({**values, **rare}[n]) for n in names}
    written[name]["part/kernel"] = told(part)


ops = tf.raw_ops
by_name("by_name", lambda names, slices, held: ops.SaveV2(
    prefix=path("by_name"), tensor_names=names, shape_and_slices=slices, tensors=held), [*values, *rare])  # fmt: skip
by_name("v1.ckpt", lambda names, slices, held: ops.SaveSlices(
    filename=path("v1.ckpt"), tensor_names=names, shapes_and_slices=slices, data=held),
    [n for n in values if n.split("/")[0] not in NOT_IN_V1])  # fmt: skip

# The same, by a Saver with sharded=True: a partitioned variable has slices in both files.
part = np.random.RandomState(2).standard_normal((5, 8)).astype(np.float32)
for number, (first, count) in enumerate([(0, 2), (2, 3)]):
    alone = values["float32/cube"] if number else values["int64/one"]
    ops.SaveSlices(
        filename=path(f"v1s.ckpt-0000{number}-of-00002"), tensor_names=["part/kernel", f"alone_{number}"],
        shapes_and_slices=[f"5 8 {first},{count}:0,8", ""], data=[tf.constant(part[first : first + count]), alone],
    )  # fmt: skip
written["v1s.ckpt"] = {"part/kernel": told(part), "alone_0": told(values["int64/one"]),
                       "alone_1": told(values["float32/cube"])}  # fmt: skip

# Objects: a Checkpoint and a SavedModel of the same variables, strings too.
module = tf.Module()
module.held = {flat(name): tf.Variable(v) for name, v in values.items()}
module.table = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, -1)
module.table.insert(tf.constant(["a", "b"]), tf.constant([3, 4], tf.int64))
module.text = tf.Variable([b"caf\xc3\xa9", b"", b"a" * 300])
tf.train.Checkpoint(m=module).write(path("objects"))
end = "/.ATTRIBUTES/VARIABLE_VALUE"
written["objects"] = {f"m/held/{flat(n)}{end}": told(v) for n, v in values.items()}
written["objects"]["m/text" + end] = told(module.text.numpy())
tf.saved_model.save(module, path("saved"))
written["saved"] = {f"held/{flat(n)}{end}": told(v) for n, v in values.items()}
written["saved"]["text" + end] = told(module.text.numpy())

# A frozen graph: each value as a constant; TensorFlow makes none of some kinds of float8.
constants = values | {n: v for n, v in rare.items() if n.split("/")[0] in SMALL}
with tf.Graph().as_default() as graph:
    for name, array in constants.items():
        tf.constant(array, name=name)
    few = tf.constant([7, 7, 7, 7], tf.int32, name="repeated")
    with open(path("frozen.pb"), "wb") as file:
        file.write(graph.as_graph_def().SerializeToString())
written["frozen.pb"] = {name: told(v) for name, v in constants.items()}
written["frozen.pb"]["repeated"] = told(np.array([7, 7, 7, 7], np.int32))

# Keras' own files: what a layer may hold.
in_keras = [
    n
    for n in values
    if n.split("/")[0] in ("float16", "float32", "float64", "int32", "int64", "uint8", "bool")
]


class Holder(tf.keras.layers.Layer):
    def build(self, shape):
        for name in in_keras:
            self.add_weight(name=name.replace("/", "_"), shape=values[name].shape, dtype=values[name].dtype.name,
                            initializer="zeros", trainable=False)  # fmt: skip

    def call(self, x):
        return x


model = tf.keras.Sequential([tf.keras.Input((2,)), Holder(name="holder")])
for variable, name in zip(model.weights, in_keras):
    variable.assign(values[name])
for name in ("keras.weights.h5", "keras.h5"):
    model.save_weights(path(name)) if name.endswith("weights.h5") else model.save(path(name))
    written[name] = {str(i): told(values[n]) for i, n in enumerate(in_keras)}
with open(path("values.json"), "w") as file:
    json.dump({"tensorflow": tf.__version__, "files": written}, file)
