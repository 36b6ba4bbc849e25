"""Makes the OpenAPI document: `python -m tools.openapi`."""
