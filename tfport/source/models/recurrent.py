"""Recurrent, bidirectional and time-distributed layers: torch's layer where it is exact, the compat module otherwise.

torch's LSTM returns all outputs and the last states; what Keras returns is picked from that in the expression:
``self.lstm(x)[0]``, ``self.lstm(x)[0][:, -1]``, and for two directions the last states of both.
"""

from __future__ import annotations

import ast
import dataclasses
from typing import TYPE_CHECKING, Any

from tfport.layers import variables
from tfport.layers.shapes import Shape
from tfport.source.models.spec import Bail, LayerSpec, layer_rule, read
from tfport.source.text import Fragment
from tfport.source.values import Symbol, is_known

if TYPE_CHECKING:
    from tfport.source.models.trace import Trace, Value

KINDS = frozenset({"LSTM", "GRU", "SimpleRNN"})
FREE = (
    "seed",
    "use_cudnn",
    "unroll",
    "implementation",
    "units",
)  # arguments that change nothing here, or may be names
BOTH_LAST = (
    ".transpose(0, 1).flatten(1)"  # of a torch layer's last states: those of both directions side by side
)
MERGED = {"sum": "sum", "ave": "mean", "mul": "prod"}


@dataclasses.dataclass(frozen=True)
class Plan:
    """How one layer is written: ``plain`` by torch's own layer, ``core`` is the recurrent layer itself."""

    plain: bool
    core: LayerSpec
    bidirectional: bool = False
    merge_mode: str | None = "concat"
    masked: bool = False

    @property
    def sequences(self) -> bool:
        """Whether all outputs are returned."""
        return bool(self.core.values["return_sequences"])


def planned(trace: Trace, spec: LayerSpec, mask: Fragment | None, alone: bool) -> Plan:
    """The plan of a layer on a value with this mask; ``alone`` says that its result must be the module's own.

    Raises `Bail` for what is recorded better: states, several results, unknown arguments.
    """
    core, bidirectional, merge = spec, False, "concat"
    if spec.class_name == "Bidirectional":
        if spec.given.get("backward_layer") is not None or spec.given.get("weights") is not None:
            raise Bail("Bidirectional with a backward layer of its own")
        core, bidirectional, merge = held(trace, spec), True, spec.values["merge_mode"]
    if core.class_name not in KINDS:
        raise Bail(f"{spec.class_name} of {core.class_name}")
    values = core.values
    for name, value in values.items():
        if name not in FREE and not name.endswith("_initializer") and not is_known(value):
            raise Bail(f"{name} of {core.class_name} is not known")
    if values["return_state"] or values["stateful"] or values.get("time_major") or merge is None:
        raise Bail(f"{core.class_name} with states")
    usual = values["activation"] == "tanh" or (
        core.class_name == "SimpleRNN" and values["activation"] == "relu"
    )
    plain = (
        mask is None
        and not alone
        and usual
        and values.get("recurrent_activation", "sigmoid") == "sigmoid"
        and values.get("reset_after", True) is True
        and not (values["dropout"] or values["recurrent_dropout"] or values["go_backwards"])
    )
    return Plan(plain, core, bidirectional, merge, mask is not None)


def held(trace: Trace, spec: LayerSpec) -> LayerSpec:
    """The layer that a wrapper is given. Raises `Bail` where it is made elsewhere."""
    if spec not in trace.inner:
        node = spec.given.get("layer")
        rule = layer_rule(trace.rewriter, node) if node is not None else None
        if rule is None or not isinstance(node, ast.Call):
            raise Bail(f"{spec.class_name} of a layer that is made elsewhere")
        trace.inner[spec] = read(trace.rewriter, node, rule)
    return trace.inner[spec]


def output(trace: Trace, plan: Plan, shape: Shape) -> Shape:
    """The shape of the result."""
    units: Any = plan.core.values["units"]
    units = trace.named(units) if isinstance(units, Symbol) else units
    if plan.bidirectional and plan.merge_mode == "concat":
        if isinstance(units, Symbol):
            units = Symbol(f"2 * {units.text}") if units.text.isidentifier() else None
        elif units is not None:
            units = units * 2
    return (*shape[:-1], units) if plan.sequences else (shape[0], units)


def constructor(trace: Trace, plan: Plan, shape: Shape) -> str:
    """The module's constructor."""
    one = trace.constructed(plan.core, shape, plan.plain)
    if not plan.bidirectional:
        return one
    if plan.plain:
        return f"{one[:-1]}, bidirectional=True)"
    back = dataclasses.replace(plan.core, values={**plan.core.values, "go_backwards": True})
    two = trace.constructed(back, shape, False)
    compat = trace.rewriter.imports.use("compat")
    merge = "" if plan.merge_mode == "concat" else f', "{plan.merge_mode}"'
    return f"{compat}.keras.modules.Bidirectional({one}, {two}{merge})"


def weights(plan: Plan) -> variables.Table:
    """Keras' variables and torch's parameters."""
    options = plan.core.rule.options
    found = variables.table(options.get("weights"), options.get("unless"), plan.core.values)
    if not plan.bidirectional:
        return found
    if plan.plain:
        return variables.below("forward_layer", "", found) | variables.below(
            "backward_layer", "", variables.reverse(found)
        )
    return {
        variable: rows
        for way in ("forward_layer", "backward_layer")
        for variable, rows in variables.below(way, way, found).items()
    }


def selected(plan: Plan, call: str) -> Fragment:
    """What Keras returns, picked from the module's result."""
    if not plan.plain:
        return Fragment(call)
    if not plan.bidirectional:
        return Fragment(f"{call}[0]" if plan.sequences else f"{call}[0][:, -1]")
    if plan.sequences:
        merged = (
            ""
            if plan.merge_mode == "concat"
            else f".unflatten(-1, (2, -1)).{MERGED[str(plan.merge_mode)]}(-2)"
        )
        return Fragment(f"{call}[0]{merged}")
    state = f"{call}[1][0]" if plan.core.class_name == "LSTM" else f"{call}[1]"
    if plan.merge_mode == "concat":
        return Fragment(f"{state}{BOTH_LAST}")
    return Fragment(f"{state}.{MERGED[str(plan.merge_mode)]}(0)")


def helper(trace: Trace, plan: Plan) -> str:
    """The arguments of ``compat.keras.initialise``."""
    given = [
        f"{n}={trace.rewriter.expr(v).text}"
        for n, v in plan.core.given.items()
        if n.endswith("_initializer") or n == "unit_forget_bias"
    ]
    return ", ".join([f'like="{plan.core.class_name}"', *given])


def statements(trace: Trace, name: str, text: str) -> list[str]:
    """``name = text`` as one would write it: ``x, _ = self.lstm(x)``."""
    usual = [f"{name} = {text}"]
    if not text.endswith((")[0]", ")[0][:, -1]", BOTH_LAST)):
        return usual
    tree = ast.parse(text, mode="eval").body
    if text.endswith(BOTH_LAST):
        state = tree.func.value.func.value  # type: ignore[attr-defined]
        several = isinstance(state.value, ast.Subscript)
        call = state.value.value if several else state.value
        if "h" in trace.names or not isinstance(call, ast.Call):
            return usual
        torch = trace.rewriter.imports.use("torch")
        got = f"_, {'(h, _)' if several else 'h'} = {ast.get_source_segment(text, call)}"
        return [got, f"{name} = {torch}.cat([h[0], h[1]], dim=1)"]
    if _is_first(tree):
        return [f"{name}, _ = {ast.get_source_segment(text, tree.value)}"]  # type: ignore[attr-defined]
    if isinstance(tree, ast.Subscript) and _is_first(tree.value):
        return [f"{name}, _ = {ast.get_source_segment(text, tree.value.value)}", f"{name} = {name}[:, -1]"]  # type: ignore[attr-defined]
    return usual


def _is_first(node: ast.AST) -> bool:
    """``self.layer(...)[0]``."""
    return (
        isinstance(node, ast.Subscript)
        and isinstance(node.slice, ast.Constant)
        and node.slice.value == 0
        and isinstance(node.value, ast.Call)
        and isinstance(node.value.func, ast.Attribute)
    )


def distributed(trace: Trace, spec: LayerSpec, value: Value) -> Value:
    """TimeDistributed of a Dense, which torch's Linear does by itself. Raises `Bail` for other layers."""
    core = held(trace, spec)
    if core.class_name != "Dense" or isinstance(value.shape[-1], Symbol):
        raise Bail(f"TimeDistributed of {core.class_name}")
    return trace.distributed(spec, core, value)
