"""The schemas of requests and rows, all strict, and the spelling of ids, instants and cursors."""
