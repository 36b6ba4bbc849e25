"""The OpenAPI document, built from the routes, the schemas and the operations.

It needs apispec, so it is built where the service is developed; the service serves the result.
"""

import re
from collections.abc import Iterable
from typing import Any, cast

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask
from marshmallow import Schema
from marshmallow.fields import Field
from werkzeug.routing import Rule

from conversations import __version__
from conversations.api.auth import VIEW_SCOPES
from conversations.api.envelope import ERRORS
from schemas.base import QuerySchema
from schemas.fields import Strict
from tools.openapi import json_schemas, responses
from tools.openapi.json_schemas import Json
from tools.openapi.operations import IF_NONE_MATCH, OPERATIONS, Operation
from tools.openapi.requests import describe

TITLE = "Conversations"

DESCRIPTION = """\
The conversations between your phone numbers and your contacts: who wrote last, what, and whether \
you may write back.

Send your key with every request: `Authorization: Bearer am_live_…`. A key belongs to one \
organization and has scopes.

Responses are JSON, `{"success": true, "data": …}` or `{"success": false, "error": …}`, and \
instants are in UTC. A parameter or field that is not known here is refused, not ignored. \
`HEAD` works where `GET` does, `OPTIONS` everywhere."""

SECURITY_SCHEMES = {
    "api_key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, `am_live_…`. `flask demo` prints one for the demo inbox.",
    },
    "key_in_query": {
        "type": "apiKey",
        "in": "query",
        "name": "key",
        "description": "For hooks: an API key whose only scope is `messages:write`.",
    },
    "key_as_password": {
        "type": "http",
        "scheme": "basic",
        "description": "For hooks: an API key as the password; the user name is ignored.",
    },
}

ERROR_DESCRIPTIONS = {
    400: "The id or number in the path is malformed, or the body is not a JSON object.",
    401: "There is no key, or not one that is valid now.",
    403: "The key lacks the scope.",
    404: "There is no such thing in the key's organization.",
    405: "The path does not know the method.",
    409: "The id belongs to a message with other content.",
    413: "The body is larger than 1 MiB, or of SMSGate 16 MiB.",
    415: "The body is not `application/json`, or it is compressed.",
    422: "A parameter or field is refused; `details` says which and why.",
    500: "A bug of the service, or of its database; the log says more under the `request_id`.",
    503: "The database is away or busy. Try again after `Retry-After`.",
}
ERROR_HEADERS = {
    401: ["WWW-Authenticate"],
    403: ["WWW-Authenticate"],
    405: ["Allow"],
    503: ["Retry-After"],
}
# Of responses that have no schema.
EXAMPLES = {"text/xml": {"schema": json_schemas.TEXT, "example": "<Response/>"}}
EXAMPLE_PARAMETERS = {
    "contact_number": "+15554443333",
    "cursor": "AAZQg_iKEkAnEdetddYtxX5LVBKnPPLh",
    "limit": 50,
    "phone_number_id": "7c1f0a2d-9e8b-4c3a-9d2e-1f0a2b3c4d5e",
    "since": "2026-04-28T12:00:00Z",
    "opted_in": True,
    "sim1": "+15551112222",
    "sim2": "+15551113333",
    "If-None-Match": 'W/"755e48931063b20f81e508eb2c5114df"',
}
EXAMPLE_DETAILS = {"to": "must be E.164", "body": "must be 1..1600 chars"}

HEADERS = {
    "X-Request-Id": ("The id of this request.", json_schemas.REQUEST_ID),
    "ETag": ("Changes whenever this response does.", json_schemas.TEXT),
    "Link": ('`<…>; rel="next"`, as long as there is a next page (RFC 8288).', json_schemas.TEXT),
    "Retry-After": ("Seconds to wait.", json_schemas.COUNT),
    "WWW-Authenticate": ("What the key lacks (RFC 6750).", json_schemas.TEXT),
    "Allow": ("The methods that the path knows.", json_schemas.TEXT),
    "Location": ("Where it is.", json_schemas.TEXT),
}


class Converter(OpenAPIConverter):
    """Says of the fields of requests what `describe` says of them."""

    def metadata2properties(self, field: Field[Any], **kwargs: Any) -> Json:
        """Return what the document says of a field beside its default."""
        if isinstance(field, Strict):
            return describe(field)
        return cast(Json, super().metadata2properties(field, **kwargs))


class Plugin(MarshmallowPlugin):
    """Reads schemas with our converter."""

    Converter = Converter


def build(app: Flask) -> Json:
    """Return the document of the application's routes."""
    plugin = Plugin()
    spec = APISpec(
        title=TITLE,
        version=__version__,
        openapi_version="3.1.0",
        info={"description": DESCRIPTION},
        # Programs such as Postman take the first as it is. The second is relative to the document.
        servers=[
            {"url": "http://localhost:8000", "description": "As `make run` serves it."},
            {"url": ".", "description": "Where this document is."},
        ],
        plugins=[plugin],
    )
    # The plugin has a converter as soon as it belongs to a document.
    cast(OpenAPIConverter, plugin.converter).add_attribute_function(mend_property)
    for name, scheme in SECURITY_SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    for name, (description, schema) in HEADERS.items():
        spec.components.header(name, {"description": description, "schema": schema})
    for status in ERRORS:
        spec.components.response(error_name(status), error_response(status))
    rules = {rule.endpoint.rpartition(".")[2]: rule for rule in app.url_map.iter_rules()}
    for name, operation in OPERATIONS.items():
        add_operation(spec, name, operation, rules[name], VIEW_SCOPES.get(name))
    document = spec.to_dict()
    for schema in document["components"]["schemas"].values():
        nest_properties(schema)
    add_examples(document)
    return {"openapi": document["openapi"], **document}


def mend_property(_: OpenAPIConverter, field: Field[Any], ret: Json) -> Json:
    """Add what apispec leaves out, and take out defaults of None: a query has no null to send.

    What may be left out of a body may be null.
    """
    if not isinstance(field, Strict):
        return {key: field.metadata[key] for key in ("const",) if key in field.metadata}
    is_query = isinstance(field.parent, QuerySchema)
    if field.load_default in (None, (None, None)):
        ret.pop("default")
        if is_query:
            ret["type"] = describe(field)["type"]
    mended = {}
    if not is_query and not field.required and "type" in ret:
        mended["type"] = [describe(field)["type"], "null"]
        if "enum" in ret:
            mended["enum"] = [*ret["enum"], None]
    return mended


def nest_properties(schema: Json) -> None:
    """Turn the properties whose names are paths, such as `data.payload.id`, into nested objects."""
    for path, part in list(schema.get("properties", {}).items()):
        *parents, name = path.split(".")
        is_required = path in schema.get("required", ())
        if not parents:
            continue
        del schema["properties"][path]
        inner = schema
        for parent in parents:
            inner = inner["properties"].setdefault(parent, {"type": "object", "properties": {}})
        inner["properties"][name] = part
        if is_required:
            schema["required"].remove(path)
            require(schema, path)


def require(schema: Json, path: str) -> None:
    """Make a property and the objects around it required."""
    for name in path.split("."):
        required = schema.setdefault("required", [])
        if name not in required:
            required.append(name)
        schema = schema["properties"][name]


def error_name(status: int) -> str:
    """Return the name of an error's response, such as InvalidInput."""
    return ERRORS[status][0].title().replace("_", "")


def error_response(status: int) -> Json:
    """Return the response of an error."""
    code, message = ERRORS[status]
    error: Json = {"code": code, "message": message, "request_id": "01JTBQH2FZ8K1RXC0WJ4Z9P3VM"}
    schema: type[Schema] = responses.FailureSchema
    if status == 422:
        schema, error = responses.ValidationFailureSchema, error | {"details": EXAMPLE_DETAILS}
    return {
        "description": ERROR_DESCRIPTIONS[status],
        "headers": header_references(ERROR_HEADERS.get(status, ())),
        "content": {
            "application/json": {"schema": schema, "example": {"success": False, "error": error}}
        },
    }


def header_references(names: Iterable[str]) -> Json:
    """Return references to these headers and to the one that every response has."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-Id", *names)}


def add_operation(
    spec: APISpec, name: str, operation: Operation, rule: Rule, scope: str | None
) -> None:
    """Add one operation under its route."""
    (method,) = cast(set[str], rule.methods) - {"HEAD", "OPTIONS"}
    content: Json = {"operationId": name, "tags": [operation.tag], "summary": operation.summary}
    errors = list(operation.errors)
    description = operation.description
    if scope:
        description += f"\n\nRequires the `{scope}` scope."
        content["security"] = [{"api_key": [scope]}]
        if operation.is_hook:
            content["security"] += [{"key_in_query": []}, {"key_as_password": []}]
        errors += [401, 403, 500, 503]
    content["description"] = description
    content["parameters"] = list(operation.parameters)
    if operation.query:
        content["parameters"].append({"in": "query", "schema": operation.query})
        content["parameters"] += [] if operation.is_hook else [IF_NONE_MATCH]
    if operation.body:
        body = {operation.media_type: {"schema": operation.body}}
        content["requestBody"] = {"required": True, "content": body}
    content["responses"] = {
        str(status): answer_response(*answer, operation.headers if status < 304 else ["ETag"])
        for status, answer in operation.answers.items()
    } | {str(status): error_name(status) for status in sorted(errors)}
    path = re.sub(r"<(\w+)>", r"{\1}", rule.rule)
    spec.path(path, operations={method.lower(): content})


def answer_response(
    description: str, schema: type[Schema] | str | None, headers: Iterable[str]
) -> Json:
    """Return the response of a success, whose schema may be no more than a media type."""
    response: Json = {"description": description, "headers": header_references(headers)}
    if isinstance(schema, str):
        response["content"] = {schema: EXAMPLES.get(schema, {})}
    elif schema:
        response["content"] = {"application/json": {"schema": schema}}
    return response


def add_examples(document: Json) -> None:
    """Make an example of every body that has none, out of the examples of its fields.

    Every parameter gets one too: where there is none, Postman makes one up.
    """
    schemas = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                own = parameter["schema"].get("examples", parameter["schema"].get("enum"))
                name = parameter["name"]
                parameter["example"] = own[0] if own else EXAMPLE_PARAMETERS[name]
            for body in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in body.get("content", {}).values():
                    if "schema" in content and "example" not in content:
                        content["example"] = sample(content["schema"], schemas)


def sample(schema: Json, schemas: Json) -> Any:
    """Return an example of a schema; null where none is given."""
    schema = schema.get("anyOf", [schema])[0]
    if "examples" in schema or "const" in schema:
        return schema.get("examples", [schema.get("const")])[0]
    if "$ref" in schema:
        return sample(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    if "items" in schema:
        return [sample(schema["items"], schemas)]
    if "properties" not in schema:
        return None
    return {
        name: sample(part, schemas)
        for name, part in schema["properties"].items()
        if "examples" in part or name in schema.get("required", ())
    }
