"""Installs, updates, undoes and checks isolated environments on robots, over ssh or from one file.

This side assembles an environment from the locked and proven wheels, and byte-compiles it (:mod:`.assembling`). The
robot runs the agent (:mod:`crosswheel.agent`), which is sent over the ssh connection (:mod:`.ssh`) or carried in a
bundle (:mod:`.bundles`). The agent takes the files that the robot lacks, assembles a release beside the active one, and
switches to it atomically. Programs in an environment neither change nor see the image's own packages.
"""
