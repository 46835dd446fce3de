"""Trains adapters on prepared songs: python train/lora.py configs/train/lora.yaml prepared=... run.out=my-style

`planner=null` or `renderer=null` leaves one of them out. The same command resumes a stopped run. The loop is `fit` in
hybridgen/training/lora.py, because `hybridgen finetune`, the short way from a folder of songs, runs it too.
"""

import torch

from hybridgen import config
from hybridgen.training import lora
from hybridgen.training.lora import LoraTrainConfig
from hybridgen.training.run import run_script


def main(path: str, *overrides: str) -> None:
    """Trains to the last step, or until a signal."""
    train = config.load(LoraTrainConfig, path, overrides)
    torch.set_num_threads(train.engine.threads)
    results = lora.train_adapters(train)
    lines = [f"{train.run.out}: stopped; the same command resumes it"] if results is None else lora.summary(results)
    print("\n".join(lines))


if __name__ == "__main__":
    run_script(main, __doc__)
