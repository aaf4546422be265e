"""What recipes import: ``from builder import package_build``.

While crosswheel reads a recipe it puts an object of its own in this place, which collects what the recipe says.
This module is found instead when a ``build.py`` is started by hand, and by editors, which learn from it
what the keywords are.
"""

from __future__ import annotations

import sys
from pathlib import Path

from crosswheel.recipes.api import PackageBuild

_script = Path(sys.argv[0]).absolute()
package_build = PackageBuild(_script, _script.parent.parent.name, _script.parent.name, Path("dist"))

__all__ = ["package_build"]
