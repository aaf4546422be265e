"""Runs on the robot: keeps isolated environments in a store, and switches between them in one step.

The agent needs only Python's standard library. :mod:`crosswheel.deploy.carried` sends it over ssh, where it answers
requests on its standard streams, or puts it into a bundle, which people run by hand.

The store::

    <store>/packages/<digest>/files/    the files of an installed package; package.json lists them
    <store>/environments/<name>/
        releases/<id>/                  pyvenv.cfg, bin, lib/pythonX.Y/site-packages, launchers, release.json
        generations/<n>                 links to releases, in the order in which they were activated
        current                         a link to the active generation; replacing it switches the environment
    <programs>/<program>                a link to <store>/environments/<name>/current/launchers/<program>

A package is written to a temporary folder, synced to the disk, and renamed; so is a release, which consists of links to
its packages. Neither is changed later. The active release therefore survives a crash of this process and a power cut.
"""
