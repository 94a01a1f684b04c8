"""Who is who in the cluster."""

import ipaddress
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from k8s.local import certificates
from k8s.local.certificates import Identity

WANTED = certificates.identities("local", "192.0.2.7", "10.96.0.1")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    certificates.ensure(folder, WANTED)
    return folder


def read(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())


@pytest.mark.parametrize("identity", WANTED, ids=lambda identity: identity.file)
def test_each_is_signed_for_its_user(pki: Path, identity: Identity) -> None:
    certificate = read(pki, identity.file)
    certificate.verify_directly_issued_by(read(pki, "ca"))
    subject = certificate.subject
    assert [name.value for name in subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == [identity.user]
    groups = [name.value for name in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    assert groups == ([identity.group] if identity.group else [])


def test_the_api_server_is_known_by_every_name_and_address(pki: Path) -> None:
    names = read(pki, "apiserver").extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)
    addresses = names.get_values_for_type(x509.IPAddress)
    assert addresses == [ipaddress.ip_address(text) for text in ("127.0.0.1", "192.0.2.7", "10.96.0.1")]


def test_keys_are_their_owners(pki: Path) -> None:
    keys = list(pki.glob("*.key"))
    assert len(keys) == len(WANTED) + 2
    assert {stat.S_IMODE(key.stat().st_mode) for key in keys} == {0o600}


def test_what_is_there_stays(pki: Path) -> None:
    before = (pki / "ca.crt").read_bytes()
    certificates.ensure(pki, WANTED)
    assert (pki / "ca.crt").read_bytes() == before
    # Half of them, after a crash, are made anew.
    (pki / "complete").unlink()
    certificates.ensure(pki, WANTED)
    assert (pki / "ca.crt").read_bytes() != before
    read(pki, "node").verify_directly_issued_by(read(pki, "ca"))
