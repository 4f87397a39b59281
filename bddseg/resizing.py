"""Pillow's resize to a square in tensor operations, for exported files; it gives the same bytes.

Pillow resizes 8 bits in two passes, each with a triangle filter whose weights are whole numbers of 22 bits, and rounds
to 8 bits after each. All products and sums are whole numbers below 2**53, so float64 holds them exactly in any order of
summation.

Source: Pillow 13.0, src/libImaging/Resample.c: precompute_coeffs, normalize_coeffs_8bpc, ImagingResample.
"""

import torch
from torch import Tensor, nn

WEIGHT_BITS = 22
"""Pillow's PRECISION_BITS."""


class Fit(nn.Module):
    """Resizes pictures of any size to a square, as `bddseg.data.image_io.shrink` does.

    Shape:
        pixels: (N, 3, H, W), float32, whole numbers from 0 to 255.  returns: (N, 3, size_px, size_px), float32.
    """

    def __init__(self, size_px: int) -> None:
        super().__init__()
        self.size_px = size_px

    def forward(self, pixels: Tensor) -> Tensor:
        """Return the resized pictures.

        Both orders of the passes are computed and one is taken: a branch that depends on the shape cannot be exported.
        """
        exact = pixels.double()
        down, across = (_weights(length, self.size_px, pixels.device) for length in pixels.shape[2:])
        rows_first = _rounded(down @ _rounded(exact @ across.T))
        columns_first = _rounded(_rounded(down @ exact) @ across.T)
        return torch.where(self._is_tall(pixels), columns_first, rows_first).float()

    def _is_tall(self, pixels: Tensor) -> Tensor:
        """Return whether Pillow resizes columns before rows: where height is reduced much more than width.

        Source: https://github.com/python-pillow/Pillow/pull/9549; the bound follows from it for a square.
        """
        height, width = (_length(length, pixels.device) for length in pixels.shape[2:])
        return (height > self.size_px) & (height + self.size_px > 2 * width)


def _length(pixels: int, device: torch.device) -> Tensor:
    """Return a length as a tensor, so that the exporter does not specialise on the shape."""
    return torch.arange(1, pixels + 1, dtype=torch.float64, device=device)[-1]


def _weights(pixels: int, size_px: int, device: torch.device) -> Tensor:
    """Return the weight of each pixel of a line for each pixel of the resized line, in units of 2**-22.

    Shape:
        returns: (size_px, pixels), float64, whole numbers.
    """
    positions = torch.arange(pixels, dtype=torch.float64, device=device)
    scale = _length(pixels, device) / size_px
    support = scale.clamp(min=1)
    centres = (torch.arange(size_px, dtype=torch.float64, device=device)[:, None] + 0.5) * scale
    is_near = (positions >= torch.floor(centres - support + 0.5)) & (positions < torch.floor(centres + support + 0.5))
    triangle = (1 - ((positions - centres + 0.5) / support).abs()).clamp(min=0) * is_near
    return torch.floor(triangle / triangle.sum(1, keepdim=True) * 2**WEIGHT_BITS + 0.5)


def _rounded(sums: Tensor) -> Tensor:
    return torch.floor((sums + 2 ** (WEIGHT_BITS - 1)) / 2**WEIGHT_BITS).clamp(0, 255)
