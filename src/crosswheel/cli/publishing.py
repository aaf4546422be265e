"""Defines the commands publish, yank, unyank and prune."""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console

from crosswheel.cli.attesting import SigstoreOption
from crosswheel.cli.keys import key_folder, reader_of
from crosswheel.cli.spreading import spread
from crosswheel.cli.summaries import SummaryOption, append
from crosswheel.cli.trees import INDEX, IndexOption, RootUrlOption
from crosswheel.errors import BuildFailed, StorageError, UsageError
from crosswheel.index.summary import table as markdown_table
from crosswheel.process import Runner
from crosswheel.progress import table
from crosswheel.publish import Channel, Published, Stores, WheelSelection, channel_of, open_store, set_yanked
from crosswheel.publish import prune as prune_channels
from crosswheel.publish import publish as publish_site
from crosswheel.publish.channel_manifest import DAYS, Signatory
from crosswheel.signing.public_ci import Attester

DevelopmentOption = Annotated[
    str | None,
    typer.Option(
        "--development-store", envvar="CROSSWHEEL_DEVELOPMENT_STORE", help="The store for branches."
    ),
]
ValidOption = Annotated[
    int,
    typer.Option(
        "--valid-days",
        min=1,
        max=3650,
        help="The number of days for which the signature is valid, if there is a key.",
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only print what would be done.")]
_MOST_DAYS = 36_500
_UNSIGNED = (
    "the channel is not signed: who can write to its store, or serves it, can replace what is in it. `crosswheel keys "
    "new` makes a key; see docs/trust.md"
)


@dataclass(frozen=True)
class WheelsToMark:
    """The options that choose the published wheels to yank or unyank."""

    name: Annotated[str, typer.Argument(help="The package.")]
    version: Annotated[str, typer.Argument(help="Its version.")]
    file: Annotated[str | None, typer.Option(help="Only the wheel of this file name.")] = None
    target: Annotated[
        str | None,
        typer.Option(help="Only wheels that were proven on this target, even if they run on others too."),
    ] = None
    bundles: Annotated[bool, typer.Option("--bundles", help="Also bundle wheels that contain it.")] = False


@dataclass(frozen=True)
class Destination:
    """The options that choose a channel: by its URL, or by a git reference and the stores."""

    to: Annotated[
        str | None, typer.Option("--to", help="The channel, regardless of git: a URL or a folder.")
    ] = None
    ref: Annotated[
        str | None,
        typer.Option(
            "--ref", envvar="GITHUB_REF", help="The git reference; by default, the one that is checked out."
        ),
    ] = None
    development_store: DevelopmentOption = None
    staging_store: Annotated[
        str | None,
        typer.Option(
            "--staging-store", envvar="CROSSWHEEL_STAGING_STORE", help="The store for the branch main."
        ),
    ] = None
    production_store: Annotated[
        str | None,
        typer.Option(
            "--production-store", envvar="CROSSWHEEL_PRODUCTION_STORE", help="The store for tags packages@v*."
        ),
    ] = None

    @property
    def channel(self) -> Channel:
        """The channel that the options choose; raises :class:`UsageError` if they choose none."""
        if self.to:
            return Channel(self.to, self.to, of_git=False)
        stores = Stores(self.development_store, self.staging_store, self.production_store)
        return channel_of(self.ref or _checked_out(), stores)


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    for command in (publish, yank, unyank, prune):
        app.command()(spread(command))


def publish(
    destination: Destination,
    index_tree_root: IndexOption = INDEX,
    index_root_url: RootUrlOption = None,
    dry_run: DryRunOption = False,
    summary: SummaryOption = None,
    valid_days: ValidOption = DAYS,
    replaceable: Annotated[
        bool | None,
        typer.Option(
            "--replaceable/--no-replaceable",
            help="Whether other bytes may replace a wheel of this channel, from now on; never in staging and "
            "production.",
        ),
    ] = None,
    attest: Annotated[
        bool,
        typer.Option(
            "--attest", help="Attest wheels with the identity of this CI's job (sigstore, PEP 740)."
        ),
    ] = False,
    sigstore_config: SigstoreOption = None,
) -> None:
    """Add the index to a channel: the one of the git branch or tag, or any other."""
    channel = destination.channel
    attester = Attester.of_ci(sigstore_config) if attest else None
    published = publish_site(
        index_tree_root.resolve(),
        open_store(channel.url),
        channel=channel.name if channel.of_git else None,
        root_url=index_root_url,
        dry_run=dry_run,
        signatory=_signatory(valid_days),
        replaceable=replaceable,
        attester=attester,
    )
    kinds = {
        "new": published.new,
        "replaces another": published.replaced,
        "made whole again": published.mended,
        "new proof": published.proofs,
        "attested": published.attested,
    }
    rows = [[name, kind] for kind, names in kinds.items() for name in names]
    title = f"{'Would be published' if dry_run else 'Published'} to {channel.name}, {channel.url}"
    table(Console(), title, ["file", "what"], rows)
    if summary:
        append(summary, f"## {title}\n\n{markdown_table(['file', 'what'], rows)}")
    print(_counted(published))
    if published.manifest:
        print(
            f"Signed as number {published.manifest.version}, for {valid_days} days: publish again before they are over."
        )
    elif not dry_run:
        typer.echo(f"warning: {_UNSIGNED}", err=True)
    for filename in published.of_yanked:
        print(
            f"{filename} is not yanked, although other wheels of its release are: yank it too if it is as bad."
        )


def _counted(published: Published) -> str:
    mended = f", {len(published.mended)} made whole again" if published.mended else ""
    replaced = f", {len(published.replaced)} that replace others" if published.replaced else ""
    return (
        f"{len(published.new)} new wheels{replaced}, {published.kept} that were there{mended}; "
        f"{len(published.pages)} pages written."
    )


def yank(
    wheels: WheelsToMark,
    destination: Destination,
    reason: Annotated[
        str, typer.Option(help="The reason, which pip shows to those who pinned that version.")
    ] = "",
    index_root_url: RootUrlOption = None,
) -> None:
    """Mark a published version as not to be used: installers pass over it unless it is pinned.

    Its local versions go with it, such as 3.3.4+ot2 with 3.3.4: pip prefers them.
    """
    _mark(wheels, reason, destination, index_root_url)


def unyank(wheels: WheelsToMark, destination: Destination, index_root_url: RootUrlOption = None) -> None:
    """Take back a yank."""
    _mark(wheels, None, destination, index_root_url)


def prune(
    older_than: Annotated[
        int,
        typer.Option(
            min=0, max=_MOST_DAYS, help="Remove channels with no publication for this number of days."
        ),
    ] = 30,
    keep: Annotated[
        list[str] | None, typer.Option(help="A branch to keep; may be given several times.")
    ] = None,
    development_store: DevelopmentOption = None,
    dry_run: DryRunOption = False,
) -> None:
    """Remove the development channels of branches that nobody published for long."""
    if not development_store:
        raise UsageError(
            "no store of development channels is named",
            hint="give --development-store, or set CROSSWHEEL_DEVELOPMENT_STORE.",
        )
    cutoff = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=older_than)
    pruned = prune_channels(open_store(development_store), cutoff, keep=keep or (), dry_run=dry_run)
    for name in pruned.removed:
        print(f"{'would be removed' if dry_run else 'removed'}: {name}")
    for error in pruned.unknown:
        raise StorageError("\n".join(f"left as it is: {error}" for error in pruned.unknown), hint=error.hint)


def _mark(wheels: WheelsToMark, reason: str | None, destination: Destination, root_url: str | None) -> None:
    channel, state = destination.channel, "no longer yanked" if reason is None else "yanked"
    selection = WheelSelection(wheels.name, wheels.version, wheels.file, wheels.target, wheels.bundles)
    store, signatory = open_store(channel.url), _signatory(DAYS)
    yanked = set_yanked(store, selection, reason, root_url=root_url, signatory=signatory)
    for filename in yanked.wheels + (yanked.bundles if wheels.bundles else ()):
        print(f"{state} in {channel.name}: {filename}")
    for filename in () if wheels.bundles else yanked.bundles:
        print(f"it is also in {filename}, which stays as it was; --bundles marks that one, too.")


def _signatory(days: int) -> Signatory | None:
    keys = key_folder()
    key = keys.signing_key()
    return Signatory(key, reader_of(keys), days) if key else None


def _checked_out() -> str:
    """Return the git reference of the checked-out branch, or of the tag at HEAD."""
    for command in (["git", "symbolic-ref", "HEAD"], ["git", "describe", "--exact-match", "--tags", "HEAD"]):
        try:
            commit = Runner().run(command, env=dict(os.environ)).output.strip()
        except BuildFailed:
            continue
        return commit if commit.startswith("refs/") else f"refs/tags/{commit}"
    raise UsageError(
        "no branch or tag is checked out, so the channel is unknown",
        hint="check out a branch, or give --ref refs/heads/NAME or --to URL.",
    )
