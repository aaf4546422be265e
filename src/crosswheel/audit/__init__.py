"""Known vulnerabilities of wheels and of what is inside them: SBOMs against advisories in OSV's format."""
