"""The index: wheels → a static site for pip, for tools and for people; see `site`."""
