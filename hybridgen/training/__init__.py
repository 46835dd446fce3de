"""What the training scripts share: engine, run, guards, losses, discriminators, data, checkpoints, log."""
