"""Keras: what is a layer, which layers a model has, and what they are called."""

import collections
import re


def is_keras(x):
    """Whether x is a Keras layer or model, of any Keras."""
    roots = [c.__module__ for c in type(x).__mro__]
    return hasattr(x, "get_weights") and any(
        m.split(".")[0] in ("keras", "tf_keras") or m.startswith("tensorflow.python.keras") for m in roots
    )


def sublayers(model):
    """Every layer inside a model, nested ones included, without the model itself."""
    if hasattr(model, "_flatten_layers"):
        return list(model._flatten_layers(include_self=False))
    found = []
    for layer in getattr(model, "layers", []):
        found += [layer] + sublayers(layer)
    return found


def snake_case(name):
    """`Conv2DTranspose` -> `conv2d_transpose`, as Keras names layers."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def layer_paths(model):
    """Names each layer: id(layer) -> (`outer/inner` by Keras name, attribute path or None, place or None).

    The attribute path is the one in a `.weights.h5` file: `encoder/blocks/dense_1` is the second Dense of
    the list `blocks` of the attribute `encoder`. What a Sequential or functional model under an attribute holds has no
    attribute; its place has the layers' names there: `encoder/block_3/conv` is what `block_3` of that model calls conv.
    """
    paths = {}

    def visit(owner, names, attributes, place):
        held = {}
        for key, value in vars(owner).items():
            if key.startswith("_"):
                continue
            if is_keras(value):
                held.setdefault(id(value), key)
            elif isinstance(value, (list, tuple)):
                counts = collections.Counter()
                for part in value:
                    if is_keras(part):
                        kind = snake_case(type(part).__name__)
                        number = "_%d" % counts[kind] if counts[kind] else ""
                        held.setdefault(id(part), "%s/%s%s" % (key, kind, number))
                        counts[kind] += 1
        own = getattr(owner, "layers", None)
        own = own if own is not None else getattr(owner, "_layers", None) or []
        for layer in own:
            if not is_keras(layer) or id(layer) in paths:
                continue
            own_name = held.get(id(layer))
            attribute = None if own_name is None or attributes is None else attributes + [own_name]
            inside = attribute or (place + [own_name or layer.name] if place else None)
            paths[id(layer)] = (
                "/".join(names + [layer.name]),
                "/".join(attribute) if attribute else None,
                "/".join(inside) if inside else None,
            )
            visit(layer, names + [layer.name], attribute, inside)

    visit(model, [], [], None)
    return paths


def plain_config(layer):
    """What JSON can hold of a layer's configuration: numbers, texts, bools and lists of them."""
    try:
        config = layer.get_config()
    except Exception:  # a user's get_config may raise anything; the configuration only helps to explain
        return {}
    plain = (bool, int, float, str, type(None))

    def holds(value):
        if isinstance(value, (list, tuple)):
            return all(holds(part) for part in value)
        return isinstance(value, plain) and value not in (float("inf"), float("-inf")) and value == value

    return {k: v for k, v in config.items() if holds(v) and k not in ("name", "trainable", "dtype")}
