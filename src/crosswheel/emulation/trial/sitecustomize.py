"""Found on ``PYTHONPATH`` by the target's Python: makes site folders of those that wheels are installed in.

So they come after the standard library, and what their ``.pth`` files say is done, as it is on the target.
"""

import os
import site

for _folder in os.environ["CROSSWHEEL_SITES"].split(os.pathsep):
    site.addsitedir(_folder)
