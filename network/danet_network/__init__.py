"""DANet in PyTorch: network, presets, checkpoints."""
