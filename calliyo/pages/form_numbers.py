"""Single-use form numbers: a form that mints something is good for one post, however often it is sent.

A number is signed for its user and holds for a day; spending it inserts a row in the transaction of the work itself, so
two posts at once cannot both succeed.
"""

import secrets
from datetime import timedelta

from django.core.signing import BadSignature, TimestampSigner
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from calliyo.errors import DomainError
from calliyo.models import SpentFormNumber
from leads.models import User

LIFETIME = timedelta(days=1)


class FormAlreadyUsed(DomainError):
    code = "form_already_used"


class FormTooOld(DomainError):
    code = "form_too_old"


def issue(user: User) -> str:
    """A fresh number for one form of this user."""
    return _signer(user).sign(secrets.token_urlsafe(16))


def spend(number: str, user: User) -> None:
    """Uses the number up, in the running transaction.

    Raises FormAlreadyUsed for a number that was spent, FormTooOld for one that is none or is no longer good.
    """
    try:
        plain = _signer(user).unsign(number, max_age=LIFETIME)
    except BadSignature as error:
        raise FormTooOld(str(_("This form has been open for too long. Please try again."))) from error
    try:
        with transaction.atomic():
            SpentFormNumber.objects.create(number=plain)
    except IntegrityError as error:
        raise FormAlreadyUsed(
            str(_("This form was already sent; nothing was done a second time."))
        ) from error
    # A number that is no longer good is refused by its signature, so its row is of no more use.
    SpentFormNumber.objects.filter(spent_at__lt=timezone.now() - 2 * LIFETIME).delete()


def _signer(user: User) -> TimestampSigner:
    return TimestampSigner(salt=f"calliyo.form_numbers.{user.pk}")
