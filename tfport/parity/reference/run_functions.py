"""Runs of functions and tf.Modules."""

import collections
import inspect

import numpy as np

from tfport.parity.reference.environment import seed_all
from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.graphs_built import drawn_apart, symbolic_parts
from tfport.parity.reference.graphs_programs import freeze_call
from tfport.parity.reference.graphs_sessions import Sessions
from tfport.parity.reference.keras_layers import is_keras
from tfport.parity.reference.run_built import BuiltRun
from tfport.parity.reference.targets import binds, describe, required
from tfport.parity.reference.values import as_value


class FunctionRun(BuiltRun):
    """Runs a function or a tf.Module, eagerly or as a graph."""

    def function(self, function, module, args, kwargs):
        tf = self.tf
        inputs = self.inputs()
        if isinstance(function, tf.Module):  # the arguments were its constructor's
            args, kwargs = [], {}
        self.check_options(function)
        own, fed = self.split(function, inputs, args, kwargs)
        names = [n for n, _ in own]

        def bound(values):
            """Positional and keyword arguments with these values in the place of the inputs."""
            plain = [v for n, v in zip(names, values) if not n]
            return plain + list(args), dict(kwargs, **{n: v for n, v in zip(names, values) if n})

        some, keys = bound([a for _, a in own])
        if not binds(function, some, keys):
            told = (self.name, ", ".join(required(function) or []), len(inputs))
            more = ", and what is no array with --call-args" if not args and not kwargs else ""
            raise CaptureError("%s(%s) got %d input(s): pass one --input for each%s" % (told + (more,)))
        eager = tf.executing_eagerly()
        twin = self.base is not None and not self.kept
        single = own  # in float32: a graph is built so, then rewritten, and a module makes its variables so
        if self.dtype == "float64":
            single = [(n, a.astype(np.float32) if a.dtype == np.float64 else a) for n, a in own]
            single = (
                self.base.given[: len(own)] if self.base is not None and len(own) == len(inputs) else single
            )
        arrays = self.wants_arrays(function)
        values = [a if arrays else tf.constant(a) for _, a in (own if eager else single)]
        self.put_inputs(inputs, "arguments", values if eager else ())
        some, keys = bound(values)
        first = bound([tf.constant(a) for _, a in single]) if eager else None
        variables = self.drawn(function, module, [lambda: function(*first[0], **first[1]),
                                                  lambda: function(*some, **keys)])  # fmt: skip
        call = lambda tensors, training=False: function(*bound(tensors)[0], **bound(tensors)[1])  # noqa: E731
        traced = twin and eager and self.built is None and self.traced(call)
        if not traced:
            result = self.built
            try:
                if result is None:
                    result = self.watched(lambda: function(*some, **keys))
                outputs = self.guard(lambda: self.evaluate(result, fed))
            except CaptureError:  # a program bound to float32, which a graph of it need not be
                traced = self.dtype == "float64" and eager and self.built is None and self.traced(call)
                if not traced:
                    raise
            if not traced:
                if eager and not self.graph:
                    self.trace_steps(call)
                self.keep(outputs, self.depth)
        kind = "module" if isinstance(function, tf.Module) else "function"
        self.entry["kind"] = kind
        self.variables = self.graph or variables
        if self.base is not None:
            self.measures = same_values(self.variables, self.base.variables)
        if self.variables and self.kept:
            kind = "graph" if self.graph else "variables" if kind == "module" else "globals"
            self.put_weights(kind, self.variables)
        pairs = self.find_variables(function, module)
        trainable = [v for _, v in pairs if v.trainable]
        self.train(self.entry["weights"] and self.entry["weights"]["kind"], function, pairs, trainable, call)

    def check_options(self, function):
        """Raises UsageError for options that a function or module would leave aside without a word."""
        graph = not self.tf.executing_eagerly() or self.built is not None
        if self.options.weights and not graph:
            told = "%s is no Keras model and builds no graph: restore its weights in a function that returns it, and name"
            raise UsageError("--weights: " + told % self.name + " that one")
        if graph and (self.options.gradients or self.options.steps):
            told = "of a graph that %s builds they are not recorded: name a function that returns tf.gradients too"
            raise UsageError("--gradients and --steps: " + told % self.name)

    def split(self, function, inputs, args, kwargs):
        """(inputs that are arguments of the function, inputs that feed placeholders of the graph it builds)."""
        if self.built is not None:
            return [], inputs
        plain = [a for n, a in inputs if not n]
        if self.tf.executing_eagerly() or binds(
            function, plain + list(args), dict(kwargs, **dict_of(inputs))
        ):
            return inputs, []
        known = parameters_of(function)
        own = [(n, a) for n, a in inputs if n is None or n in known]
        fed = [pair for pair in inputs if pair[0] is not None and pair[0] not in known]
        return (
            (own, fed) if binds(function, plain + list(args), dict(kwargs, **dict_of(own))) else (inputs, [])
        )

    def drawn(self, function, module, calls):
        """Values of a function's or module's own variables, drawn so that faults show: name -> `Value`.

        A module may make its variables in its first call, so it is called once before, by the first of `calls` that
        goes well; what that changed in variables that were there is put back. A run in float64 takes its base's values.
        """
        if not self.tf.executing_eagerly():
            return collections.OrderedDict()
        before = [(v, v.numpy()) for _, v in self.find_variables(function, module)]
        if isinstance(function, self.tf.Module):
            try:
                self.guard(calls[0])
            except CaptureError:
                self.guard(calls[-1])
        for variable, array in before:
            variable.assign(array)
        pairs, rng = self.find_variables(function, module), np.random.RandomState(self.options.seed + 1)
        base = self.base.variables if self.base is not None else {}
        for name, variable in pairs:
            array = variable.numpy()
            if name in base and base[name].array.shape == array.shape:
                variable.assign(base[name].array.astype(array.dtype))
            elif variable.trainable:
                variable.assign(drawn_apart(array, rng))
        seed_all(self.tf, self.options.seed)
        return as_values(pairs)

    def watched(self, call):
        """Calls a function whose sessions are watched: for --tensor, and to run them in float64."""
        doubled = self.dtype == "float64"
        if self.tf.executing_eagerly() or not (doubled or self.options.tensor):
            return self.guard(call)
        with Sessions(self, doubled) as sessions:
            result = self.guard(call)
        later = is_keras(result) or isinstance(result, self.tf.Module)  # whose graph is run later
        if not later and not symbolic_parts(self.tf, result):
            sessions.check()
        return result

    def trace_steps(self, call):
        """Records the tensors asked for of a function that ran eagerly, through its graph."""
        if self.options.tensor:
            self.traced(call, outputs=False)
        elif self.options.layers == "all":
            try:
                self.traced(call, outputs=False)
            except CaptureError as error:
                self.notes.append("its steps are not recorded: " + str(error).replace("--tensor: ", ""))

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


def dict_of(inputs):
    """The inputs that have a name, by it."""
    return {n: a for n, a in inputs if n}


def parameters_of(function):
    """Names of all parameters of a function; none where Python cannot tell."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def as_values(pairs):
    """Name -> `Value` of pairs (name, variable)."""
    return collections.OrderedDict((name, as_value(variable)) for name, variable in pairs)


def same_values(one, two):
    """Whether two mappings of name to `Value` have the same names and numbers, whatever their precision."""
    if list(one) != list(two):
        return False
    return all(np.array_equal(one[name].array, two[name].array) for name in one)
