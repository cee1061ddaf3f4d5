"""A program's own modules, where the interpreter does not find them: in the folders above its file.

`models/resnet.py` of a project says `from models.blocks import ...` and `import config`: modules that are found where
the project's main script lies, since Python puts the folder of that script on `sys.path`. Here the file itself is
imported. Runs in Python 3.7, as `parity/bundle.py` joins it into the capture's single file.
"""

import importlib.machinery
import os
import sys

LEVELS = 5  # folders above the file's own that are looked into


class FoldersAbove:
    """A finder, the last of `sys.meta_path`: what nothing else finds is looked for above a file, the nearest first.

    `used` are the folders in which something was found. A folder of modules without `__init__.py` counts as a package.
    """

    def __init__(self, path):
        self.folders, self.used = [], []
        folder = os.path.dirname(os.path.abspath(path))
        while len(self.folders) < LEVELS and os.path.dirname(folder) != folder:
            folder = os.path.dirname(folder)
            self.folders.append(folder)

    def find_spec(self, name, path=None, target=None):
        for folder in self.folders if path is None else ():
            spec = importlib.machinery.PathFinder.find_spec(name, [folder])
            if spec is not None and (spec.has_location or _has_modules(spec.submodule_search_locations)):
                self.used.append(folder)
                return spec
        return None


def look_above(path):
    """Lets this process find the modules of the program that the file at `path` belongs to; returns the finder.

    It stays for imports that the program makes later, until the next file is named.
    """
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, FoldersAbove)]
    finder = FoldersAbove(path)
    sys.meta_path.append(finder)
    return finder


def _has_modules(folders):
    return any(name.endswith(".py") for folder in folders or () for name in os.listdir(folder))
