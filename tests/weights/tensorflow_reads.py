"""Run in a process of its own: TensorFlow reads checkpoints and leaves every value's bytes for the tests.

Usage: python tensorflow_reads.py OUT.json PREFIX...
"""

import json
import os
import sys

os.environ.update(CUDA_VISIBLE_DEVICES="", TF_CPP_MIN_LOG_LEVEL="3")

import numpy as np
import tensorflow as tf

read = {}
for prefix in sys.argv[2:]:
    reader = tf.train.load_checkpoint(prefix)
    values = {}
    for name in reader.get_variable_to_shape_map():
        dtype = reader.get_variable_to_dtype_map()[name].name
        value = np.asarray(reader.get_tensor(name), object if dtype == "string" else None)
        if dtype == "string":
            data = [item.hex() for item in value.ravel()]
        else:
            data = np.ascontiguousarray(value).tobytes().hex()
        values[name] = [list(value.shape), dtype, data]
    read[prefix] = values
with open(sys.argv[1], "w") as file:
    json.dump(read, file)
