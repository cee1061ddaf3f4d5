"""Writers: safetensors (one file or shards), ``.pt``, and torch's distributed checkpoints. All or nothing."""

from tfport.weights.writers.tensor import Tensor, cast
from tfport.weights.writers.write import ENDINGS, Writing, write

__all__ = ["ENDINGS", "Tensor", "Writing", "cast", "write"]
