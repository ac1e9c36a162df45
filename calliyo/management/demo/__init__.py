"""The demo company: a training institute's tele-calling team in India, made up by `seed_demo`.

`words` holds what people are called and say, `story` draws one lead's history from it (pure), `writing`
stores it.
"""
