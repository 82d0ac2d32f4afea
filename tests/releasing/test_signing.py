"""Signing with C2PA: what the user's own certificate signed, its own reader verifies; skipped without c2pa-python."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from tckr.data.images import decode_image, encode_png
from tckr.errors import UserError
from tckr.releasing.marking import SOURCE_TYPE, mark_png
from tckr.releasing.releasing import release
from tckr.releasing.request import Certificate
from tckr.releasing.signing import signer

SIGNING = """
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=critical,emailProtection
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""
AUTHORITY = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
COMMANDS = (
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out root.key",
    "openssl req -x509 -new -key root.key -days 30 -subj /O=tests/CN=root -out root.pem -addext {} -addext {}",
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem",
    "openssl req -new -key key.pem -subj /O=tests/CN=signer -out signer.csr",
    "openssl x509 -req -in signer.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 -extfile signing -out signer.pem",
)
PICTURE = mark_png(encode_png(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)))


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Certificate:
    """Make a certificate for signing, of a root that is made for it."""
    pytest.importorskip("c2pa")
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    folder = tmp_path_factory.mktemp("certificate")
    (folder / "signing").write_text(SIGNING)
    for command in COMMANDS:
        subprocess.run(command.format(*AUTHORITY).split(), cwd=folder, check=True, capture_output=True)
    (folder / "chain.pem").write_text("".join((folder / name).read_text() for name in ("signer.pem", "root.pem")))
    return Certificate(chain=folder / "chain.pem", key=folder / "key.pem")


def found_by_its_reader(png: bytes, certificate: Certificate) -> dict:
    """Return what C2PA's reader says of a picture, with the root of the certificate among those that it trusts."""
    import c2pa

    root = certificate.chain.with_name("root.pem").read_text()
    trust = {"trust": {"trust_anchors": root}, "verify": {"verify_trust": True}}
    with c2pa.Context.from_dict(trust) as context, c2pa.Reader("image/png", io.BytesIO(png), context=context) as reader:
        return json.loads(reader.json())


def test_a_signed_picture_is_verified_and_says_that_a_model_made_it(own):
    signed = signer(own)(PICTURE)
    found = found_by_its_reader(signed, own)
    assert found["validation_state"] == "Trusted"
    manifest = found["manifests"][found["active_manifest"]]
    (action,) = next(one["data"]["actions"] for one in manifest["assertions"] if one["label"].startswith("c2pa.actions"))
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", SOURCE_TYPE)
    assert np.array_equal(decode_image(signed), decode_image(PICTURE))
    assert SOURCE_TYPE.encode() in signed


def test_a_picture_that_was_changed_after_signing_is_found(own):
    signed = signer(own)(PICTURE)
    place = signed.rindex(b"IDAT") + 20
    changed = signed[:place] + bytes([signed[place] ^ 1]) + signed[place + 1 :]
    assert found_by_its_reader(changed, own)["validation_state"] == "Invalid"


def test_every_picture_of_a_signed_release_is_verified(finished, own, tmp_path):
    made = release(
        finished.folder,
        to=tmp_path / "signed",
        license="mit",
        what=["images"],
        accept_risk="a test",
        by="somebody",
        c2pa_certificate=own.chain,
        c2pa_key=own.key,
    )
    rows = pq.read_table(next((made.folder / "data").iterdir())).column("image").to_pylist()
    assert {found_by_its_reader(row["bytes"], own)["validation_state"] for row in rows} == {"Trusted"}


def test_a_certificate_that_cannot_sign_is_one_sentence(own, tmp_path):
    (tmp_path / "no.pem").write_text("no certificate")
    with pytest.raises(UserError, match=r"cannot sign an image .*expected a C2PA signing certificate"):
        signer(Certificate(chain=tmp_path / "no.pem", key=own.key))


def test_without_the_package_the_error_says_what_to_install(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(UserError, match=r"pip install 'tckr\[c2pa\]'"):
        signer(Certificate(chain=tmp_path / "chain.pem", key=tmp_path / "key.pem"))
