"""Defines the command rebuild."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from packaging.utils import canonicalize_name
from pyproject_hooks import BuildBackendWarning
from rich.console import Console

from crosswheel.cli.common_options import SandboxOption, SdkOption, TargetOption, VerboseOption
from crosswheel.cli.keys import key_folder, reader_of
from crosswheel.cli.options import Scene
from crosswheel.cli.trees import DIST, RECIPES, DistOption, RecipesOption
from crosswheel.errors import CheckFailed, UsageError
from crosswheel.files import sha256_of, write_bytes
from crosswheel.job.rebuilding import RebuildResult, in_folder, rebuild
from crosswheel.lock import parsed
from crosswheel.publish.verified import VerifiedChannel, verified_channel
from crosswheel.signing.keys import KeyFolder
from crosswheel.versions import same_version
from crosswheel.wheels import provenance
from crosswheel.wheels.dist import Dist
from crosswheel.wheels.layout import PROVENANCE_SUFFIX


def register(app: typer.Typer) -> None:
    """Add the command of this module."""
    warnings.simplefilter("ignore", BuildBackendWarning)  # these warnings are for the authors of packages
    app.command("rebuild")(rebuild_wheel)


def rebuild_wheel(
    wheel: Annotated[str, typer.Argument(help="A wheel with its provenance beside it, or NAME==VERSION.")],
    channel: Annotated[
        str | None, typer.Option("--from", help="A signed channel to take it from, instead of dist/.")
    ] = None,
    target: TargetOption = "ot2",
    recipes: RecipesOption = RECIPES,
    sdk: SdkOption = None,
    sandbox: SandboxOption = None,
    verbose: VerboseOption = False,
    dist_tree_root: DistOption = DIST,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The file for the verdict; by default, beside the wheel."),
    ] = None,
) -> None:
    """Build a wheel again from its provenance, compare it to the byte, and write down what came of it, signed."""
    keys, console = key_folder(), Console()
    scene = Scene(recipes, verbose=verbose, sdk=sdk, named=True, sandbox=sandbox)
    with (
        tempfile.TemporaryDirectory() as scratch,
        _located(wheel, channel, target, dist_tree_root, keys) as path,
    ):
        origin = provenance.path_beside(path, target)
        statement = _statement(origin, path, keys)
        with scene.context(console, target) as context:
            context = in_folder(context, Path(scratch).resolve())
            verdict, record = rebuild(path, statement, context)
            said = verdict.statement(origin, record, context.code_digest)
        beside = path.parent if channel is None else Path()
        place = output or beside / f"{path.name}.{target}.rebuild.json"
        provenance.write(place, said, keys.signing_key())
    _tell(verdict, place, bool(keys.signing_key()))


def _tell(verdict: RebuildResult, place: Path, is_signed: bool) -> None:
    for sentence in verdict.differences:
        typer.echo(f"  {sentence}")
    for sentence in verdict.changes:
        typer.echo(f"  note: {sentence}")
    result = "identical" if verdict.is_identical else "different"
    typer.echo(f"{verdict.wheel}: {result}; the verdict is {place}{'' if is_signed else ', not signed'}")
    if not verdict.is_identical:
        raise CheckFailed(
            f"{verdict.wheel} is not what its provenance gives: {verdict.sha256}, and {verdict.rebuilt}",
            hint="see above what differs; if no tool and no code has changed, do not use the wheel before you know "
            "why.",
        )


def _statement(path: Path, wheel: Path, keys: KeyFolder) -> provenance.Statement:
    """Return the provenance of a wheel; if any key is trusted, one of those must have signed it."""
    trusted = keys.trusted()
    if trusted:
        return provenance.read_signed(path, trusted, sha256_of(wheel))
    statement = provenance.read_unverified(path)
    if statement is None:
        raise UsageError(
            f"{wheel.name} has no provenance beside it: {path.name} is missing or damaged",
            hint="wheels that `crosswheel build` makes have one; --target says of which target.",
        )
    typer.echo(
        "warning: no key is trusted here, so nothing tells who wrote the provenance; see docs/trust.md",
        err=True,
    )
    return statement


@contextmanager
def _located(wheel: str, channel: str | None, target: str, dist: Path, keys: KeyFolder) -> Iterator[Path]:
    """Yield the path of the named wheel, which has its provenance beside it."""
    if channel is not None:
        with tempfile.TemporaryDirectory() as folder, verified_channel(channel, reader_of(keys)) as verified:
            yield _fetched(wheel, verified, target, Path(folder))
        return
    if wheel.endswith(".whl"):
        if not Path(wheel).is_file():
            raise UsageError(f"there is no wheel {wheel}", hint="give the path of one, or NAME==VERSION.")
        yield Path(wheel)
        return
    name, version = _release(wheel)
    proven = Dist(dist.resolve()).proven(name, version, target)
    if not proven:
        raise UsageError(
            f"no wheel of {name} {version} in {dist} is proven on {target}",
            hint="give the folder with --dist-tree-root, a channel with --from, or the path of a wheel.",
        )
    yield proven[-1][0]


def _fetched(wheel: str, channel: VerifiedChannel, target: str, folder: Path) -> Path:
    """Fetch a wheel and its provenance from a channel, and verify them against the signed manifest."""
    name, version = _release(wheel)
    for path in channel.wheels:
        filename = path.rpartition("/")[2]
        project, release = filename.split("-")[:2]
        if canonicalize_name(project) == name and same_version(release, version):
            data = channel.fetch(f"{path}.{target}{PROVENANCE_SUFFIX}")
            if data is not None:
                write_bytes(folder / filename, channel.read(path))
                write_bytes(provenance.path_beside(folder / filename, target), data)
                return folder / filename
    raise UsageError(
        f"{channel.url} has no wheel of {name} {version} with a provenance for {target}",
        hint="wheels that were published by an older version have none.",
    )


def _release(text: str) -> tuple[str, str]:
    requirement = parsed(text)
    versions = [
        specifier.version for specifier in requirement.specifier if specifier.operator in ("==", "===")
    ]
    if len(versions) != 1:
        raise UsageError(f"{text} is not a release", hint="write NAME==VERSION, or the path of a wheel.")
    return canonicalize_name(requirement.name), versions[0]
