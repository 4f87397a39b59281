"""Plug-in models and losses: imported, checked, hashed by their source."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny import make_config, make_frames, make_split

from bddseg.config import TrainConfig
from bddseg.errors import ConfigError
from bddseg.flops import count_forward
from bddseg.losses import build_loss, mean
from bddseg.plugin_check import check_own
from bddseg.plugins import digest_source, load_own
from bddseg.train import fit
from sweeps.execution.cluster import trial_variables

MODEL = """
from torch import nn

class Tiny(nn.Sequential):
    def __init__(self, classes, base_filters, dropout):
        super().__init__(
            nn.Conv2d(3, base_filters, 3, padding=1),
            nn.ReLU(),
            nn.Dropout2d(dropout),
            nn.Conv2d(base_filters, classes, 1),
        )
"""
LOSS = """
from torch.nn.functional import cross_entropy

def plain(logits, target, *, weight):
    return cross_entropy(logits.float(), target, weight=weight, ignore_index=255)
"""
Write = Callable[..., str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Return what writes a module into the working directory, and returns its name: no two tests share one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)

    def write_module(source: str, name: str = "") -> str:
        name = name or f"own_{abs(hash((str(tmp_path), source)))}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    yield write_module
    for name in set(sys.modules) - before:
        if name.startswith("own_"):
            del sys.modules[name]


def own(write: Write, **changes: object) -> TrainConfig:
    return make_config(model_name=f"{write(MODEL)}:Tiny", loss_name=f"{write(LOSS)}:plain", **changes)


def refusal(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value)


def test_a_model_and_a_loss_of_the_user_s_own_are_trained(write: Write) -> None:
    results = list(fit(own(write, train_epochs=8), make_frames(), make_split(), torch.device("cpu")))
    assert results[-1].metrics["train/loss"] < results[0].metrics["train/loss"]
    assert results[-1].best_evidence("val").counts.sum() > 0


def test_a_mean_loss_counts_once_for_every_image(write: Write) -> None:
    loss = build_loss(f"{write(LOSS)}:plain", weight=None, gamma=2.0)
    logits, target = torch.randn(3, 5, 4, 4), torch.zeros(3, 4, 4, dtype=torch.long)
    terms = loss(logits, target)
    assert terms[1].item() == 3
    assert mean(terms).item() == pytest.approx(torch.nn.functional.cross_entropy(logits, target).item())


def test_its_arithmetic_is_counted(write: Write) -> None:
    forward = count_forward(own(write, data_size=16), 5)
    pixels, filters = 16 * 16, 4
    assert forward.flops == 2 * pixels * (3 * 9 * filters + filters * 5)
    assert forward.weights == (3 * 9 + 1) * filters + (filters + 1) * 5


def test_another_source_is_another_trial(write: Write, tmp_path: Path) -> None:
    write(MODEL, "own_first")
    before = make_config(model_name="own_first:Tiny").digest()
    digest_source.cache_clear()
    write(MODEL + "\n# changed\n", "own_first")
    assert make_config(model_name="own_first:Tiny").digest() != before


def test_width_and_dropout_have_an_effect_on_a_model_of_the_user_s_own(write: Write) -> None:
    config = own(write)
    assert config.has_effect("model.dropout") and not config.has_effect("model.init")


def test_the_source_is_hashed_without_importing_it(write: Write) -> None:
    name = write("raise SystemExit")
    assert len(digest_source("model.name", f"{name}:Tiny")) == 12
    assert name not in sys.modules


def test_the_example_of_the_documentation_trains(write: Write) -> None:
    text = (Path(__file__).parents[2] / "docs" / "own_models.md").read_text()
    name = write(text.split("```python\n")[1].split("```")[0], "own_example")
    config = make_config(model_name=f"{name}:Thin", loss_name=f"{name}:brier", train_epochs=6)
    check_own(config, 5)
    losses = [result.metrics["train/loss"] for result in fit(config, make_frames(), make_split(), torch.device("cpu"))]
    assert losses[-1] < losses[0]


def test_a_trial_finds_modules_of_the_folder_where_the_sweep_was_started(write: Write, tmp_path: Path) -> None:
    assert str(tmp_path) in trial_variables()["PYTHONPATH"].split(os.pathsep)


def test_what_works_is_not_refused(write: Write) -> None:
    check_own(own(write), 5)


@pytest.mark.parametrize("name", ["resnet", "a.b:", ":C", "a:b:c", "../x:C"])
def test_a_name_of_another_form_is_refused_with_the_known_ones(name: str) -> None:
    assert "one of unet, vanilla_unet, attention_unet, or package.module:Class" in refusal(
        lambda: make_config(model_name=name)
    )


def test_a_module_that_is_not_there_is_named_with_where_it_was_looked_for(tmp_path: Path, write: Write) -> None:
    message = refusal(lambda: load_own("model.name", "own_nowhere:Net"))
    assert "there is no module own_nowhere" in message and str(tmp_path) in message


def test_a_missing_name_asks_for_the_nearest(write: Write) -> None:
    assert "did you mean Tiny?" in refusal(lambda: load_own("model.name", f"{write(MODEL)}:Tinny"))


def test_a_module_that_fails_is_named_with_its_line(write: Write) -> None:
    message = refusal(lambda: load_own("model.name", f"{write('x = 1 / 0')}:Net"))
    assert "ZeroDivisionError: division by zero" in message and "line 1)" in message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def Net(**_): return 3", "makes a int, not a torch.nn.Module"),
        ("def Net(**_): raise KeyError('width')", "fails: 'width'"),
        ("from torch import nn\ndef Net(**_): return nn.ReLU()", "has no weight that can be trained"),
        ("from torch import nn\ndef Net(classes, **_): return nn.Conv2d(3, classes, 3)", "must return (2, 5, 16, 16)"),
        ("from torch import nn\ndef Net(classes, **_): return nn.Conv2d(4, classes, 1)", "fails on images of shape"),
    ],
)
def test_a_model_that_cannot_be_trained_is_refused(body: str, message: str, write: Write) -> None:
    assert message in refusal(lambda: check_own(make_config(model_name=f"{write(body)}:Net"), 5))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def loss(logits, target, *, weight): return logits", "the loss of two images is"),
        ("def loss(logits, target): return logits.mean()", "fails on two images: TypeError"),
        ("def loss(logits, target, *, weight): return logits.mean() / 0", "not a finite number"),
        ("def loss(logits, target, *, weight): return logits.detach().mean()", "no gradient can be computed"),
    ],
)
def test_a_loss_that_cannot_be_minimised_is_refused(body: str, message: str, write: Write) -> None:
    assert message in refusal(lambda: check_own(make_config(loss_name=f"{write(body)}:loss"), 5))
