"""What wheels are made of, told in the formats of the field: software bills of materials (CycloneDX 1.6, PEP 770)."""
