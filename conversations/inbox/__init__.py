"""The wing of the inbox: its messages, consent, retention, checks, keys and organizations.

It knows no HTTP and no files: it uses database and schemas, and must not import flask, api, cli or
files.
"""
