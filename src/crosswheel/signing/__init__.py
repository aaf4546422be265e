"""Sign and verify: the laboratory's key (Ed25519), the keys that it trusts, and envelopes (DSSE) of signed statements.

``securesystemslib`` verifies signatures on this side. A robot lacks a library for that, so it uses
:mod:`crosswheel.agent.ed25519`.
"""
