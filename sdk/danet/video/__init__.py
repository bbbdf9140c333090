"""Frames in, frames out: sources, writers and the pipeline between them."""
