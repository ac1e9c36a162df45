"""What the suite promises to every test."""

import socket

import pytest

from leads.models import LeadStatus


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", ["first", "second"])
def test_what_migrations_wrote_is_there_after_a_test_that_committed(turn):
    assert LeadStatus.objects.count() == 10
    LeadStatus.objects.create(name="Committed", position=99)


def test_no_test_reaches_beyond_this_machine():
    with socket.socket() as probe, pytest.raises(RuntimeError, match="A test tried to connect"):
        probe.connect(("192.0.2.1", 80))
    with pytest.raises(RuntimeError, match="A test tried to look up"):
        socket.getaddrinfo("example.com", 80)
