"""The base of all request schemas: nothing unknown, nothing twice, one sentence a field."""

from difflib import get_close_matches

from marshmallow import Schema, ValidationError
from werkzeug.datastructures import MultiDict


def one_sentence(messages) -> str:
    """Return the first sentence of marshmallow's nested messages."""
    while not isinstance(messages, str):
        messages = next(iter(messages.values() if isinstance(messages, dict) else messages))
    return messages


class RequestSchema(Schema):
    """A request's fields; `noun` is what a stranger among them is called."""

    noun = "field"

    def check(self, data: dict, complaints: dict[str, str] | None = None) -> dict:
        """Return the loaded data. Raises ValidationError whose messages are {field: sentence}."""
        names = [field.data_key or name for name, field in self.fields.items()]
        complaints = dict(complaints or {})
        for name in data:
            if name not in names:
                # Guessing is for people: a flood of names, or a very long one, is no typo.
                is_typo = len(complaints) < 10 and len(name) <= 40
                close = get_close_matches(name, names, n=1) if is_typo else []
                hint = f"; did you mean {close[0]}?" if close else ""
                complaints[name] = f"unknown {self.noun}{hint}"
        try:
            loaded = self.load({name: data[name] for name in data if name not in complaints})
        except ValidationError as error:
            found = {name: one_sentence(messages) for name, messages in error.messages.items()}
            complaints = found | complaints
        if complaints:
            raise ValidationError(complaints)
        return loaded


class QuerySchema(RequestSchema):
    """The arguments of a query string."""

    noun = "parameter"

    def check_query(self, args: MultiDict) -> dict:
        """Return the loaded arguments. Raises ValidationError as `check` does."""
        repeated = [
            name for name, values in args.lists() if len(values) > 1 and name in self.fields
        ]
        return self.check(args.to_dict(), dict.fromkeys(repeated, "must be given once"))
