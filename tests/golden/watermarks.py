"""Makes watermarks.json with the library that Stable Diffusion's scripts call: pip install invisible-watermark, run this file.

Each entry: SHA-256 of the marked picture's bytes (h w 3, red first), and what the library reads back in it.
"""

import hashlib
import json
from pathlib import Path

import numpy as np

TAGS = (b"StableDiffusionV1", b"SDV2")


def pictures() -> dict[str, np.ndarray]:
    """Pictures made of whole numbers alone, so that they are the same everywhere: waves, noise, and one colour."""
    y, x = np.mgrid[:301, :407]
    waves = np.stack([(x * x // 97 + y) % 256, 255 - (x + 2 * y) // 5, (x * y // 211) % 256], axis=-1)
    noise = (np.arange(256 * 260 * 3, dtype=np.uint64) * np.uint64(2654435761) % np.uint64(2**32) >> np.uint64(24)).reshape(256, 260, 3)
    return {name: picture.astype(np.uint8) for name, picture in (("waves", waves), ("noise", noise), ("flat", np.full((256, 256, 3), 77)))}


def digest(picture: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(picture).tobytes()).hexdigest()


if __name__ == "__main__":
    from imwatermark import WatermarkDecoder, WatermarkEncoder

    made = {}
    for name, picture in pictures().items():
        for tag in TAGS:
            encoder = WatermarkEncoder()
            encoder.set_watermark("bytes", tag)
            marked = encoder.encode(picture[..., ::-1].copy(), "dwtDct")
            content = WatermarkDecoder("bytes", 8 * len(tag)).decode(marked, "dwtDct")
            made[f"{name} {tag.decode()}"] = {"sha256": digest(marked[..., ::-1]), "reads": content.hex()}
    Path(__file__).with_suffix(".json").write_text(json.dumps(made, indent=2) + "\n")
