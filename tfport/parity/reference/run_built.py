"""Runs of graphs that a function builds and does not run itself."""

import numpy as np

from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.graphs_built import (
    feeds_of,
    graph_of,
    is_symbolic,
    match_feeds,
    restore,
    roughen_graph,
    shown,
    symbolic_parts,
    variables_behind,
    without_inputs,
)
from tfport.parity.reference.graphs_doubled import Doubled
from tfport.parity.reference.graphs_programs import Program, spec_of_program
from tfport.parity.reference.inputs import make_inputs
from tfport.parity.reference.run_graphs import GraphRun
from tfport.parity.reference.values import as_value


class BuiltRun(GraphRun):
    """Evaluates the tensors that a function returned, fed through the graph's placeholders."""

    def evaluate(self, result, inputs=()):
        """Values of symbolic tensors, whose placeholders `inputs` feed; anything else is returned as it is.

        The graph's variables are initialised by the program, drawn apart and kept in `self.graph`, or taken from
        --weights; a run in float64 takes those of its base, or of a first session in float32.
        """
        tf = self.tf
        if not symbolic_parts(tf, result):
            if inputs:
                raise CaptureError("%s() takes no such input and builds no graph to feed" % self.name)
            return result
        result, dropped = without_inputs(tf, result)
        if dropped and self.kept:
            self.notes.append("returned and not compared, since nothing computes them: " + ", ".join(dropped))
        flat = tf.nest.flatten(result)
        symbolic = [is_symbolic(tf, x) for x in flat]
        graph = graph_of(tf, [x for x, known in zip(flat, symbolic) if known])
        with graph.graph.as_default():
            flat = [tf.convert_to_tensor(x) if known else x for x, known in zip(flat, symbolic)]
        graph = graph_of(
            tf, [x for x, known in zip(flat, symbolic) if known]
        )  # reading a variable is an operation
        names = [x.name if known else x for x, known in zip(flat, symbolic)]
        ends = [x for x, known in zip(flat, symbolic) if known]
        named = self.wanted(graph, ends)
        tensors = ends + named
        feeds = self.feed(graph, tensors, inputs)
        variables = variables_behind(tf, graph, tensors)
        with tf.compat.v1.Session(graph=graph.graph) as session:
            first = self.initialise(graph, session, variables)
            if self.dtype != "float64":
                values = self.fetch(graph, session, names, symbolic, named, feeds)
        if self.dtype == "float64":
            doubled = Doubled(tf, graph.graph.as_graph_def())
            with tf.compat.v1.Session(graph=doubled.graph) as session:
                for op in first:
                    session.run(op)
                doubled.initialise(session, {n: v.array for n, v in self.graph.items()})
                values = self.fetch(graph, session, names, symbolic, named, feeds, doubled.name)
        self.tell_behind(
            graph, result, names, dict(zip([x for x, known in zip(names, symbolic) if known], ends))
        )
        self.depth = max(graph.depth(x) for x, known in zip(flat, symbolic) if known)
        return tf.nest.pack_sequence_as(result, values)

    def feed(self, graph, tensors, inputs):
        """Tensor's name -> array for each placeholder; inputs that nobody named are made from its shape."""
        needed, free = feeds_of(graph, tensors)
        if not inputs and needed:
            if self.options.input:
                told = ", ".join(shown(n, needed[n]) for n in needed)
                raise CaptureError(
                    "the placeholder(s) %s are not fed: pass --input for each by its name" % told
                )
            specs = spec_of_program(Program("function", None, needed, None, None))
            inputs = make_inputs(specs, self.options.seed, self.dtype)
            self.put_inputs(inputs)
        fed = {}
        chosen = match_feeds(inputs, needed, free) if inputs or needed else []
        keys = {
            name or i: told["tensor"]
            for i, told in enumerate(self.entry["inputs"])
            for name in [told["name"]]
        }
        for (name, array), place in zip(inputs, chosen):
            tensor = (needed.get(place) or free.get(place))[0]
            fed[tensor] = array
            number = [i for i, (_, other) in enumerate(self.given) if other is array]
            self.keys[tensor] = keys[name or number[0]]
        return fed

    def initialise(self, graph, session, variables):
        """Initialises the graph's variables and keeps their values; returns the names of the tables' initialisers."""
        tf, v1 = self.tf, self.tf.compat.v1
        with graph.graph.as_default():
            tables = [op.name for op in graph.graph.get_collection(v1.GraphKeys.TABLE_INITIALIZERS)]
            starts = [v1.global_variables_initializer(), v1.local_variables_initializer()]
        for start in starts + tables:
            session.run(start)
        if self.base is not None:
            self.graph = self.base.graph
            for variable in variables if self.dtype != "float64" else ():
                variable.load(self.graph[variable.op.name].array, session)
            return tables
        if self.options.weights:
            restore(tf, session, variables, self.options.weights)
        else:
            roughen_graph(tf, graph, session, variables, np.random.RandomState(self.options.seed + 1))
        for variable in variables:
            self.graph[variable.op.name] = as_value(session.run(variable))
        return tables

    def fetch(self, graph, session, names, symbolic, named, feeds, rename=lambda name: name):
        """Values of tensors by name; those to record are stored on the way."""
        given = {rename(name): array for name, array in feeds.items()}
        self.keep_tensors(graph, session, named, given, rename)
        return [session.run(rename(x), given) if known else x for x, known in zip(names, symbolic)]
