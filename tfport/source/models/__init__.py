"""Keras models as classes: layer calls in the source, their shapes and layouts, and the nn.Module that they become."""
