"""Training of DANet: data, augmentation, targets, losses, loop."""
