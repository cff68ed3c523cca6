"""Notices and the outbox in Django's admin: to look at. The webhook's secret is not among what is shown."""

from __future__ import annotations

from django.contrib import admin

from webapp.jobs.admin import LookOnly
from webapp.notices.models import Delivery, Notice, NoticeChoice


@admin.register(NoticeChoice)
class NoticeChoiceAdmin(LookOnly, admin.ModelAdmin[NoticeChoice]):
    list_display = ["user", "in_app", "email", "has_webhook"]
    search_fields = ["user__username"]
    exclude = ["sealed_secret", "webhook_url"]

    @admin.display(description="webhook", boolean=True)
    def has_webhook(self, choice: NoticeChoice) -> bool:
        return bool(choice.webhook_url)


@admin.register(Notice)
class NoticeAdmin(LookOnly, admin.ModelAdmin[Notice]):
    list_display = ["id", "user", "kind", "sentence", "created_at", "read_at"]
    list_filter = ["kind"]
    search_fields = ["user__username", "sentence"]
    list_select_related = ["user"]


@admin.register(Delivery)
class DeliveryAdmin(LookOnly, admin.ModelAdmin[Delivery]):
    """The address itself may hold the owner's secret, so only its host is shown."""

    list_display = ["uuid", "channel", "host", "tries", "next_try_at", "sent_at", "gave_up_at", "last_error"]
    list_filter = ["channel"]
    search_fields = ["host"]
    exclude = ["address"]
