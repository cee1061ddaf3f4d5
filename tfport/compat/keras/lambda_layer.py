"""Lambda: a function as a layer. It sees values in TensorFlow's order in a recorded model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from tfport.compat.keras.layer import Layer


class Lambda(Layer):
    """``Lambda(function)``; ``arguments`` are more keywords for it, ``output_shape`` (without the batch) is optional."""

    layout = "last"

    def __init__(self, function: Callable[..., Any], output_shape: Any = None, mask: Any = None,
                 arguments: dict[str, Any] | None = None, **kwargs: Any) -> None:  # fmt: skip
        super().__init__(**kwargs)
        self.function, self.arguments, self._output_shape = function, arguments or {}, output_shape

    def compute_output_shape(self, input_shape: Any) -> Any:
        if callable(self._output_shape):
            return self._output_shape(input_shape)
        if self._output_shape is None:
            return None
        batch = input_shape[0] if not isinstance(input_shape, list) else input_shape[0][0]
        return (batch, *self._output_shape)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        keywords = dict(self.arguments)
        if training is not None and "training" in inspect.signature(self.function).parameters:
            keywords["training"] = training
        return self.function(inputs, **keywords)
