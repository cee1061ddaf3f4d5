"""Bundles written by hand: tables of one block, shards with holes."""

from tfport.weights.sstable import MAGIC, masked_crc

NUMBERS = {"float32": 1, "float64": 2, "int32": 3}


def number(value):
    """A varint."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes((*found, value))


def block(entries):
    """A block with its type and checksum, and the size that handles give it."""
    body = (
        b"".join(b"\0" + number(len(k)) + number(len(v)) + k + v for k, v in entries) + bytes(4) + b"\1\0\0\0"
    )
    return body + b"\0" + masked_crc(body + b"\0").to_bytes(4, "little"), len(body)


def table(entries):
    """A table of one block: sorted (key, value) pairs."""
    data, size = block(sorted(entries))
    index, index_size = block([(max(k for k, _ in entries) + b"\xff", b"\0" + number(size))])
    footer = b"\0\0" + number(len(data)) + number(index_size)
    return data + index + footer.ljust(40, b"\0") + MAGIC


def field(tag, value):
    """A field of a protocol buffer: a varint or bytes."""
    if isinstance(value, int):
        return number(tag << 3) + number(value)
    return number(tag << 3 | 2) + number(len(value)) + value


def bundle(prefix, tensors):
    """A V2 checkpoint by name of one shard: name -> (array, offset of its bytes)."""
    entries = [(b"", field(1, 1))]
    with open(f"{prefix}.data-00000-of-00001", "wb") as shard:
        for name, (array, offset) in tensors.items():
            data = array.tobytes()
            shard.seek(offset)
            shard.write(data)
            shape = b"".join(field(2, field(1, size)) for size in array.shape)
            entry = (
                field(1, NUMBERS[array.dtype.name]) + field(2, shape) + field(4, offset) + field(5, len(data))
            )
            crc = number(6 << 3 | 5) + masked_crc(data).to_bytes(4, "little")
            entries.append((name.encode(), entry + crc))
    with open(f"{prefix}.index", "wb") as index:
        index.write(table(entries))
