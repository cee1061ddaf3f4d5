# -*- coding: utf-8 -*-
"""Comments, line breaks and quotes stay what they were."""
from __future__ import print_function

import torch
from tfport import compat  # the framework

größe = 3.0; x = torch.tensor([1.0, 4.0])  # two values


def scale( x,  by=2.0 ) :
	"""tf.square in a docstring stays."""
	# a comment about tf.square
	return compat.multiply(  # first
		x,  # the values
		by + größe,
	)  # last


y = [
    torch.sqrt(x),  # roots
    torch.cat([
        x,  # one
        x,  # two
    ]),
]
s = """tf.abs
  (x)"""; z = torch.abs(x) - 1.0 \
    + torch.square(x)
print(f'{float(torch.sum(x)):.3f} {{}} {int(größe)!r:>{3}}', "tf.abs" 'x', len(s))
print(compat.Tensor.numpy(scale(x)).tolist(), [compat.Tensor.numpy(v).tolist() for v in y], z.numpy().tolist())
