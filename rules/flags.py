"""tf.flags and tf.app: absl, the library behind both.

https://abseil.io/docs/python/guides/flags
"""

from __future__ import annotations

from absl import flags as _flags

from tfport.compat import program as _program
from tfport.rule import rule


@rule("tf.flags.FLAGS", returns="python", pure=False, proved_by="tests/compat/test_flags.py")
class FLAGS:
    """The flags of the program; they are parsed at the first look at one."""

    published = _program.FLAGS

    def __init__(self, argv, known_only=False):
        raise TypeError("there is one FLAGS")


@rule("tf.app.run", returns="python", pure=False, proved_by="tests/compat/test_flags.py")
def run(main=None, argv=None):
    """Parse the flags, call main with the other arguments, exit. Unknown flags are left alone."""
    return _program.run(main, argv)


@rule("tf.flags.DEFINE_string", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_string(name, default, help, *args, **kwargs):
    """A flag that is str, or None."""
    return _flags.DEFINE_string(name, default, help, *args, **kwargs)


@rule("tf.flags.DEFINE_integer", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_integer(name, default, help, *args, **kwargs):
    """A flag that is int."""
    return _flags.DEFINE_integer(name, default, help, *args, **kwargs)


@rule("tf.flags.DEFINE_float", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_float(name, default, help, *args, **kwargs):
    """A flag that is float."""
    return _flags.DEFINE_float(name, default, help, *args, **kwargs)


@rule("tf.flags.DEFINE_boolean", "tf.flags.DEFINE_bool", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_boolean(name, default, help, *args, **kwargs):
    """A flag that is bool: --name, --noname, --name=false."""
    return _flags.DEFINE_boolean(name, default, help, *args, **kwargs)


@rule("tf.flags.DEFINE_enum", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_enum(name, default, enum_values, help, *args, **kwargs):
    """A flag that is one of some words."""
    return _flags.DEFINE_enum(name, default, enum_values, help, *args, **kwargs)


@rule("tf.flags.DEFINE_enum_class", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_enum_class(name, default, enum_class, help, *args, **kwargs):
    """A flag that is a member of an Enum."""
    return _flags.DEFINE_enum_class(name, default, enum_class, help, *args, **kwargs)


@rule("tf.flags.DEFINE_list", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_list(name, default, help, *args, **kwargs):
    """A flag that is a list of words, separated by commas."""
    return _flags.DEFINE_list(name, default, help, *args, **kwargs)


@rule("tf.flags.DEFINE_spaceseplist", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_spaceseplist(name, default, help, *args, **kwargs):
    """A flag that is a list of words, separated by blanks."""
    return _flags.DEFINE_spaceseplist(name, default, help, *args, **kwargs)


@rule("tf.flags.DEFINE_multi_string", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_multi_string(name, default, help, *args, **kwargs):
    """A flag that may be given several times: a list of str."""
    return _flags.DEFINE_multi_string(name, default, help, *args, **kwargs)


@rule("tf.flags.DEFINE_multi_integer", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_multi_integer(name, default, help, *args, **kwargs):
    """A flag that may be given several times: a list of int."""
    return _flags.DEFINE_multi_integer(name, default, help, *args, **kwargs)


@rule("tf.flags.DEFINE_multi_float", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_multi_float(name, default, help, *args, **kwargs):
    """A flag that may be given several times: a list of float."""
    return _flags.DEFINE_multi_float(name, default, help, *args, **kwargs)


@rule("tf.flags.DEFINE_multi_enum", returns="python", pure=False,
      renamed={"flag_name": "name", "default_value": "default", "docstring": "help"},
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def DEFINE_multi_enum(name, default, enum_values, help, *args, **kwargs):
    """A flag that may be given several times: a list of words out of some."""
    return _flags.DEFINE_multi_enum(name, default, enum_values, help, *args, **kwargs)


@rule("tf.flags.DEFINE_alias", returns="python", pure=False, proved_by="tests/compat/test_flags.py")
def DEFINE_alias(name, original_name, *args, **kwargs):
    """Another name of a flag."""
    return _flags.DEFINE_alias(name, original_name, *args, **kwargs)


@rule("tf.flags.mark_flag_as_required", returns="python", pure=False,
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def mark_flag_as_required(flag_name, *args, **kwargs):
    """Without this flag the program ends with an error."""
    return _flags.mark_flag_as_required(flag_name, *args, **kwargs)


@rule("tf.flags.mark_flags_as_required", returns="python", pure=False,
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def mark_flags_as_required(flag_names, *args, **kwargs):
    """Without these flags the program ends with an error."""
    return _flags.mark_flags_as_required(flag_names, *args, **kwargs)


@rule("tf.flags.mark_flags_as_mutual_exclusive", returns="python", pure=False,
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def mark_flags_as_mutual_exclusive(flag_names, *args, **kwargs):
    """Of these flags at most one may be given."""
    return _flags.mark_flags_as_mutual_exclusive(flag_names, *args, **kwargs)


@rule("tf.flags.mark_bool_flags_as_mutual_exclusive", returns="python", pure=False,
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def mark_bool_flags_as_mutual_exclusive(flag_names, *args, **kwargs):
    """Of these flags at most one may be true."""
    return _flags.mark_bool_flags_as_mutual_exclusive(flag_names, *args, **kwargs)


@rule("tf.flags.register_validator", returns="python", pure=False, proved_by="tests/compat/test_flags.py")
def register_validator(flag_name, checker, *args, **kwargs):
    """The program ends with an error unless ``checker(value)`` is true."""
    return _flags.register_validator(flag_name, checker, *args, **kwargs)


@rule("tf.flags.validator", returns="python", pure=False, proved_by="tests/compat/test_flags.py")
def validator(flag_name, *args, **kwargs):
    """Decorates the function that checks a flag."""
    return _flags.validator(flag_name, *args, **kwargs)


@rule("tf.flags.set_default", returns="python", pure=False, proved_by="tests/compat/test_flags.py")
def set_default(flag_holder, value, *args, **kwargs):
    """Another default for a flag."""
    return _flags.set_default(flag_holder, value, *args, **kwargs)


@rule("tf.flags.declare_key_flag", returns="python", pure=False, proved_by="tests/compat/test_flags.py")
def declare_key_flag(flag_name, *args, **kwargs):
    """Shows a flag in this module's help."""
    return _flags.declare_key_flag(flag_name, *args, **kwargs)


@rule("tf.flags.adopt_module_key_flags", returns="python", pure=False,
      proved_by="tests/compat/test_flags.py")  # fmt: skip
def adopt_module_key_flags(module, *args, **kwargs):
    """Shows another module's flags in this module's help."""
    return _flags.adopt_module_key_flags(module, *args, **kwargs)
