"""Runs of Keras models."""

import functools
import inspect
import os

import numpy as np

from tfport.parity.reference.environment import functions_run_eagerly
from tfport.parity.reference.errors import UsageError
from tfport.parity.reference.graphs import Graph
from tfport.parity.reference.graphs_sessions import Pair
from tfport.parity.reference.keras_calls import LAYER_BUDGET, Record, Watch
from tfport.parity.reference.keras_layers import layer_paths, sublayers
from tfport.parity.reference.keras_weights import Tune, roughen, save_weights
from tfport.parity.reference.run_graphs import GraphRun
from tfport.parity.reference.targets import required
from tfport.parity.reference.values import as_value


def has_shapes(model):
    """Whether every layer of a model has its variables: it is made of symbolic calls."""
    return bool(getattr(model, "built", False)) and "Functional" in [c.__name__ for c in type(model).__mro__]


class KerasRun(GraphRun):
    """Runs a Keras model, eagerly or as a graph."""

    def keras(self, model):
        tf, options = self.tf, self.options
        inputs = self.inputs(model)
        how = self.passing(model, inputs)
        tensors = [tf.constant(a) for _, a in inputs] if tf.executing_eagerly() else ()
        self.model = model
        self.put_inputs(inputs, how, tensors)
        if not has_shapes(model):
            with functions_run_eagerly(tf):
                self.forward(model)  # builds it
        self.set_weights(model)
        if options.tensor and tf.executing_eagerly():
            raise UsageError("--tensor is for graphs; the layers of a Keras model are recorded without it")
        budget = {"none": -1, "auto": LAYER_BUDGET, "all": float("inf")}[options.layers]
        record = Record(layer_paths(model), self.store, budget)
        if tf.executing_eagerly() and budget >= 0:
            with Watch(sublayers(model), record), functions_run_eagerly(tf):
                outputs = self.forward(model)
        else:
            outputs = self.forward(model)
            if not tf.executing_eagerly():
                self.guard(lambda: self.keras_graph(model, record))
        self.entry["depth"].update(record.depth)
        self.keep(outputs, max(record.calls, 1))
        layers = record.layers + self.entry["layers"]
        self.entry.update(kind="keras", layers=layers)
        self.entry["layers_left_out"] += record.left_out
        if model.weights and self.kept:
            # Keras' newer format wants eager variables
            name = self.dtype + (".weights.h5" if tf.executing_eagerly() else ".h5")
            self.guard(lambda: save_weights(model, os.path.join(self.folder, name)))
            self.entry["weights"] = {"kind": "keras", "file": name}
        pairs = [(getattr(v, "path", v.name), v) for v in model.weights]
        self.train(
            "keras", model, pairs, model.trainable_weights, functools.partial(self.pass_tensors, model)
        )

    def keras_graph(self, model, record):
        """In graph mode: what --tensor names, and the layers, of which the graph holds the outputs."""
        tf = self.tf
        session = tf.compat.v1.keras.backend.get_session()
        graph = Graph(tf, session.graph)
        feeds = {t.name: a for t, (_, a) in zip(model.inputs, self.given)}
        self.keys = {t.name: told["tensor"] for t, told in zip(model.inputs, self.entry["inputs"])}
        behind = graph.behind(model.outputs, feeds)
        place = {op.name: i for i, op in enumerate(graph.operations)}
        calls = []
        for layer in sublayers(model) if record.budget >= 0 else []:
            for i in range(len(getattr(layer, "_inbound_nodes", ()))):
                outputs = tf.nest.flatten(layer.get_output_at(i))
                if all(t.op.name in behind and t.name not in feeds for t in outputs):
                    calls.append((max(place[t.op.name] for t in outputs), len(calls), layer, i, outputs))
        for _, _, layer, i, outputs in sorted(calls, key=lambda call: call[:2]):
            inputs = tf.nest.flatten(layer.get_input_at(i))
            activation = getattr(layer, "activation", None)
            linear = activation is None or getattr(activation, "__name__", None) == "linear"
            before = None if linear else graph.before_activation(outputs[0], inputs)
            fetches = outputs + ([before] if before is not None else [])
            values = (self.pair.second if self.pair else session.run)(fetches, feeds)
            record.add(layer, outputs, [as_value(v) for v in values], inputs, self.keys, before)
        if self.options.tensor:
            tensors, name = graph.find(self.options.tensor), self.pair.made.name if self.pair else str
            given = {name(n): a for n, a in feeds.items()}
            self.keep_tensors(graph, self.pair.twin if self.pair else session, tensors, given, name)

    def set_weights(self, model):
        """Weights from the file that is named, else the base run's, else random ones that show faults."""
        tf, options, base = self.tf, self.options, self.base
        if base is not None and not (options.weights and self.kept):
            self.guard(lambda: model.set_weights(base.weights))
            if self.rewritten:
                session = tf.compat.v1.keras.backend.get_session()
                self.pair = Pair(tf, session, tf.compat.v1.Session.run)
                self.guard(lambda: self.pair.advance(model.outputs))
        elif options.weights:
            self.guard(lambda: model.load_weights(options.weights))
            if base is not None:
                pairs = zip(model.get_weights(), base.weights)
                self.measures = all(np.array_equal(a, b) for a, b in pairs)
        else:
            rng = np.random.RandomState(options.seed + 1)
            roughen(model, rng, tf)
            if tf.executing_eagerly():
                layers = sublayers(model)
                with Watch(layers, Tune(rng, tf, layers)), functions_run_eagerly(tf):
                    self.forward(model)
        if self.dtype == "float32" and options.calibrate:
            self.weights = model.get_weights()

    def passing(self, model, inputs):
        if inputs and all(name for name, _ in inputs):
            names = [getattr(x, "name", "").split(":")[0] for x in getattr(model, "inputs", None) or []]
            return "mapping" if {n for n, _ in inputs} <= set(names) else "keywords"
        if len(inputs) < 2:
            return "arguments"
        need = [p for p in required(model.call) or [] if p not in ("training", "mask")]
        functional = "Functional" in [c.__name__ for c in type(model).__mro__] or getattr(
            model, "inputs", None
        )
        return "arguments" if not functional and len(need) >= len(inputs) else "list"

    def forward(self, model, training=False):
        """The model's outputs for the inputs of this run."""
        return self.guard(lambda: self._forward(model, training))

    def _forward(self, model, training):
        if not self.tf.executing_eagerly():
            arrays = [a for _, a in (self.base if self.rewritten else self).given]
            if self.pair is not None:
                feeds = dict(zip(model.inputs, arrays))
                return self.pair.second(model.outputs[0] if len(model.outputs) == 1 else model.outputs, feeds)
            return model.predict_on_batch(arrays[0] if len(arrays) == 1 else arrays)
        return self.pass_tensors(model, self.tensors, training)

    def pass_tensors(self, model, tensors, training=False):
        """Calls the model with these tensors as the run's inputs are passed."""
        names = [n for n, _ in self.given]
        parameters = inspect.signature(model.call).parameters
        extra = {"training": training} if "training" in parameters else {}
        if self.how == "keywords":
            extra.update(zip(names, tensors))
            return model(**extra)
        if self.how == "mapping":
            return model(dict(zip(names, tensors)), **extra)
        if self.how == "list":
            return model(tensors, **extra)
        return model(*tensors, **extra)
