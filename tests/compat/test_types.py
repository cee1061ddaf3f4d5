"""tf.TensorShape, tf.TensorSpec, tf.Module, devices and contexts: what TensorFlow answers, compat answers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tfport import compat
from tfport.proving.reference import tensorflow

ASKED = [
    lambda s: s.rank, lambda s: s.ndims, lambda s: s.as_list(), lambda s: s.num_elements(), lambda s: s.is_fully_defined(),
    lambda s: len(s), lambda s: bool(s), lambda s: s[1], lambda s: s[-1], lambda s: s[1:], lambda s: s[:-1], lambda s: s[5],
    lambda s: s.concatenate([7, None]), lambda s: s + [7], lambda s: [7] + s, lambda s: s.with_rank(2), lambda s: s.with_rank(3),
    lambda s: s.with_rank_at_least(2), lambda s: s.with_rank_at_least(5), lambda s: s.is_compatible_with([2, 3]),
    lambda s: s.is_compatible_with([2, None]), lambda s: s.is_compatible_with([2, 3, 4]), lambda s: s.is_compatible_with(None),
    lambda s: s.merge_with([2, 3]), lambda s: s.merge_with([2, 4]), lambda s: s.merge_with(None), lambda s: s == [2, 3],
    lambda s: s == (2, None), lambda s: s != [2, 3], lambda s: s == None, lambda s: list(s), lambda s: s.dims,  # noqa: E711
    lambda s: s.assert_is_fully_defined(), lambda s: s.assert_has_rank(2), lambda s: s.assert_is_compatible_with([9, 9]),
    lambda s: hash(s) == hash(type(s)(s)),
]  # fmt: skip


def answer(question, shape):
    try:
        found = question(shape)
    except Exception as problem:  # that it refuses is what is compared
        return "refused", isinstance(problem, Exception)
    if type(found).__name__ == "TensorShape":
        return found.dims and [getattr(d, "value", d) for d in found.dims], found.rank
    if isinstance(found, list):
        return [getattr(d, "value", d) for d in found]
    return found


@pytest.mark.parametrize("dims", [[2, 3], [2, None], [], None, [4, 2, 3]], ids=str)
def test_shapes_answer_as_tensorflows(dims):
    theirs, ours = tensorflow().TensorShape(dims), compat.TensorShape(dims)
    for place, question in enumerate(ASKED):
        assert answer(question, ours) == answer(question, theirs), f"question {place} of {dims}"


def test_a_size_is_a_shape_and_a_tuple_is_not():
    assert isinstance(torch.zeros(2, 3).shape, compat.TensorShape)
    assert not isinstance((2, 3), compat.TensorShape)
    assert compat.TensorShape(torch.zeros(2, 3).shape) == (2, 3)
    assert (
        repr(compat.TensorShape([None, 3])) == "TensorShape([None, 3])"
        and repr(compat.TensorShape(None)) == "TensorShape(None)"
    )


def test_specs():
    tf = tensorflow()
    for shape in ([2, None], [2, 3], None):
        theirs, ours = tf.TensorSpec(shape, tf.int32, "x"), compat.TensorSpec(shape, torch.int32, "x")
        assert (
            ours.name == theirs.name and ours.shape.dims == theirs.shape.dims
            if shape is None
            else ours.shape == tuple(theirs.shape)
        )
        for other in ([2, 3], [3, 2]):
            have = ours.is_compatible_with(torch.zeros(other, dtype=torch.int32))
            assert have == theirs.is_compatible_with(tf.zeros(other, tf.int32))
    assert (
        compat.TensorSpec([1], "float32")
        == compat.TensorSpec.from_tensor(torch.zeros(1))
        != compat.TensorSpec([1], "int32")
    )
    assert compat.TensorSpec.from_spec(compat.TensorSpec([1]), name="y").name == "y"


def module(tf):
    class Inner(tf.Module):
        def __init__(self, value):
            super().__init__(name="inner")
            self.w = tf.Variable(value)

    class MyNetHTTP(tf.Module):
        def __init__(self, name=None):
            super().__init__(name=name)
            self.z = tf.Variable(1.0)
            self.b = tf.Variable(2.0, trainable=False)
            self.more = [tf.Variable(3.0), tf.Variable(4.0)]
            self.layers = [Inner(5.0), Inner(6.0)]
            self.named = {"one": Inner(7.0)}
            self.a = self.layers[0]

        @tf.Module.with_name_scope
        def __call__(self, x):
            with self.name_scope:
                return x * self.z + sum(layer.w for layer in self.layers)

    return MyNetHTTP


def test_modules_hold_what_tensorflows_hold():
    tf = tensorflow()
    theirs, ours = module(tf)(), module(compat)()
    assert ours.name == theirs.name and module(compat)(name="other").name == "other"
    for property in ("variables", "trainable_variables", "non_trainable_variables"):
        want = [float(v) for v in getattr(theirs, property)]
        assert [v.item() for v in getattr(ours, property)] == want, property
    assert [m.name for m in ours.submodules] == [m.name for m in theirs.submodules]
    assert float(ours(torch.tensor(2.0))) == float(theirs(2.0))
    assert isinstance(ours, nn.Module) and len(list(ours.parameters())) == 7
    again = module(compat)()
    again.load_state_dict(ours.state_dict())
    with pytest.raises(ValueError, match="identifier"):
        module(compat)(name="two words")


def test_devices_and_contexts():
    available = torch.cuda.is_available()
    assert compat.test.is_gpu_available() == compat.test.is_gpu_available(True) == available
    assert not compat.test.is_gpu_available(min_cuda_compute_capability=(99, 0))
    assert (
        compat.test.is_built_with_cuda()
        == compat.test.is_built_with_gpu_support()
        == torch.backends.cuda.is_built()
    )
    assert compat.test.gpu_device_name() == ("/device:GPU:0" if available else "")
    gpus = compat.config.list_physical_devices("GPU")
    assert len(gpus) == torch.cuda.device_count()
    (cpu,) = compat.config.list_physical_devices("CPU")
    assert cpu.torch_device == torch.device("cpu") and len(compat.config.list_logical_devices()) == 1 + len(
        gpus
    )
    assert all(gpu.torch_device.type == "cuda" for gpu in gpus)
    with compat.init_scope(), compat.colocate_with(torch.zeros(1)):
        assert compat.dimension_at_index(torch.zeros(2, 3).shape, 1) == 3


def test_broadcast_static_shape():
    tf = tensorflow()
    want = tf.broadcast_static_shape(tf.TensorShape([2, 1, 3]), tf.TensorShape([4, 1]))
    assert tuple(compat.broadcast_static_shape([2, 1, 3], [4, 1])) == tuple(want)
    with pytest.raises(RuntimeError):
        compat.broadcast_static_shape([2], [3])


def test_a_variable_is_an_instance_of_variable():
    assert isinstance(compat.Variable(1.0), compat.Variable) and isinstance(
        nn.Parameter(torch.zeros(1)), compat.Variable
    )
    assert not isinstance(torch.zeros(1), compat.Variable) and not isinstance(1.0, compat.Variable)
    assert isinstance(compat.Variable([1, 2], trainable=False, dtype="float32"), nn.Parameter)


def test_exceptions_are_pythons():
    with pytest.raises(compat.errors.NotFoundError):
        compat.io.gfile.remove("no such file")
