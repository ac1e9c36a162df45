"""What most teams write: one Celery task a delivery, `requests.post`, a row in a log. Measured beside the engine."""
