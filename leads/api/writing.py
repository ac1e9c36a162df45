"""Resources that keys may add to, change and delete: tags, follow-ups and notes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import orjson
from django.http import HttpResponse
from rest_framework.request import Request
from rest_framework.response import Response

from calliyo.api.inputs import Input, Read, read_input
from calliyo.api.parameters import check_parameters
from calliyo.api.views import id_in_path
from calliyo.errors import DomainError
from leads.api.base import CRMViewSet
from leads.api.inputs import named_as_in_json


class WritableViewSet(CRMViewSet):
    """Subclasses name what may be sent, and the three operations that write it."""

    input: ClassVar[type[Input]]
    changes_input: ClassVar[type[Input]]

    def add(self, values: dict[str, Any]) -> int:
        """Writes a new row; gives its id."""
        raise NotImplementedError

    def change(self, row: Any, values: dict[str, Any]) -> None:
        """Writes on the row what `values` name, and no more."""
        raise NotImplementedError

    def remove(self, row: Any) -> None:
        """Deletes the row."""
        raise NotImplementedError

    def create(self, request: Request) -> HttpResponse:
        """A new one: 201 with it, or with its id only to a key that may not read the resource."""
        check_parameters(request.query_params, known=())
        read = read_input(request, self.input)
        with self._refusals():
            pk = self.add(read.values)
        return self._told(pk, read, status=201)

    def partial_update(self, request: Request, pk: str) -> HttpResponse:
        """Writes the fields that the body names and no other."""
        check_parameters(request.query_params, known=())
        row_id = id_in_path(pk)
        self.check_if_match(row_id)
        row = self.rows().get(pk=row_id)
        read = read_input(request, self.changes_input, partial=True)
        with self._refusals():
            self.change(row, read.values)
        return self._told(row_id, read, status=200)

    def destroy(self, request: Request, pk: str) -> Response:
        """Deletes it: 204, and from then on it is among what `deleted_after` tells."""
        check_parameters(request.query_params, known=())
        row_id = id_in_path(pk)
        self.check_if_match(row_id)
        self.remove(self.rows().get(pk=row_id))
        return Response(status=204)

    def _told(self, pk: int, read: Read, *, status: int) -> HttpResponse:
        if not self.may_read():
            content = orjson.dumps({"id": pk} | ignored(read))
            return HttpResponse(content, status=status, content_type="application/json")
        answer = self.object_answer(self.picture_of(pk) | ignored(read), status=status)
        if status == 201:
            answer["Location"] = f"/public/{self.resource.value}/{pk}"
        return answer

    @contextmanager
    def _refusals(self) -> Iterator[None]:
        """Names fields as the caller knows them, and rows only to who may read them."""
        try:
            with named_as_in_json():
                yield
        except DomainError as error:
            if not self.may_read():
                error.extra.pop("existing_id", None)
            raise


def ignored(read: Read) -> dict[str, Any]:
    """What the answer says of a form's fields that nobody knows here."""
    return {"ignored_fields": read.ignored_fields} if read.ignored_fields else {}
