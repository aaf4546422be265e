"""On the robot: isolated environments that are installed, updated, undone and checked over ssh or from one file.

An environment is assembled here, byte-compiled, from the locked and proven wheels (:mod:`.environment`). What runs on
the robot is one script of plain Python, :mod:`.agent`. Sent over the ssh connection (:mod:`.ssh`) or carried by a
bundle (:mod:`.bundles`), it takes the files that the robot lacks, puts a release together beside the active one, and
switches to it in one step. The image's own packages are never touched, and never seen by what runs in an environment.
"""
