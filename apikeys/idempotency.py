"""`Idempotency-Key`: a POST that is sent again gets the first answer again, and nothing is written twice.

1. A row is committed before the work: who comes second while it bears a lease is told to wait.
2. The answer is written into that row in the write's own transaction: both are there, or neither is.
3. A lease that ran out (its worker died) is taken over. Should that worker only have been slow, he finds at his end
   that the lease is not his any more, and his write is rolled back.

An answer that may hold a secret (`ApiView.answers_hold_secrets`) is kept encrypted: who repeats the request is told
the secret again, who reads the table is not.
"""

import hashlib
import math
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import orjson
import structlog
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.utils import timezone
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response

from apikeys.callers import Caller, caller_of
from apikeys.models import IdempotencyRecord
from apikeys.permissions import missing_scope
from apikeys.scopes import Access, Resource, Scope, scope_for
from calliyo.api.parsers import FormData
from calliyo.api.problems import Refusal
from calliyo.api.views import ApiView, Finish
from calliyo.encryption import Undecryptable, decrypt, encrypt, under_newest_key

log = structlog.get_logger(__name__)

REPLAYED: Final = "Idempotent-Replayed"
LEASE: Final = timedelta(seconds=60)
KEPT: Final = timedelta(hours=24)
PRUNED_AT_ONCE: Final = 1_000
# So long a first request may well be still at work; after it, its lease's end is awaited.
_SOON: Final = timedelta(seconds=5)
_VALUE: Final = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?", re.ASCII)
_LONGEST_PATH: Final = 500
# They say how things stood, not what the request did; a repeat may fare better.
_NOT_KEPT: Final = frozenset({401, 403, 413, 429})
_HEADERS: Final = ("Content-Type", "ETag", "Location")
_ATTEMPTS: Final = 5


def answer_once(
    view: ApiView, request: Request, write: Callable[[Finish], HttpResponseBase]
) -> HttpResponseBase:
    """The answer to a POST with an `Idempotency-Key`: what `write` answers, or the first answer again.

    Refuses another body or query under the same key (422), and a repeat while the first is at work (409).
    """
    record = _claimed(view, request)
    if record.finished_at is not None:
        return _replayed(record, caller_of(request))
    claim = Claim(record, sealed=view.answers_hold_secrets)
    try:
        return write(claim.keep)
    except Exception as error:  # noqa: BLE001  # every error is an answer, and is kept as one
        answer = view.handle_exception(error)
        claim.settle(answer)
        return answer


class Claim:
    """The right to answer one request, as long as its lease is ours."""

    def __init__(self, record: IdempotencyRecord, *, sealed: bool) -> None:
        self._sealed = sealed
        self._pk = record.pk
        self._leased_until = record.leased_until

    def keep(self, answer: HttpResponseBase) -> HttpResponseBase:
        """Writes the answer down in the running transaction, which is rolled back if the lease was taken over."""
        rendered = _rendered(answer)
        if not self._write(rendered):
            raise _still_running(1)
        return rendered

    def settle(self, refusal: HttpResponseBase) -> None:
        """Keeps a refusal, whose transaction was rolled back; or lets go, so that a repeat is judged anew."""
        try:
            self._write(_rendered(refusal))
        except DatabaseError as error:
            # What is answered stands; the lease ends by itself.
            log.warning("idempotency.not_settled", error=str(error))

    def _write(self, answer: HttpResponse) -> bool:
        ours = IdempotencyRecord.objects.filter(
            pk=self._pk, leased_until=self._leased_until, finished_at=None
        )
        if answer.status_code in _NOT_KEPT or answer.status_code >= 500:
            return bool(ours.delete()[0])
        headers = {name: answer[name] for name in _HEADERS if name in answer}
        return bool(
            ours.update(
                status=answer.status_code,
                headers=headers,
                body=encrypt(answer.content.decode()).encode() if self._sealed else answer.content,
                sealed=self._sealed,
                finished_at=timezone.now(),
            )
        )


def reencrypt_answers(*, dry_run: bool) -> tuple[int, int]:
    """Moves sealed answers under the newest field key; how many there are, how many were (or would be) moved."""
    checked = changed = 0
    sealed = IdempotencyRecord.objects.filter(sealed=True, body__isnull=False).order_by("pk")
    for pk, body in sealed.values_list("pk", "body").iterator(chunk_size=500):
        checked += 1
        try:
            new = under_newest_key(bytes(body or b"").decode())
        except Undecryptable:
            continue
        if new is not None:
            changed += 1 if dry_run else sealed.filter(pk=pk).update(body=new.encode())
    return checked, changed


def prune() -> int:
    """Forgets answers that are a day old, in batches; says how many."""
    pruned = 0
    while True:
        old = IdempotencyRecord.objects.filter(
            created_at__lte=timezone.now() - KEPT, leased_until__lte=timezone.now()
        )
        pks = list(old.order_by("created_at").values_list("pk", flat=True)[:PRUNED_AT_ONCE])
        pruned += IdempotencyRecord.objects.filter(pk__in=pks).delete()[0]
        if len(pks) < PRUNED_AT_ONCE:
            return pruned


# ── The row ─────────────────────────────────────────────────────────────────────────────────────────────────


def _claimed(view: ApiView, request: Request) -> IdempotencyRecord:
    """The request's row: with its answer, or leased to us."""
    named = {
        "api_key_id": caller_of(request).key.pk,
        "method": request.method or "",
        "path": _path(request),
        "key": _value(request),
    }
    request_hash = _request_hash(view, request)
    for _ in range(_ATTEMPTS):
        known = IdempotencyRecord.objects.filter(**named).first()
        now = timezone.now()
        if known is None:
            record = _inserted(named, request_hash, _needed_to_read(view, request), now)
        else:
            record = _taken(known, request_hash, now)
        if record is not None:
            return record
    raise _still_running(1)  # rivals were faster each time


def _inserted(
    named: Mapping[str, Any], request_hash: str, read_scope: str, now: datetime
) -> IdempotencyRecord | None:
    record = IdempotencyRecord(
        **named, request_hash=request_hash, read_scope=read_scope, created_at=now, leased_until=now + LEASE
    )
    try:
        with transaction.atomic():
            record.save(force_insert=True)
    except IntegrityError:
        return None  # somebody else's came first: his is to be looked at
    return record


def _taken(known: IdempotencyRecord, request_hash: str, now: datetime) -> IdempotencyRecord | None:
    """The row as it may be used; None where it must be looked at again."""
    running = known.finished_at is None and known.leased_until > now
    if known.created_at <= now - KEPT and not running:
        _unchanged(known).delete()
        return None
    if known.request_hash != request_hash:
        detail = "This Idempotency-Key was used for another body or query. Take a new one for each request."
        raise Refusal(status=422, code="idempotency_key_reused", detail=detail)
    if known.finished_at is not None:
        return known
    if running:
        left = known.leased_until - now
        raise _still_running(1 if LEASE - left < _SOON else math.ceil(left.total_seconds()))
    lease = now + LEASE
    if not _unchanged(known).update(leased_until=lease):
        return None
    known.leased_until = lease
    return known


def _unchanged(record: IdempotencyRecord) -> "QuerySet[IdempotencyRecord]":
    return IdempotencyRecord.objects.filter(
        pk=record.pk, leased_until=record.leased_until, finished_at=record.finished_at
    )


def _still_running(seconds: int) -> Refusal:
    detail = "The first request with this Idempotency-Key is still at work; ask again for its answer."
    headers = {"Retry-After": str(seconds)}
    return Refusal(status=409, code="idempotency_key_in_use", detail=detail, headers=headers)


# ── Requests ────────────────────────────────────────────────────────────────────────────────────────────────


def _value(request: Request) -> str:
    value: str = request.META["HTTP_IDEMPOTENCY_KEY"]
    if not _VALUE.fullmatch(value):
        detail = "Idempotency-Key is 1 to 255 printable ASCII characters."
        raise Refusal(status=400, code="invalid_idempotency_key", detail=detail)
    return value


def _path(request: Request) -> str:
    path: str = request.path.rstrip("/")
    if len(path) > _LONGEST_PATH:
        raise Http404  # nothing has such an address
    return path


def _request_hash(view: ApiView, request: Request) -> str:
    digest = hashlib.sha256(request.META.get("QUERY_STRING", "").encode())
    digest.update(b"\0")
    digest.update(_compared_body(view, request))
    return digest.hexdigest()


def _compared_body(view: ApiView, request: Request) -> bytes:
    """The body's bytes; of a multipart form its fields, as their boundary is drawn anew each time."""
    body: bytes = request.body
    if request.content_type.startswith("multipart/"):
        try:
            form = view.body(request)
        except APIException:
            return body
        if isinstance(form, FormData):
            return orjson.dumps(list(form.items()))
    return body


# ── Answers ─────────────────────────────────────────────────────────────────────────────────────────────────


def _needed_to_read(view: ApiView, request: Request) -> str:
    """The scope that let this key see what it wrote, without which the answer is not given again."""
    resource = getattr(view, "resource", None)
    scope = scope_for(resource, Access.READ) if isinstance(resource, Resource) else None
    return scope.value if scope is not None and caller_of(request).may(scope) else ""


def _replayed(record: IdempotencyRecord, caller: Caller) -> HttpResponse:
    if record.read_scope and not caller.may(Scope(record.read_scope)):
        raise missing_scope(Scope(record.read_scope))
    answer = HttpResponse(_content(record), status=record.status, headers=record.headers)
    answer[REPLAYED] = "true"
    return answer


def _content(record: IdempotencyRecord) -> bytes:
    body = bytes(record.body or b"")
    if not record.sealed:
        return body
    try:
        return decrypt(body.decode()).encode()
    except Undecryptable:
        detail = "This request was answered before, but the answer can't be read any more."
        raise Refusal(status=409, code="answer_unreadable", detail=detail) from None


def _rendered(answer: HttpResponseBase) -> HttpResponse:
    """The answer with its bytes: REST framework would write them only after the transaction."""
    if isinstance(answer, Response):
        content = b"" if answer.data is None else orjson.dumps(answer.data)
        plain = HttpResponse(content, status=answer.status_code, content_type="application/json")
        for name, value in answer.items():
            if name != "Content-Type":  # REST framework's is not set before it renders
                plain[name] = value
        return plain
    if not isinstance(answer, HttpResponse):
        raise TypeError("A stream cannot be kept.")
    return answer
