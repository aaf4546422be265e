"""``python -m crosswheel`` is the command ``crosswheel``."""

from crosswheel.cli import main

if __name__ == "__main__":  # the processes of a worker import this module
    main()
