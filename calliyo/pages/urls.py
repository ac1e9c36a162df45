"""The addresses of the Settings pages: `/settings?tab=…` to read, and the forms' targets under it."""

from django.urls import path

from calliyo.pages.api_tab import deliveries, keys, minting, scopes, webhooks
from calliyo.pages.login import LoginToGoOn
from calliyo.pages.second_factor import second_factor_page
from calliyo.pages.views import settings_page

app_name = "pages"

urlpatterns = [
    path("settings", settings_page, name="settings"),
    path("settings/login", LoginToGoOn.as_view(), name="login"),
    path("settings/second-factor", second_factor_page, name="second-factor"),
    path("settings/api/keys", minting.create_key, name="create-key"),
    path("settings/api/keys/<int:key_id>/regenerate", minting.regenerate_key, name="regenerate-key"),
    path("settings/api/keys/<int:key_id>/duplicate", minting.duplicate_key, name="duplicate-key"),
    path("settings/api/keys/<int:key_id>/rename", keys.rename_key, name="rename-key"),
    path("settings/api/keys/<int:key_id>/activate", keys.activate_key, name="activate-key"),
    path("settings/api/keys/<int:key_id>/deactivate", keys.deactivate_key, name="deactivate-key"),
    path("settings/api/keys/<int:key_id>/delete", keys.delete_key, name="delete-key"),
    path("settings/api/keys/<int:key_id>/scopes", scopes.save_scopes, name="save-scopes"),
    path("settings/api/keys/<int:key_id>/scopes/in-words", scopes.scopes_in_words, name="scopes-in-words"),
    path("settings/api/keys/<int:key_id>/webhooks", webhooks.add_webhook, name="add-webhook"),
    path("settings/api/webhooks/<int:webhook_id>", webhooks.edit_webhook, name="edit-webhook"),
    path("settings/api/webhooks/<int:webhook_id>/on", webhooks.turn_webhook_on, name="turn-webhook-on"),
    path("settings/api/webhooks/<int:webhook_id>/missed", webhooks.send_missed, name="send-missed"),
    path("settings/api/webhooks/<int:webhook_id>/off", webhooks.turn_webhook_off, name="turn-webhook-off"),
    path("settings/api/webhooks/<int:webhook_id>/delete", webhooks.delete_webhook, name="delete-webhook"),
    path("settings/api/webhooks/<int:webhook_id>/secret", webhooks.show_secret, name="show-secret"),
    path(
        "settings/api/webhooks/<int:webhook_id>/deliveries",
        deliveries.live_deliveries,
        name="live-deliveries",
    ),
    path(
        "settings/api/webhooks/<int:webhook_id>/resend",
        deliveries.resend_deliveries,
        name="resend-deliveries",
    ),
    path(
        "settings/api/webhooks/<int:webhook_id>/resend-failed", deliveries.resend_failed, name="resend-failed"
    ),
    path("settings/api/webhooks/<int:webhook_id>/test", webhooks.send_test_event, name="send-test-event"),
]
