"""Runs of graphs, and the tensors that are recorded of them."""

import collections
import os

import numpy as np

from tfport.parity.reference.errors import UsageError
from tfport.parity.reference.graphs import Graph, has_tensor
from tfport.parity.reference.graphs_doubled import Doubled
from tfport.parity.reference.graphs_programs import load_frozen, load_saved_model, spec_of_program
from tfport.parity.reference.inputs import make_inputs
from tfport.parity.reference.run_base import BaseRun
from tfport.parity.reference.store import write_tensors
from tfport.parity.reference.values import as_value, owners_of


def drowned(value):
    """Whether the largest numbers of an array, a mask's -1e9, hide all others in their rounding."""
    sizes = np.abs(np.asarray(value, np.float64)).ravel()
    sizes = sizes[np.isfinite(sizes)]
    if not sizes.size:
        return False
    rest = sizes[sizes < sizes.max() / 10]
    return bool(rest.size) and rest.max() * 1e5 < sizes.max()


class Leaf:
    """A tensor in a structure, or None."""

    def __init__(self, tensor):
        self.tensor = tensor


class GraphRun(BaseRun):
    """Runs a frozen graph or a SavedModel, and records tensors of any graph."""

    def program(self):
        """Runs a frozen graph or a signature of a SavedModel; in float64 with all of it in float64."""
        tf, options = self.tf, self.options
        if os.path.isdir(self.path):
            program = load_saved_model(tf, self.path, options.signature)
        else:
            program = load_frozen(tf, self.path, self.name)
        inputs = make_inputs(options.input or spec_of_program(program), options.seed, self.dtype)
        chosen, rest = {}, [n for n in program.feeds if n not in {name for name, _ in inputs}]
        for name, array in inputs:
            if name is not None and name not in program.feeds:
                raise UsageError(
                    "--input %s=: the graph's inputs are %s" % (name, ", ".join(program.feeds) or "none")
                )
            if name is None and not rest:
                raise UsageError("%d inputs given, the graph has %d" % (len(inputs), len(program.feeds)))
            chosen[name or rest.pop(0)] = array
        if rest:
            raise UsageError("input %s of the graph is missing: pass one --input for each" % rest[0])
        self.put_inputs(inputs)
        feeds = {}
        for (name, array), told in zip(chosen.items(), self.entry["inputs"]):
            self.keys[program.feeds[name][0]] = told["tensor"]
            feeds[program.feeds[name][0]] = array
        outputs = list(program.outputs.items())
        names = outputs[0][1] if len(outputs) == 1 else program.outputs
        self.keep(self.guard(lambda: self.run_frozen(program.graph_def, feeds, names)), self.depth)
        self.entry["kind"] = program.kind
        if program.variables and self.kept:
            self.put_weights("graph", program.variables)

    def put_weights(self, kind, variables):
        """Writes the weights' file; a graph's are in the dtype of the run, with the same values."""
        name = self.dtype + ".weights.safetensors"
        if kind == "graph" and self.dtype == "float64":
            variables = collections.OrderedDict(
                (n, as_value(v.array.astype(np.float64)) if v.dtype == "float32" else v)
                for n, v in variables.items()
            )
        write_tensors(os.path.join(self.folder, name), variables)
        self.entry["weights"] = {"kind": kind, "file": name}

    def run_frozen(self, graph_def, feeds, outputs):
        """Values of a structure of tensors' names; the tensors asked for with --tensor are stored on the way."""
        tf, rename = self.tf, lambda name: name
        graph = tf.Graph()
        with graph.as_default():
            tf.import_graph_def(graph_def, name="")
        told = Graph(tf, graph)
        run_in = graph
        if self.dtype == "float64":
            doubled = Doubled(tf, graph_def)
            rename, run_in = doubled.name, doubled.graph
        flat = tf.nest.flatten(outputs)
        symbolic = [isinstance(x, str) for x in flat]
        self.depth = max(
            [told.depth(graph.get_tensor_by_name(x)) for x, known in zip(flat, symbolic) if known] + [1]
        )
        with self.tf.compat.v1.Session(graph=run_in) as session:
            given = {rename(name): array for name, array in feeds.items()}
            ends = [graph.get_tensor_by_name(x) for x, known in zip(flat, symbolic) if known]
            self.keep_tensors(told, session, self.wanted(told, ends), given, rename)
            values = [session.run(rename(x), given) if known else x for x, known in zip(flat, symbolic)]
        self.tell_behind(
            told, outputs, flat, dict(zip([x for x, known in zip(flat, symbolic) if known], ends))
        )
        return tf.nest.pack_sequence_as(outputs, values)

    def tell_behind(self, graph, structure, flat, tensors):
        """Notes which recorded tensors are nearest behind each output. `tensors` are those of the names in `flat`."""
        told = owners_of(self.tf.nest.pack_sequence_as(structure, [Leaf(tensors.get(x)) for x in flat]))
        for name, leaf in told.items():
            if leaf.tensor is not None and self.entry["layers"]:
                self.entry["behind"]["outputs/" + name] = graph.nearest([leaf.tensor], self.keys)

    def wanted(self, graph, fetches):
        """The tensors to record: those of --tensor, else with --layers all each that an operation computes."""
        if self.options.tensor:
            return graph.find(self.options.tensor, fetches)
        return graph.steps(fetches) if self.options.layers == "all" else []

    def keep_tensors(self, graph, session, tensors, feeds, rename=lambda name: name):
        """Evaluates tensors of a graph, no more at a time than fit into memory, and stores them as layers."""
        hidden = []
        for group in graph.groups(tensors):
            there = [t for t in group if has_tensor(session.graph, rename(t.name))]
            try:
                values = session.run([rename(t.name) for t in there], feeds)
            except self.tf.errors.InvalidArgumentError as error:
                if "does not have value" not in str(error):
                    raise
                if len(there) > 1:
                    for tensor in there:
                        self.keep_tensors(graph, session, [tensor], feeds, rename)
                    continue
                self.notes.append(
                    "%s has no value in this run: it lies in a branch not taken" % there[0].name
                )
                self.entry["layers_left_out"] += 1
                continue
            for tensor, value in zip(there, values):
                if self.options.tensor or not drowned(value):
                    self.keep_tensor(graph, tensor, value)
                else:
                    hidden.append(tensor.name)
        if hidden:
            self.notes.append(
                "steps of the graph that are not recorded, since a constant as of a mask hides their other values"
                " (--tensor NAME records one): %d (%s)" % (len(hidden), ", ".join(hidden[:3]))
            )

    def keep_tensor(self, graph, tensor, value):
        """Stores one value of a graph's tensor as a layer call."""
        time = self.times[tensor.name]
        self.times[tensor.name] += 1
        key = "layers/" + graph.label(tensor) + ("#%d" % time if time else "")
        self.store.put(key, as_value(value))
        self.entry["depth"][key] = max(graph.depth(tensor), 1)
        self.entry["layers"].append(graph.entry(tensor, key, time, self.keys))
        self.keys[tensor.name] = key
