"""Finding and calling what is named: FILE.py:NAME."""

import ast
import importlib
import importlib.util
import inspect
import os
import re
import sys
import traceback

from tfport.parity.reference.errors import CaptureError, UsageError
from tfport.programs import look_above


def split_target(text):
    """`FILE.py:NAME` -> (absolute file, NAME). NAME may be dotted. Raises CaptureError."""
    path, colon, name = text.rpartition(":")
    if not colon and not text.endswith(".py") and not os.path.exists(text):
        raise CaptureError("%s: no such golden folder or SavedModel; a program is FILE.py:NAME" % text)
    if not colon or not path or not re.match(r"[^\W\d][\w.]*$", name):
        raise CaptureError("%s: expected FILE.py:NAME, such as model.py:build" % text)
    if not os.path.isfile(path):
        raise CaptureError("%s: no such file" % path)
    return os.path.abspath(path), name


def split_reference(text):
    """As `split_target`; also a frozen graph, `graph.pb` or `graph.pb:NAME,NAME` (outputs), and a SavedModel's folder.

    Returns (absolute path, NAME or None).
    """
    path, _, names = text.rpartition(":") if ".pb:" in text else (text, "", "")
    if path.endswith(".pb") and os.path.isfile(path) and os.path.basename(path) != "saved_model.pb":
        return os.path.abspath(path), names or None
    folder = os.path.dirname(path) if os.path.basename(path) == "saved_model.pb" else path
    if os.path.isdir(folder or "."):
        if os.path.isfile(os.path.join(folder, "saved_model.pb")):
            return os.path.abspath(folder or "."), None
        if path == folder:
            raise CaptureError("%s is a folder without saved_model.pb: no SavedModel" % text)
    if path.endswith(".pb"):
        raise CaptureError("%s: no such file" % path)
    return split_target(text)


def load_target(path, name):
    """Imports a file and returns (module, what NAME is bound to). Errors say file and line."""
    forget(os.path.dirname(path))
    above = look_above(path)
    before = set(sys.modules)
    try:
        module = _import_file(path)
    except (Exception, SystemExit) as error:  # the user's file may raise anything, and may end the program
        if os.environ.get("TFPORT_TRACEBACK"):
            traceback.print_exc()
        raise CaptureError("%s cannot be imported: %s" % (os.path.basename(path), describe(error, path)))
    finally:
        _LOADED.update(set(sys.modules) - before)
        _FOLDERS.update(above.used)
    parse_flags()
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            have = [k for k, v in vars(module).items() if getattr(v, "__module__", None) == module.__name__]
            listed = ", ".join(sorted(have)[:12])
            raise UsageError("%s has no %s%s" % (path, name, "; it defines " + listed if listed else ""))
        found = getattr(found, part)
    return module, found


def _import_file(path):
    folder, stem = os.path.dirname(path), os.path.splitext(os.path.basename(path))[0]
    with open(path, "rb") as f:
        tree = ast.parse(f.read(), path)
    level = max([node.level or 0 for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)] or [0])
    if level:  # part of a package, with or without an __init__.py: import it by its dotted name
        parts = [stem]
        while os.path.isfile(os.path.join(folder, "__init__.py")) or len(parts) <= level:
            parts.insert(0, os.path.basename(folder))
            folder = os.path.dirname(folder)
        sys.path.insert(0, folder)
        return importlib.import_module(".".join(parts))
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = stem if stem not in sys.modules else "tfport_target_" + stem
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def parse_flags():
    """Gives absl's flags their defaults, as running the program without arguments does."""
    flags = getattr(sys.modules.get("absl.flags"), "FLAGS", None)
    if flags is not None and not flags.is_parsed():
        try:
            flags(sys.argv[:1], known_only=True)
        except Exception as error:  # a flag that must be given; the program tells if it reads it
            sys.stderr.write("flags were not parsed: %s\n" % error)


def alone(path):
    """What a program sees of its process: its own name for an argument, and no window to draw in."""
    sys.argv[:] = [path]
    os.environ.setdefault("MPLBACKEND", "Agg")


_LOADED = set()  # type: set  # names of the modules that load_target imported
_FOLDERS = set()  # type: set  # folders above the file in which some of them lie


def forget(folder):
    """Drops the user's modules that were imported from `folder` before, or from above it, so that the next run builds anew."""
    folders = tuple(one + os.sep for one in _FOLDERS | {folder})
    for name in sorted(_LOADED):
        path = getattr(sys.modules.get(name), "__file__", None) or ""
        if path.startswith(folders) and "site-packages" not in path and name.split(".")[0] != "tfport":
            del sys.modules[name]
    _LOADED.clear()


def describe(error, path=""):
    """`ValueError: bad shape (model.py:12)`: an exception in one line, with the user's own line."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()  # Keras prints in bold
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith("Graph execution error"):  # TensorFlow 2 tells the cause after the node
        at = [i for i, line in enumerate(lines) if line.startswith("Node:")]
        lines = (lines[at[0] + 1 :] or lines) if at else lines
    text = re.sub(r"\{\{.*?\}\} ?", "", lines[0]) if lines else ""
    if len(lines) > 1 and (text.endswith(":") or text.startswith("Exception encountered when calling")):
        text += " " + re.sub(r"\{\{.*?\}\} ?", "", lines[1])  # Keras tells the cause in the second line
    place = ""
    if isinstance(error, SyntaxError) and error.lineno:
        text = "%s (%s:%d)" % (error.msg, os.path.basename(error.filename or path), error.lineno)
    else:
        frames = traceback.extract_tb(error.__traceback__)
        files = [(os.path.abspath(f.filename), f) for f in frames]
        beside = os.path.dirname(path) if path else None
        own = [f for p, f in files if os.path.dirname(p) == beside and p != os.path.abspath(__file__)]
        if own:
            place = " (%s:%d)" % (os.path.basename(own[-1].filename), own[-1].lineno)
    if "not compatible with eager execution" in text:
        text += " The program builds a graph: begin it with tf.compat.v1.disable_v2_behavior()"
    if isinstance(error, SystemExit):
        told = "the program ended itself (sys.exit, or arguments that it needs): name a function that does not, and put"
        text += ": %s the rest under if __name__ == '__main__'" % told
    return "%s: %s%s" % (type(error).__name__, text[:300], place)


def parse_call(text):
    """`3, weights=None` -> ([3], {"weights": None}); literals only."""
    try:
        call = ast.parse("f(%s)" % (text or ""), mode="eval").body
        args = [ast.literal_eval(a) for a in call.args]
        return args, {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
    except (SyntaxError, ValueError):
        raise CaptureError('--call-args %r: expected Python literals, such as "10, weights=None"' % text)


def required(function):
    """Names of the parameters that a call must give, or None where Python cannot tell."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    kinds = positional + (inspect.Parameter.KEYWORD_ONLY,)
    return [p.name for p in parameters if p.kind in kinds and p.default is p.empty]


def binds(function, args, kwargs):
    """Whether a call with these arguments is complete."""
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return False
    return True
