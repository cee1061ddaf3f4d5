"""``python -m tfport.proving rules/nn.py [-k NAME] [--no-source]``: the failed proofs, and a count."""

from __future__ import annotations

import argparse
import sys

from tfport.proving import prove_folder
from tfport.proving.source import converter


def main(arguments: list[str] | None = None) -> int:
    """Print one line per failure; exit status 1 if any proof fails."""
    parser = argparse.ArgumentParser(prog="python -m tfport.proving", description=__doc__)
    parser.add_argument("path", help="a rule file or a folder of rule files")
    parser.add_argument("-k", default="", metavar="NAME", help="only rules with NAME in one of their names")
    parser.add_argument(
        "--no-source", action="store_true", help="leave out the conversion of each call as text"
    )
    options = parser.parse_args(arguments)
    report = prove_folder(options.path, only=options.k, source=not options.no_source)
    print(report)
    if converter() is None:
        print("source not proved: tfport.convert_source is missing")
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(main())
