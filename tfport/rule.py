"""What a rule file imports: the decorators, the annotations and the inputs of proofs.

A rule is a function with TensorFlow's name and signature and a PyTorch body. The converter reads its source,
``tfport.compat`` calls it, ``tfport.proving`` holds it against TensorFlow, ``tfport explain`` prints its docstring.
This file imports no framework.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from tfport.inputs import array, bf16, boolean, c64, f16, f32, f64, i8, i16, i32, i64, u8

__all__ = [
    "Float",
    "Indices",
    "Operand",
    "Proof",
    "Rule",
    "Tensor",
    "Tensors",
    "array",
    "bf16",
    "boolean",
    "c64",
    "f16",
    "f32",
    "f64",
    "i8",
    "i16",
    "i32",
    "i64",
    "layer",
    "method",
    "prove",
    "rule",
    "u8",
]  # fmt: skip

Tensor = Any  # a tensor position: numbers, lists and arrays are converted as TensorFlow converts them
Operand = Any  # a tensor or a Python number, taken as it is
Tensors = Any  # a list or tuple of tensors
Float = (
    Any  # a tensor position, presumed floating where the source does not tell: torch refuses integers there
)
Indices = Any  # a tensor position with a dtype of its own: indices, masks, lengths

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True)
class Proof:
    """One call, run by TensorFlow and by the rule on the same inputs.

    ``grad`` compares gradients with respect to floating inputs; ``rtol`` is relative to the largest value of the
    reference, None takes the dtype's default; ``raises`` demands that both raise.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    grad: bool = True
    rtol: float | None = None
    atol: float | None = None
    raises: bool = False
    random: bool = False  # compare shape and dtype, and moments, not values
    then: Any = (
        None  # arguments (a tuple) of a call of what was made, or several calls in turn (a list of tuples)
    )


@dataclasses.dataclass(frozen=True)
class Rule:
    """What a rule file says of one TensorFlow name."""

    names: tuple[str, ...]
    function: Callable[..., Any]
    renamed: Mapping[str, str]
    version: int | None
    returns: str | None
    pure: bool
    proofs: tuple[Proof, ...]
    weights: Mapping[str, Any] | None = None
    layout: str = "any"
    unless: Mapping[str, Mapping[str, Any]] | None = None
    proved_by: str | None = None

    @property
    def primary(self) -> str:
        """The name that `tfport.compat` mirrors: ``tf.nn.relu`` is ``compat.nn.relu``."""
        return self.names[0]


REGISTRY: dict[str, Rule] = {}
SYMBOLIC: list[
    tuple[Callable[..., bool], Callable[..., Any]]
] = []  # compat.keras: is it a symbol, record the call


def prove(*args: Any, grad: bool = True, rtol: float | None = None, atol: float | None = None,
          raises: bool = False, random: bool = False, then: Any = None,
          **kwargs: Any) -> Callable[[Function], Function]:  # fmt: skip
    """Attach one proof: the call ``rule(*args, **kwargs)``, inputs by the makers ``f32(2, 3)`` and their kin.

    Where the rule makes something callable (a loss, an initializer), ``then=(a, b)`` calls it with ``a, b`` and
    compares that result; a list of tuples makes several calls and compares each. A dict at the end of a tuple holds
    keywords.
    """

    def attach(function: Function) -> Function:
        proof = Proof(args, kwargs, grad, rtol, atol, raises, random, then)
        setattr(function, "proofs", (proof, *vars(function).get("proofs", ())))  # noqa: B010
        return function

    return attach


def rule(*names: str, renamed: Mapping[str, str] | None = None, version: int | None = None,
         returns: str | None = None, pure: bool = True,
         proved_by: str | None = None) -> Callable[[Function], Function]:  # fmt: skip
    """Register a function as the port of ``names``; the first is the one that compat mirrors.

    ``renamed`` maps other spellings of a keyword to the parameter; ``version`` 1 or 2 binds the rule to programs of
    that TensorFlow; ``returns`` tells the converter what is known of the result (a parameter's name for its dtype,
    a dtype, "float", "python"). ``proved_by`` names the test file, relative to the folder above the rules', that proves a
    rule which no single call proves: an optimizer, a file, a flag. It must mention the rule by the last part of a name.
    """

    def register(function: Function) -> Function:
        entry = Rule(names, function, renamed or {}, version, returns, pure, vars(function).get("proofs", ()),
                     proved_by=proved_by)  # fmt: skip
        REGISTRY[names[0]] = entry
        if isinstance(function, type):  # a class is published as it is, and never inlined
            function.rule = entry  # type: ignore[attr-defined]
            return function
        return _callable(function, entry)

    return register


def method(name: str, **options: Any) -> Callable[[Function], Function]:
    """Register a tensor method: ``x.name(...)`` with the receiver as the first parameter ``self``."""
    return rule(f"tf.Tensor.{name}", **options)


def layer(*names: str, weights: Mapping[str, Any] | None = None, layout: str = "any",
          renamed: Mapping[str, str] | None = None,
          unless: Mapping[str, Mapping[str, Any]] | None = None) -> Callable[[Function], Function]:  # fmt: skip
    """Register a builder of torch modules as the port of a Keras layer.

    The function has the layer's constructor arguments as its parameters, and after ``*`` what is known of the input
    when it is built: ``channels`` (size of the channel axis), ``size`` (spatial sizes, or None), ``rank``, ``shape``
    (in TensorFlow's order, with the batch), ``plain`` (the caller treats torch's own result: no mask, one input).
    ``weights`` says where each Keras variable goes: parameter name, pattern and sizes (`tfport.weights.patterns`), or
    a list of these for several parameters; the variable of an object inside has its path, ``cell/kernel``.
    ``unless`` replaces rows of that table where an argument is False. ``layout`` is what the module wants of its
    input: "first" (channels first), "last" (TensorFlow's order), "any" (elementwise), or "call" (TensorFlow's order,
    and all arguments of the layer's call).
    """

    def register(function: Function) -> Function:
        proofs = function.__dict__.get("proofs", ())
        entry = Rule(names, function, renamed or {}, None, None, True, proofs, weights or {}, layout, unless)
        REGISTRY[names[0]] = entry
        function.__dict__["rule"] = entry
        return function

    return register


DTYPE_PARAMETERS = frozenset({"dtype", "output_type", "out_type", "Tout", "DstT"})


def _callable(function: Function, entry: Rule) -> Function:
    """The rule as compat calls it: other spellings renamed, tensor positions converted, dtypes normalised."""
    signature = inspect.signature(function)
    annotations = {name: p.annotation for name, p in signature.parameters.items()}
    tensors = tuple(n for n, a in annotations.items() if a in ("Tensor", "Float"))
    lists = tuple(n for n, a in annotations.items() if a == "Tensors")
    own = tuple(n for n, a in annotations.items() if a == "Indices")
    dtypes = tuple(n for n in annotations if n in DTYPE_PARAMETERS)
    renamed = entry.renamed

    if not (tensors or lists or own or dtypes or renamed):
        function.__dict__["rule"] = entry
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        from tfport.compat import arguments

        for is_symbolic, record in SYMBOLIC:
            if is_symbolic(args, kwargs):
                return record(call, args, kwargs)
        for old in renamed.keys() & kwargs.keys():
            kwargs[renamed[old]] = kwargs.pop(old)
        bound = signature.bind(*args, **kwargs)
        arguments.convert(bound.arguments, tensors, lists, dtypes)
        for name in own:
            arguments.convert(bound.arguments, (name,))
        return function(*bound.args, **bound.kwargs)

    call.__dict__["rule"] = entry
    return call  # type: ignore[return-value]


def proofs_of(entry: Rule) -> Sequence[Proof]:
    """The proofs in the order in which they stand in the file."""
    return entry.proofs
