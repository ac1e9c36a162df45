"""The demo company: a training institute's tele-calling team in India, made up by `seed_demo`.

`words` holds what people are called and say, `story` draws one lead's history from it (pure), `writing` stores it.
`integrations` adds API keys and webhooks, `traffic` what the keys called, `deliveries` what the webhooks sent.
"""
