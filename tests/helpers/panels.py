"""Panels made by hand."""

from dataclasses import replace
from typing import Any

from albums import make_album
from reports import LEADER

from sweeps.storage.album import Panel, PanelTrial, PredictionPanels


def shown_album(**changes: Any) -> PredictionPanels:
    """Return the album of `test_album`, with the sweep's leader in the place of trial a."""
    album = make_album()
    maps = tuple(replace(attention, trial_id=LEADER) for attention in album.attention)
    trials = (PanelTrial(LEADER, "leader"), *album.trials[1:])
    return replace(album, trials=trials, attention=maps, **changes)


def panel(**changes: Any) -> Panel:
    return replace(make_album().panels[0], **changes)
