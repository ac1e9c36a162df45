"""What every resource of the public API shares: problem+json, request ids, parsers, lists, the base view.

It knows no app's models: resources live in `leads.api` and `webhooks.api`, keys and scopes in `apikeys`.
"""
