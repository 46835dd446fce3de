"""What the training scripts share: losses, discriminators, averaged weights, checkpoints, log."""
