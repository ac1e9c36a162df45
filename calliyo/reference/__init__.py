"""The API's description: OpenAPI 3.1 read from the views, and the page at `/public/docs` that is made of it.

It says nothing that the code says already: shapes, filters, inputs, scopes and events are read where they stand.
"""
