"""tf.__version__ is torch's where it is shown, and a mark where the program decides by it."""

from __future__ import annotations

import pytest

import tfport

SHOWN = [
    'print(tf.__version__)', 'print("TensorFlow", tf.__version__)', 'print("v" + tf.__version__)', 'print("%s" % tf.__version__)',
    'print("%s %s" % (1, tf.__version__))', 'print(f"v {tf.__version__}")', 'print("{}".format(tf.version.VERSION))',
    'logging.info("v %s", tf.__version__)', 'text = f"{tf.VERSION}"', 'print("v " + str(tf.__version__))', 'print(tf.keras.__version__)',
]  # fmt: skip
DECIDED = [
    'if tf.__version__ >= "2.0": pass', 'old = tf.__version__.startswith("1")', "v = LooseVersion(tf.__version__)",
    'major = int(tf.__version__.split(".")[0])', "x = tf.__version__", 'assert "1." in tf.__version__',
]  # fmt: skip


@pytest.mark.parametrize("line", SHOWN)
def test_a_version_that_is_shown(line):
    code = tfport.convert_source(f"import tensorflow as tf\n{line}\n").code
    assert "torch.__version__" in code and "TODO" not in code and "tensorflow" not in code


@pytest.mark.parametrize("line", DECIDED)
def test_a_version_that_decides(line):
    code = tfport.convert_source(f"import tensorflow as tf\n{line}\n").code
    assert "TODO[TFP101] tf.__version__" in code and line in code
