"""The manifest of a golden folder: version, checksums, entries."""

import collections
import hashlib
import json
import os
import re
import shutil

MANIFEST_VERSION = 2
OWN = r"manifest\.json$|float(32|64)\."  # names that a golden's files have


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


def own_files(folder):
    """The names of a golden folder's files; None where the folder is none, whatever its `manifest.json` is for."""
    try:
        with open(os.path.join(folder, "manifest.json"), "rb") as f:
            told = json.loads(f.read().decode("utf-8"))
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            return None
        return {name for name in os.listdir(folder) if re.match(OWN, name)}  # a golden that was damaged
    if not isinstance(told, dict) or told.get("format") != "tfport golden":
        return None
    return {"manifest.json"}.union(told.get("sha256") or ())


def replace_golden(made, final, own):
    """Gives the finished folder `made` the name `final`, that of an old one where there is one.

    No moment is without the one or the other. Of the old folder the files `own` go; what else lies in it is
    kept. Raises OSError; the old folder then has its name again.
    """
    if own is None:
        os.rename(made, final)
        return
    old = "%s-old" % made
    os.rename(final, old)
    try:
        os.rename(made, final)
    except BaseException:
        os.rename(old, final)
        raise
    for name in os.listdir(old):
        if name not in own and not os.path.lexists(os.path.join(final, name)):
            os.rename(os.path.join(old, name), os.path.join(final, name))
    shutil.rmtree(old, ignore_errors=True)
