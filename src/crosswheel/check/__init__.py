"""The wheel against the target: is it whole, would it load there, and what does the official one have?

A wheel that is not whole raises :class:`~crosswheel.errors.IntegrityError`; every reason why a whole one
would not work on the target is a :class:`Fault`.
"""
