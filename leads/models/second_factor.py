"""What a user proves besides his password: the codes of an authenticator app, or one of his recovery codes."""

from math import ceil
from typing import Any

import structlog
from django.conf import settings
from django.db import models
from django.utils import timezone
from django_otp.models import Device, ThrottlingMixin

from calliyo.encryption import Undecryptable, decrypt
from calliyo.fields import MomentField
from leads import codes

log = structlog.get_logger(__name__)


class SecondFactor(ThrottlingMixin, Device):  # type: ignore[misc]  # django-otp ships no types
    """A user's second factor. Its key is sealed, as webhooks' secrets are; of recovery codes only hashes are kept.

    After a wrong code of the app, the next one is looked at after 1 s, then 2, 4, 8, … wherever it comes from:
    django-axes counts by address, and a code has but a million values. Recovery codes are too long to guess, and always
    taken, so that who has the password but not the phone can't lock the owner out.
    """

    user: Any = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="second_factor"
    )
    name = None
    confirmed = None
    key = models.TextField()
    last_step = models.BigIntegerField(default=-1)
    recovery_digests = models.JSONField(default=list)
    switched_on_at = MomentField(default=timezone.now)

    class Meta:
        verbose_name = "second factor"

    def __str__(self) -> str:
        return "Second factor"

    def verify_token(self, token: str) -> bool:
        """Whether the code is right, and uses it up. Called with the row locked (`django_otp.verify_token`)."""
        code = codes.bare(token)
        if codes.is_from_app(code):
            return self._verify_app(code)
        return self._use_recovery_code(codes.digest(code))

    def seconds_to_wait(self) -> int:
        """For how long no code of the app is looked at, as wrong ones came before."""
        allowed, reason = self.verify_is_allowed()
        return 0 if allowed else max(1, ceil((reason["locked_until"] - timezone.now()).total_seconds()))

    def get_throttle_factor(self) -> int:
        return 1

    def _verify_app(self, code: str) -> bool:
        if not self.verify_is_allowed()[0]:
            return False
        try:
            key = decrypt(self.key)
        except Undecryptable:
            log.error("second_factor.undecryptable", user=self.user_id)
            return False
        step = codes.step_of(code, key, after=self.last_step)
        if step is None:
            self.throttle_increment()
            return False
        self.last_step = step
        self.throttle_reset()
        return True

    def _use_recovery_code(self, digest: str) -> bool:
        if digest not in self.recovery_digests:
            return False
        self.recovery_digests = [each for each in self.recovery_digests if each != digest]
        self.throttle_reset()
        log.warning("second_factor.recovery_code_used", user=self.user_id, left=len(self.recovery_digests))
        return True
