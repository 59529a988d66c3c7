"""Readers of the distributed image files, and the digits that need no file.

Layouts, all with the three colours of an image one after the other, each H x W, row by row:

    CIFAR-10 binary     records of label, 3072 pixels
    CIFAR-100 binary    records of coarse label, fine label, 3072 pixels
    CIFAR python        pickled dict: data uint8 (n, 3072); labels, or fine_labels, a list of int
    ImageNet16          pickled dict: data uint8 (n, 768); labels, a list of int from 1 to 1000

A binary file starts with a label below 20, a pickle never does; that tells them apart.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from zeroshot.data import safe_npz, safe_pickle
from zeroshot.data.images import Images
from zeroshot.errors import BenchmarkFileError

__all__ = ["load", "load_digits", "read_cifar", "read_imagenet16", "read_npz"]

MAX_BYTES = 2**31
CIFAR10_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
CIFAR_FILES = {
    "train": ("data_batch_[0-9]*", "train", "train.bin"),
    "test": ("test_batch", "test_batch.bin", "test", "test.bin"),
}
IMAGENET16_FILES = {"train": ("train_data_batch_[0-9]*",), "test": ("val_data",)}
# pickled file, text file, key in the pickled file, names used if there is neither
CIFAR_META = {
    "cifar10": ("batches.meta", "batches.meta.txt", "label_names", CIFAR10_CLASSES),
    "cifar100": (
        "meta", "fine_label_names.txt", "fine_label_names", tuple(str(i) for i in range(100)),
    ),
}  # fmt: skip
NPZ_PAIRS = (
    ("images", "labels"),
    ("train_images", "train_labels"),
    ("x_train", "y_train"),
    ("x", "y"),
)
Split = Literal["train", "test"]
Kind = Literal["cifar10", "cifar100", "imagenet16"]
# kind, labels per record, number of classes of each label
CIFAR_RECORDS: tuple[tuple[Kind, int, tuple[int, ...]], ...] = (
    ("cifar10", 1, (10,)),
    ("cifar100", 2, (20, 100)),
)


@dataclass(frozen=True)
class _Batch:
    """One file: pixels uint8 (n, 3 * side * side), labels int64 (n,), not yet checked for range."""

    kind: Kind
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_bytes(path: Path, max_bytes: int) -> bytes:
    """Content of a regular file of at most `max_bytes` bytes."""
    size = path.stat()
    if not stat.S_ISREG(size.st_mode):  # a pipe or a device could block, or never end
        raise BenchmarkFileError(f"{path}: expected a regular file")
    with path.open("rb") as file:
        data = file.read(min(size.st_size, max_bytes) + 1)
    if len(data) > max_bytes:
        raise BenchmarkFileError(f"{path}: larger than {max_bytes} bytes; raise max_bytes to read")
    return data


def parse_batch(data: bytes, source: str) -> _Batch:
    if not data:
        raise BenchmarkFileError(f"{source}: the file is empty")
    return parse_binary(data, source) if data[0] < 20 else parse_pickle(data, source)


def parse_binary(data: bytes, source: str) -> _Batch:
    for kind, n_labels, limits in CIFAR_RECORDS:
        n_record = n_labels + 3072
        if len(data) % n_record == 0:
            records = np.frombuffer(data, np.uint8).reshape(-1, n_record)
            labels = records[:, :n_labels]
            if (labels < limits).all():
                return _Batch(kind, records[:, n_labels:], labels[:, -1].astype(np.int64))
    raise BenchmarkFileError(
        f"{source}: {len(data)} bytes are no whole number of CIFAR-10 (3073) or CIFAR-100 (3074) "
        "records with valid labels"
    )


def parse_pickle(data: bytes, source: str) -> _Batch:
    content = safe_pickle.loads(data, source)
    pixels = content.get("data")
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise BenchmarkFileError(f"{source}: expected an entry 'data', uint8 (n, 3072) or (n, 768)")
    kind: Kind
    n_columns = pixels.shape[1]
    if n_columns == 3072:
        kind = "cifar100" if "fine_labels" in content else "cifar10"
    elif n_columns == 768:
        kind = "imagenet16"
    else:
        raise BenchmarkFileError(f"{source}: data: expected 3072 or 768 columns, got {n_columns}")
    labels = content.get("fine_labels" if kind == "cifar100" else "labels")
    if isinstance(labels, np.ndarray) and labels.dtype.kind in "iu":
        labels = labels.reshape(-1).tolist()
    # Exactly int: bool is a subclass, and everything else has no business in a list of labels.
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise BenchmarkFileError(f"{source}: expected a list of integer labels")
    if len(labels) != len(pixels):
        raise BenchmarkFileError(f"{source}: {len(pixels)} images but {len(labels)} labels")
    if not all(0 <= label <= 1000 for label in labels):
        raise BenchmarkFileError(f"{source}: a label is not in 0..1000")
    return _Batch(kind, pixels, np.array(labels, dtype=np.int64))


def batch_files(path: Path, patterns: Iterable[str]) -> list[Path]:
    """`path` itself, or the batches in that directory in the order of their numbers.

    The first pattern with a match decides, and of `data_batch_1` and `data_batch_1.bin` side by
    side only the pickled ones are taken, since they are the same images.
    """
    if not path.is_dir():
        return [path]
    for pattern in patterns:
        found = list(path.glob(pattern))
        suffix = min((file.suffix for file in found), default="")
        found = [file for file in found if file.suffix == suffix]
        if found:
            return sorted(found, key=lambda file: (number_in(file.name), file.name))
    raise BenchmarkFileError(f"{path}: expected a file {' or '.join(patterns)}, found none")


def number_in(name: str) -> int:
    digits = re.search(r"[0-9]{1,9}", name)
    return int(digits[0]) if digits else 0


def read_batches(files: Sequence[Path], max_bytes: int) -> list[_Batch]:
    batches: list[_Batch] = []
    for file in files:
        data = read_bytes(file, max_bytes)
        max_bytes -= len(data)
        batches.append(parse_batch(data, str(file)))
        if batches[-1].kind != batches[0].kind:
            raise BenchmarkFileError(
                f"{file}: expected {batches[0].kind} as in {files[0].name}, got {batches[-1].kind}"
            )
    return batches


def to_images(batches: list[_Batch], name: str, class_names: Sequence[str], source: Path) -> Images:
    pixels = np.concatenate([batch.pixels for batch in batches])
    side = {3072: 32, 768: 16}[pixels.shape[1]]
    images = pixels.reshape(-1, 3, side, side).transpose(0, 2, 3, 1)
    labels = np.concatenate([batch.labels for batch in batches])
    try:
        return Images(np.ascontiguousarray(images), labels, name, tuple(class_names))
    except ValueError as error:
        raise BenchmarkFileError(f"{source}: {error}") from error


def class_names_beside(file: Path, kind: str, max_bytes: int) -> Sequence[str]:
    """Names from the file that is distributed in the same directory, or the known defaults."""
    pickled, lines, key, names = CIFAR_META[kind]
    if (meta := file.with_name(pickled)).is_file():
        found = safe_pickle.loads(read_bytes(meta, max_bytes), str(meta)).get(key)
    elif (meta := file.with_name(lines)).is_file():
        found = read_bytes(meta, max_bytes).split()
    else:
        return names
    if not isinstance(found, list) or len(found) != len(names):
        raise BenchmarkFileError(f"{meta}: {key}: expected {len(names)} class names")
    if not all(isinstance(name, (str, bytes)) and len(name) <= 100 for name in found):
        raise BenchmarkFileError(f"{meta}: {key}: expected names of at most 100 characters")
    return [name.decode("latin1") if isinstance(name, bytes) else name for name in found]


def from_cifar(batches: list[_Batch], files: list[Path], max_bytes: int) -> Images:
    kind = batches[0].kind
    if kind == "imagenet16":
        raise BenchmarkFileError(f"{files[0]}: expected CIFAR, got 16x16 images: read_imagenet16")
    return to_images(batches, kind, class_names_beside(files[0], kind, max_bytes), files[0])


def from_imagenet16(batches: list[_Batch], files: list[Path], num_classes: int) -> Images:
    if batches[0].kind != "imagenet16":
        raise BenchmarkFileError(f"{files[0]}: expected 16x16 images, got CIFAR: read_cifar")
    kept: list[_Batch] = []
    for batch in batches:
        if batch.labels.min() < 1:
            raise BenchmarkFileError(f"{files[0]}: expected labels from 1 to 1000, got 0")
        keep = batch.labels <= num_classes
        kept.append(_Batch("imagenet16", batch.pixels[keep], batch.labels[keep] - 1))
    names = [str(label) for label in range(num_classes)]
    return to_images(kept, f"imagenet16-{num_classes}", names, files[0])


def check_arguments(split: str, num_classes: int = 120) -> None:
    if split not in ("train", "test"):
        raise ValueError(f'split: expected "train" or "test", got {split!r}')
    if not 1 <= num_classes <= 1000:
        raise ValueError(f"num_classes: expected 1 to 1000, got {num_classes}")


def read_cifar(path: str | Path, split: Split = "train", *, max_bytes: int = MAX_BYTES) -> Images:
    """Read CIFAR-10 or CIFAR-100, python or binary version; which one is seen from the content.

    Parameters
    ----------
    path : str or Path
        One batch, or the unpacked directory, of which those training batches that are there are
        read in order.
    split : {"train", "test"}
        Which files of a directory; without meaning for a single file.
    max_bytes : int
        Largest sum of the files' sizes.

    Returns
    -------
    Images
        32x32, uint8, named ``"cifar10"`` or ``"cifar100"`` (fine labels). Class names are taken
        from the files distributed beside the batches, where these exist.

    Raises
    ------
    BenchmarkFileError
        If a file is damaged, malicious, too large or something else.
    OSError
        If a file does not exist or cannot be read.
    """
    check_arguments(split)
    files = batch_files(Path(path), CIFAR_FILES[split])
    return from_cifar(read_batches(files, max_bytes), files, max_bytes)


def read_imagenet16(
    path: str | Path,
    num_classes: int = 120,
    split: Split = "train",
    *,
    max_bytes: int = MAX_BYTES,
) -> Images:
    """Read ImageNet downsampled to 16x16 and keep its first classes.

    Parameters
    ----------
    path : str or Path
        One batch, or the directory of ``train_data_batch_1`` to 10 and ``val_data``.
    num_classes : int
        Keep the images with label 1 to `num_classes`; the labels returned start at 0.
    split : {"train", "test"}
        Which files of a directory; without meaning for a single file.
    max_bytes : int
        Largest sum of the files' sizes.

    Returns
    -------
    Images
        16x16, uint8, named ``"imagenet16-120"`` for 120 classes.

    Raises
    ------
    BenchmarkFileError
        If a file is damaged, malicious, too large or something else, or no image is left.
    OSError
        If a file does not exist or cannot be read.
    """
    check_arguments(split, num_classes)
    files = batch_files(Path(path), IMAGENET16_FILES[split])
    return from_imagenet16(read_batches(files, max_bytes), files, num_classes)


def read_npz(
    path: str | Path,
    images: str | None = None,
    labels: str | None = None,
    *,
    max_bytes: int = MAX_BYTES,
) -> Images:
    """Read images and labels from an npz file, never unpickling.

    Parameters
    ----------
    path : str or Path
        A file as `numpy.savez` and `numpy.savez_compressed` write it.
    images, labels : str or None
        Names of the arrays, of shape (M, H, W, 3) and (M,) or (M, 1). If neither is given, the
        first pair present of images, labels; train_images, train_labels; x_train, y_train; x, y.
        An array ``class_names`` of text, where there is one, names the classes.
    max_bytes : int
        Largest size of the file, and of its arrays together as declared before inflating.

    Returns
    -------
    Images
        Named after the file.

    Raises
    ------
    BenchmarkFileError
        If the file is damaged, malicious, too large, or has no such images and labels.
    OSError
        If the file does not exist or cannot be read.
    """
    path = Path(path)
    if (images is None) != (labels is None):
        raise ValueError("images, labels: expected both names or neither, got one")
    pairs = NPZ_PAIRS if images is None or labels is None else ((images, labels),)
    choices = [choice for pair in pairs for choice in ((*pair, "class_names"), pair)]
    arrays = safe_npz.loads(read_bytes(path, max_bytes), str(path), choices, max_bytes=max_bytes)
    pixels, targets, *rest = arrays.values()
    try:
        names = tuple(str(name) for name in rest[0].reshape(-1).tolist()) if rest else ()
        if targets.shape == (len(targets), 1):
            targets = targets[:, 0]
        return Images(
            pixels.astype(pixels.dtype.newbyteorder("="), copy=False), targets, path.stem, names
        )
    except (TypeError, ValueError) as error:
        raise BenchmarkFileError(f"{path}: {error}") from error


def load_digits() -> Images:
    """Scikit-learn's 1,797 handwritten digits as colour images: real data without a download.

    The 8x8 grey pixels 0..16 are enlarged to 32x32 by bilinear interpolation between pixel
    centres, scaled to 0..255, rounded, and repeated for red, green and blue.

    Returns
    -------
    Images
        (1797, 32, 32, 3), uint8, named ``"digits"``, with a preset of that name.

    Examples
    --------
    >>> load_digits()
    Images('digits', 1797 images 32x32 uint8, 10 classes)
    """
    try:
        datasets = import_module("sklearn.datasets")
    except ImportError as error:
        raise ImportError("load_digits needs scikit-learn: pip install 'zeroshot[demo]'") from error
    digits = datasets.load_digits()
    # Row i of the matrix: the weights of the 8 pixels in output pixel i, whose centre lies at
    # (i + 1/2) / 4 - 1/2 pixels, held inside the first and last centre.
    centre = np.clip((np.arange(32) + 0.5) / 4 - 0.5, 0, 7)
    weight = np.maximum(0, 1 - abs(centre[:, None] - np.arange(8)))
    grey = np.rint(weight @ digits.images @ weight.T * (255 / 16)).astype(np.uint8)
    return Images(np.repeat(grey[..., None], 3, axis=3), digits.target, "digits")


def load(spec: str | Path, split: Split = "train", *, max_bytes: int = MAX_BYTES) -> Images:
    """Read whatever `spec` is: ``"digits"``, or the path of a data set of any kind known here.

    Parameters
    ----------
    spec : str or Path
        ``"digits"`` for `load_digits`; otherwise a file or directory for `read_npz`, `read_cifar`
        or `read_imagenet16` with its 120 classes, told apart by content.
    split : {"train", "test"}
        Which files of a directory.
    max_bytes : int
        Largest sum of sizes, as for the readers.

    Returns
    -------
    Images

    Raises
    ------
    BenchmarkFileError
        If the content is damaged or of no known kind.
    OSError
        If there is no such file.
    """
    if spec == "digits":
        return load_digits()
    check_arguments(split)
    path = Path(spec)
    if path.is_file():
        with path.open("rb") as file:
            if file.read(4) == b"PK\x03\x04":
                return read_npz(path, max_bytes=max_bytes)
    files = batch_files(path, CIFAR_FILES[split] + IMAGENET16_FILES[split])
    batches = read_batches(files, max_bytes)
    if batches[0].kind == "imagenet16":
        return from_imagenet16(batches, files, 120)
    return from_cifar(batches, files, max_bytes)
