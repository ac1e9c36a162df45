"""One operation of the public API, read from its view: drf-spectacular walks the routes and asks here."""

import re
from typing import Any, Final

from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import ResolvedComponent
from rest_framework import serializers

from apikeys.permissions import ANY_KEY, MayManageWebhooks, needed_scopes
from calliyo.api.described import Described, description_of
from calliyo.api.inputs import Input
from calliyo.api.lists import Listing
from calliyo.api.pagination import DEFAULT_LIMIT, MAX_LIMIT
from calliyo.api.shapes import Shape
from calliyo.reference.answers import IGNORED, answers_of, media
from calliyo.reference.examples import BODIES
from calliyo.reference.values import ID, Schema, as_form, listed, parameter

_VERBS: Final = {
    "list": ("list", "List"),
    "retrieve": ("get", "Get"),
    "create": ("create", "Create"),
    "partial_update": ("update", "Change"),
    "destroy": ("delete", "Delete"),
}
_EVENT_ID: Final[Schema] = {"type": "string", "pattern": "^evt_[0-9a-f]{32}$"}
_FORMS: Final = {"application/x-www-form-urlencoded": "Form", "multipart/form-data": "Multipart"}


def _strict(schema: Schema, reader: Input) -> Schema:
    """What drf-spectacular leaves out: unknown fields are refused, and some lists may not be empty."""
    for name, field in reader.fields.items():
        if isinstance(field, serializers.ListField) and not field.allow_empty:
            schema["properties"][name]["minItems"] = 1
    return {**schema, "additionalProperties": False}


class PublicSchema(AutoSchema):
    """Reads shape, filters, inputs, parsers and scope of our own views; a `described` handler adds the rest."""

    view: Any

    # ── What it is called ───────────────────────────────────────────────────────────────────────────────
    @property
    def action(self) -> str:
        """The view set's action; the method of a plain view."""
        return getattr(self.view, "action", None) or self.method.lower()

    @property
    def told(self) -> Described:
        """What its handler was marked with."""
        return description_of(getattr(self.view, self.action, None))

    @property
    def by_id(self) -> bool:
        """Whether its path names one object."""
        return "{" in self.path

    @property
    def noun(self) -> str:
        """What its object is called among the components: `FollowUp`."""
        shape = getattr(self.view, "shape", None)
        return self.shape_name(shape) if shape else ""

    @property
    def manages_webhooks(self) -> bool:
        """Whether the key's switch must be on."""
        return MayManageWebhooks in self.view.permission_classes

    def _words(self) -> str:
        return re.sub(r"(?<!^)(?=[A-Z])", " ", self.noun).lower()

    def get_operation_id(self) -> str:
        """`list_leads`, `get_lead`, `create_lead`: clients are generated from them."""
        if self.told.name:
            return self.told.name
        verb = _VERBS[self.action][0]
        return f"{verb}_{self._path_words() if self.action == 'list' else self._words()}".replace(" ", "_")

    def get_summary(self) -> str:
        """A line for navigation."""
        if self.told.summary:
            return self.told.summary
        verb = _VERBS[self.action][1]
        line = f"{verb} {self._path_words()}" if self.action == "list" else f"{verb} a {self._words()}"
        return line.replace("follow up", "follow-up")

    def _path_words(self) -> str:
        return str(self.get_tags()[0]).replace("-", " ")

    def get_tags(self) -> list[str]:
        """The first part of its path."""
        return [self._tokenize_path()[0]]

    def get_description(self) -> str:  # type: ignore[override]  # drf-spectacular's, not REST framework's
        """What the handler promises, and the scope that it needs."""
        return f"{super().get_description()}\n\n{self._needs()}"

    def _needs(self) -> str:
        scopes = [f"`{scope}`" for scope in self._scopes()]
        if self.manages_webhooks:
            return "The key's switch for webhooks of its own must be on; an event needs its read scope, too."
        if not scopes:
            return "Any API key may ask."
        also = "".join(f", and `{scope}`" for scope in self.told.also_needs)
        return f"Needs the scope {' or '.join(scopes)}{also}."

    def _scopes(self) -> tuple[str, ...]:
        resource = self.view.resource
        if resource is ANY_KEY:
            return ()
        return tuple(scope.value for scope in needed_scopes(resource, self.method))

    def get_extensions(self) -> Schema:
        """`x-required-scope`: one scope, or a list of which one will do, or null."""
        scopes = self._scopes()
        needed = scopes[0] if len(scopes) == 1 else list(scopes) or None
        return {"x-required-scope": needed}

    def get_operation(self, *args: Any, **options: Any) -> Schema | None:
        """The operation, what people read first in front."""
        operation = super().get_operation(*args, **options)
        first = ("operationId", "summary", "description")
        return operation and {**{name: operation[name] for name in first}, **operation}

    def get_auth(self) -> list[Schema]:
        """The one way in."""
        return [{"token": []}]

    # ── What it takes ───────────────────────────────────────────────────────────────────────────────────
    def _get_parameters(self) -> list[Schema]:
        path = [self._path_parameter(name) for name in re.findall(r"\{(\w+)\}", self.path)]
        query = [parameter(name, field) for name, field in self._query_fields().items()]
        return [*path, *query, *self._showing(), *self._header_parameters()]

    def _path_parameter(self, name: str) -> Schema:
        schema = _EVENT_ID if self.get_tags() == ["events"] else dict(ID)
        return {"name": name, "in": "path", "required": True, "schema": schema}

    def _query_fields(self) -> Schema:
        filters = self.view.filters.fields() if self.action == "list" else {}
        return {**filters, **self.told.parameters}

    def _showing(self) -> list[Schema]:
        if self.action not in {"list", "retrieve"}:
            return []
        view = self.view
        shown = [listed("fields", [*view.shape.members()], "Only these fields, comma-separated.")]
        if view.expandable():
            needs = ", ".join(
                f"`{name}` needs `{needed_scopes(other.resource, 'GET')[0].value}`"
                for name, other in view.expandable().items()
            )
            shown.append(listed("expand", [*view.expandable()], f"Embeds what is referred to: {needs}."))
        return shown if self.action == "retrieve" else [*shown, *self._paging()]

    def _paging(self) -> list[Schema]:
        orderings = [word for name in self.view.orderings for word in (name, f"-{name}")]
        limit = {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT}
        ordering = {"type": "string", "enum": orderings, "default": self.view.default_ordering}
        return [
            {
                "name": "ordering",
                "in": "query",
                "schema": ordering,
                "description": f"With `updated_after` the order is `{self.view.sync_field}`, and no other.",
            },
            {"name": "limit", "in": "query", "schema": limit, "description": "Rows of a page."},
            {
                "name": "cursor",
                "in": "query",
                "schema": {"type": "string", "minLength": 1},
                "description": "Where a page begins: `next` and `previous` hold it.",
            },
        ]

    def _header_parameters(self) -> list[Schema]:
        names = ["X-Request-Id"]
        if self.method == "POST":
            names.append("Idempotency-Key")
        if self.method in {"PATCH", "DELETE"} and isinstance(self.view, Listing):
            names.append("If-Match")
        if self.method == "GET" and (self.by_id or self.action == "list"):
            names.append("If-None-Match")
        return [{"$ref": f"#/components/parameters/{name}"} for name in names]

    def body(self) -> "type[Input] | None":
        """What reads its body, where it takes one."""
        if self.told.body is not None:
            return self.told.body
        name = {"create": "input", "partial_update": "changes_input"}.get(self.action)
        found: type[Input] | None = getattr(self.view, name, None) if name else None
        return found

    def _get_request_body(self, direction: Any = "request") -> Schema | None:
        body = self.body()
        if body is None:
            return None
        name = self._body_name(body)
        reader = body(partial=self.method == "PATCH")
        schema = _strict(self._map_serializer(reader, "request"), reader)
        self.component(name, self._with_help(schema), of=body)
        reference: Schema = {"$ref": f"#/components/schemas/{name}"}
        if alone := getattr(body, "alone", None):
            reference = {"anyOf": [reference, schema["properties"][alone]]}
        example = {name: BODIES.get(name)}
        content = {"application/json": media(reference, example)}
        for parser in self.view.get_parsers():
            if end := _FORMS.get(parser.media_type):
                # By a name of their own: generated clients tell bodies apart by their types.
                self.component(f"{name}{end}", as_form(schema))
                form = {"$ref": f"#/components/schemas/{name}{end}"}
                content[parser.media_type] = media(form, example)
        return {"required": bool(schema.get("required")), "content": content}

    def _body_name(self, body: type[Input]) -> str:
        if self.told.body is not None:
            return "".join(word.capitalize() for word in f"{self.told.name}_body".split("_"))
        return f"New{self.noun}" if self.action == "create" else f"{self.noun}Changes"

    def _with_help(self, schema: Schema) -> Schema:
        """Fields that are told as they are shown bear the same words."""
        shape = getattr(self.view, "shape", None)
        shown = shape.members() if shape else {}
        for name, field in schema["properties"].items():
            if "description" not in field and name in shown and "$ref" not in field:
                field["description"] = str(shown[name].help_text)
        return schema

    # ── What it answers ─────────────────────────────────────────────────────────────────────────────────
    def _get_response_bodies(self, direction: Any = "response") -> Schema:
        return answers_of(self)

    def get_serializer_name(self, serializer: serializers.Serializer[Any], direction: Any) -> str:
        """Shapes without their suffix; a lead in a batch is a new lead."""
        name = type(serializer).__name__
        return f"New{name.removesuffix('Input')}" if name.endswith("Input") else name.removesuffix("Shape")

    def shape_name(self, shape: type[Shape]) -> str:
        """What the shape is called among the components."""
        return shape.__name__.removesuffix("Shape")

    def shape_schema(self, shape: type[Shape]) -> Schema:
        """A reference to the shape."""
        if shape is getattr(self.view, "shape", None):
            return self.object_schema(whole=True)
        return dict(self.resolve_serializer(shape(), "response").ref)

    def object_schema(self, *, whole: bool = False) -> Schema:
        """The view's object with what may be embedded in it; unless `whole`, or those fields that were asked for."""
        shape = self.view.shape
        schema = self._map_serializer(shape(), "response")
        properties = {**schema["properties"], **self._embedded()}
        if self._writes():
            properties |= IGNORED
        self.component(self.noun, {**schema, "properties": properties}, of=shape)
        reference: Schema = {"$ref": f"#/components/schemas/{self.noun}"}
        if whole:
            return reference
        self.component(
            f"{self.noun}Part", {"type": "object", "properties": properties, "description": "With `fields`."}
        )
        return {"anyOf": [reference, {"$ref": f"#/components/schemas/{self.noun}Part"}]}

    def _writes(self) -> bool:
        return getattr(self.view, "input", None) is not None

    def _embedded(self) -> Schema:
        return {
            name: {
                "anyOf": [{"$ref": f"#/components/schemas/{self.shape_name(other.shape)}"}, {"type": "null"}],
                "description": f"With `expand={name}`.",
            }
            for name, other in self.view.expandable().items()
        }

    def page_schema(self) -> Schema:
        """A reference to a page of the view's objects, and of what else its list may hold."""
        own = self.object_schema()["anyOf"]
        others = [self.shape_schema(shape) for shape in self.told.answers.values()]
        address = {"type": ["string", "null"], "format": "uri"}
        page = {
            "type": "object",
            "properties": {
                "next": address | {"description": "The next page's address; null on the last one."},
                "previous": address | {"description": "The previous page's address; null on the first one."},
                "as_of": {
                    "type": "string",
                    "format": "date-time",
                    "description": "The value for the next `updated_after`, the same on all pages of a walk.",
                },
                "results": {"type": "array", "items": {"anyOf": [own[0], *others, *own[1:]]}},
            },
            "required": ["next", "previous", "as_of", "results"],
        }
        return self.component(f"{self.noun}Page", page)

    def component(self, name: str, schema: Schema, of: Any = None) -> Schema:
        """Puts the schema (of this class) among the components; a reference to it."""
        made = ResolvedComponent(name=name, type=ResolvedComponent.SCHEMA, schema=schema, object=of or name)
        self.registry.register_on_missing(made)
        return {"$ref": f"#/components/schemas/{name}"}
