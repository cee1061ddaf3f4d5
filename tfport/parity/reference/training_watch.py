"""Training: gradients and dropout masks, noted and fed."""

import numpy as np

from tfport.parity.reference.training_tensors import dense

MASKED = ("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianDropout")
CLIPS = {"clip_by_global_norm": "global_clipnorm", "clip_by_norm": "clipnorm"}
NOT_MASKED = ("AlphaDropout", "GaussianNoise")


class TapeWatch:
    """While open, notes the gradients that a tape gives for variables, and hands out `feed` in their place.

    Those of variables in `repeated`, which a step is known to take more than once, are left as they are.
    """

    def __init__(self, tf, variables, feed, dense=False, repeated=()):
        self.tf, self.feed, self.dense, self.found, self.slices = tf, feed, dense, {}, set()
        self.repeated = set(repeated)  # numbers of variables whose gradient is taken more than once
        self.numbers = {}
        for i, v in enumerate(variables):
            self.numbers[id(v)] = i
            inner = getattr(v, "_value", None)
            if inner is not None:
                self.numbers[id(inner)] = i

    def __enter__(self):
        self.before = self.tf.GradientTape.gradient
        before = self.before

        def gradient(tape, target, sources, *args, **kwargs):
            result = before(tape, target, sources, *args, **kwargs)
            flat, given = self.tf.nest.flatten(sources), self.tf.nest.flatten(result)
            made = [self.note(s, g) for s, g in zip(flat, given)] if len(flat) == len(given) else given
            return self.tf.nest.pack_sequence_as(result, made)

        self.tf.GradientTape.gradient = gradient

    def __exit__(self, *error):
        self.tf.GradientTape.gradient = self.before

    def note(self, source, gradient):
        number = self.numbers.get(id(source))
        if number is None:
            return gradient
        if self.found.get(number) is not None and gradient is not None:
            self.repeated.add(number)
        self.found[number] = dense(gradient, self.tf)
        fed = (
            None
            if self.feed is None or gradient is None or number in self.repeated
            else self.feed.get(number)
        )
        if isinstance(gradient, self.tf.IndexedSlices):
            rows = np.asarray(gradient.indices.numpy())
            if len(np.unique(rows)) < len(rows):
                self.slices.add(number)
            # Slices stay slices: Keras' optimizers square each of them, not the sum of those of one row.
            if not self.dense:
                return gradient
        if fed is None:
            return gradient
        return self.tf.constant(fed.astype(self.found[number].dtype))


class ClipWatch:
    """While open, notes the bounds by which a step clips gradients: ("global_clipnorm" or "clipnorm", bound)."""

    def __init__(self, tf):
        self.tf, self.before, self.found = tf, {}, []

    def __enter__(self):
        for name, kind in CLIPS.items():
            before = self.before[name] = getattr(self.tf, name)
            setattr(self.tf, name, self.noting(before, kind))
        return self

    def noting(self, before, kind):
        def clip(t, bound, *args, **kwargs):
            if isinstance(bound, (int, float)) and [kind, float(bound)] not in self.found:
                self.found.append([kind, float(bound)])
            return before(t, bound, *args, **kwargs)

        return clip

    def __exit__(self, *error):
        for name, before in self.before.items():
            setattr(self.tf, name, before)


class Masks:
    """Captures the masks of dropout layers, or feeds those of another run: output = input * mask."""

    def __init__(self, tf, fed=None):
        self.tf, self.fed, self.seen = tf, list(fed) if fed is not None else None, []

    def __call__(self, layer, call, args, kwargs):
        training = kwargs.get("training", args[1] if len(args) > 1 else None)
        rate = float(getattr(layer, "rate", 0) or 0)
        if not training or not rate:
            return call(*args, **kwargs)
        x = args[0] if args else kwargs["inputs"]
        if self.fed is not None:
            mask = self.tf.constant(self.fed[len(self.seen)][2].astype(x.dtype.as_numpy_dtype))
        else:
            mask = call(self.tf.ones_like(x), training=True)
        self.seen.append((layer.name, rate, np.asarray(mask.numpy())))
        return x * mask
