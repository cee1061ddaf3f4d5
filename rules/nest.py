"""tf.nest: nested structures."""

from __future__ import annotations

from tfport.compat import structure as _structure
from tfport.rule import array, f32, i32, prove, rule


@rule("tf.nest.map_structure", "tf.contrib.framework.nest.map_structure", returns=None)
@prove(lambda x: x * 2.0, {"b": f32(2), "a": [f32(3), (f32(1),)]})
@prove(lambda x, y: x + y, [i32(2), (i32(3),)], [i32(2, seed=1), (i32(3, seed=1),)])
@prove(lambda x: x + 1.0, f32(2))
@prove(lambda x, y: x, [1, 2], [1], raises=True)
@prove(lambda x, y: x, [1, 2], (1, 2), raises=True)
@prove(lambda x, y: x, [1, 2], (1, 2), check_types=False)
def map_structure(func, *structure, **kwargs):
    """A function of the leaves at the same place of one or more structures."""
    return _structure.map_structure(func, *structure, check_types=kwargs.get("check_types", True))


@rule("tf.nest.flatten", "tf.contrib.framework.nest.flatten", returns=None)
@prove({"b": f32(2), "a": [f32(3), (f32(1),)]})
@prove(f32(2))
@prove([1, [2, [3, []]], {"z": 4, "y": 5}])
def flatten(structure, expand_composites=False):
    """The leaves as a list, those of dicts in the order of the sorted keys."""
    return _structure.flatten(structure)


@rule("tf.nest.pack_sequence_as", "tf.contrib.framework.nest.pack_sequence_as", returns=None)
@prove({"b": 1, "a": [2, (3,)]}, [f32(2), f32(3), i32(1)])
@prove(0, [f32(2)])
@prove([0, 0], [1], raises=True)
def pack_sequence_as(structure, flat_sequence, expand_composites=False):
    """Leaves in the form of a structure."""
    return _structure.pack_sequence_as(structure, flat_sequence)


@rule("tf.nest.assert_same_structure", "tf.contrib.framework.nest.assert_same_structure", returns="python")
@prove([1, {"a": 2}], [array([1.0]), {"a": 5}])
@prove([1, 2], [1], raises=True)
@prove([1, 2], (1, 2), raises=True)
@prove([1, 2], (1, 2), check_types=False)
@prove({"a": 1}, {"b": 1}, raises=True)
def assert_same_structure(nest1, nest2, check_types=True, expand_composites=False):
    """ValueError or TypeError if two structures differ."""
    return _structure.assert_same_structure(nest1, nest2, check_types)


@rule(
    "tf.nest.is_nested", "tf.contrib.framework.nest.is_nested", renamed={"seq": "structure"}, returns="python"
)
@prove([1])
@prove((1, 2))
@prove({"a": 1})
@prove(f32(2))
@prove("text")
@prove(None)
def is_nested(structure):
    """Whether a value is a list, tuple, namedtuple or mapping."""
    return _structure.is_nested(structure)
