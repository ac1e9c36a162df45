"""What the rules need of the company: its country and its time zone, read once in a unit of work."""

from zoneinfo import ZoneInfo

from calliyo.models import Company
from calliyo.unit_of_work import current_unit


def company_region() -> str:
    """The ISO country in which plain phone digits are read."""
    return _company().country


def company_zone() -> ZoneInfo:
    """The time zone in which the company's days begin and end."""
    return _company().zone


def _company() -> Company:
    unit = current_unit()
    if unit is None:
        return Company.current()
    if Company not in unit.notes:
        unit.notes[Company] = Company.current()
    company: Company = unit.notes[Company]
    return company
