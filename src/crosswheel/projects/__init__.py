"""The user's own projects: where they lie, what is in them, which others they need. No code of a project is run."""
