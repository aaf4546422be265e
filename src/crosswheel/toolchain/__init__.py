"""Everything that turns source into something the target loads: compilers, its Python, its C libraries."""
