"""What is said of a registered model: card.md for people, config.json for programs, tags for the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bddseg.config import TrainConfig
from bddseg.data.image_io import RESIZE
from bddseg.labels import BDD_CLASSES, CLASSES, IGNORE, PALETTE
from bddseg.predictor import Predictor
from sweeps.paths import EXPORT, PREDICT, program
from sweeps.report.gather import Report
from sweeps.report.rendering import build_markdown_environment, space_blocks
from sweeps.statistics.results import Gap, Rival, Verdict
from sweeps.statistics.scores import Scores
from sweeps.storage.tags import CODE_VERSION, CONFIG_DIGEST, FINGERPRINT, SPACE, SWEEP_ID, TRIAL_ID

FORMAT = 1


@dataclass(frozen=True)
class ModelCard:
    """A model that is about to be registered."""

    name: str
    """Of the registered model."""
    report: Report
    verdict: Verdict
    trial_id: str
    """The screened trial; of a confirmation the finalist."""
    trial_name: str
    config: TrainConfig
    digest: str
    epoch: int
    """Whose weights these are."""
    is_refit: bool
    trained_on: int
    """Images."""
    test: Scores | None
    """None where the report did not open it."""

    @property
    def rival(self) -> Rival | None:
        """Return what the verdict found of it."""
        return next((it for it in self.verdict.rivals if it.trial_id == self.trial_id), None)

    @property
    def gap(self) -> Gap | None:
        """Return the answer to the question of the scenes, for this model."""
        gaps = self.verdict.scenes.gaps if self.verdict.scenes else ()
        return next((it for it in gaps if it.trial_id == self.trial_id), None)

    @property
    def scores(self) -> dict[str, Scores]:
        """Return the figures of each part that was measured; out of fold they are the setting's, not the weights'."""
        found = self.report.find(self.trial_id) if self.is_refit else self.report.trial(self.trial_id)
        first = {"out of fold" if self.is_refit else "validation": found.scores} if found else {}
        return first | ({"test": self.test} if self.test else {})

    @property
    def recommended(self) -> str:
        """Return the name of the cheaper setting that the verdict recommends instead; "" where it is this one."""
        if self.verdict.recommended == self.trial_id:
            return ""
        return name_of(self.report, self.verdict.recommended)

    def tags(self) -> dict[str, str]:
        """Return the tags of the version: where it comes from, and how sure its place is."""
        return {
            **identity(self.report.sweep_id, self.trial_id, is_refit=self.is_refit),
            CONFIG_DIGEST: self.digest,
            SPACE: self.report.facts["space"],
            "verdict.stage": self.verdict.stage,
            "verdict.outcome": self.verdict.outcome,
            FINGERPRINT: self.report.facts["data"]["fingerprint"],
            CODE_VERSION: self.report.facts["code_version"],
        }


def identity(sweep_id: str, trial_id: str, *, is_refit: bool) -> dict[str, str]:
    """Return the tags by which a version is known again: the same trial is registered once."""
    return {SWEEP_ID: sweep_id, TRIAL_ID: trial_id, "model.refit": str(is_refit).lower()}


def name_of(report: Report, trial_id: str) -> str:
    """Return what a trial, or a finalist of a confirmation, is called."""
    found = report.find(trial_id)
    return found.name if found else trial_id


def render_card(card: ModelCard) -> str:
    """Return the card in Markdown; a tag or a `|` in what was read back comes out as text."""
    text = (
        build_markdown_environment()
        .get_template("card.md.j2")
        .render(card=card, facts=card.report.facts, predict=program(PREDICT), export=program(EXPORT))
    )
    return space_blocks(text)


def describe_model(card: ModelCard, trained: Predictor) -> dict[str, Any]:
    """Return what a program needs to use the weights, and where they come from, for config.json."""
    return {
        "format": FORMAT,
        "settings": card.config.to_dict(),
        "classes": list(CLASSES),
        "bdd100k_labels": [BDD_CLASSES.index(name) for name in CLASSES],
        "ignore": IGNORE,
        "palette": [list(colour) for colour in PALETTE],
        "input": {
            "size_px": card.config.data.size,
            "channels": "RGB",
            "resize": RESIZE,
            "mean": trained.mean.flatten().tolist(),
            "deviation": trained.deviation.flatten().tolist(),
            "normalisation": "(pixels / 255 - mean) / deviation",
        },
        "epoch": card.epoch,
        "trained_on_images": card.trained_on,
        "tags": card.tags(),
        "verdict": card.verdict.sentence,
        "versions": _plain(card.report.facts["versions"]),
    }


def _plain(versions: Any) -> dict[str, str]:
    return {str(name): str(value) for name, value in versions.items()} if isinstance(versions, Mapping) else {}
