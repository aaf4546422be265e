"""``python -m crosswheel`` is the command ``crosswheel``."""

from crosswheel.cli import main

main()
