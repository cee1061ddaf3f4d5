"""Graphs without variables: frozen ones, SavedModels, traced functions."""

import collections
import os

import numpy as np

from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.graphs import Graph
from tfport.parity.reference.targets import describe
from tfport.parity.reference.values import as_value, tensor_parts

Program = collections.namedtuple("Program", "kind graph_def feeds outputs variables")
Program.__doc__ = """A graph without variables: a GraphDef and what to feed and to fetch.

`feeds` maps a name to (tensor's name, shape with None where it is free, dtype), `outputs` a name to a tensor's
name; `variables` maps names to `Value`s, for the weights' file.
"""


def free_shape(shape):
    """A TensorShape as a tuple with None for sizes that are not known; None where the rank is not."""
    return None if shape.rank is None else tuple(shape.as_list())


def load_frozen(tf, path, names):
    """A frozen graph (.pb): fed by its placeholders, fetched by `names` or else by the tensors nobody uses."""
    graph_def = tf.compat.v1.GraphDef()
    try:
        with open(path, "rb") as f:
            graph_def.ParseFromString(f.read())
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(graph_def, name="")
    except Exception as error:  # whatever protobuf and TensorFlow raise for what is no graph
        raise CaptureError("%s is no frozen graph: %s" % (os.path.basename(path), describe(error)))
    operations = graph.get_operations()
    held = [op.name for op in operations if op.type in ("VariableV2", "VarHandleOp", "Variable")]
    if held:
        raise CaptureError("%s is not frozen: %s is a variable" % (os.path.basename(path), held[0]))
    feeds, variables = collections.OrderedDict(), collections.OrderedDict()
    for op in operations:
        if op.type == "Placeholder":
            shape = op.outputs[0].shape
            feeds[op.name] = (op.outputs[0].name, free_shape(shape), op.outputs[0].dtype.as_numpy_dtype)
        elif op.type == "Const" and op.outputs[0].dtype.is_floating and op.outputs[0].shape.rank:
            variables[op.name] = as_value(tf.make_ndarray(op.node_def.attr["value"].tensor))
    outputs = collections.OrderedDict()
    if names:
        for name in names.split(","):
            try:
                tensor = graph.get_tensor_by_name(name if ":" in name else name + ":0")
            except (KeyError, ValueError):
                advice = Graph(tf, graph).advice(name, False)
                raise UsageError("%s: %s" % (name, advice))
            outputs[name] = tensor.name
    else:
        ends = [t for op in operations for t in op.outputs if not t.consumers()]
        for tensor in ends:
            if tensor.op.type not in ("Const", "Placeholder", "NoOp") and tensor.value_index == 0:
                outputs[tensor.op.name] = tensor.name
    if not outputs:
        raise CaptureError("%s computes nothing: name an output, %s:NAME" % ((os.path.basename(path),) * 2))
    return Program("graph", graph_def, feeds, outputs, variables)


def load_saved_model(tf, path, wanted):
    """A signature of a SavedModel of TensorFlow 1 or 2, frozen. Raises CaptureError naming the signatures."""
    if not tf.executing_eagerly():
        return load_saved_model_v1(tf, path, wanted)
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    try:
        loaded = tf.saved_model.load(path)
    except Exception as error:  # whatever TensorFlow raises for what is no SavedModel
        raise CaptureError("%s is no SavedModel: %s" % (os.path.basename(path), describe(error)))
    name = choose_signature(list(loaded.signatures), wanted, path)
    concrete = loaded.signatures[name]
    frozen = convert_variables_to_constants_v2(concrete)
    specs = concrete.structured_input_signature[1]
    keys = list(getattr(concrete, "_arg_keywords", None) or sorted(specs))
    feeds = collections.OrderedDict()
    for key, tensor in zip(keys, frozen.inputs):
        feeds[key] = (tensor.name, free_shape(specs[key].shape), tensor.dtype.as_numpy_dtype)
    feeds = collections.OrderedDict(sorted(feeds.items()))
    flat = tf.nest.flatten(concrete.structured_outputs)
    told = tf.nest.pack_sequence_as(
        concrete.structured_outputs, [t.name for t in frozen.outputs[: len(flat)]]
    )
    variables = collections.OrderedDict()
    for variable in concrete.variables:
        variables[variable.name.rpartition(":")[0] or variable.name] = as_value(variable)
    return Program(
        "savedmodel",
        frozen.graph.as_graph_def(),
        feeds,
        collections.OrderedDict(sorted(told.items())),
        variables,
    )


def load_saved_model_v1(tf, path, wanted):
    """As `load_saved_model`, in TensorFlow 1's graph mode."""
    graph, v1 = tf.Graph(), tf.compat.v1
    with v1.Session(graph=graph) as session:
        try:
            meta = v1.saved_model.load(session, ["serve"], path)
        except Exception as error:  # whatever TensorFlow raises for what is no SavedModel
            raise CaptureError("%s is no SavedModel: %s" % (os.path.basename(path), describe(error)))
        name = choose_signature([n for n in meta.signature_def if not n.startswith("__")], wanted, path)
        signature = meta.signature_def[name]
        feeds, outputs = collections.OrderedDict(), collections.OrderedDict()
        for key, info in sorted(signature.inputs.items()):
            shape = free_shape(tf.TensorShape(info.tensor_shape))
            feeds[key] = (info.name, shape, tf.as_dtype(info.dtype).as_numpy_dtype)
        for key, info in sorted(signature.outputs.items()):
            outputs[key] = info.name
        variables = collections.OrderedDict()
        with graph.as_default():
            for variable in v1.global_variables():
                variables[variable.op.name] = as_value(session.run(variable))
        ends = sorted({n.rpartition(":")[0] for n in outputs.values()})
        frozen = v1.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ends)
    return Program("savedmodel", frozen, feeds, outputs, variables)


def choose_signature(have, wanted, path):
    """The signature that is wanted, else `serving_default`, else the only one."""
    have = sorted(have)
    if wanted and wanted in have:
        return wanted
    if not wanted and ("serving_default" in have or len(have) == 1):
        return "serving_default" if "serving_default" in have else have[0]
    told = "it has " + ", ".join(have) if have else "it has none"
    asked = "no signature %s" % wanted if wanted else "pass --signature"
    raise UsageError("%s: %s; %s" % (os.path.basename(path), asked, told))


def spec_of_program(program):
    """Input specs from the shapes of what a graph is fed, batch 2; raises CaptureError saying what to pass."""
    specs = []
    for name, (_, shape, dtype) in program.feeds.items():
        sizes = None if shape is None else [2 if i == 0 and n is None else n for i, n in enumerate(shape)]
        if sizes is None or None in sizes:
            free = "x".join(str(n or 64) for n in sizes) if sizes else "2x64"
            word = name.rpartition("/")[2]
            told = (name, "free sizes" if sizes else "no shape", word, free, np.dtype(dtype).name)
            number = "" if sizes else " or a number, --input %s=1.0" % word
            raise CaptureError("input %s of the graph has %s: pass --input %s=%s:%s%s" % (told + (number,)))
        kind = np.dtype(dtype).name
        specs.append("%s:%s" % ("x".join(str(n) for n in sizes) or "scalar", kind))
    return specs


def freeze_call(tf, call, arrays):
    """A function of tensors as a graph without variables: (GraphDef, names of inputs, structure of names of outputs).

    Raises what TensorFlow raises where the function cannot be traced.
    """
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    specs = [tf.TensorSpec(a.shape, a.dtype) for a in arrays]

    def of_tensors(x):  # a ragged or sparse tensor is its parts, as `flatten` has them
        return collections.OrderedDict(tensor_parts(x)) if tensor_parts(x) is not None else x

    def traced(*tensors):
        return tf.nest.map_structure(of_tensors, call(tensors))

    concrete = tf.function(traced).get_concrete_function(*specs)
    frozen = convert_variables_to_constants_v2(concrete)
    rest = iter(frozen.outputs)
    flat = [
        next(rest).name if isinstance(t, tf.Tensor) else t
        for t in tf.nest.flatten(concrete.structured_outputs)
    ]
    names = [t.name for t in frozen.inputs[: len(arrays)]]
    return frozen.graph.as_graph_def(), names, tf.nest.pack_sequence_as(concrete.structured_outputs, flat)
