"""Graphs: their tensors, found, ordered, described and evaluated."""

import collections
import difflib
import re

import numpy as np

from tfport.parity.reference.errors import UsageError
from tfport.parity.reference.values import text_of

MOVES = frozenset((
    "Identity", "IdentityN", "Const", "Placeholder", "PlaceholderWithDefault", "Reshape", "Squeeze", "ExpandDims",
    "Transpose", "ReadVariableOp", "VarHandleOp", "VariableV2", "Variable", "ConcatV2", "Concat", "Pack", "Unpack",
    "Split", "SplitV", "Shape", "StridedSlice", "Slice", "Pad", "PadV2", "Cast", "StopGradient", "NoOp", "Enter", "Exit",
    "Merge", "Switch", "LoopCond", "NextIteration", "GatherV2", "Tile", "Fill",
))  # fmt: skip
# operations that do no arithmetic
LINEAR = frozenset((
    "BiasAdd", "MatMul", "BatchMatMul", "BatchMatMulV2", "Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative",
    "Conv3D", "Conv3DBackpropInputV2", "FusedBatchNorm", "FusedBatchNormV3",
))  # fmt: skip
# operations whose result a layer's activation may be given
STILL = frozenset(("Const", "VarHandleOp", "VariableV2", "Variable", "ReadVariableOp"))
# operations that give what the graph holds, and not what is computed in this run
SHAPES = frozenset(("Shape", "ShapeN", "Rank", "Size", "ZerosLike", "OnesLike"))
# operations that look at no value
GROUP = 64 * 2**20  # bytes of tensors fetched by one run of a session


class Graph:
    """Tensors of a tf.Graph: found by name, ordered, described as layers, and evaluated a few at a time."""

    def __init__(self, tf, graph):
        self.tf, self.graph = tf, graph
        self.operations = graph.get_operations()
        self.depths = {}
        # what a tf.function called lies under the name of the call when it is written into the graph
        short = [
            (re.sub(r"^((Stateful)?PartitionedCall(_\d+)?/)+", "", op.name), op) for op in self.operations
        ]
        held, counts = {op.name for op in self.operations}, collections.Counter(name for name, _ in short)
        self.names = {op.name: n if counts[n] == 1 and n not in held else op.name for n, op in short}

    def find(self, names, fetches=None):
        """Floating tensors that names mean: a tensor, an operation, or a scope (its own operations).

        Of a scope only what `fetches` depend on, where they are given: not how a variable is initialised, nor the
        gradients. In the graph's order, each once. Raises UsageError for a name that means nothing, with its neighbours.
        """
        ops = {self.names[op.name]: op for op in self.operations}
        ops.update((op.name, op) for op in self.operations)
        chosen, looped = set(), self.in_loops()
        behind = None if fetches is None else self.behind(fetches)
        for name in names:
            head, colon, number = name.rpartition(":")
            one = ops.get(head if colon and number.isdigit() else name)
            if one is not None and one.name in looped:
                told = "it lies inside a loop, where it has a value for each round: name what leaves the loop"
                raise UsageError("--tensor %s: %s" % (name, told))
            if colon and number.isdigit() and one is not None:
                if int(number) >= len(one.outputs):
                    told = (name, head, len(one.outputs))
                    raise UsageError("--tensor %s: %s has %d output(s)" % told)
                chosen.add(one.outputs[int(number)].name)
                continue
            scope = name.rstrip("/") + "/"
            inside = [op for n, op in ops.items() if n.startswith(scope) and "/" not in n[len(scope) :]]
            inside = [one] if one is not None else [op for op in inside if op.type not in STILL]
            if one is None and behind is not None:
                inside = [op for op in inside if op.name in behind]
            held = [t for op in inside for t in op.outputs if t.value_index == 0 or t.consumers()]
            held = [t for t in held if self.graph.is_fetchable(t)]
            found = [t.name for t in held if self.floating(t) and t.op.name not in looped]
            if not found:
                raise UsageError("--tensor %s: %s" % (name, self.advice(name, bool(inside))))
            chosen.update(found)
        return [t for op in self.operations for t in op.outputs if t.name in chosen]

    def in_loops(self):
        """Names of the operations between the Enter and the Exit of a loop of the graph."""
        levels, work = {}, [(op, 1) for op in self.operations if op.type in ("Enter", "RefEnter")]
        while work:
            op, level = work.pop()
            if levels.get(op.name, 0) >= level:
                continue
            levels[op.name] = level
            for other in {c.name: c for t in op.outputs for c in t.consumers()}.values():
                shift = {"Enter": 1, "RefEnter": 1, "Exit": -1, "RefExit": -1}.get(other.type, 0)
                if level + shift > 0:
                    work.append((other, level + shift))
        return set(levels)

    @staticmethod
    def floating(tensor):
        return tensor.dtype.is_floating and tensor.dtype == tensor.dtype.base_dtype

    def advice(self, name, known):
        if known:
            return "it has no floating output that can be had"
        words = set()
        for op in self.operations:
            parts = self.names[op.name].split("/")
            words.update("/".join(parts[:i]) for i in range(1, len(parts) + 1))
        near = difflib.get_close_matches(name, sorted(words), 4, 0.5)
        near += sorted(w for w in words if w.endswith("/" + name) and w not in near)[:4]
        return "the graph has no such tensor, operation or scope" + (
            "; near: " + ", ".join(near) if near else ""
        )

    def depth(self, tensor):
        """The number of operations that compute something on the longest way from an input to a tensor."""
        stack = [tensor.op]
        while stack:
            op = stack[-1]
            before = [] if op.type == "NextIteration" else [t.op for t in op.inputs]
            missing = [o for o in before if o.name not in self.depths]
            if missing and op.name not in self.depths:
                self.depths[op.name] = 0  # for loops: an operation never waits for itself
                stack.extend(missing)
                continue
            stack.pop()
            deepest = max([self.depths[o.name] for o in before] or [0])
            self.depths[op.name] = deepest + (op.type not in MOVES)
        return self.depths[tensor.op.name]

    def before_activation(self, output, inputs):
        """The tensor that a layer's activation is given: the last linear one, of the output's shape; None if unclear."""
        ends, stack, seen = {t.name for t in inputs}, [output], set()
        found = []
        while stack:
            tensor = stack.pop()
            if tensor.op.name in seen or tensor.name in ends:
                continue
            seen.add(tensor.op.name)
            if tensor.op.type in LINEAR and tensor is not output:
                found.append(tensor)
            else:
                stack.extend(tensor.op.inputs)
        if len(found) != 1 or output.shape.rank is None:
            return None
        return found[0] if found[0].shape.as_list() == output.shape.as_list() else None

    def behind(self, fetches, feeds=()):
        """Names of the operations on which tensors or operations depend, given what is fed."""
        fed, seen = set(feeds), set()
        stack = [getattr(f, "op", f) for f in fetches]
        while stack:
            op = stack.pop()
            if op.name in seen:
                continue
            seen.add(op.name)
            stack.extend(t.op for t in op.inputs if t.name not in fed)
            stack.extend(op.control_inputs)
        return seen

    def entry(self, tensor, key, time, keys):
        """The manifest's description of a tensor: its operation as a layer."""
        op = tensor.op
        name = self.label(tensor)
        given = [keys.get(t.name) for t in op.inputs]
        return collections.OrderedDict([
            ("name", name), ("class", op.type), ("attribute", None), ("call", time),
            ("config", attributes_of(op)), ("activation", None), ("structure", list(range(len(given)))),
            ("inputs", given), ("arguments", {}), ("tensors", [key]), ("before_activation", None),
            ("behind", self.nearest([t for t in op.inputs if t.name not in keys], keys)),
        ])  # fmt: skip

    def steps(self, fetches):
        """The floating tensors that fetches depend on and that an operation computes, outside of loops; in order."""
        behind, looped = self.behind(fetches), self.in_loops()
        return [
            t for op in self.operations for t in op.outputs
            if op.name in behind and op.name not in looped and op.type not in MOVES and t.value_index == 0
            and self.floating(t) and self.graph.is_fetchable(t)
        ]  # fmt: skip

    def nearest(self, tensors, keys):
        """Keys of the recorded tensors nearest behind tensors that are not recorded."""
        found, seen, stack = [], set(), list(tensors)
        while stack:
            tensor = stack.pop()
            if tensor.name in seen:
                continue
            seen.add(tensor.name)
            if tensor.name in keys:
                found.append(keys[tensor.name])
            elif tensor.op.type not in SHAPES:
                stack.extend(tensor.op.inputs)
        return found

    def label(self, tensor):
        """The operation's name, without the names of the calls it lies in; its number where it is not output 0."""
        return self.names[tensor.op.name] + (":%d" % tensor.value_index if tensor.value_index else "")

    def groups(self, tensors):
        """The tensors in groups that fit into memory together; what has an unknown size counts as an eighth."""
        group, size = [], 0
        for tensor in tensors:
            known = tensor.shape.is_fully_defined()
            elements = int(np.prod(tensor.shape.as_list(), dtype=np.int64)) if known else 0
            need = elements * tensor.dtype.size if known else GROUP // 8
            if group and size + need > GROUP:
                yield group
                group, size = [], 0
            group.append(tensor)
            size += need
        if group:
            yield group


def has_tensor(graph, name):
    """Whether a graph has a tensor of this name."""
    try:
        graph.get_tensor_by_name(name)
    except (KeyError, ValueError):
        return False
    return True


def attributes_of(op):
    """What JSON can hold of an operation's attributes."""
    found = {}
    for key, value in op.node_def.attr.items():
        kind = value.WhichOneof("value")
        if key.startswith("_"):
            continue
        if kind in ("i", "f", "b"):
            found[key] = getattr(value, kind)
        elif kind == "s":
            found[key] = text_of(value.s)
        elif kind == "list" and (value.list.i or value.list.f):
            found[key] = list(value.list.i) or list(value.list.f)
    return found
