"""Runs of functions and tf.Modules."""

import collections
import inspect
import os

import numpy as np

from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.graphs import Graph
from tfport.parity.reference.graphs_doubled import Doubled
from tfport.parity.reference.graphs_programs import freeze_call
from tfport.parity.reference.graphs_sessions import Sessions
from tfport.parity.reference.keras_layers import is_keras
from tfport.parity.reference.run_graphs import GraphRun
from tfport.parity.reference.store import write_tensors
from tfport.parity.reference.targets import binds, describe, required
from tfport.parity.reference.values import as_value


class FunctionRun(GraphRun):
    """Runs a function or a tf.Module, eagerly or as a graph."""

    def function(self, function, module, args, kwargs):
        tf = self.tf
        inputs = self.inputs()
        names = [n for n, _ in inputs]
        if isinstance(function, tf.Module):  # the arguments were its constructor's
            args, kwargs = [], {}

        def bound(values):
            """Positional and keyword arguments with these values in the place of the inputs."""
            plain = [v for n, v in zip(names, values) if not n]
            return plain + list(args), dict(kwargs, **{n: v for n, v in zip(names, values) if n})

        some, keys = bound([a for _, a in inputs])
        if not binds(function, some, keys):
            told = (self.name, ", ".join(required(function) or []), len(inputs))
            raise CaptureError("%s(%s) got %d input(s): pass one --input for each" % told)
        eager = tf.executing_eagerly()
        twin = self.base is not None and not self.kept
        used = self.base.given if self.rewritten else inputs
        values = [a if self.wants_arrays(function) else tf.constant(a) for _, a in used]
        self.put_inputs(inputs, "arguments", values if eager else ())
        some, keys = bound(values)
        variables = as_values(self.find_variables(function, module))
        call = lambda tensors, training=False: function(*bound(tensors)[0], **bound(tensors)[1])  # noqa: E731
        traced = twin and eager and self.traced(call)
        if not traced:
            result = self.watched(lambda: function(*some, **keys))
            outputs = self.guard(lambda: self.evaluate(result))
            if eager and self.options.tensor:
                self.traced(call, outputs=False)
            self.keep(outputs, self.depth)
        kind = "module" if isinstance(function, tf.Module) else "function"
        if kind == "module":
            variables = as_values(self.find_variables(function, module))  # made by the first call
        self.entry["kind"] = kind
        self.variables = self.graph or variables
        if self.base is not None:
            self.measures = same_values(self.variables, self.base.variables)
        if self.variables and self.kept:
            name = self.dtype + ".weights.safetensors"
            write_tensors(os.path.join(self.folder, name), self.variables)
            kind = "graph" if self.graph else "variables" if kind == "module" else "globals"
            self.entry["weights"] = {"kind": kind, "file": name}
        pairs = self.find_variables(function, module)
        trainable = [v for _, v in pairs if v.trainable]
        self.train(self.entry["weights"] and self.entry["weights"]["kind"], function, pairs, trainable, call)

    def watched(self, call):
        """Calls a function whose sessions are watched: for --tensor, and in a twin to run them in float64."""
        twin = self.base is not None and not self.kept
        if self.tf.executing_eagerly() or not (twin or self.options.tensor):
            return self.guard(call)
        with Sessions(self, twin) as sessions:
            result = self.guard(call)
        later = (self.tf.Tensor, self.tf.Variable, self.tf.Module)  # whose graph is run later
        if not is_keras(result) and not any(isinstance(x, later) for x in self.tf.nest.flatten(result)):
            sessions.check()
        return result

    def traced(self, call, outputs=True):
        """Runs a function as a frozen graph, in this run's dtype, and stores tensors and `outputs` of it.

        Whether that could be done: what cannot be traced is left to a plain call, unless --tensor needs the graph.
        """
        given = (self.base or self).given
        arrays = [a for _, a in given]
        try:
            graph_def, names, structure = freeze_call(self.tf, call, arrays)
            for name, told in zip(names, self.entry["inputs"]):
                self.keys[name] = told["tensor"]
            values = self.run_frozen(graph_def, dict(zip(names, [a for _, a in self.given])), structure)
        except CaptureError:
            raise
        except (
            Exception
        ) as error:  # whatever the program and TensorFlow raise while it is traced or rewritten
            if not outputs:
                told = describe(error, self.path)
                raise CaptureError("--tensor: %s cannot be traced as a graph: %s" % (self.name, told))
            return False
        if outputs:
            self.keep(values, self.depth)
        return True

    def wants_arrays(self, function):
        if self.tf.executing_eagerly():
            return False
        try:
            source = inspect.getsource(function)
        except (OSError, TypeError):
            return False
        return "feed_dict" in source or ".run(" in source

    def find_variables(self, function, module):
        """Variables before the call: of a tf.Module by attribute path, else the file's own by their name."""
        tf = self.tf
        if not tf.executing_eagerly():
            return []
        if isinstance(function, tf.Module):
            walk = function._flatten(predicate=lambda v: isinstance(v, tf.Variable), with_path=True)
            return [("/".join(str(p) for p in path), v) for path, v in walk]
        return [(k, v) for k, v in vars(module).items() if isinstance(v, tf.Variable)]

    def evaluate(self, result):
        """Values of symbolic tensors (graph mode); anything else is returned as it is."""
        tf, v1 = self.tf, self.tf.compat.v1
        if tf.executing_eagerly():
            return result
        flat = tf.nest.flatten(result)
        if not any(isinstance(x, (tf.Tensor, tf.Variable)) for x in flat):
            return result
        symbolic = [isinstance(x, (tf.Tensor, tf.Variable)) for x in flat]
        flat = [tf.convert_to_tensor(x) if known else x for x, known in zip(flat, symbolic)]
        graph, rename = Graph(tf, v1.get_default_graph()), lambda name: name
        names = [x.name if known else x for x, known in zip(flat, symbolic)]
        if self.rewritten:
            doubled = Doubled(tf, graph.graph.as_graph_def())
            rename = doubled.name
        with v1.Session(graph=doubled.graph if self.rewritten else graph.graph) as session:
            if self.rewritten:
                self.graph = self.base.graph
                doubled.initialise(session, {n: v.array for n, v in self.graph.items()})
            else:
                session.run(v1.global_variables_initializer())
                session.run(v1.local_variables_initializer())
                for variable in v1.global_variables():
                    self.graph[variable.op.name] = as_value(session.run(variable))
            if self.options.tensor:
                self.keep_tensors(graph, session, graph.find(self.options.tensor), {}, rename)
            values = [session.run(rename(x)) if known else x for x, known in zip(names, symbolic)]
        self.depth = max(graph.depth(x) for x, known in zip(flat, symbolic) if known)
        return tf.nest.pack_sequence_as(result, values)


def as_values(pairs):
    """Name -> `Value` of pairs (name, variable)."""
    return collections.OrderedDict((name, as_value(variable)) for name, variable in pairs)


def same_values(one, two):
    """Whether two mappings of name to `Value` have the same names and numbers, whatever their precision."""
    if list(one) != list(two):
        return False
    return all(np.array_equal(one[name].array, two[name].array) for name in one)
