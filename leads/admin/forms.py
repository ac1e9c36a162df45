"""The forms of the CRM's admin pages: they check and spell; the operations write."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelectMultiple
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from calliyo.errors import DomainError
from leads.admin.base import RefusableForm
from leads.models import Campaign, FollowUp, Lead, LeadStatus, PaymentStatus, Role, Tag, User
from leads.operations.company import company_region
from leads.phones import MAX_SPELLING, to_e164


class PhoneField(forms.CharField):
    """A phone number in any spelling."""

    widget = forms.TextInput(attrs={"type": "tel", "autocomplete": "off", "class": "vTextField"})

    def __init__(self, **options: Any) -> None:
        # The model's length is that of E.164; what people type is longer.
        super().__init__(**options | {"max_length": MAX_SPELLING})

    def clean(self, value: Any) -> str:
        text: str = super().clean(value)
        try:
            return to_e164(text, region=company_region()) if text else text
        except DomainError as refused:
            raise ValidationError(refused.detail, code=refused.code) from refused


class LeadForm(RefusableForm):
    """A lead. Without a status a new one starts in Unassigned, or in Assigned when it has an owner."""

    labels = forms.ModelMultipleChoiceField(
        label="Tags",
        queryset=Tag.objects.all(),
        required=False,
        widget=AutocompleteSelectMultiple(Lead._meta.get_field("tags"), admin.site),
    )

    class Meta:
        model = Lead
        fields: ClassVar[list[str]] = []
        field_classes: ClassVar[dict[str, type[forms.Field]]] = {"phone": PhoneField}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is None:
            if "status" in self.fields:
                self.fields["status"].required = False
                self.fields["status"].help_text = "empty: Unassigned, or Assigned with an owner"
        elif "labels" in self.fields:
            self.initial["labels"] = list(self.instance.tags.all())

    def clean_phone(self) -> str:
        """Names the lead that has the number, where one has."""
        phone: str = self.cleaned_data["phone"]
        same = Lead.rows.filter(phone=phone).exclude(pk=self.instance.pk).first()
        if same is not None:
            raise ValidationError(
                gettext("%(lead)s (lead %(id)d) has this number already.") % {"lead": same, "id": same.pk},
                code="duplicate_phone",
            )
        return phone


class FollowUpForm(RefusableForm):
    """A follow-up; ticking `done` resolves it."""

    done = forms.BooleanField(label="Done", required=False)

    class Meta:
        model = FollowUp
        fields: ClassVar[list[str]] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.initial.setdefault("done", self.instance.resolved_at is not None)


class CampaignForm(RefusableForm):
    """A campaign and who works on it."""

    team = forms.ModelMultipleChoiceField(
        label="Agents",
        queryset=User.objects.all(),
        required=False,
        widget=AutocompleteSelectMultiple(Campaign._meta.get_field("agents"), admin.site),
    )

    class Meta:
        model = Campaign
        fields: ClassVar[list[str]] = []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk is not None and "team" in self.fields:
            self.initial["team"] = list(self.instance.agents.all())


# ── what actions ask ────────────────────────────────────────────────────────────────────────────────────
class AssignForm(forms.Form):
    """Whose the leads shall be."""

    owner = forms.ModelChoiceField(
        queryset=User.objects.filter(is_active=True),
        required=False,
        empty_label="nobody (take them from their owners)",
    )


class SpreadForm(forms.Form):
    """Over whom the leads shall be spread."""

    agents = forms.ModelMultipleChoiceField(
        queryset=User.objects.filter(is_active=True, role=Role.AGENT),
        widget=forms.CheckboxSelectMultiple(attrs={"class": "checkboxes"}),
    )


class StatusForm(forms.Form):
    """Where leads shall go."""

    status = forms.ModelChoiceField(queryset=LeadStatus.objects.all(), empty_label=None)


class BackForm(forms.Form):
    """Where customers shall go back to."""

    status = forms.ModelChoiceField(queryset=LeadStatus.objects.exclude(role="customer"), empty_label=None)


class OrderForm(forms.Form):
    """What was ordered, as far as it is known."""

    amount = forms.DecimalField(required=False, min_value=0, max_digits=14, decimal_places=3)
    currency = forms.CharField(required=False, max_length=3, help_text="ISO 4217, such as INR")
    plan = forms.CharField(required=False, max_length=100)
    payment_status = forms.ChoiceField(required=False, choices=[("", "not known"), *PaymentStatus.choices])
