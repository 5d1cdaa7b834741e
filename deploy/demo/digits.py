"""Real input: the 1,797 scanned handwritten digits that ship inside scikit-learn, as PNG files with labels.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998: 8 × 8
pixels of 17 grey levels.

    python -m deploy.demo.digits ./digits
"""

import sys
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

# Of ten consecutive scans seven train, one validates and two test.
SPLITS: Final = ("train",) * 7 + ("validation",) + ("test",) * 2


def write(directory: Path) -> int:
    """Write ``directory/<split>/<digit>/<number>.png`` for every scan; returns how many."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        file = directory / SPLITS[number % len(SPLITS)] / str(label) / f"{number:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.round(pixels * 255 / 16).astype(np.uint8)).save(file)
    return len(digits.target)


if __name__ == "__main__":
    print(f"{write(Path(sys.argv[1])):,} files")
