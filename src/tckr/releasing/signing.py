"""Sign images with a C2PA certificate of the user (extra `c2pa`)."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from functools import partial

import numpy as np

from tckr.data.images import encode_png
from tckr.errors import UserError
from tckr.releasing.marking import SOURCE_TYPE, mark_png
from tckr.releasing.request import Certificate

MANIFEST = {
    "claim_generator_info": [{"name": "TCKR"}],
    "format": "image/png",
    "assertions": [
        {"label": "c2pa.actions", "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": SOURCE_TYPE}]}}
    ],
}
"""The signed statement: a trained model made the image. It contains no title, author or time."""

ALGORITHMS = ("es256", "ps256", "ed25519", "es384", "ps384", "es512", "ps512")


def signer(certificate: Certificate) -> Callable[[bytes], bytes]:
    """Return a function that signs a PNG.

    Raises:
        UserError: the package c2pa-python is missing, or the certificate cannot sign.
    """
    try:
        import c2pa
    except ImportError:
        raise UserError("signing needs the package c2pa-python; install it with `pip install 'tckr[c2pa]'`") from None
    chain, key = certificate.chain.read_bytes(), certificate.key.read_bytes()

    def sign(png: bytes, algorithm: str) -> bytes:
        signed = io.BytesIO()
        with (
            c2pa.Signer.from_info(c2pa.C2paSignerInfo(algorithm, chain, key, None)) as own,
            c2pa.Builder(json.dumps(MANIFEST)) as builder,
        ):
            builder.sign(own, "image/png", io.BytesIO(png), signed)
        return signed.getvalue()

    reasons = []
    for algorithm in ALGORITHMS:  # only the algorithm of the key works
        try:
            sign(mark_png(encode_png(np.zeros((8, 8, 3), np.uint8))), algorithm)
        except c2pa.C2paError as error:
            reasons.append(f"{algorithm}: {error}")
        else:
            return partial(sign, algorithm=algorithm)
    raise UserError(
        f"{certificate.chain} with {certificate.key} cannot sign an image ({'; '.join(reasons)}); expected a C2PA signing "
        "certificate with its chain, and its private key (PKCS #8), both PEM"
    )
