"""From the models' signals to Event and Delivery rows, in the same transaction."""


def connect() -> None:
    """Begins to listen."""
