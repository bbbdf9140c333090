"""The report of a benchmark run: terminal, JSON, Markdown, CSV, HTML with plots, and the comparison of two runs."""
