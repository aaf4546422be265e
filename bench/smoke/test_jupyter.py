"""A notebook is put together, checked, and written as a page; a cell runs in IPython."""

import os
import sys
from pathlib import Path

# Installed into a folder of its own, what wheels have for the prefix (templates) lies there.
os.environ["JUPYTER_PATH"] = os.pathsep.join(str(Path(place, "share", "jupyter")) for place in sys.path)

import jupyter_server.serverapp  # noqa: F401
import jupyterlab  # noqa: F401
import nbformat
from ipykernel.kernelbase import Kernel  # noqa: F401
from IPython.core.interactiveshell import InteractiveShell
from nbconvert import HTMLExporter

notebook = nbformat.v4.new_notebook()
notebook.cells = [nbformat.v4.new_markdown_cell("# Wells"), nbformat.v4.new_code_cell("6 * 7")]
nbformat.validate(notebook)
page, _ = HTMLExporter().from_notebook_node(notebook)
assert "Wells" in page
result = InteractiveShell.instance().run_cell("6 * 7")
assert result.success
assert result.result == 42
