"""Each page of `docs/recipes/` is run here: its requests, its programs, with the scopes that it tells to tick."""
