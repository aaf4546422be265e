"""Attest wheels with the identity that a public CI gives its jobs, through sigstore (PEP 740).

Nobody keeps a key for it: sigstore's authority issues a certificate for minutes to whoever shows the CI's token (OIDC),
and a public log records the signature. So it says which workflow of which repository published a wheel, and no more.
Without such an identity nothing is attested. The libraries come with the extra ``sigstore``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosswheel.errors import IntegrityError, MissingToolError, NetworkError, UsageError

if TYPE_CHECKING:
    from pypi_attestations import Attestation
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer

# What sigstore's authority writes into a certificate about the job that asked for it.
_ISSUER, _REPOSITORY, _WORKFLOW = (f"1.3.6.1.4.1.57264.1.{number}" for number in (8, 12, 18))
_GITHUB, _GITLAB = "https://token.actions.githubusercontent.com", "https://gitlab.com"
_NO_IDENTITY = (
    "run it in a CI that gives its jobs an identity: in GitHub Actions with `permissions: id-token: write`, in GitLab "
    "with an `id_tokens` entry SIGSTORE_ID_TOKEN of the audience sigstore. A laboratory's own key needs none: "
    "`crosswheel keys new`."
)


@dataclass(frozen=True)
class Attested:
    """The attestations of a wheel, as the JSON of ``<wheel>.provenance``, and who made them, for people."""

    provenance: str
    publisher: str


@dataclass(frozen=True)
class Attester:
    """What attests wheels: the identity of the CI that this runs in, and the services of sigstore.

    Attributes:
        token: the CI's token, which counts for minutes; it is a secret.
        trust: the services, and the keys by which their answers are verified.
    """

    token: IdentityToken = field(repr=False)
    trust: ClientTrustConfig = field(repr=False)

    @classmethod
    def of_ci(cls, config: Path | None = None) -> Attester:
        """Return an attester with the identity that this CI gives the present job.

        Args:
            config: the trust configuration of a sigstore of one's own; otherwise the public one is used.

        Raises:
            MissingToolError: the extra ``sigstore`` is not installed.
            UsageError: there is no identity here; the configuration cannot be read.
            NetworkError: the public one's configuration could not be fetched.
        """
        _require_installed()
        token = _ambient_token()
        with _explained():
            return cls(token, _trust(config))

    def attest(self, wheels: Sequence[Path]) -> Iterator[tuple[Path, Attested]]:
        """Attest wheels one after the other, and verify each attestation before yielding it with its wheel.

        Raises:
            UsageError: PEP 740 has no kind of publisher for this identity.
            NetworkError: a service could not be reached, or refused.
            IntegrityError: what the services answered does not verify.
        """
        from pypi_attestations import AttestationBundle, Distribution, Provenance

        signer: Signer | None = None
        for wheel in wheels:
            with _explained():
                distribution = Distribution.from_file(wheel)
                try:
                    signer = signer or _signer(self.token, self.trust)
                    attestation = _signed(signer, distribution)
                except _Expired:  # after ten minutes
                    signer = _signer(_ambient_token(), self.trust)
                    attestation = _signed(signer, distribution)
                publisher = _publisher(attestation)
                _verify(attestation, self.trust, wheel)
            bundle = AttestationBundle(publisher=publisher, attestations=[attestation])
            text = Provenance(attestation_bundles=[bundle]).model_dump_json()
            yield wheel, Attested(f"{text}\n", f"{publisher.kind} {publisher.repository}")


class _Expired(Exception):
    """The certificate or the token expired."""


def _require_installed() -> None:
    try:
        import pypi_attestations  # noqa: F401
        import sigstore  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingToolError(
            f"attesting needs {error.name}, which is not installed",
            hint="install the extra: pip install 'crosswheel[sigstore]'.",
        ) from error


def _ambient_token() -> IdentityToken:
    """Return the token of the CI that this runs in."""
    from sigstore.oidc import IdentityError, IdentityToken, detect_credential

    try:
        found = detect_credential()
        if found is None:
            raise UsageError(
                "nothing is attested: there is no identity of a public CI here (OIDC)", hint=_NO_IDENTITY
            )
        return IdentityToken(found)
    except IdentityError as error:
        raise UsageError(
            f"nothing is attested: this CI gives no usable identity (OIDC): {error}", hint=_NO_IDENTITY
        ) from error


def _trust(config: Path | None) -> ClientTrustConfig:
    from sigstore.models import ClientTrustConfig

    if config is None:
        return ClientTrustConfig.production()
    try:
        return ClientTrustConfig.from_json(config.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{config} is no trust configuration of sigstore's: {str(error).splitlines()[0]}",
            hint="give a file of the type application/vnd.dev.sigstore.clienttrustconfig.v0.1+json.",
        ) from error


def _signer(token: IdentityToken, trust: ClientTrustConfig) -> Signer:
    from sigstore.sign import Signer, SigningContext

    return Signer(token, SigningContext.from_trust_config(trust))


def _signed(signer: Signer, distribution: Any) -> Attestation:
    from pypi_attestations import Attestation, AttestationError
    from sigstore.sign import ExpiredCertificate, ExpiredIdentity

    try:
        return Attestation.sign(signer, distribution)
    except AttestationError as error:
        if isinstance(error.__cause__ or error.__context__, (ExpiredCertificate, ExpiredIdentity)):
            raise _Expired from error
        raise IntegrityError(
            f"{distribution.name} was not attested: {error}", hint="nothing was written for it; try again."
        ) from error


def _publisher(attestation: Attestation) -> Any:
    """Return the publisher as the certificate has it; nothing else about the CI is believed."""
    from pypi_attestations import GitHubPublisher, GitLabPublisher

    claims = attestation.certificate_claims
    issuer, repository = claims.get(_ISSUER, "nobody"), claims.get(_REPOSITORY, "")
    workflow = claims.get(_WORKFLOW, "")
    if issuer == _GITHUB and repository.startswith("https://github.com/"):
        file = re.fullmatch(re.escape(repository) + r"/\.github/workflows/([^@]+)@.*", workflow)
        if file:
            name = repository.removeprefix("https://github.com/")
            return GitHubPublisher(repository=name, workflow=file[1])
    if issuer == _GITLAB and repository.startswith("https://gitlab.com/"):
        file = re.fullmatch(re.escape(repository) + r"//([^@]+)@.*", workflow)
        if file:
            name = repository.removeprefix("https://gitlab.com/")
            return GitLabPublisher(repository=name, workflow_filepath=file[1])
    raise UsageError(
        f"nothing is attested: {issuer} identifies no workflow of a repository in GitHub or GitLab",
        hint=_NO_IDENTITY,
    )


def _verify(attestation: Attestation, trust: ClientTrustConfig, wheel: Path) -> None:
    """Verify an attestation as a reader does who trusts the same roots and expects the same publisher."""
    from sigstore.errors import VerificationError
    from sigstore.verify import Verifier
    from sigstore.verify.policy import AllOf, OIDCIssuerV2, OIDCSourceRepositoryURI

    claims = attestation.certificate_claims
    expected = AllOf([OIDCIssuerV2(claims[_ISSUER]), OIDCSourceRepositoryURI(claims[_REPOSITORY])])
    try:
        Verifier(trusted_root=trust.trusted_root).verify_dsse(attestation.to_bundle(), expected)
    except VerificationError as error:
        raise IntegrityError(
            f"what sigstore's services answered for {wheel.name} does not verify: {error}",
            hint="nothing was written for it; try again, and if that does not help, see whether these services are "
            "those of the trust configuration.",
        ) from error


@contextmanager
def _explained() -> Iterator[None]:
    """Turn errors of sigstore's services into errors for users."""
    import requests
    from sigstore.errors import Error

    try:
        yield
    except (requests.RequestException, Error, _Expired) as error:
        raise _unreachable(error) from error
    except Exception as error:
        # The clients of these services raise errors that have no base class in common.
        if type(error).__module__.startswith("sigstore."):
            raise _unreachable(error) from error
        raise


def _unreachable(error: Exception) -> NetworkError:
    said = str(error) or str(error.__cause__ or "") or type(error).__name__
    return NetworkError(
        f"nothing more is attested: a service of sigstore's could not be reached, or refused: {said.splitlines()[0]}",
        hint="try again: wheels that are attested are not attested anew.",
    )
