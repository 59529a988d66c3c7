"""What `zeroshot.draw` can be told, checked once."""

from __future__ import annotations

__all__ = ["DrawOptions"]

from dataclasses import dataclass

from zeroshot.inputs import check_pair, check_real


@dataclass(frozen=True)
class DrawOptions:
    """See `zeroshot.draw`."""

    hide_none: bool = False
    image_size: int | tuple[int, int] | None = None
    width: float = 252.0

    def __post_init__(self) -> None:
        if not 100 <= check_real("width", self.width, "100 to 10000 points") <= 10_000:
            raise ValueError(f"width: expected 100 to 10000 points, got {self.width!r}")
        if self.image_size is not None:
            check_pair("image_size", self.image_size, 1)

    def image(self, usual: int) -> tuple[int, int]:
        """Height and width of the images."""
        return check_pair("image_size", self.image_size or usual, 1)
