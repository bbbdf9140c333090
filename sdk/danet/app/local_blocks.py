"""A page that opens what its visitors upload, and nothing that lies elsewhere."""

from __future__ import annotations

from typing import Any

import gradio as gr

from danet.errors import BackendError

if not hasattr(gr.Blocks, "preprocess_data"):  # the page would run, and open whatever address a visitor names
    raise BackendError(
        f"Gradio {gr.__version__} has no Blocks.preprocess_data, where danet app refuses addresses; expected Gradio 6: "
        "pip install 'gradio>=6,<7'"
    )


class LocalBlocks(gr.Blocks):
    """Blocks that fetch no address: Gradio would, for a request that names one in the place of an upload."""

    async def preprocess_data(self, block_fn: Any, inputs: list[Any], *args: Any, **kwargs: Any) -> Any:
        """What handlers get of a request's `inputs`.

        Raises:
            gr.Error: one of them is a file with an address for a path.
        """
        if _names_an_address(inputs):
            raise gr.Error("upload the file: this page opens no addresses", title="danet", print_exception=False)
        return await super().preprocess_data(block_fn, inputs, *args, **kwargs)


def _names_an_address(content: Any) -> bool:
    """Whether a "path" anywhere in it begins with a scheme: `http:` here, but no path of an upload has any."""
    if isinstance(content, dict):
        path = content.get("path")
        return (isinstance(path, str) and "://" in path) or any(map(_names_an_address, content.values()))
    return isinstance(content, list | tuple) and any(map(_names_an_address, content))
