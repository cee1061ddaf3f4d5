"""The reference run: calls a TensorFlow program once and writes what went in and what came out.

This file stands alone. It needs NumPy and TensorFlow (1.15 or later), Python 3.7 or later, and no other
file of tfport, so it runs by path in whatever environment the program lives in:

    python capture.py model.py:build --input 2x28x28x1:float32 --output golden/

The folder it leaves holds `manifest.json` (versions, seeds, names, checksums), one safetensors file per
dtype with `inputs/...`, `outputs/...` and `layers/...`, and the weights as Keras saves them. Tensors go to the
disk as they are made. A float32 run is made again in float64 with the same weights, and the manifest tells how
far each tensor wandered by rounding. The folder is read without TensorFlow.

Weights are random under the seed, and made so that faults show: constants (biases, scales) get noise,
kernels are scaled until activations have a standard deviation near one, and BatchNormalization layers get
moving statistics near those of the data with variances between 0.01 and 1, where epsilon is visible.
"""

# The docstring is that of the single file which `tfport.parity.bundle` makes of this package's modules. They import
# each other by `from tfport.parity.reference.X import a, b` at the top, without cycles, and beside the standard
# library of Python 3.7 only `import numpy as np`. tfport's torch side imports those that need no TensorFlow
# (`values`, `store`, `targets`, ...), so that both sides name and store values by the same code.
