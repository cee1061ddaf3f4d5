"""Files through compat.io.gfile do what TensorFlow's do: the same steps in two folders give the same results."""

from __future__ import annotations

import pytest

from tfport import compat
from tfport.proving.reference import tensorflow

OURS = compat.io.gfile
ERRORS = {"NotFoundError": FileNotFoundError, "AlreadyExistsError": FileExistsError}


def written(g, root, name, content, mode="w"):
    with g.GFile(f"{root}/{name}", mode) as f:
        f.write(content)


def opened_again(g, root):
    f = g.GFile(f"{root}/missing.txt")  # no error yet
    return f.name.rpartition("/")[2], f.mode, f.read()


def text_and_bytes(g, root):
    written(g, root, "a.txt", "erste Zeile\r\nzweite ä\n\nlast")
    written(g, root, "a.txt", b"\nmore", "a")
    f = g.GFile(f"{root}/a.txt")
    found = [f.read(5), f.tell(), f.readline(), f.readlines(), f.read(), f.size()]
    f.seek(0)
    found += [list(f), f.tell()]
    f.seek(offset=3)
    found.append(f.read(2))
    f.close()
    with g.GFile(f"{root}/a.txt", "rb") as f:
        return [*found, f.read(3), f.readline(), f.read(), f.seekable()]


def never_written(g, root):
    with g.GFile(f"{root}/empty.txt", "w"):
        pass
    return g.exists(f"{root}/empty.txt")


def write_read(g, root):
    f = g.GFile(f"{root}/rw", "w+")
    f.write("abc")
    f.flush()
    found = f.read()
    f.close()
    return found


def folders(g, root):
    g.makedirs(f"{root}/x/y/z")
    g.makedirs(f"{root}/x/y/z")
    g.mkdir(f"{root}/x/w")
    for name in ("x/1.txt", "x/2.csv", "x/.hidden.txt", "x/y/3.txt"):
        written(g, root, name, name)
    cut = len(str(root)) + 1
    found = [
        sorted(g.listdir(f"{root}/x")),
        g.isdir(f"{root}/x"),
        g.isdir(f"{root}/x/1.txt"),
        g.exists(f"{root}/no"),
    ]
    for pattern in (
        "x/*.txt",
        "x/*",
        "*/y/*.txt",
        "x/[12].*",
        "x/?.csv",
        "x/[^1].*",
        "nothing*",
        "x/1.txt",
        "x/*/",
    ):
        found.append(sorted(p[cut:] for p in g.glob(f"{root}/{pattern}")))
    found.append(sorted(p[cut:] for p in g.glob([f"{root}/x/*.csv", f"{root}/x/y/*.txt"])))
    found.append(
        sorted((top[cut:], sorted(inside), sorted(files)) for top, inside, files in g.walk(f"{root}/x"))
    )
    found.append([top[cut:] for top, _, _ in g.walk(f"{root}/x/y", topdown=False)])
    return found


def moved(g, root):
    written(g, root, "a", "1")
    g.copy(f"{root}/a", f"{root}/b")
    g.rename(f"{root}/b", f"{root}/c")
    written(g, root, "d", "22")
    g.copy(f"{root}/d", f"{root}/c", overwrite=True)
    g.rename(f"{root}/c", f"{root}/a", overwrite=True)
    facts = g.stat(f"{root}/a")
    g.remove(f"{root}/d")
    g.makedirs(f"{root}/e/f")
    g.rmtree(f"{root}/e")
    return (
        facts.length,
        facts.is_directory,
        g.stat(str(root)).is_directory,
        sorted(g.listdir(root)),
        facts.mtime_nsec > 1e18,
    )


def copy_onto(g, root):
    written(g, root, "a", "1")
    written(g, root, "b", "2")
    g.copy(f"{root}/a", f"{root}/b")


def rename_onto(g, root):
    written(g, root, "a", "1")
    written(g, root, "b", "2")
    g.rename(f"{root}/a", f"{root}/b")


def mkdir_twice(g, root):
    g.mkdir(f"{root}/x")
    g.mkdir(f"{root}/x")


def mkdir_onto_a_file(g, root):
    written(g, root, "x", "1")
    g.mkdir(f"{root}/x")


STEPS = [
    opened_again, text_and_bytes, never_written, write_read, folders, moved, copy_onto, rename_onto, mkdir_twice, mkdir_onto_a_file,
    lambda g, root: g.mkdir(f"{root}/x/y"), lambda g, root: g.remove(f"{root}/x"), lambda g, root: g.rmtree(f"{root}/x"),
    lambda g, root: g.stat(f"{root}/x"), lambda g, root: g.listdir(f"{root}/x"),
    lambda g, root: g.copy(f"{root}/x", f"{root}/y"), lambda g, root: g.GFile(f"{root}/x", "x"),
    lambda g, root: g.GFile(f"{root}/x", "r").write("a"), lambda g, root: g.GFile(f"{root}/x", "w").read(),
    lambda g, root: g.join("a", "b", "c.txt"), lambda g, root: g.join("a", "/b"), lambda g, root: g.exists(b"/"),
]  # fmt: skip


def outcome(step, g, root):
    root.mkdir()
    try:
        return step(g, root)
    except Exception as problem:  # the kind of error is what is compared
        return ERRORS.get(type(problem).__name__, type(problem))


@pytest.mark.parametrize("step", STEPS)
def test_the_same_steps_give_what_tensorflow_gives(step, tmp_path):
    want = outcome(step, tensorflow().io.gfile, tmp_path / "theirs")
    have = outcome(step, OURS, tmp_path / "ours")
    if isinstance(want, type) and want not in ERRORS.values():
        assert isinstance(have, type) and issubclass(have, Exception)
    else:
        assert have == want


def test_other_schemes_go_through_fsspec():
    root = "memory://tfport-gfile"
    OURS.makedirs(f"{root}/x/y")
    written(OURS, root, "x/a.txt", "one\ntwo\n")
    written(OURS, root, "x/a.txt", "three\n", "a")
    assert OURS.GFile(f"{root}/x/a.txt").readlines() == ["one\n", "two\n", "three\n"]
    assert (
        sorted(OURS.listdir(f"{root}/x")) == ["a.txt", "y"] and OURS.isdir(f"{root}/x") and OURS.exists(root)
    )
    OURS.copy(f"{root}/x/a.txt", f"{root}/x/b.txt")
    with pytest.raises(FileExistsError):
        OURS.rename(f"{root}/x/a.txt", f"{root}/x/b.txt")
    OURS.rename(f"{root}/x/a.txt", f"{root}/x/b.txt", overwrite=True)
    assert OURS.glob(f"{root}/x/*.txt") == [f"{root}/x/b.txt"] and OURS.stat(f"{root}/x/b.txt").length == 14
    OURS.rmtree(f"{root}/x")
    assert not OURS.exists(f"{root}/x") and OURS.join(root, "a") == f"{root}/a"
