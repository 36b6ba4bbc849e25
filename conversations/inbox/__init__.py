"""What changes and describes an inbox: messages, consent, retention, checks, keys, organizations.

It knows no HTTP and no files: it uses database and schemas, and must not import flask, api, cli or
files.
"""
