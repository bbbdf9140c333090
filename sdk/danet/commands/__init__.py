"""The subcommands of `danet` that the runtime brings."""
