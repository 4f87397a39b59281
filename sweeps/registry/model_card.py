"""The description of a registered model: card.md for people, config.json for programs, tags for the registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bddseg.config import TrainConfig
from bddseg.data.image_io import RESIZE
from bddseg.predictor import Predictor
from bddseg.task import FIVE_CLASSES, IGNORE, Task
from sweeps.paths import EXPORT, PREDICT, program
from sweeps.report.gather import Report
from sweeps.report.rendering import build_markdown_environment, space_blocks, task_context
from sweeps.statistics.results import Gap, Rival, Verdict
from sweeps.statistics.scores import Scores
from sweeps.statistics.sides import Sides, name_sides
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
    """The epoch of the weights."""
    is_refit: bool
    trained_on: int
    """Images."""
    test: Scores | None
    """None where the report did not open it."""

    @property
    def rival(self) -> Rival | None:
        """Return the model's comparison with the leader in the verdict."""
        return next((rival for rival in self.verdict.rivals if rival.trial_id == self.trial_id), None)

    @property
    def task(self) -> Task:
        """Return the classes and groups of the sweep."""
        return self.report.task

    @property
    def gaps(self) -> tuple[tuple[Sides, Gap], ...]:
        """Return the differences between groups for this model, each with the words for its sides."""
        words = {contrast.sides: name_sides(self.task, contrast) for contrast in self.task.contrasts}
        return tuple(
            (words[scenes.sides], gap)
            for scenes in self.verdict.contrasts
            for gap in scenes.gaps
            if gap.trial_id == self.trial_id
        )

    @property
    def scores(self) -> dict[str, Scores]:
        """Return the scores of each measured part; those out of fold are the setting's, not the weights'."""
        entry = self.report.find(self.trial_id) if self.is_refit else self.report.trial(self.trial_id)
        first = {"out of fold" if self.is_refit else "validation": entry.scores} if entry else {}
        return first | ({"test": self.test} if self.test else {})

    @property
    def recommended(self) -> str:
        """Return the name of the cheaper setting that the verdict recommends instead; "" where it is this one."""
        if self.verdict.recommended == self.trial_id:
            return ""
        return name_of(self.report, self.verdict.recommended)

    def tags(self) -> dict[str, str]:
        """Return the tags of the version: its origin, and how certain its rank is."""
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
    """Return the tags that identify a version, so that the same trial is registered once."""
    return {SWEEP_ID: sweep_id, TRIAL_ID: trial_id, "model.refit": str(is_refit).lower()}


def name_of(report: Report, trial_id: str) -> str:
    """Return the name of a trial, or of a finalist of a confirmation."""
    entry = report.find(trial_id)
    return entry.name if entry else trial_id


def render_card(card: ModelCard) -> str:
    """Return the card in Markdown; a tag or a `|` in a recorded value is escaped."""
    text = (
        build_markdown_environment()
        .get_template("card.md.j2")
        .render(
            card=card,
            facts=card.report.facts,
            predict=program(PREDICT),
            export=program(EXPORT),
            **task_context(card.task),
        )
    )
    return space_blocks(text)


def describe_model(card: ModelCard, trained: Predictor) -> dict[str, Any]:
    """Return the content of config.json: what a program needs to use the weights, and their origin."""
    values = "bdd100k_labels" if trained.task == FIVE_CLASSES else "mask_values"
    return {
        "format": FORMAT,
        "settings": card.config.to_dict(),
        "classes": list(trained.task.classes),
        values: list(trained.task.values),
        "ignore": IGNORE,
        "palette": [list(colour) for colour in trained.task.palette],
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
