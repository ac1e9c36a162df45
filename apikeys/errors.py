"""The rules of API keys that may be broken."""

from calliyo.errors import DomainError


class NameTaken(DomainError):
    code = "duplicate_name"
    field = "name"


class BadName(DomainError):
    code = "invalid_name"
    field = "name"


class UnknownScope(DomainError):
    code = "unknown_scope"
    field = "scopes"


class BadAddress(DomainError):
    code = "invalid_address"
    field = "allowed_addresses"


class BadOrigin(DomainError):
    code = "invalid_origin"
    field = "allowed_origins"


class BrowserKeyTooWide(DomainError):
    """A key with allowed origins stands in a public page, so all it may do is send leads."""

    code = "browser_key_too_wide"
    field = "scopes"


class BadRateLimit(DomainError):
    code = "invalid_rate_limit"
    field = "rate_limit"


class BadExpiry(DomainError):
    code = "invalid_expiry"
    field = "expires_at"
