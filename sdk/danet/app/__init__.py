"""A page on which visitors try models: `danet app`."""
