"""The manifest of a golden folder: version, checksums, entries."""

import collections
import hashlib
import json

MANIFEST_VERSION = 2


def sha256(path):
    """The SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as f:
        for chunk in iter(lambda: f.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()


def digest(manifest):
    """The SHA-256 of a manifest's content, whatever its spacing, without the entry `digest` itself."""
    told = json.loads(json.dumps({k: v for k, v in manifest.items() if k != "digest"}))
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode("utf-8")).hexdigest()


def new_entry(dtype):
    """A run's entry of the manifest, empty."""
    return collections.OrderedDict(
        dtype=dtype, kind="function", tensors=dtype + ".safetensors", pass_inputs="arguments", notes=[], inputs=[],
        outputs=[], weights=None, layers=[], behind={}, layers_left_out=0, wander={}, depth={}, gradients=None, training=None,
    )  # fmt: skip
