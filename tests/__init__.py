"""A package, so that a top-level `tests` that some library installs does not hide it from spawned processes."""
