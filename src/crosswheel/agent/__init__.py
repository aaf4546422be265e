"""What runs on the robot: keeps isolated environments in a store, and switches between them in one step.

Plain Python with nothing but its standard library. :mod:`crosswheel.deploy.carried` sends it over ssh, where it answers
requests on its standard streams, or puts it into a bundle, which is called by hand.

The store::

    <store>/packages/<digest>/files/    an installed package, as it lies in an environment; package.json lists its files
    <store>/environments/<name>/
        releases/<id>/                  pyvenv.cfg, bin, lib/pythonX.Y/site-packages, launchers, release.json
        generations/<n>                 links to releases, in the order in which they were activated
        current                         links to the active generation; to replace this link is to switch
    <programs>/<program>                links to <store>/environments/<name>/current/launchers/<program>

A package is written beside its place, to the disk, and renamed; a release is made of links to its packages, beside its
place, too. Nothing in either changes later. So whatever ends this process, or the power, leaves the active release as
it was.
"""
