"""The cluster's own authority and a certificate for each component that speaks to the API server."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE: Final = timedelta(days=365)
# A clock that is a little behind is no reason to refuse.
_EARLY: Final = timedelta(hours=1)


@dataclass(frozen=True)
class Identity:
    """Who a certificate speaks for.

    Attributes:
        file: name of the two files, without suffix.
        user: common name, the user that Kubernetes sees.
        group: organisation, the user's group; empty for none.
        names: host names it may serve under.
        addresses: IP addresses it may serve under.
    """

    file: str
    user: str
    group: str = ""
    names: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()


def identities(node: str, address: str, service: str) -> tuple[Identity, ...]:
    """Everyone in a cluster of one node.

    Args:
        node: the node's name.
        address: the node's IP address.
        service: cluster IP of the Service ``kubernetes``.
    """
    server_names = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost", node)
    return (
        Identity("apiserver", "kube-apiserver", names=server_names, addresses=("127.0.0.1", address, service)),
        Identity("apiserver-kubelet", "kube-apiserver-kubelet-client", "system:masters"),
        Identity("aggregator", "aggregator"),
        Identity("admin", "admin", "system:masters"),
        Identity("controller-manager", "system:kube-controller-manager"),
        Identity("scheduler", "system:kube-scheduler"),
        Identity("proxy", "system:kube-proxy"),
        Identity("node", f"system:node:{node}", "system:nodes", names=(node,), addresses=(address,)),
    )


def ensure(folder: Path, wanted: tuple[Identity, ...]) -> None:
    """Write ``ca``, ``service-accounts.key`` and a pair for each of `wanted` into `folder`, unless they are there."""
    if (folder / "complete").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    authority = ec.generate_private_key(ec.SECP256R1())
    name = _name("predictiondex-local")
    root = (
        _builder(name, name, authority.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    _write(folder, "ca", authority, root)
    for identity in wanted:
        _issue(folder, identity, authority, root)
    # Tokens of service accounts are signed with RSA, which every library that checks one knows.
    _write_key(folder / "service-accounts.key", rsa.generate_private_key(65537, 2048))
    (folder / "complete").touch()


def _issue(folder: Path, identity: Identity, authority: ec.EllipticCurvePrivateKey, root: x509.Certificate) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = _builder(_name(identity.user, identity.group), root.subject, key.public_key())
    alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in identity.names]
    alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in identity.addresses]
    if alternatives:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(issuer, critical=False)
        .sign(authority, hashes.SHA256())
    )
    _write(folder, identity.file, key, certificate)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + _LIFE)
    )


def _name(user: str, group: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group)] if group else []
    return x509.Name([*attributes, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    _write_key(folder / f"{name}.key", key)
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> None:
    path.touch(0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
