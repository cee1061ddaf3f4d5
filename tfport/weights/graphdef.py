"""A frozen graph (``.pb``): the constants of a GraphDef. The graph itself is not run.

Source: graph.proto, node_def.proto, attr_value.proto. Freezing turns a variable ``w`` into the constant ``w``, read
by the Identity ``w/read`` (TensorFlow 1) or by ``.../ReadVariableOp`` (TensorFlow 2, where the constant is called
``.../ReadVariableOp/resource``, and what reads it tells which of its layer's variables it is). Where no constant is
read so, every floating constant of rank 1 or more counts as a weight.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from tfport.weights import tensorproto
from tfport.weights.checkpoint import Checkpoint, Entry
from tfport.weights.dtypes import name_of
from tfport.weights.errors import WeightsError
from tfport.weights.graphroles import Node, Roles
from tfport.weights.names import describe
from tfport.weights.wire import fields, views

__all__ = ["looks_like_graph", "read_graph"]

_NAME = re.compile(rb"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*\Z")
_RESOURCE = re.compile(r"/ReadVariableOp(_\d+)?/resource$")
FLOATING = ("float", "bfloat", "complex")


def looks_like_graph(data: memoryview) -> bool:
    """Whether a file starts as a GraphDef does: with a node that has a name and an op."""
    if len(data) < 4 or data[0] != 0x0A:
        return False
    try:
        number, value = next(iter(views(data)))
        if number != 1 or isinstance(value, int):
            return False
        parts = dict(fields(value))
    except (WeightsError, StopIteration):
        return False
    name, op = parts.get(1), parts.get(2)
    return isinstance(name, bytes) and isinstance(op, bytes) and bool(_NAME.match(name) and op.isalnum())


def read_graph(data: memoryview, path: str) -> Checkpoint:
    """The constants of a frozen GraphDef by node name. Raises WeightsError on damage, or on a graph without any."""
    nodes = [_node(value) for number, value in views(data) if number == 1 and not isinstance(value, int)]
    _check_whole(nodes, path)
    identities = {n.inputs[0]: n.name for n in nodes if n.op == "Identity" and n.inputs}
    held = [n for n in nodes if n.op == "Const" and n.value is not None]
    read = {n.name for n in held if _is_read(n.name, identities.get(n.name, ""))}
    roles = Roles(nodes)
    entries = []
    for node in held:
        assert node.value is not None
        proto = tensorproto.parse(node.value)
        if node.dtype is not None and proto.dtype != name_of(node.dtype):
            raise WeightsError(
                f"{path}: {node.name} is {name_of(node.dtype)}, its values are {proto.dtype}: damaged"
            )
        weight = node.name in read if read else proto.dtype.startswith(FLOATING) and len(proto.shape) > 0
        about = describe(node.name)
        if _RESOURCE.search(node.name):
            about = describe(_RESOURCE.sub("", node.name))
            about["variable"] = roles.of(node.name)
        about["ignored"] = about["ignored"] or ("" if weight else "constant of the graph")
        entries.append(Entry(node.name, proto.shape, proto.dtype, proto.array, **about))
    if not entries:
        variables = sum(n.op in ("VariableV2", "Variable", "VarHandleOp") for n in nodes)
        told = (
            f"it has {variables} variables, whose values are in a checkpoint" if variables else "it is empty"
        )
        raise WeightsError(f"{path}: a graph without constants: {told}")
    weights = [e.key for e in entries if not e.ignored]
    return Checkpoint(path, "frozen graph", entries, [weights])


def _check_whole(nodes: Sequence[Node], path: str) -> None:
    """A graph has no checksum, but a changed name shows: every input is a node, and no two nodes have one name."""
    names = {node.name for node in nodes}
    if len(names) < len(nodes):
        twice = Counter(node.name for node in nodes).most_common(1)[0][0]
        raise WeightsError(f"{path}: two nodes of the graph are called {twice!r}: the file is damaged")
    for node in nodes:
        for name in node.inputs:
            if name.removeprefix("^") not in names:
                raise WeightsError(
                    f"{path}: {node.name} reads {name!r}, and no node is called so: damaged, or cut off"
                )


def _is_read(name: str, reader: str) -> bool:
    return reader == f"{name}/read" or (bool(_RESOURCE.search(name)) and reader == name.rpartition("/")[0])


def _node(message: memoryview) -> Node:
    name, op, inputs, value, dtype = "", "", [], None, None
    for number, item in views(message):
        if isinstance(item, int):
            continue
        if number == 1:
            name = bytes(item).decode("utf-8", "backslashreplace")
        elif number == 2:
            op = bytes(item).decode("utf-8", "backslashreplace")
        elif number == 3:
            inputs.append(bytes(item).decode("utf-8", "backslashreplace").partition(":")[0])
        elif number == 5:
            key, fields_ = _attribute(item)
            if key == b"value":
                value = next((v for n, v in fields_ if n == 8 and not isinstance(v, int)), None)
            elif key == b"dtype":
                dtype = next((v for n, v in fields_ if n == 6 and isinstance(v, int)), None)
    return Node(name, op, inputs, value, dtype)


def _attribute(entry: memoryview) -> tuple[bytes, Iterable[tuple[int, int | memoryview]]]:
    """The name of an attribute and the fields of its AttrValue."""
    name, value = b"", memoryview(b"")
    for number, item in views(entry):
        if number == 1 and not isinstance(item, int):
            name = bytes(item)
        elif number == 2 and not isinstance(item, int):
            value = item
    return name, views(value)
