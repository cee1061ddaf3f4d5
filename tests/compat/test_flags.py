"""Flags and app.run: a program prints the same through TensorFlow, through compat, and converted."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tfport

PROGRAM = '''
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
'''
LINES = [
    ["--needed=x"],
    ["--needed=x", "--word", "w", "--count=5", "--fast", "--noslow", "--kind=b", "--items=1,2", "--many=a", "--many=b", "rest", "-q", "z"],
    ["--needed=x", "--unknown=3"], ["--needed=x", "--n=9", "--member=red", "--numbers=4", "--numbers=5", "--kinds=b"], [],
    ["--needed=x", "--kind=c"], ["--needed=x", "--count=500"], ["--needed=x", "--fast"], ["--needed=x", "--rate=-1"],
]  # fmt: skip


def run(path, text, argv):
    path.write_text(text)
    done = subprocess.run([sys.executable, path, *argv], capture_output=True, text=True, timeout=120)
    said = done.stderr.strip().splitlines()
    return done.returncode, done.stdout, said[-1].partition("FATAL")[2] if said and "FATAL" in done.stderr else ""


@pytest.mark.parametrize("run_with", ["", "main=main", "main, ['p', '--needed=y', 'more']"])
@pytest.mark.parametrize("early", [False, True])
def test_a_program_prints_the_same_converted(tmp_path, early, run_with):
    text = PROGRAM.replace("EARLY", str(early)).replace("RUN", run_with)
    converted = tfport.convert_source(text).code
    assert "TODO" not in converted and "tensorflow" not in converted
    for line in LINES if not (early or run_with) else LINES[:3]:
        want = run(tmp_path / "theirs.py", text, line)
        have = run(tmp_path / "ours.py", converted, line)
        assert have == want, line
