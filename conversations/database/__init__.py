"""The wing of PostgreSQL: connections, queries and migrations.

It is the only wing that imports psycopg, and it imports no other wing.
"""
