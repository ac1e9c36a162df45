"""The thirteen scopes of the product page, in its order, and nothing else."""

import pytest

from apikeys.scopes import RESOURCE_TITLES, Access, Resource, Scope, in_order, scope_for

CONTRACT = (
    "leads:read leads:write customers:read users:read lead-statuses:read tags:read tags:write "
    "follow-ups:read follow-ups:write notes:read notes:write calls:read campaigns:read"
)


def test_the_scopes_are_the_contracts_in_its_order() -> None:
    assert [scope.value for scope in Scope] == CONTRACT.split()


def test_what_the_product_page_does_not_grant_has_no_scope() -> None:
    readonly = {resource for resource in Resource if scope_for(resource, Access.WRITE) is None}
    assert readonly == {
        Resource.CUSTOMERS,
        Resource.USERS,
        Resource.LEAD_STATUSES,
        Resource.CALLS,
        Resource.CAMPAIGNS,
    }
    assert all(scope_for(resource, Access.READ) for resource in Resource)


def test_every_resource_has_a_title() -> None:
    assert list(RESOURCE_TITLES) == list(Resource)


def test_scopes_are_brought_into_order_each_once() -> None:
    assert in_order(["tags:read", "leads:write", "tags:read"]) == [Scope.LEADS_WRITE, Scope.TAGS_READ]


def test_a_word_that_is_no_scope_is_refused() -> None:
    with pytest.raises(ValueError, match="calls:write"):
        in_order(["calls:write"])
