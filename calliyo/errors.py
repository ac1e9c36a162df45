"""One error for all domain rules; elsewhere it becomes an HTTP answer, a form's error or a command's line."""

from typing import ClassVar


class DomainError(Exception):
    """A rule of the product refuses what was asked.

    `code` is stable and part of the API; `field` names the input at fault, where there is one; `extra` goes
    into the answer beside them (such as the id of the lead that exists). The text is for people.
    """

    code: ClassVar[str] = "invalid"
    field: str | None = None

    def __init__(self, detail: str, *, field: str | None = None, **extra: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field or self.field
        self.extra = extra
