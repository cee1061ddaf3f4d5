"""Training: optimizers, their state and their learning rate."""

import ast
import json

import numpy as np

from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.targets import required

SLOTS = {
    "momentums": "momentum", "velocities": "velocity", "velocity_hats": "velocity_hat", "m": "momentum",
    "average_gradients": "average_gradient", "accumulators": "accumulator", "linears": "linear",
    "accumulated_grads": "accumulated_grad", "accumulated_delta_vars": "accumulated_delta_var", "u": "norm",
}  # fmt: skip
# Names of the lists in which Keras' optimizers hold one state tensor per weight -> the tensor's name.


def parse_spec(text, option):
    """`adam(learning_rate=0.1)` -> (name, args, kwargs); a nested call is (name, args, kwargs) too.

    Of a dotted name, such as `keras.optimizers.Adam`, the last part counts.
    """

    def read(node):
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            return name, [read(a) for a in node.args], {k.arg: read(k.value) for k in node.keywords}
        return ast.literal_eval(node)

    try:
        node = ast.parse(text.strip(), mode="eval").body
        if isinstance(node, (ast.Name, ast.Attribute)):
            return node.id if isinstance(node, ast.Name) else node.attr, [], {}
        if not isinstance(node, ast.Call):
            raise ValueError(text)
        return read(node)
    except (SyntaxError, ValueError):
        told = "expected a name or a call with literals, such as adam(learning_rate=0.001)"
        raise CaptureError("%s %r: %s" % (option, text, told))


def is_nested(x):
    """Whether a parsed argument is a call of its own."""
    return isinstance(x, tuple) and len(x) == 3 and isinstance(x[0], str) and isinstance(x[2], dict)


def plain_json(config):
    """The part of a configuration that JSON holds."""
    made = {}
    for key, value in config.items():
        try:
            json.dumps(value)
        except TypeError:
            value = value.item() if isinstance(value, np.generic) else None
        made[key] = value
    return made


def is_v1(optimizer):
    """Whether an optimizer has TensorFlow 1's slots."""
    return hasattr(optimizer, "get_slot_names")


def describe_optimizer(optimizer):
    """Class, package and configuration of an optimizer, as JSON."""
    if hasattr(optimizer, "get_config"):
        config = optimizer.get_config()
    else:
        config = {
            k.lstrip("_"): v for k, v in vars(optimizer).items() if isinstance(v, (int, float, bool, str))
        }
    return {"class": type(optimizer).__name__, "module": type(optimizer).__module__, "v1": not hasattr(optimizer, "get_config"),
            "config": plain_json(config)}  # fmt: skip


def undecayed(optimizer, variables):
    """Positions of the variables that the optimizer was told to leave out of its weight decay."""
    decides = getattr(optimizer, "_use_weight_decay", None)
    if not callable(decides) or not getattr(optimizer, "weight_decay", None):
        return []
    return [i for i, variable in enumerate(variables) if not decides(variable)]


def rate_of(optimizer):
    """The learning rate that the next step uses, None where it is not known."""
    for name in ("learning_rate", "_learning_rate", "_lr", "_learning_rate_tensor"):
        rate = getattr(optimizer, name, None)
        if rate is None:
            continue
        if callable(rate) and not hasattr(rate, "numpy"):
            iterations = getattr(optimizer, "iterations", None)
            rate = rate(iterations) if iterations is not None and required(rate) else rate()
        return float(np.asarray(rate.numpy() if hasattr(rate, "numpy") else rate))
    return None


def iterations_of(optimizer):
    """How many steps the optimizer counts, None where it does not."""
    count = getattr(optimizer, "iterations", None)
    return None if count is None else int(np.asarray(count.numpy() if hasattr(count, "numpy") else count))


def slot_variables(optimizer, variables):
    """Slot name -> {position among `variables`: state variable}, of a Keras or TensorFlow 1 optimizer."""
    found = {}
    if is_v1(optimizer):
        for name in optimizer.get_slot_names():
            for i, variable in enumerate(variables):
                slot = optimizer.get_slot(inner(variable), name)
                if slot is not None:
                    found.setdefault(name, {})[i] = slot
        return found
    own = {id(v): n for n, v in enumerate(getattr(optimizer, "_trainable_variables", None) or [])}
    numbers = getattr(optimizer, "_index_dict", {})  # Keras 2
    places = [own.get(id(v), numbers.get(getattr(v, "_unique_id", None))) for v in variables]
    for key, held in vars(optimizer).items():
        name = SLOTS.get(key.lstrip("_"))
        if name is None or not isinstance(held, (list, tuple)):
            continue
        for i, (variable, place) in enumerate(zip(variables, places)):
            slot = held[place] if place is not None and place < len(held) else None
            if hasattr(slot, "assign") and tuple(slot.shape) == tuple(variable.shape):
                found.setdefault(name, {})[i] = slot
    return found


def inner(variable):
    """TensorFlow's variable inside of Keras 3's; any other as it is."""
    if type(variable).__module__.split(".")[0] == "keras" and hasattr(variable, "_value"):
        return variable.value
    return variable


def slots_of(optimizer, variables):
    """Slot name -> {position: array}."""
    found = slot_variables(optimizer, variables)
    return {name: {i: np.asarray(v.numpy()) for i, v in held.items()} for name, held in found.items()}


def set_slots(optimizer, variables, slots):
    """Writes arrays into the state of an optimizer that has made its first step."""
    for name, held in slot_variables(optimizer, variables).items():
        for i, variable in held.items():
            array = slots.get(name, {}).get(i)
            if array is not None:
                variable.assign(array.astype(np.asarray(variable.numpy()).dtype))
