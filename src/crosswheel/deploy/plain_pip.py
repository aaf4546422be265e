"""Makes bundle wheels after a build, for robots where plain pip cannot install beside the image's packages."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from crosswheel import lock as locks
from crosswheel.deploy.assembling import Assembler, LockedProgram, proven_wheels
from crosswheel.deploy.bundle_wheel import BundleWheel
from crosswheel.job.context import BuildContext
from crosswheel.job.reuse import reused_bundle, share_bundle
from crosswheel.recipes.model import Recipe


def offer_to_plain_pip(root: Recipe, context: BuildContext, meanwhile: Callable[[], None]) -> None:
    """Put a program's bundle wheel into the tree of wheels, if plain pip needs one and the tree does not have it.

    Args:
        root: a recipe whose whole closure is proven.
        meanwhile: called in the background if the wheel is made, of which one processor does the most; whether it
            fails does not matter here.

    Raises:
        CrosswheelError: the wheel cannot be made, for the reason in the message.
    """
    target, trees = context.target, context.trees
    if target.robot is None or not target.robot.bundle or root.as_of is None:
        return
    lock = locks.path_of(root, target)
    pin = locks.read(lock).pins.get(root.canonical_name)
    if pin is None:  # the folder's name is only a title
        return
    program = LockedProgram(pin.name, pin.version, lock)
    wheels = proven_wheels(program, trees.dist, target)
    assembler = Assembler(target, context.settings, context.general_runner)
    bundle = BundleWheel(program, wheels, trees.dist, assembler)
    if bundle.is_needed and not bundle.is_there and not reused_bundle(bundle.source, bundle.path, context):
        context.display.message(
            f"Putting {root.name} {root.version} into one wheel with all that it needs, for plain pip on "
            f"{target.title}."
        )
        with ThreadPoolExecutor(1) as pool:
            pool.submit(meanwhile)
            bundle.write()
        share_bundle(bundle.source, bundle.path, context)
