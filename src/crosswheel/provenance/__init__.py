"""Describe what wheels consist of in software bills of materials (CycloneDX 1.6, PEP 770)."""
