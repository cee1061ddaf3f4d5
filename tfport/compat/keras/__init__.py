"""Keras at run time: layers, models recorded into torch.fx, initialisers. Filled from ``rules/`` by compat."""
