"""Files of tensors, written as they come."""

import collections
import hashlib
import json
import os
import shutil
import struct
import weakref

import numpy as np

from tfport.parity.reference.errors import CaptureError
from tfport.parity.reference.values import decode, encode

WANDER_LIMIT = 1e-2  # of a tensor's scale: two precisions further apart than this do not differ by rounding


def write_tensors(path, values):
    """Writes name -> `Value` as a safetensors file; dtypes that the format lacks are told in its metadata."""
    with Store(path) as store:
        for name, value in values.items():
            store.put(name, value, share=False)


class Store:
    """A safetensors file written as its tensors come: no more than one of them is held in memory.

    The format begins with its table of contents, so the data lie in `PATH.data` until `close()`. A tensor of
    the same dtype, shape and bytes as an earlier one is stored once: the file's metadata `same` tells whose
    data a name has. With `against`, another open Store, `wander[name]` is the largest absolute difference to
    its tensor of the same name. Without a path nothing is kept and only `wander` is filled.
    """

    SAMPLE = 4096  # bytes looked at to find candidates for equality, which is then tested on all bytes

    def __init__(self, path=None, against=None):
        self.path, self.against, self.wander = path, against, collections.OrderedDict()
        self.header, self.same, self.labels = collections.OrderedDict(), collections.OrderedDict(), {}
        self.size, self.prints, self.known = 0, {}, {}
        self.unlike = collections.OrderedDict()  # name -> why `wander` has no entry
        self.file = open(str(path) + ".data", "w+b") if path else None  # noqa: SIM115

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.close(kind is None)

    def __contains__(self, name):
        return name in self.header or name in self.same

    def wants(self, name):
        """Whether a tensor of this name is of use: to be kept or to be compared."""
        return self.file is not None or (self.against is not None and name in self.against)

    def put(self, name, value, tensor=None, share=True):
        """Stores a `Value` under a new name and returns the name under which its data lie.

        `tensor` is the framework's tensor that it was taken from, which `find` then knows again.
        """
        if self.against is not None:
            self.compare(name, value)
        if self.file is None:
            return name
        if name in self:
            raise CaptureError("two tensors are called %s" % name)
        code, shape, array, label = encode(value)
        data = memoryview(array.reshape(-1).view(np.uint8)) if array.size else memoryview(b"")
        sample = self._print(code, shape, data, label) if share else None
        likely = self.prints.get(sample, ()) if share else ()
        home = next((n for n in likely if self._holds(n, data)), name)
        if home != name:
            self.same[name] = home
        else:
            self.prints.setdefault(sample, []).append(name)
            self.file.seek(self.size)
            self.file.write(data)
            ends = [self.size, self.size + len(data)]
            self.header[name] = {"dtype": code, "shape": shape, "data_offsets": ends}
            self.size = ends[1]
            if label:
                self.labels[name] = label
        self.know(tensor, home)
        return home

    def know(self, tensor, name):
        """Remembers that a tensor object is what `name` holds, for as long as the object lives."""
        try:
            self.known[id(tensor)] = (weakref.ref(tensor), name)
        except TypeError:  # None, and arrays, which cannot be referred to weakly
            pass

    def find(self, tensor):
        """The name of a tensor object that was stored before, or None. The object itself is looked for."""
        held, name = self.known.get(id(tensor), (None, None))
        return name if held is not None and held() is tensor else None

    def get(self, name):
        """The `Value` of a name, read back from the disk."""
        name = self.same.get(name, name)
        entry = self.header[name]
        start, end = entry["data_offsets"]
        self.file.seek(start)
        data = np.frombuffer(self.file.read(end - start), np.uint8)
        return decode(entry["dtype"], entry["shape"], self.labels.get(name), data)

    def compare(self, name, value):
        """Notes how far a value lies from the tensor of the same name in `against`."""
        if name not in self.against:
            return
        other, kinds = self.against.get(name), ("float64", "complex128", "python float")
        if other.array.dtype.kind not in "fc" or other.dtype in ("float64", "complex128"):
            return
        if value.array.shape != other.array.shape:
            self.unlike[name] = "its shape in float64 is %s" % list(value.array.shape)
        elif value.dtype not in kinds:
            self.unlike[name] = "it is %s in a float64 run too" % value.dtype
        else:
            with np.errstate(all="ignore"):
                finite = np.isfinite(value.array)
                apart = np.abs(np.subtract(other.array, value.array, dtype=value.array.dtype))
                scale, far = (
                    float(a[finite].max()) if finite.any() else 0.0 for a in (np.abs(value.array), apart)
                )
            if np.any(np.isfinite(other.array) != finite):
                self.unlike[name] = "it is finite in one precision only"
            elif far > WANDER_LIMIT * scale:
                self.unlike[name] = "float64 is %.1e of its scale away, which is not rounding" % (
                    far / scale if scale else float("inf")
                )
            elif value.dtype != "python float" or far:
                self.wander[name] = far

    def _print(self, code, shape, data, label):
        """What equal tensors have in common; its sample of the bytes is cheap and decides nothing."""
        if len(data) <= self.SAMPLE:
            sample = bytes(data)
        else:
            quarter, step = self.SAMPLE // 4, len(data) // self.SAMPLE * 2 + 1
            sample = bytes(data[:quarter]) + bytes(data[-quarter:]) + bytes(data[::step])
        return code, tuple(shape), label, hashlib.sha256(sample).digest()

    def _holds(self, name, data):
        """Whether the stored bytes of a tensor are these."""
        start, end = self.header[name]["data_offsets"]
        self.file.seek(start)
        for at in range(0, end - start, 1 << 20):
            if self.file.read(min(1 << 20, end - start - at)) != data[at : at + (1 << 20)]:
                return False
        return True

    def close(self, well=True):
        """Assembles the file; with `well` false, only clears away the data."""
        if self.file is None:
            return
        try:
            if well:
                self._assemble()
        finally:
            self.file.close()
            self.file = None
            os.remove(str(self.path) + ".data")

    def _assemble(self):
        header, told = collections.OrderedDict(self.header), {}
        if self.labels:
            told["labels"] = json.dumps(self.labels, sort_keys=True)
        if self.same:
            told["same"] = json.dumps(self.same)
        if told:
            header["__metadata__"] = told
        text = json.dumps(header).encode("utf-8")
        text += b" " * (-len(text) % 8)
        with open(self.path, "wb") as f:
            f.write(struct.pack("<Q", len(text)) + text)
            self.file.seek(0)
            shutil.copyfileobj(self.file, f, 1 << 20)
