# ruff: noqa: N999 - PyInstaller finds a hook by its file's name
"""What PyInstaller does not see in danet's imports: modules found by name, embedded models, OpenVINO's plugins.

PyInstaller reads the variables below by their names:
https://pyinstaller.org/en/stable/hooks.html#provide-pyinstaller-hooks-with-package
"""

from pathlib import Path

from PyInstaller.utils.hooks import collect_data_files, collect_dynamic_libs, collect_submodules, copy_metadata

# Whoever freezes the web app wants Gradio and its files; nobody else should carry it, nor PyInstaller itself.
LEFT_OUT = ("danet.app", "danet.__pyinstaller")
hiddenimports = collect_submodules("danet", filter=lambda name: not name.startswith(LEFT_OUT))
# the commands, and what other packages offer to danet, are entry points
datas = collect_data_files("danet") + copy_metadata("danet-edge")
# OpenVINO opens its plugins and readers by name. Those of GPUs and NPUs are a third of it.
LIBRARIES = ["*.dll", "*.dylib", "lib*.so", "lib*.so.*"]
binaries = [
    (library, folder)
    for library, folder in collect_dynamic_libs("openvino", search_patterns=LIBRARIES)
    if "_gpu_" not in Path(library).name and "_npu_" not in Path(library).name
]
