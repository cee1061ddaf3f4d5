"""Holds every rule against TensorFlow: value, shape, dtype, gradient, signature, and the converted source."""

from tfport.proving.outcome import Failure, Outcome, Report
from tfport.proving.runner import prove_folder, prove_rule

__all__ = ["Failure", "Outcome", "Report", "prove_folder", "prove_rule"]
