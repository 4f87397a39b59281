"""An album made by hand: what tests of pictures share."""

import numpy as np

from bddseg.task import FIVE_CLASSES, IGNORE
from sweeps.storage.album import Attention, Panel, PanelTrial, PredictionPanels
from sweeps.storage.tiles import draw_maps, draw_panel

SIDE = 8


def make_album() -> PredictionPanels:
    """Return one image with two trials, and the maps of one of them."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    truth = rng.integers(0, 5, (SIDE, SIDE)).astype(np.uint8)
    truth[0] = IGNORE
    predicted = rng.integers(0, 5, (SIDE, SIDE))
    pair = (predicted, (truth != predicted).astype(np.uint8))
    maps = rng.random((4, SIDE, SIDE), dtype=np.float32)
    return PredictionPanels(
        part="validation",
        size_px=SIDE,
        trials=(PanelTrial("a", "leader"), PanelTrial("b", "runner-up")),
        panels=(Panel("fixed", "", "one", "city street", (0.5, None), "panel-001.png"),),
        attention=(Attention("a", "leader", "one", "city street", ((0.0, 1.0),) * 4, "attention-001.png"),),
        sheets={
            "panel-001.png": draw_panel(image, truth, [pair, pair], FIVE_CLASSES.palette),
            "attention-001.png": draw_maps(maps, [(0, 1)] * 4),
        },
    )
