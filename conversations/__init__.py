"""The conversations service. Its wings: server, api, inbox, files, database, cli.

The wings import each other in one direction only: cli uses server, files and inbox, server uses
api and inbox, api and files use inbox, all use database. A test holds that.
"""

__version__ = "1.1.0"
