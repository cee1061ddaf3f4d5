"""Graphs: sessions of the program's own, watched and doubled."""

import functools

import numpy as np

from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.parity.reference.graphs import Graph, has_tensor
from tfport.parity.reference.graphs_doubled import Doubled


class Sessions:
    """While open, what a program runs in sessions of its own is watched: `--tensor` is recorded, or all is doubled.

    Recording adds the tensors asked for to every run that computes them anyway. For a twin in float64 each session
    gets a second one over the graph in float64. Runs that initialise variables are made in the first and their values
    copied; every other run is made in the second alone, whose values the program gets.
    """

    def __init__(self, run, doubled):
        self.run, self.tf, self.doubled = run, run.tf, doubled
        self.names, self.unmet = list(run.options.tensor), set(run.options.tensor)
        self.sessions, self.advice = {}, None

    def __enter__(self):
        v1 = self.tf.compat.v1
        self.classes = [v1.Session, v1.InteractiveSession]
        self.before = [vars(c).get("run") for c in self.classes]
        for kind in self.classes:
            kind.run = self.wrap(kind.run)
        return self

    def __exit__(self, *error):
        for kind, before in zip(self.classes, self.before):
            if before is None:
                del kind.run
            else:
                kind.run = before
        for pair in self.sessions.values():
            pair.close()

    def wrap(self, run):
        def watched(session, fetches, feed_dict=None, options=None, run_metadata=None):
            first = functools.partial(run, session)
            if self.doubled:
                if id(session) not in self.sessions:
                    self.sessions[id(session)] = Pair(self.tf, session, run)
                pair = self.sessions[id(session)]
                if not pair.advance(fetches):
                    return first(fetches, feed_dict)  # it has initialised variables, whose values were copied
                if not self.names:
                    return pair.second(fetches, feed_dict)
                first = pair.second
            if not self.names:
                return first(fetches, feed_dict, options, run_metadata)
            graph = Graph(self.tf, session.graph)
            tensors = self.wanted(graph, fetches, feed_dict)
            result, values = first(
                [fetches, [t for t in tensors if not self.doubled or pair.has(t)]], feed_dict
            )
            there = [t for t in tensors if not self.doubled or pair.has(t)]
            for key, value in zip(there, values):
                self.run.keep_tensor(graph, key, value)
            return result

        return watched

    def wanted(self, graph, fetches, feed_dict):
        found = []
        for name in self.names:
            try:
                found += [t for t in graph.find([name]) if t not in found]
                self.unmet.discard(name)
            except UsageError as error:  # it may be in another graph of the program
                self.advice = error
        fed = [getattr(k, "name", k) for k in (feed_dict or {})]
        flat = [graph.graph.as_graph_element(f) for f in leaves_of(fetches)]
        behind = graph.behind(flat, fed)
        return [t for t in found if t.op.name in behind and t.name not in fed]

    def check(self):
        """Raises UsageError for a name that no graph of the program had."""
        if self.unmet and self.sessions is not None:
            name = sorted(self.unmet)[0]
            raise self.advice or UsageError("--tensor %s: the program runs no graph" % name)


def leaves_of(fetches):
    """The tensors, operations and names in what `Session.run` is asked for."""
    if isinstance(fetches, dict):
        return [leaf for part in fetches.values() for leaf in leaves_of(part)]
    if isinstance(fetches, (list, tuple)) and type(fetches).__name__ not in ("SparseTensorValue",):
        return [leaf for part in fetches for leaf in leaves_of(part)]
    if type(fetches).__name__ == "SparseTensor":
        return [fetches.indices, fetches.values, fetches.dense_shape]
    return [fetches]


class Pair:
    """A program's session and its twin over the same graph in float64."""

    WRITES = ("SaveV2", "SaveSlices", "Save", "WriteFile", "ShardedFilename", "MergeV2Checkpoints")

    def __init__(self, tf, session, run):
        self.tf, self.session, self.run = tf, session, run
        self.twin = self.made = None
        self.version, self.known = None, set()

    def close(self):
        if self.twin is not None:
            self.twin.close()

    def readers(self):
        """Variable's operation -> the name of a tensor that reads it."""
        found = {}
        for op in self.session.graph.get_operations():
            if op.type in ("VariableV2", "Variable"):
                found[op.name] = op.name + ":0"
            elif op.type == "ReadVariableOp" and op.inputs[0].op.type == "VarHandleOp":
                found.setdefault(op.inputs[0].op.name, op.name + ":0")
        return found

    def advance(self, fetches):
        """Makes the twin ready for a run; False where the run in the first session is all there is to do.

        Then the caller makes that run, and the values of what it initialises are read before the next one.
        """
        graph = Graph(self.tf, self.session.graph)
        flat = [graph.graph.as_graph_element(f) for f in leaves_of(fetches)]
        behind = graph.behind(flat)
        kinds = {op.name: op.type for op in graph.operations if op.name in behind}
        if any(kind in self.WRITES for kind in kinds.values()):
            raise CaptureError("the program saves files, which a second run would overwrite")
        values = {}
        for name, reader in self.readers().items():
            if name not in self.known:
                try:
                    values[name] = np.asarray(self.run(self.session, reader))
                except self.tf.errors.FailedPreconditionError:  # not initialised yet
                    continue
        made = graph.graph.version
        if self.made is None or made != self.version:
            old = {} if self.twin is None else {n: self.read(n) for n in self.known}
            values = dict(old, **values)
            self.close()
            self.made, self.version = Doubled(self.tf, graph.graph.as_graph_def()), made
            self.twin = self.tf.compat.v1.Session(graph=self.made.graph)
        self.made.initialise(self.twin, values)
        self.known.update(values)
        assigned = [
            op for op in graph.operations if op.name in behind and op.type in ("Assign", "AssignVariableOp")
        ]
        return all(op.inputs[0].op.name in self.known for op in assigned)

    def read(self, name):
        return np.asarray(self.run(self.twin, self.made.name(self.readers()[name])))

    def has(self, tensor):
        return has_tensor(self.made.graph, self.made.name(tensor.name))

    def second(self, fetches, feed_dict=None):
        """The run in float64."""
        fed = {}
        for key, value in (feed_dict or {}).items():
            array = np.asarray(value)
            fed[self.element(key)] = array.astype(np.float64) if array.dtype == np.float32 else value
        return self.run(self.twin, self.same(fetches), fed)

    def same(self, fetches):
        """The fetches' structure with the twin's tensors."""
        if isinstance(fetches, dict):
            return type(fetches)((k, self.same(v)) for k, v in fetches.items())
        if isinstance(fetches, tuple) and hasattr(fetches, "_fields"):
            return type(fetches)(*[self.same(v) for v in fetches])
        if isinstance(fetches, (list, tuple)):
            return type(fetches)(self.same(v) for v in fetches)
        if type(fetches).__name__ == "SparseTensor":
            return self.tf.SparseTensor(*[self.element(t) for t in leaves_of(fetches)])
        return self.element(fetches)

    def element(self, key):
        old = self.session.graph.as_graph_element(key)
        name = self.made.name(old.name)
        return self.made.graph.as_graph_element(name)
