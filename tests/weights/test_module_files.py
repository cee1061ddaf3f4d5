"""Modules that ``--module`` imports from files of one name."""

import json

import numpy as np

from tfport.weights.command import build
from tfport.weights.record import find_record

NET = "from torch import nn\n\n\nclass Net(nn.Module):\n    pass\n"


def test_a_file_of_the_same_name_elsewhere_has_a_record_of_its_own(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "samename.py").write_text(NET)
    told = {"version": 1, "models": {"Net": {"kind": "functional", "layers": []}}}
    (tmp_path / "one" / "samename.tfport.json").write_text(json.dumps(told))
    one, two = (build(f"{tmp_path}/{name}/samename.py:Net")[0] for name in ("one", "two"))
    assert find_record(one) is not None and find_record(two) is None


def test_a_file_may_be_called_as_a_module_that_is_imported(tmp_path):
    (tmp_path / "numpy.py").write_text(NET)
    assert type(build(f"{tmp_path}/numpy.py:Net")[0]).__name__ == "Net"
    assert np.zeros(1).shape == (1,)
