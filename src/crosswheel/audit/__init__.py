"""Find known vulnerabilities of wheels and their contents: match SBOMs against advisories in OSV's format."""
