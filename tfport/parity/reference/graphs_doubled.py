"""Graphs: the same graph in float64."""

import numpy as np

from tfport.parity.reference.constants import in_full
from tfport.parity.reference.errors import CaptureError


class Doubled:
    """A graph in which every float32 is a float64: operations, constants, variables, functions.

    `graph` is the new tf.Graph, `name(tensor name)` the tensor of it that has the meaning of one of the old.
    Operations that take float32 alone get casts around them, so they round as they did. FusedBatchNorm in
    inference mode, which knows no float64, is written out. Raises what TensorFlow raises for an operation that
    cannot be imported.
    """

    def __init__(self, tf, graph_def):
        self.tf, self.renamed = tf, {}
        self.float, self.double = tf.float32.as_datatype_enum, tf.float64.as_datatype_enum
        old = tf.Graph()
        with old.as_default():
            tf.import_graph_def(graph_def, name="")
        made = tf.compat.v1.GraphDef()
        made.versions.CopyFrom(graph_def.versions)
        made.library.CopyFrom(graph_def.library)
        for function in made.library.function:
            for arg in list(function.signature.input_arg) + list(function.signature.output_arg):
                arg.type = self.double if arg.type == self.float else arg.type
            for node in function.node_def:
                self.retype(node)
        after = []
        for node in graph_def.node:
            op = old.get_operation_by_name(node.name)
            new = made.node.add()
            new.CopyFrom(node)
            training = node.attr["is_training"].b if "is_training" in node.attr else True
            if (
                node.op.startswith("FusedBatchNorm")
                and not training
                and node.attr["data_format"].s != b"NCHW"
            ):
                made.node.remove(new)
                self.batch_norm(made, node)
                continue
            if node.op == "LeakyRelu" and node.attr["alpha"].f <= 1:
                made.node.remove(new)
                self.leaky_relu(made, node)
                continue
            self.cast_around(made, new, op, after)
        for node in after:
            made.node.add().CopyFrom(node)
        casts = {n.name for n in after}
        for node in made.node:
            if node.name in casts:
                continue
            for i, name in enumerate(node.input):
                key = name if ":" in name or name.startswith("^") else name + ":0"
                while key in self.renamed:
                    node.input[i] = self.renamed[key]
                    key = node.input[i] if ":" in node.input[i] else node.input[i] + ":0"
        self.graph = tf.Graph()
        with self.graph.as_default():
            tf.import_graph_def(made, name="")

    def name(self, name):
        """The new name of a tensor `op:0`."""
        while name in self.renamed:
            name = self.renamed[name] if ":" in self.renamed[name] else self.renamed[name] + ":0"
        return name

    def retype(self, node, fixed=()):
        for key, value in node.attr.items():
            if key in fixed:
                continue
            kind = value.WhichOneof("value")
            if kind == "type" and value.type == self.float:
                value.type = self.double
            elif kind == "list":
                for i, t in enumerate(value.list.type):
                    value.list.type[i] = self.double if t == self.float else t
            elif kind == "tensor" and value.tensor.dtype == self.float:
                array = self.tf.make_ndarray(value.tensor).astype(np.float64)
                if array.size == 1:
                    array = np.full(array.shape, in_full(array.reshape(-1)[0]))
                value.tensor.CopyFrom(self.tf.make_tensor_proto(array))

    def cast_around(self, made, node, op, after):
        """Retypes a node; arguments that must stay float32 get casts."""
        definition = op.op_def
        fixed = set()
        for attribute in definition.attr:
            allowed = list(attribute.allowed_values.list.type)
            if attribute.type == "type" and allowed and self.double not in allowed:
                fixed.add(attribute.name)
        self.retype(node, fixed)
        for i in self.stuck(definition.input_arg, node, fixed):
            if op.inputs[i].dtype.base_dtype != self.tf.float32:
                continue
            cast = made.node.add(name="%s/tfport_in_%d" % (node.name, i), op="Cast", input=[node.input[i]])
            cast.attr["SrcT"].type, cast.attr["DstT"].type = self.double, self.float
            node.input[i] = cast.name
        for i in self.stuck(definition.output_arg, node, fixed):
            if op.outputs[i].dtype != self.tf.float32:
                continue
            cast = self.tf.compat.v1.NodeDef(name="%s/tfport_out_%d" % (node.name, i), op="Cast")
            cast.input.append("%s:%d" % (node.name, i))
            cast.attr["SrcT"].type, cast.attr["DstT"].type = self.float, self.double
            after.append(cast)
            self.renamed["%s:%d" % (node.name, i)] = cast.name + ":0"

    def stuck(self, arguments, node, fixed):
        """Places of the arguments that are float32 whatever the node's attributes say."""
        place, found = 0, []
        for argument in arguments:
            count = 1
            if argument.number_attr:
                count = node.attr[argument.number_attr].i
            elif argument.type_list_attr:
                count = len(node.attr[argument.type_list_attr].list.type)
            if argument.type == self.float or argument.type_attr in fixed:
                found.extend(range(place, place + count))
            place += count
        return found

    def leaky_relu(self, made, node):
        """max(x, alpha x), whose slope the operation would round to float32."""
        slope = made.node.add(name=node.name + "/tfport_alpha", op="Const")
        slope.attr["value"].tensor.CopyFrom(
            self.tf.make_tensor_proto(np.float64(in_full(node.attr["alpha"].f)))
        )
        slope.attr["dtype"].type = self.double
        x = node.input[0]
        for tail, kind, given in (
            ("/tfport_a", "Mul", [x, slope.name]),
            ("", "Maximum", [x, node.name + "/tfport_a"]),
        ):
            new = made.node.add(name=node.name + tail, op=kind, input=given)
            new.attr["T"].type = self.double

    def batch_norm(self, made, node):
        """(x - mean) * (rsqrt(variance + epsilon) * scale) + offset, channels last."""
        name = node.name
        x, scale, offset, mean, variance = list(node.input)[:5]
        for i in range(1, 6):  # the statistics are handed on; the rest is for gradients
            self.renamed["%s:%d" % (name, i)] = variance if i in (2, 4) else mean
        epsilon = made.node.add(name=name + "/tfport_epsilon", op="Const")
        value = self.tf.make_tensor_proto(np.float64(in_full(node.attr["epsilon"].f)))
        epsilon.attr["value"].tensor.CopyFrom(value)
        epsilon.attr["dtype"].type = self.double
        steps = [
            ("/tfport_a", "AddV2", [variance, epsilon.name]), ("/tfport_b", "Rsqrt", [name + "/tfport_a"]),
            ("/tfport_c", "Mul", [name + "/tfport_b", scale]), ("/tfport_d", "Sub", [x, mean]),
            ("/tfport_e", "Mul", [name + "/tfport_d", name + "/tfport_c"]), ("", "AddV2", [name + "/tfport_e", offset]),
        ]  # fmt: skip
        for tail, kind, given in steps:
            new = made.node.add(name=name + tail, op=kind, input=given)
            new.attr["T"].type = self.double

    def initialise(self, session, values):
        """Gives the variables these values: operation name -> array. Raises CaptureError where one has no place."""
        ops = self.graph.get_operations()
        assigns = {
            op.inputs[0].op.name: op for op in reversed(ops) if op.type in ("AssignVariableOp", "Assign")
        }
        for name, array in values.items():
            if name not in assigns:
                raise CaptureError("variable %s has no initial value in the graph" % name)
            array = array.astype(np.float64) if array.dtype.kind == "f" else array
            session.run(assigns[name], {assigns[name].inputs[1]: array})
