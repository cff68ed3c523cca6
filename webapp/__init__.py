"""The site: people, files, jobs, charts. Never sees torch."""
