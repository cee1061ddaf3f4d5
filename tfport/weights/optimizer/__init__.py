"""Optimizer state: found in a TensorFlow or Keras checkpoint, put into a torch optimizer."""

from tfport.weights.optimizer.loading import OptimizerReport, load_optimizer
from tfport.weights.optimizer.slots import read_optimizer
from tfport.weights.optimizer.state import Asked, OptimizerState

__all__ = ["Asked", "OptimizerReport", "OptimizerState", "load_optimizer", "read_optimizer"]
