"""Build the index: turn wheels into a static site for pip, for tools and for people (see `site`)."""
