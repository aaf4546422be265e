"""Takes a root from its lock to proven wheels in ``dist/``.

Only this room knows the order of the steps: it runs them one after the other and gives each its folder. The rooms below
do the work.
"""
