"""Signatures: the laboratory's key (Ed25519), the keys that it trusts, and envelopes (DSSE) of what is signed.

What is signed here is verified on this side with ``securesystemslib``; on a robot, which has no library for it, with
:mod:`crosswheel.agent.ed25519`.
"""
