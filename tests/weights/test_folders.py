"""Which checkpoint of a folder is read, as TensorFlow and Keras leave them, and by which names a checkpoint is found."""

import json
import pathlib
import shutil

import h5py
import numpy as np
import pytest
from twins import FOLDER

from tfport.weights import WeightsError, read_checkpoint


def put(folder, name, source="parts"):
    """A copy of a checkpoint under another prefix."""
    for file in FOLDER.glob(f"{source}.*"):
        if file.suffix == ".index" or ".data-" in file.name:
            shutil.copy(file, f"{folder}/{name}{file.name.removeprefix(source)}")


def state(folder, latest):
    (folder / "checkpoint").write_text(
        f"model_checkpoint_path: {latest}\nall_model_checkpoint_paths: {latest}\n"
    )


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("ck-2", '"ck-2"'), ("ck-2", '"/home/someone/run/ck-2"'), ("ck-2", "'ck-2'"), ("sub/ck-2", '"sub/ck-2"'),
        ('modèle "x" y-1', r'"mod\303\250le \"x\" y-1"'), ('modèle "x" y-1', '"modèle \\"x\\" y-1"'),
        ("a\\b", r'"a\\b"'), ("", '"."'),
    ],
)  # fmt: skip
def test_the_state_file_names_the_latest_checkpoint(tmp_path, name, written):
    """Quoted with C's escapes; a folder that was moved; ``save_weights("folder/")``, which writes `.index`."""
    (tmp_path / "sub").mkdir()
    put(tmp_path, name)
    put(tmp_path, "ck-1", "tf1")
    state(tmp_path, written)
    for path in (tmp_path, tmp_path / "checkpoint", f"{tmp_path}/"):
        assert set(read_checkpoint(path)) == {"part/kernel", "plain/bias"}


@pytest.mark.parametrize("written", ['"gone"', '"../elsewhere/ck"', '"/elsewhere/ck"'])
def test_a_latest_checkpoint_that_is_not_in_the_folder_is_an_error(tmp_path, written):
    (tmp_path / "run").mkdir()
    (tmp_path / "elsewhere").mkdir()
    put(tmp_path / "elsewhere", "ck")
    put(tmp_path / "run", "other")
    state(tmp_path / "run", written)
    with pytest.raises(WeightsError, match="no such checkpoint in the folder"):
        read_checkpoint(tmp_path / "run")


def test_a_prefix_that_is_a_folder_and_a_graph_lead_to_their_checkpoint(tmp_path):
    put(tmp_path, "")
    put(tmp_path, "model")
    (tmp_path / "model.meta").write_bytes(b"\n\x10a MetaGraphDef...")
    (tmp_path / "lone.meta").write_bytes(b"\n\x10a MetaGraphDef...")
    assert len(read_checkpoint(tmp_path / "model.meta")) == 2
    with pytest.raises(WeightsError, match="a graph without values"):
        read_checkpoint(tmp_path / "lone.meta")
    (tmp_path / "model.index").unlink()
    assert len(read_checkpoint(f"{tmp_path}/")) == 2


def test_a_prefix_without_its_step_is_told_the_checkpoints_that_are_there(tmp_path):
    put(tmp_path, "model.ckpt-100")
    put(tmp_path, "model.ckpt-200")
    with pytest.raises(WeightsError, match=r"no such file.*; there is model.ckpt-100, model.ckpt-200"):
        read_checkpoint(tmp_path / "model.ckpt")


def test_the_only_file_of_keras_in_a_folder_is_read_and_several_are_named(tmp_path):
    """BackupAndRestore leaves one, ModelCheckpoint one for each epoch."""
    shutil.copy(FOLDER / "cnn.weights.h5", tmp_path / "latest.weights.h5")
    (tmp_path / "training_metadata.json").write_text('{"epoch": 2}')
    assert read_checkpoint(tmp_path).format == "Keras .weights.h5"
    shutil.copy(FOLDER / "cnn.keras", tmp_path / "02-1.50.keras")
    with pytest.raises(WeightsError, match=r"name one: 02-1.50.keras, latest.weights.h5"):
        read_checkpoint(tmp_path)
    (tmp_path / "above" / "1").mkdir(parents=True)
    put(tmp_path / "above" / "1", "ck")
    with pytest.raises(WeightsError, match="name one of the folders in it: 1"):
        read_checkpoint(tmp_path / "above")


def test_a_keras_archive_unpacked_into_a_folder_has_its_names(tmp_path):
    """``model.save(folder, zipped=False)``."""
    shutil.unpack_archive(FOLDER / "cnn.keras", tmp_path, "zip")
    packed, unpacked = read_checkpoint(FOLDER / "cnn.keras"), read_checkpoint(tmp_path)
    assert [e.layers for e in unpacked.entries.values()] == [e.layers for e in packed.entries.values()]
    assert unpacked.layers == packed.layers != ()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x1c\0\0\0TFL3" + bytes(40), "TensorFlow Lite"), (b"\x1f\x8b\x08" + bytes(40), "unpack it"),
        (bytes(257) + b"ustar" + bytes(300), "unpack it"), (b'{"epoch": 1}', "JSON"), (b"[" * 100_000, "not a TensorFlow"),
        (b'{"a":' * 100_000, "JSON"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_called_by_its_name(tmp_path, content, says):
    (tmp_path / "thing").write_bytes(content)
    with pytest.raises(WeightsError, match=says):
        read_checkpoint(tmp_path / "thing")


def sharded(folder, swap=()):
    """The fixture's weights in two shards as Keras 3 writes them, and their map."""
    places = {}
    with (
        h5py.File(FOLDER / "cnn.weights.h5") as source,
        h5py.File(folder / "m_00000.weights.h5", "w") as one,
        h5py.File(folder / "m_00001.weights.h5", "w") as other,
    ):
        names = sorted(source["layers"])
        for number, name in enumerate(names):
            group = source[f"layers/{name}/vars"]
            if not len(group):
                continue
            second = number >= len(names) // 2
            made = one.create_group(
                f"layers/{name}/vars"
            )  # the name of a layer whose values are in the next shard
            made.attrs.update(group.attrs)
            target = other.create_group(f"layers/{name}/vars") if second else made
            for leaf in group:
                target[leaf] = group[leaf][()]
            places[f"/layers/{name}/vars"] = [f"m_0000{int(second)}.weights.h5"]
    told = {"metadata": {"total_size": 1.0}, "weight_map": places | dict(swap)}
    (folder / "m.weights.json").write_text(json.dumps(told))
    return folder / "m.weights.json"


def test_sharded_weights_of_keras_are_one_checkpoint(tmp_path):
    whole = read_checkpoint(FOLDER / "cnn.weights.h5")
    weights = {key: entry for key, entry in whole.entries.items() if key.startswith("layers/")}
    for path in (sharded(tmp_path), tmp_path):
        found = read_checkpoint(path)
        assert found.format == "Keras .weights.json" and list(found) == list(weights)
        for key, entry in weights.items():
            np.testing.assert_array_equal(found[key], whole[key])
            assert found.entries[key].layers == entry.layers
    assert any(entry.layers for entry in weights.values())


def test_sharded_weights_that_are_not_whole_are_refused(tmp_path):
    path = sharded(tmp_path, {"/layers/gone/vars": "m_00000.weights.h5"})
    with pytest.raises(WeightsError, match=r"m_00000.weights.h5 holds nothing of /layers/gone/vars"):
        read_checkpoint(path)
    path = sharded(tmp_path, {"/layers/x/vars": "../m_00000.weights.h5"})
    with pytest.raises(WeightsError, match="outside its folder"):
        read_checkpoint(path)
    (tmp_path / "m_00001.weights.h5").unlink()
    path.write_text(path.read_text().replace("../", ""))
    with pytest.raises(WeightsError, match=r"shard m_00001.weights.h5 is missing"):
        read_checkpoint(path)
    shutil.copy(tmp_path / "m_00000.weights.h5", tmp_path / "m_00001.weights.h5")
    with pytest.raises(WeightsError, match="two shards hold"):
        read_checkpoint(path)


def test_a_shard_of_a_v1_checkpoint_that_is_missing_is_named(tmp_path):
    pathlib.Path(tmp_path / "ck-00001-of-00002").write_bytes(b"x")
    with pytest.raises(WeightsError, match="shard ck-00000-of-00002 is missing"):
        read_checkpoint(tmp_path / "ck")
