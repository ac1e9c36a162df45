"""What a key may ask of events and webhooks, one module an address."""
