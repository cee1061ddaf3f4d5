"""Graphs that a program builds: their placeholders and their variables."""

import collections
import re

import numpy as np

from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.graphs import Graph
from tfport.parity.reference.graphs_programs import free_shape

FED = ("Placeholder", "PlaceholderV2")
STATISTIC = re.compile(
    r"(^|/)(moving|running|pop|population|global)_?(mean|var|variance|avg|average|std)\w*$"
)


def is_symbolic(tf, x):
    """Whether a value is a tensor or variable of a graph, or an operation."""
    if isinstance(x, tf.Operation):
        return True
    return isinstance(x, (tf.Tensor, tf.Variable)) and hasattr(x, "graph")


def symbolic_parts(tf, result):
    """The tensors, variables and operations of a graph in a nested structure."""
    return [x for x in tf.nest.flatten(result) if is_symbolic(tf, x)]


def tensors_in(tf, made):
    """The attributes of an object that are tensors of a graph."""
    return [
        k for k, v in getattr(made, "__dict__", {}).items() if isinstance(v, tf.Tensor) and is_symbolic(tf, v)
    ]


def without_inputs(tf, result):
    """(what is left of a structure without placeholders and operations, names of what was left out).

    A builder returns them beside what it computes, `x, y, logits, train_op`. A tuple or list of which one part is left
    is this part. Raises CaptureError where nothing is left.
    """
    dropped, gone = [], object()

    def walk(x):
        if isinstance(x, dict):
            kept = [(k, walk(v)) for k, v in x.items()]
            return collections.OrderedDict((k, v) for k, v in kept if v is not gone) or gone
        if isinstance(x, (list, tuple)) and type(x).__name__ != "SparseTensorValue":
            before = len(dropped)
            kept = [v for v in map(walk, x) if v is not gone]
            if len(dropped) == before:
                return x
            return gone if not kept else kept[0] if len(kept) == 1 else kept
        if isinstance(x, tf.Operation) or (isinstance(x, tf.Tensor) and x.op.type in FED):
            dropped.append(x.name.split(":")[0])
            return gone
        return x

    left = walk(result)
    if left is gone:
        raise CaptureError("it returns placeholders and operations alone: return the tensors to compare too")
    return left, dropped


def feeds_of(graph, fetches):
    """Placeholders that fetches depend on: name -> (tensor's name, shape, dtype), in the graph's order; those with a
    default value in a second mapping.
    """
    behind, needed, free = graph.behind(fetches), collections.OrderedDict(), collections.OrderedDict()
    for op in graph.operations:
        if op.name in behind and op.type in FED + ("PlaceholderWithDefault",):
            told = (op.outputs[0].name, free_shape(op.outputs[0].shape), op.outputs[0].dtype.as_numpy_dtype)
            (needed if op.type in FED else free)[op.name] = told
    return needed, free


def match_feeds(inputs, needed, free):
    """Which placeholder each input feeds: a list of names. Raises UsageError for what does not fit, saying what does.

    A name may be the end of a placeholder's name where one alone ends so; inputs without a name take the placeholders
    that are left, in the graph's order.
    """
    known = collections.OrderedDict(list(needed.items()) + list(free.items()))
    told = ", ".join(shown(name, known[name]) for name in known) or "none"
    chosen = []
    for name, _ in inputs:
        if name is None:
            chosen.append(None)
            continue
        ends = [n for n in known if n == name or n.replace("/", "_") == name]
        ends = ends or [n for n in known if n.rpartition("/")[2] == name]
        if len(ends) != 1:
            raise UsageError("--input %s=: the graph's placeholders are %s" % (name, told))
        chosen.append(ends[0])
    rest = [n for n in needed if n not in chosen]
    plain = [i for i, n in enumerate(chosen) if n is None]
    if len(rest) != len(plain):
        what = "%d --input without a name for %d placeholder(s)" % (len(plain), len(rest))
        advice = "a number is given as --input keep_prob=1.0 or training=False"
        raise UsageError("%s; the graph's placeholders are %s; %s" % (what, told, advice))
    for i, name in zip(plain, rest):
        chosen[i] = name
    if len(set(chosen)) != len(chosen):
        raise UsageError("an input is given twice; the graph's placeholders are %s" % told)
    for (_, array), name in zip(inputs, chosen):
        shape = known[name][1]
        if shape is not None and (
            len(shape) != array.ndim or any(n not in (None, m) for n, m in zip(shape, array.shape))
        ):
            raise UsageError(
                "an input of shape %s for placeholder %s" % (sizes(array.shape), shown(name, known[name]))
            )
    return chosen


def sizes(shape):
    """`2x?x3`, as --input writes it."""
    return "x".join("?" if n is None else str(n) for n in shape) or "scalar"


def shown(name, feed):
    """A placeholder as --input would name it: `x=?x784:float32`."""
    _, shape, dtype = feed
    return "%s=%s:%s" % (name, "?" if shape is None else sizes(shape), np.dtype(dtype).name)


def variables_behind(tf, graph, fetches):
    """The graph's variables that fetches depend on, in the order they were made, without repetition."""
    behind, found = graph.behind(fetches), collections.OrderedDict()
    with graph.graph.as_default():
        held = list(tf.compat.v1.global_variables()) + list(tf.compat.v1.local_variables())
    for variable in held:
        if variable.op.name in behind:
            found.setdefault(variable.op.name, variable)
    return list(found.values())


def set_variable(session, variable, array):
    """Gives a variable of a graph a value."""
    session.run(variable.initializer, {variable.initializer.inputs[1]: array})


def roughen_graph(tf, graph, session, variables, rng):
    """Adds noise of up to 0.2 to variables that hold few numbers, and enlarges kernels that were drawn small.

    A port that forgets a bias of zero, or a moving average of one, would agree; so would one with another activation
    behind a kernel of standard deviation 0.02, where all activations are a line.
    """
    with graph.graph.as_default():
        trained = {v.op.name for v in tf.compat.v1.trainable_variables()}
    for variable in variables:
        if not (variable.op.name in trained or STATISTIC.search(variable.op.name)):
            continue
        array = np.asarray(session.run(variable))
        made = drawn_apart(array, rng)
        if made is not array:
            set_variable(session, variable, made)


def hardly_varies(array):
    """Whether an array is floating and holds few numbers: zeros, ones, an identity."""
    if array.dtype.kind != "f" or array.size == 0:
        return False
    return len(np.unique(array.ravel()[:4096])) <= max(1, min(4, array.size // 2))


def drawn_apart(array, rng):
    """A variable's initial value as it shows faults: the array itself where it does so already."""
    if hardly_varies(array):
        return (array + rng.uniform(-0.2, 0.2, array.shape)).astype(array.dtype)
    if array.dtype.kind == "f" and array.ndim > 1:
        wanted, spread = float(np.prod(array.shape[:-1])) ** -0.5, float(np.std(array))
        if 0 < 1.5 * spread < wanted:
            return (array * (wanted / spread)).astype(array.dtype)
    return array


def restore(tf, session, variables, path):
    """Gives variables the values of a checkpoint. Raises CaptureError where it lacks one of them."""
    try:
        reader = tf.train.load_checkpoint(path)
        shapes = reader.get_variable_to_shape_map()
    except Exception as error:  # whatever TensorFlow raises for what is no checkpoint
        raise CaptureError("--weights %s is no checkpoint: %s" % (path, str(error).splitlines()[0]))
    for variable in variables:
        name = variable.op.name
        if name not in shapes:
            raise CaptureError("--weights %s has no variable %s" % (path, name))
        if variable.shape.is_fully_defined() and list(shapes[name]) != variable.shape.as_list():
            told = (path, name, list(shapes[name]), variable.shape.as_list())
            raise CaptureError("--weights %s: %s is %s there, %s in the graph" % told)
        set_variable(session, variable, reader.get_tensor(name))


def graph_of(tf, parts):
    """The graph of symbolic values; raises CaptureError where they are of several."""
    graphs = {id(getattr(x, "graph", None)): getattr(x, "graph", None) for x in parts}
    if len(graphs) != 1:
        raise CaptureError("it returns tensors of several graphs: return those of one")
    return Graph(tf, next(iter(graphs.values())))
