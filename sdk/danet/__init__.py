"""Runtime for DANet pose models on CPUs."""
