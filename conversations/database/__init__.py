"""Connections, queries, migrations and the embedded server.

It is the only wing that imports psycopg, and it imports no other wing.
"""
