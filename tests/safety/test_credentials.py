"""Content Credentials: signed by kakusan, read by the C2PA project's own library, and broken by any change."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kakusan.cli import main
from kakusan.images import COMPOSITE, SUFFIXES, Kind, save_picture
from kakusan.safety.credentials import credentials
from safety.certificates import WHO, write_certificate

c2pa = pytest.importorskip("c2pa")
Captured = pytest.CaptureFixture[str]
PICTURE = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANG", "C.UTF-8")
    write_certificate(Path("chain.pem"), Path("key.pem"))


def signed(kind: Kind) -> Path:
    plain, out = Path("plain" + SUFFIXES[kind]), Path("signed" + SUFFIXES[kind])
    save_picture(PICTURE, plain, "a cat", COMPOSITE)
    assert main(["sign", str(plain), str(out), "--cert", "chain.pem", "--key", "key.pem"]) == 0
    return out


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_what_is_signed_is_read_by_others_too(kind: Kind, capsys: Captured) -> None:
    path = signed(kind)
    found = credentials(path)
    assert found
    assert (found.signer, found.state) == (WHO, "Valid")
    assert found.generator.startswith("kakusan ")
    with c2pa.Reader(path) as reader:
        (action,) = reader.get_active_manifest()["assertions"][0]["data"]["actions"]
    assert action["digitalSourceType"].endswith("/compositeWithTrainedAlgorithmicMedia")
    with Image.open(path) as again, Image.open(path.with_stem("plain")) as plain:
        assert again.tobytes() == plain.tobytes()
    assert credentials(path.with_stem("plain")) is None
    capsys.readouterr()
    assert main(["verify", str(path)]) == 4  # "a cat" is no recipe
    assert f"{WHO} (Valid)" in capsys.readouterr().out


def test_a_change_breaks_them(capsys: Captured) -> None:
    path = signed("png")
    data = bytearray(path.read_bytes())
    data[-40] ^= 1  # in the pixels' last bytes
    path.write_bytes(data)
    found = credentials(path)
    assert found
    assert found.state == "Invalid"


def test_what_cannot_be_signed(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    path = signed("png")
    words = ["--cert", "chain.pem", "--key", "key.pem"]
    Path("none.pem").write_text("nothing")
    for rest, code, said in (
        ([str(path), "plain.png", *words], 3, "plain.png: already there"),
        ([str(path), "out.jpg", *words], 3, "out.jpg: has to end as signed.png does"),
        (["key.pem", "out.png", *words], 3, "key.pem: not a picture"),
        ([str(path), "out.png", "--cert", "missing.pem", "--key", "key.pem"], 3, "missing.pem: cannot be read"),
        ([str(path), "out.png", "--cert", "none.pem", "--key", "key.pem"], 3, "cannot be signed with none.pem"),
    ):
        assert main(["sign", *rest]) == code
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    assert not Path("out.png").exists()
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert main(["sign", str(path), "out.png", *words]) == 2
    assert "pip install kakusan[c2pa]" in capsys.readouterr().err
