"""``python -m tfport``."""

from tfport.cli import main

main()
