"""Defines the commands for keys: new, show, trust, rotate, verify and cluster."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from crosswheel.cluster.keys import ClusterKeys
from crosswheel.deploy.signing import UNSIGNED
from crosswheel.errors import UsageError
from crosswheel.settings import Settings
from crosswheel.signing.keys import KeyFolder, PublicKey
from crosswheel.signing.rotation import rotate

if TYPE_CHECKING:
    from crosswheel.publish.channel_manifest import Reader

commands = typer.Typer(
    help="Make, show and rotate the signing key, and trust other keys.", no_args_is_help=True
)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.add_typer(commands, name="keys")


def key_folder() -> KeyFolder:
    """Return the user's folder of keys."""
    return KeyFolder.of(Settings.from_environment().keys)


def reader_of(keys: KeyFolder) -> Reader:
    """Return the reader of channels for these trusted keys; it stores beside them the newest state that it has seen."""
    from crosswheel.publish.channel_manifest import (
        Reader,  # imported late, so that the commands for robots start faster
    )

    return Reader(tuple(keys.trusted()), keys.path / "channels")


def warn_of_unsigned(offer: Mapping[str, object]) -> None:
    """Warn, once, if deployments to robots are not signed."""
    if "envelope" not in offer:
        Console(stderr=True).print(f"warning: {UNSIGNED}", highlight=False, markup=False, soft_wrap=True)


@commands.command("new")
def new() -> None:
    """Make the key that signs: Ed25519, in a file that only you can read."""
    folder = key_folder()
    key = folder.create()
    typer.echo(
        f"{folder.private}: the private key. Keep a copy of it where no computer is, and show it to nobody."
    )
    _tell(folder, key.public)


@commands.command("show")
def show() -> None:
    """Show the public key of the one that signs, and all keys that are trusted."""
    folder = key_folder()
    signing, trusted = folder.signing_key(), folder.trusted()
    if signing is None and not trusted:
        raise UsageError(
            f"there is no key in {folder.path}",
            hint="make one with `crosswheel keys new`, or trust another's with `crosswheel keys trust FILE`.",
        )
    if signing is not None:
        _tell(folder, signing.public)
    for key in trusted:
        typer.echo(f"trusted: {key.hexadecimal}")


@commands.command("trust")
def trust(file: Annotated[Path, typer.Argument(help="A public key (PEM).")]) -> None:
    """Trust what another key signs, from now on."""
    key = PublicKey.read(file)
    for path in key_folder().trust([key]):
        typer.echo(f"trusted: {key.hexadecimal}\nTo trust it no more, remove {path}.")


@commands.command("rotate")
def rotate_key() -> None:
    """Hand over to a new key: robots follow at the next deployment, for the former key signs that they may."""
    folder = key_folder()
    former, key, retired = rotate(folder)
    typer.echo(
        f"{former.short} hands over to {key.short}. The former private key is {retired}: destroy it when you like; "
        "what it signed stays trusted here until you remove its public key."
    )
    _tell(folder, key)


@commands.command("verify")
def verify_channel(
    channel: Annotated[str, typer.Argument(help="The URL of a channel, or of its store.")],
) -> None:
    """Read every wheel of a channel, and compare it with what its publisher signed."""
    from crosswheel.publish.verified import verified_channel

    keys = key_folder()
    with (
        verified_channel(channel, reader_of(keys)) as verified,
        Console().status(f"reading {channel}") as status,
    ):
        paths = list(verified.manifest.files)
        for number, path in enumerate(paths, 1):
            status.update(f"{number} of {len(paths)}: {path.rpartition('/')[2]}")
            verified.read(path)
    expires = datetime.datetime.fromtimestamp(verified.manifest.expires, datetime.timezone.utc).date()
    typer.echo(
        f"{channel}: {len(verified.wheels)} wheels are what was signed, as number {verified.manifest.version}, "
        f"until {expires}."
    )


@commands.command("cluster")
def cluster() -> None:
    """Make the certificates by which the machines of a cluster know each other."""
    keys = ClusterKeys.of(Settings.from_environment())
    keys.create()
    typer.echo(
        f"{keys.folder}: the cluster's certificates. Copy this folder to the same place on each of its machines: "
        "whoever has it can run programs on all of them."
    )


def _tell(folder: KeyFolder, key: PublicKey) -> None:
    typer.echo(f"public key: {key.hexadecimal}\n{key.pem.decode()}", nl=False)
