"""What ``__init__`` of a subclassed model holds: layers, own blocks, lists of them, Sequential stacks."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tfport.source.canonical import Canonical
from tfport.source.models.sequential import SEQUENTIAL, _listed
from tfport.source.models.spec import Bail, LayerSpec, layer_rule, read

if TYPE_CHECKING:
    from tfport.source.convert import Walk

MODEL_BASES = frozenset({"tf.keras.Model", "tf.keras.models.Model", "tf.keras.training.Model"})
LAYER_BASES = frozenset({"tf.keras.layers.Layer", "tf.keras.Layer", "tf.keras.engine.base_layer.Layer"})


@dataclasses.dataclass(eq=False)
class Held:
    """One thing that the object holds. ``path`` is its module path, ``spelling`` how forward reaches it."""

    kind: str  # "layer", "own", "list" or "sequential"
    node: ast.expr
    path: str
    keras_path: str
    spec: LayerSpec | None = None
    own: str = ""
    items: list[Held] = dataclasses.field(default_factory=list)
    repeats: int = 1  # a comprehension's one item stands for so many
    texts: list[str] = dataclasses.field(default_factory=list)  # of a Sequential, once traced
    comments: dict[int, tuple[tuple[str, ...], str]] = dataclasses.field(default_factory=dict)  # of ``texts``
    used: bool = False

    @property
    def spelling(self) -> str:
        """``self.convs[0]`` for the path ``convs.0``."""
        first, *rest = self.path.split(".")
        return f"self.{first}" + "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in rest)

    def layers(self) -> Iterator[Held]:
        """Itself or the things inside it."""
        if self.items:
            for item in self.items:
                yield from item.layers()
        else:
            yield self


@dataclasses.dataclass
class Plan:
    """A class that may become an nn.Module, as its source defines it."""

    node: ast.ClassDef
    is_model: bool
    init: ast.FunctionDef | None
    call: ast.FunctionDef
    held: dict[str, Held]
    statements: dict[str, ast.Assign]
    supers: list[ast.Call]
    configs: list[ast.Call]  # super().get_config()
    plain: set[str]  # attributes that the source does not make layers
    functions: set[
        str
    ]  # those of them that are functions, and no layer or model that something else has made

    @property
    def everything(self) -> Iterator[Held]:
        """All layers and blocks, in the order of their attributes."""
        for held in self.held.values():
            yield from held.layers()

    def names(self) -> set[str]:
        """The names of own classes that it holds."""
        return {h.own for h in self.everything if h.kind == "own"}

    def parameter_defaults(self) -> dict[str, ast.expr]:
        """The constructor's parameters that have a default."""
        if self.init is None:
            return {}
        args = self.init.args
        ordered = [*args.posonlyargs, *args.args]
        found = {a.arg: d for a, d in zip(ordered[len(ordered) - len(args.defaults) :], args.defaults)}
        return found | {a.arg: d for a, d in zip(args.kwonlyargs, args.kw_defaults) if d is not None}


def keras_base(walk: Walk, node: ast.ClassDef) -> str | None:
    """ "model" or "layer" for a class that derives from Keras' Model or Layer directly."""
    for base in node.bases:
        meaning = walk.rewriter.names.resolve(base)
        if isinstance(meaning, Canonical):
            if meaning.name in MODEL_BASES:
                return "model"
            if meaning.name in LAYER_BASES:
                return "layer"
    return None


class Reader:
    """Reads one class. ``own`` are the names of the file's classes that can be blocks of others."""

    def __init__(self, walk: Walk, own: frozenset[str]) -> None:
        self.walk, self.rewriter, self.own = walk, walk.rewriter, own
        self.specs: dict[ast.Call, LayerSpec] = {}

    def plan(self, node: ast.ClassDef) -> Plan:
        """The plan of a class. Raises `Bail`."""
        if len(node.bases) != 1 or node.keywords:
            raise Bail("several bases")
        methods = {s.name: s for s in node.body if isinstance(s, ast.FunctionDef)}
        call = methods.get("call")
        if call is None or (call.decorator_list and not self._droppable(call)):
            raise Bail("no call() of its own")
        if extra := set(methods) & {"build", "train_step", "test_step", "add_weight", "compute_output_shape", "compute_mask",
                                    "forward", "__call__", "fit", "compile", "predict_step", "losses", "metrics"}:  # fmt: skip
            raise Bail(f"it defines {', '.join(sorted(extra))}")
        made = Plan(
            node,
            keras_base(self.walk, node) == "model",
            methods.get("__init__"),
            call,
            {},
            {},
            [],
            [],
            set(),
            set(),
        )
        for statement in made.init.body if made.init else []:
            self._statement(made, statement)
        self._other_methods(made, methods)
        return made

    def _droppable(self, call: ast.FunctionDef) -> bool:
        meanings = [
            self.rewriter.names.resolve(d.func if isinstance(d, ast.Call) else d) for d in call.decorator_list
        ]
        return all(isinstance(m, Canonical) and m.name == "tf.function" for m in meanings)

    def _other_methods(self, plan: Plan, methods: dict[str, ast.FunctionDef]) -> None:
        for name, method in methods.items():
            if name in ("__init__", "call"):
                continue
            for node in ast.walk(method):
                if is_super(node, "get_config"):
                    assert isinstance(node, ast.Call)
                    plan.configs.append(node)
                elif (
                    isinstance(node, ast.Attribute)
                    and isinstance(node.value, ast.Name)
                    and node.value.id == "self"
                ):
                    if node.attr in plan.held or node.attr in (
                        "call",
                        "layers",
                        "weights",
                        "trainable_variables",
                        "add_loss",
                    ):
                        raise Bail(f"{name}() uses self.{node.attr}")
                elif isinstance(node, ast.Name) and node.id == "super" and name != "get_config":
                    raise Bail(f"{name}() calls super()")

    def _statement(self, plan: Plan, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Expr) and is_super(statement.value, "__init__"):
            assert isinstance(statement.value, ast.Call)
            plan.supers.append(statement.value)
            return
        target = (
            statement.targets[0]
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1
            else None
        )
        if isinstance(statement, ast.Assign) and is_self(target):
            assert isinstance(target, ast.Attribute)
            if target.attr in plan.held:
                raise Bail(f"self.{target.attr} is assigned twice")
            held = self.held(statement.value, target.attr, target.attr)
            if held is not None:
                plan.held[target.attr], plan.statements[target.attr] = held, statement
                return
            if self._is_function(statement.value) and target.attr not in plan.plain - plan.functions:
                plan.functions.add(target.attr)
            else:
                plan.functions.discard(target.attr)
            plan.plain.add(target.attr)
        if self._makes(statement):
            raise Bail("__init__ makes layers in a way that is not plain")

    def _is_function(self, node: ast.expr) -> bool:
        """A lambda, a function of TensorFlow, or what a call of one gives (`tf.keras.activations.get("relu")`)."""
        meaning = self.rewriter.names.resolve(node.func if isinstance(node, ast.Call) else node)
        return isinstance(node, ast.Lambda) or isinstance(meaning, Canonical)

    def _makes(self, statement: ast.AST) -> bool:
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and (
                layer_rule(self.rewriter, node) or self._own(node) or self._is(node, SEQUENTIAL)
            ):
                return True
            if isinstance(node, ast.Attribute) and node.attr == "add_weight":
                return True
            meaning = (
                self.rewriter.names.resolve(node) if isinstance(node, ast.Attribute | ast.Name) else None
            )
            if isinstance(meaning, Canonical) and meaning.name in ("tf.Variable", "tf.keras.Model"):
                return True
            if isinstance(meaning, Canonical) and meaning.name.startswith(
                ("tf.keras.layers.", "tf.keras.applications.")
            ):
                return True
        return False

    def _own(self, node: ast.AST) -> str:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.own:
            return node.func.id
        return ""

    def _is(self, node: ast.AST, names: frozenset[str]) -> bool:
        meaning = self.rewriter.names.resolve(node.func) if isinstance(node, ast.Call) else None
        return isinstance(meaning, Canonical) and meaning.name in names

    def held(self, node: ast.expr, path: str, keras_path: str) -> Held | None:
        """What an expression makes; None for what is neither layer nor block."""
        if isinstance(node, ast.Call) and (rule := layer_rule(self.rewriter, node)) is not None:
            if node not in self.specs:
                self.specs[node] = read(self.rewriter, node, rule)
            return Held("layer", node, path, keras_path, spec=self.specs[node])
        if own := self._own(node):
            return Held("own", node, path, keras_path, own=own)
        if isinstance(node, ast.Call) and self._is(node, SEQUENTIAL):
            return self._sequential(node, path, keras_path)
        if isinstance(node, ast.List):
            return self._list(node, path, keras_path)
        if isinstance(node, ast.ListComp):
            return self._comprehension(node, path, keras_path)
        return None

    def _sequential(self, node: ast.Call, path: str, keras_path: str) -> Held:
        layers = _listed(node)
        if not layers:
            raise Bail("a Sequential without literal layers")
        made = Held("sequential", node, path, keras_path)
        for position, item in enumerate(layers):
            if self._is(
                item, frozenset({"tf.keras.Input", "tf.keras.layers.Input", "tf.keras.layers.InputLayer"})
            ):
                continue
            inner = self.held(item, f"{path}.{position}", f"{keras_path}/{position}")
            if inner is None or inner.kind not in ("layer", "own"):
                raise Bail("a Sequential with an item that is no layer")
            made.items.append(inner)
        return made

    def _list(self, node: ast.List, path: str, keras_path: str) -> Held | None:
        items = []
        for position, element in enumerate(node.elts):
            item = self.held(element, f"{path}.{position}", f"{keras_path}/{position}")
            if item is not None:
                items.append(item)
        if not items:
            return None
        if len(items) != len(node.elts) or any(i.kind == "list" for i in items):
            raise Bail(f"self.{path} holds layers and other things")
        return Held("list", node, path, keras_path, items=items)

    def _comprehension(self, node: ast.ListComp, path: str, keras_path: str) -> Held | None:
        if not self._makes(node.elt):
            return None
        loop = node.generators[0]
        count = self._count(loop.iter) if len(node.generators) == 1 and not loop.ifs else None
        if not count:
            raise Bail(f"self.{path}: the number of its layers is known at run time only")
        items: list[Held] = []
        for position in range(count):
            item = self.held(node.elt, f"{path}.{position}", f"{keras_path}/{position}")
            if item is None or item.kind not in ("layer", "own"):
                raise Bail(f"self.{path} holds no plain layers")
            items.append(item)
        return Held("list", node, path, keras_path, items=items, repeats=count)

    def _count(self, node: ast.expr) -> int | None:
        """The number of rounds of ``range(3)`` or of a literal list."""
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Name)
            and node.func.id == "range"
            and len(node.args) == 1
        ):
            value = self.rewriter.facts.of(node.args[0]).value
            return value if isinstance(value, int) else None
        value = self.rewriter.facts.of(node).value
        return len(value) if isinstance(value, list | tuple) else None


def is_self(node: ast.AST | None) -> bool:
    """``self.x``."""
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def is_super(node: ast.AST, method: str) -> bool:
    """``super().method(...)`` or ``super(Net, self).method(...)``."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == method
        and isinstance(node.func.value, ast.Call)
        and isinstance(node.func.value.func, ast.Name)
        and node.func.value.func.id == "super"
    )
