"""The wheel format (PEP 427): reading, writing, the proof that lies beside a wheel, and the layout of `dist/`."""
