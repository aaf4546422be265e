"""Read the user's own projects: their location, their files and their dependencies, without running their code."""
