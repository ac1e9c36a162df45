"""Settings → API: the list of keys, and what opens over it.

`page` shows the tab and knows what may lie over it; `rows` reads what the list shows; `drawer` reads what Configure
shows; `keys`, `scopes` and `webhooks` are the forms' targets, thin over the operations of `apikeys` and `webhooks`.
"""
