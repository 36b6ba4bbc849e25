"""Makes the OpenAPI document: `python -m tools.openapi > conversations/api/openapi.json`."""
