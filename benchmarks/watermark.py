"""How often the robust watermark is read back whole after JPEG, shrinking and both, over many pictures, and how visible it is.

python benchmarks/watermark.py --count 100
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from kakusan.safety import robust_watermark as robust

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from safety.test_robust_watermark import EDITS, picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=100)
    count = parser.parse_args().count
    found, errors = dict.fromkeys(EDITS, 0), []
    for seed in range(count):
        before = picture(seed)
        after = robust.mark(before, robust.TAG)
        errors.append(10 * np.log10(255**2 / ((after.astype(float) - before) ** 2).mean()))
        for name, edit in EDITS.items():
            found[name] += robust.read(np.asarray(edit(Image.fromarray(after))), 32).content == robust.TAG
    for name, number in found.items():
        print(f"{name:30} {number} of {count} read back whole")
    print(f"PSNR: median {np.median(errors):.1f} dB, lowest {min(errors):.1f} dB")


if __name__ == "__main__":
    main()
