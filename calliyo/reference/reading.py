"""The document as the page shows it: plain values, in the order of reading."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import orjson
from django.utils.translation import gettext_noop

from calliyo.reference.errors import ERRORS, ErrorKind
from calliyo.reference.snippets import Call, Snippet, snippets
from calliyo.reference.values import Schema
from webhooks.catalogue import CATALOGUE

_ORDER: Final = {"list": 0, "create": 1, "get": 2, "update": 3, "delete": 4}
_PLACES: Final = (
    ("path", gettext_noop("Path")),
    ("query", gettext_noop("Query")),
    ("header", gettext_noop("Headers")),
)
_by_status = attrgetter("status")
_HERE: Final = "#/components/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A parameter or a field. `choices` are the words that it may be, where they are few."""

    name: str
    type: str
    required: bool
    text: str
    choices: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A body, or a header and a body, as it goes over the wire."""

    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One status: what it says, or the errors that it may be."""

    status: str
    text: str
    examples: list[Example]
    errors: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    id: str
    method: str
    path: str
    summary: str
    text: str
    scopes: list[str]
    parameters: list[tuple[str, list[Row]]]
    fields: list[Row]
    media_types: list[str]
    answers: list[Answer]
    snippets: list[Snippet]


@dataclass(frozen=True, slots=True, kw_only=True)
class Coverage:
    """What works of one resource: the operation that does each thing, where there is one."""

    verbs: dict[str, str]
    filters: list[str]
    expand: list[str]
    export: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A resource: its object's fields, and its operations."""

    slug: str
    title: str
    noun: str
    fields: list[Row]
    example: str
    operations: list[Operation]
    coverage: Coverage


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    type: str
    slug: str
    text: str
    scope: str
    example: str


class Reader:
    """Reads a document that `document_for` made."""

    def __init__(self, document: Schema) -> None:
        self._document = document
        self.base: str = document["servers"][0]["url"]

    def groups(self) -> list[Group]:
        """The resources in the document's order."""
        found: dict[str, list[tuple[str, str, Schema]]] = {}
        for path, item in self._document["paths"].items():
            for method, operation in item.items():
                found.setdefault(operation["tags"][0], []).append((path, method, operation))
        titles = {tag["name"]: tag["description"] for tag in self._document["tags"]}
        return [self._group(slug, titles[slug], found[slug]) for slug in titles if slug in found]

    def events(self) -> list[Event]:
        """The nine events."""
        return [
            Event(
                type=kind.type.value,
                slug=f"event-{kind.type.value}",
                text=kind.fires_when,
                scope=kind.scope,
                example=_pretty(
                    _only_example(self._document["webhooks"][kind.type.value]["post"]["requestBody"])
                ),
            )
            for kind in CATALOGUE.values()
        ]

    def event_headers(self) -> list[Row]:
        """What every delivery bears."""
        some = next(iter(self._document["webhooks"].values()))["post"]
        return [self._parameter(one) for one in some["parameters"]]

    def errors(self) -> list[tuple[ErrorKind, str]]:
        """Every code by its status, with its example."""
        return [(kind, _pretty(kind.example(self.base))) for kind in sorted(ERRORS.values(), key=_by_status)]

    # ── One resource ────────────────────────────────────────────────────────────────────────────────────
    def _group(self, slug: str, title: str, found: list[tuple[str, str, Schema]]) -> Group:
        operations = [self._operation(path, method, one) for path, method, one in found]
        operations.sort(key=lambda one: ("{" in one.path, _ORDER.get(one.id.partition("_")[0], 9)))
        noun, example = next(filter(None, (self._object(one) for _, _, one in found)), ("", None))
        return Group(
            slug=slug,
            title=title,
            noun=noun,
            fields=self._fields({"$ref": f"{_HERE}schemas/{noun}"}) if noun else [],
            example=_pretty(example) if example else "",
            operations=operations,
            coverage=_coverage({one["operationId"]: one for _, _, one in found}, operations),
        )

    def _object(self, operation: Schema) -> tuple[str, Any] | None:
        """What the group's single object is called, told by what reads it."""
        if not operation["operationId"].startswith("get_"):
            return None
        content = operation["responses"]["200"]["content"]["application/json"]
        name, example = next(iter(content["examples"].items()))
        return name, example["value"]

    def _operation(self, path: str, method: str, told: Schema) -> Operation:
        parameters = [self._resolved(one) for one in told.get("parameters", ())]
        body = told.get("requestBody", {}).get("content", {})
        schema = body.get("application/json", {}).get("schema")
        example = _only_example({"content": body}) if body else None
        needed = told["x-required-scope"]
        call = Call(base=self.base, method=method.upper(), path=path, body=example)
        return Operation(
            id=told["operationId"],
            method=method.upper(),
            path=path,
            summary=told["summary"],
            text=told["description"],
            scopes=[needed] if isinstance(needed, str) else needed or [],
            parameters=[
                (title, rows)
                for place, title in _PLACES
                if (rows := [self._parameter(one) for one in parameters if one["in"] == place])
            ],
            fields=self._fields(schema) if schema else [],
            media_types=list(body),
            answers=[self._answer(status, one) for status, one in told["responses"].items()],
            snippets=snippets(call),
        )

    def _parameter(self, told: Schema) -> Row:
        return self._row(
            told["name"], told["schema"], told.get("required", False), told.get("description", "")
        )

    def _answer(self, status: str, told: Schema) -> Answer:
        told = self._resolved(told)
        content = told.get("content", {})
        problems = content.get("application/problem+json", {}).get("examples", {})
        examples = [
            Example(title=media_type, text=_pretty(example["value"]))
            for media_type, one in content.items()
            if media_type != "application/problem+json"
            for example in one.get("examples", {}).values()
        ]
        return Answer(status=status, text=told["description"], examples=examples, errors=list(problems))

    # ── Schemas in words ────────────────────────────────────────────────────────────────────────────────
    def _fields(self, schema: Schema) -> list[Row]:
        schema = self._resolved(schema)
        if "anyOf" in schema:
            return self._fields(schema["anyOf"][0])
        required = schema.get("required", ())
        return [
            self._row(name, one, name in required, one.get("description", ""))
            for name, one in schema.get("properties", {}).items()
        ]

    def _row(self, name: str, schema: Schema, required: bool, text: str) -> Row:  # noqa: FBT001
        words = [str(word) for word in _choices(schema)]
        kind = " or ".join(dict.fromkeys(self._types(schema)))
        return Row(
            name=name, type=kind, required=required, text=text or schema.get("description", ""), choices=words
        )

    def _types(self, schema: Schema) -> Iterator[str]:
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for one in (one for word in ("anyOf", "oneOf", "allOf") for one in schema.get(word, ())):
            yield from self._types(one)
        kinds = schema.get("type", [])
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            yield from self._type(kind, schema)

    def _type(self, kind: str, schema: Schema) -> Iterator[str]:
        if kind == "array":
            yield f"list of {' or '.join(dict.fromkeys(self._types(schema['items'])))}"
        elif kind == "string" and schema.get("format") in {"date-time", "date", "email", "phone"}:
            form = str(schema["format"])
            yield {"date-time": "time", "phone": "phone number"}.get(form, form)
        else:
            yield {"string": "text", "integer": "number", "boolean": "true or false"}.get(kind, kind)

    def _resolved(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            kind, name = schema["$ref"].removeprefix(_HERE).split("/")
            schema = self._document["components"][kind][name]
        return schema


def _choices(schema: Mapping[str, Any]) -> Iterable[Any]:
    return schema.get("enum") or schema.get("items", {}).get("enum") or ()


def _coverage(by_id: Mapping[str, Schema], operations: list[Operation]) -> Coverage:
    verbs = dict.fromkeys(_ORDER, "")
    for one in operations:
        verb = one.id.partition("_")[0]
        if not verbs.get(verb, one.id):
            verbs[verb] = one.id
    listed = by_id.get(verbs["list"], {})
    query = {one["name"]: one for one in listed.get("parameters", ()) if one.get("in") == "query"}
    showing = {"fields", "expand", "ordering", "limit", "cursor", "after", "wait"}
    content = listed.get("responses", {}).get("200", {}).get("content", {})
    return Coverage(
        verbs=verbs,
        filters=[name for name in query if name not in showing],
        expand=[*_choices(query["expand"]["schema"])] if "expand" in query else [],
        export=[
            word
            for kind, word in (("text/csv", "CSV"), ("application/x-ndjson", "NDJSON"))
            if kind in content
        ],
    )


def _only_example(told: Mapping[str, Any]) -> Any:
    """The example of the first media type that has one."""
    for one in told["content"].values():
        for example in one.get("examples", {}).values():
            return example["value"]
    return None


def _pretty(value: Any) -> str:
    if isinstance(value, str):
        return value
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
