"""The embedded PostgreSQL of a developer's machine. A deployment has a PostgreSQL of its own."""
