"""Flags and app.run: a program prints the same through TensorFlow, through compat, and converted."""

from __future__ import annotations

import subprocess
import sys

import tfport

PROGRAM = """
import tensorflow.compat.v1 as tf

flags = tf.flags
FLAGS = flags.FLAGS
flags.DEFINE_string("word", "none", "a word")
tf.app.flags.DEFINE_integer("count", 3, "a number")
flags.DEFINE_float("rate", default=0.5, help="a rate")
flags.DEFINE_bool("fast", False, "fast")
flags.DEFINE_boolean("slow", True, "slow")
flags.DEFINE_enum("kind", "a", ["a", "b"], "a kind")
flags.DEFINE_enum_class("member", None, __import__("enum").Enum("Member", "red blue"), "a member")
flags.DEFINE_list("items", "x,y", "items")
flags.DEFINE_spaceseplist("blanks", "p q", "items")
flags.DEFINE_multi_string("many", [], "words")
flags.DEFINE_multi_integer("numbers", [1], "numbers")
flags.DEFINE_multi_float("floats", None, "floats")
flags.DEFINE_multi_enum("kinds", [], ["a", "b"], "kinds")
flags.DEFINE_alias("n", "count")
flags.DEFINE_string("needed", None, "needed")
flags.DEFINE_string("later", "l", "x", short_name="q")
flags.mark_flag_as_required("needed")
flags.mark_flags_as_required(["needed"])
flags.mark_flags_as_mutual_exclusive(["floats", "member"])
flags.mark_bool_flags_as_mutual_exclusive(["fast", "slow"])
flags.register_validator("count", lambda v: v < 100, message="too many")
flags.declare_key_flag("word")
flags.adopt_module_key_flags(__import__("absl.logging").logging)


@flags.validator("rate")
def positive(value):
    return value > 0


if EARLY:
    print("early", FLAGS.word)


def main(argv):
    flags.set_default(FLAGS["word"], "changed") if len(argv) > 5 else None
    names = "word count rate fast slow kind items blanks many numbers floats kinds needed later n".split()
    print([(n, getattr(FLAGS, n)) for n in names], FLAGS.member and FLAGS.member.name, argv[1:])
    FLAGS.count = 7
    print(FLAGS.n, "word" in FLAGS, len(FLAGS) > 10, FLAGS["kind"].value, FLAGS.is_parsed())


if __name__ == "__main__":
    tf.app.run(RUN)
"""
LINES = [
    ["--needed=x"],
    ["--needed=x", "--word", "w", "--count=5", "--fast", "--noslow", "--kind=b", "--items=1,2", "--many=a", "--many=b", "rest", "-q", "z"],
    ["--needed=x", "--unknown=3"], ["--needed=x", "--n=9", "--member=red", "--numbers=4", "--numbers=5", "--kinds=b"], [],
    ["--needed=x", "--kind=c"], ["--needed=x", "--count=500"], ["--needed=x", "--fast"], ["--needed=x", "--rate=-1"],
]  # fmt: skip


# Each command line runs in a fork of one process that has imported the framework: the import takes seconds.
DRIVER = """
import os, runpy, sys
import {framework} as root
root.flags.FLAGS, root.app.run
for path, argv in {calls}:
    sys.stdout.flush()
    child = os.fork()
    if not child:
        sys.argv = [path, *argv]
        os.dup2(1, 2)
        try:
            runpy.run_path(path, run_name="__main__")
        except SystemExit as end:
            print("status", end.code)
        sys.stdout.flush()
        os._exit(0)
    os.waitpid(child, 0)
    print("----", flush=True)
"""


def outputs(folder, framework, calls):
    driver = folder / f"driver_{framework.partition('.')[0]}.py"
    driver.write_text(DRIVER.format(framework=framework, calls=[(str(path), argv) for path, argv in calls]))
    done = subprocess.run([sys.executable, driver], capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split("----\n")  # of a traceback its last line is compared
    return [
        [line for line in part.splitlines() if not line.startswith(("Traceback", "  "))] for part in parts
    ]


def test_a_program_prints_the_same_converted(tmp_path):
    theirs, ours = [], []
    for place, (early, arguments) in enumerate(
        [(False, ""), (True, ""), (False, "main=main"), (True, "main, ['p', '--needed=y', 'more']")]
    ):
        text = PROGRAM.replace("EARLY", str(early)).replace("RUN", arguments)
        converted = tfport.convert_source(text).code
        assert "TODO" not in converted and "tensorflow" not in converted
        for kind, source, calls in (("theirs", text, theirs), ("ours", converted, ours)):
            path = tmp_path / kind / f"flags{place}" / "program.py"
            path.parent.mkdir(parents=True)
            path.write_text(source)
            calls += [(path, line) for line in (LINES if not place else LINES[:3])]
    want, have = outputs(tmp_path, "tensorflow.compat.v1", theirs), outputs(tmp_path, "tfport.compat", ours)
    for call, wanted, got in zip(theirs, want, have, strict=False):
        said = [line.replace(str(tmp_path / "theirs"), "").replace("compat.", "") for line in wanted]
        assert [line.replace(str(tmp_path / "ours"), "") for line in got] == said, call
    assert len(want) == len(have) == len(theirs) + 1
    assert any("changed" in line or "rest" in line for part in want for line in part)
