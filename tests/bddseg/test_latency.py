"""Size and latency of a network."""

import torch

from bddseg.config import ModelSettings
from bddseg.latency import BATCHES, measure_latency
from bddseg.models import build_model, count_parameters

CPU = torch.device("cpu")
TINY = ModelSettings(name="attention_unet", base_filters=4)


def test_every_batch_size_has_a_time_and_parameters_are_counted() -> None:
    latency = measure_latency(TINY, 5, 16, CPU, "fp32", seconds=0.01)
    assert len(latency.batch_ms) == len(BATCHES) and all(time > 0 for time in latency.batch_ms)
    assert latency.parameters == count_parameters(build_model("attention_unet", classes=5, base_filters=4))


def test_a_pass_that_takes_too_long_is_not_repeated() -> None:
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    handle = torch.nn.modules.module.register_module_forward_pre_hook(
        lambda module, inputs: count() if type(module).__name__ == "UNet" else None
    )
    measure_latency(TINY, 5, 16, CPU, "fp32", seconds=0.0)
    handle.remove()
    assert passes == len(BATCHES)


def test_the_number_of_threads_is_what_it_was() -> None:
    before = torch.get_num_threads()
    measure_latency(TINY, 5, 16, CPU, "fp32", seconds=0.0)
    assert torch.get_num_threads() == before
