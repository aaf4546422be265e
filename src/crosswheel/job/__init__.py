"""The whole way for one root: from its lock to proven wheels in ``dist/``.

This is the one room that knows all the steps: it puts them in order and gives each its folder. What a step does is the
step's own business.
"""
