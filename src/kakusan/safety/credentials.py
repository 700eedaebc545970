"""Content Credentials: what made a picture, signed, in its file. Needs `pip install kakusan[c2pa]`.

C2PA Technical Specification, https://spec.c2pa.org, by the C2PA project's own library. Nothing is fetched from anywhere.
"""

import json
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..errors import FileError, KakusanError
from ..images import DRAWN, KINDS, SOURCES, read_picture

OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}, "builder": {"thumbnail": {"enabled": False}}}


class Credentials(NamedTuple):
    """What a picture's credentials say. signer: whose certificate; state: "Valid", "Trusted" (its issuer is known), or "Invalid"."""

    signer: str
    generator: str
    state: str


def sign(file: Path, out: Path, cert: Path, key: Path) -> None:
    """Write a copy of a picture that says, signed, that a model made it.

    cert: the certificate and those above it, PEM; key: its private key, PEM, for ES256 (the curve P-256).
    Raises KakusanError without the library, FileError if one of the files cannot be read or written or they do not fit.
    """
    c2pa = _library()
    said = read_picture(file)
    if out.exists():
        raise FileError(f"{out}: already there; give another name", f"{out}: すでにあります。別の名前にしてください")
    if file.suffix.lower() != out.suffix.lower() or out.suffix.lower() not in KINDS:
        raise FileError(f"{out}: has to end as {file} does", f"{out}: 拡張子を {file} と同じにしてください")
    chain, secret = (_pem(path) for path in (cert, key))
    try:
        signer = c2pa.Signer.from_info(c2pa.C2paSignerInfo(c2pa.C2paSigningAlg.ES256, chain, secret, None))
        with signer, c2pa.Builder(_manifest(file, said.source or DRAWN), c2pa.Context.from_dict(OFFLINE)) as builder:
            builder.sign_file(file, out, signer)
    except (c2pa.C2paError, OSError, ValueError) as error:
        out.unlink(missing_ok=True)
        reason = " ".join(str(error).split())
        raise FileError(f"{file}: cannot be signed with {cert} ({reason})", f"{file}: {cert} で署名できません ({reason})") from error


def credentials(file: Path) -> Credentials | None:
    """What a picture's credentials say; None if it has none, or the library is not there."""
    if find_spec("c2pa") is None:
        return None
    c2pa = _library()
    try:
        with c2pa.Reader(file, context=c2pa.Context.from_dict(OFFLINE)) as reader:
            said: dict[str, Any] = json.loads(reader.json())
            state = str(reader.get_validation_state() or "Invalid")
    except c2pa.C2paError.ManifestNotFound:
        return None
    except c2pa.C2paError:
        return Credentials("", "", "Invalid")
    active = said.get("manifests", {}).get(said.get("active_manifest"), {})
    signature, generators = active.get("signature_info", {}), active.get("claim_generator_info") or [{}]
    name = " ".join(str(generators[0].get(key, "")) for key in ("name", "version")).strip()
    return Credentials(str(signature.get("common_name") or signature.get("issuer", "")), name, state)


def _manifest(file: Path, source: str) -> dict[str, object]:
    ours = {"name": "kakusan", "version": version("kakusan")}
    created = {"action": "c2pa.created", "digitalSourceType": SOURCES + source, "softwareAgent": ours}
    return {
        "claim_generator_info": [ours],
        "title": file.name,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [created]}}],
    }


def _library() -> ModuleType:
    try:
        import c2pa
    except ImportError as error:
        raise KakusanError(
            "Content Credentials need a library; install it with: pip install kakusan[c2pa]",
            "Content Credentials にはライブラリが必要です: pip install kakusan[c2pa]",
        ) from error
    module: ModuleType = c2pa
    return module


def _pem(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})", f"{path}: 読み込めません ({error.strerror})") from error
