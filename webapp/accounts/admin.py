"""People and teams in Django's admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest

from webapp.accounts.models import ApiToken, AuditEntry, Membership, Team, User
from webapp.protected import NamesWhatNeedsIt


class MembershipInline(admin.TabularInline[Membership, Any]):
    model = Membership
    extra = 1
    autocomplete_fields = ["user"]


@admin.register(Team)
class TeamAdmin(NamesWhatNeedsIt, admin.ModelAdmin[Team]):
    list_display = ["name", "slug", "created_at"]
    search_fields = ["name", "slug"]
    prepopulated_fields = {"slug": ["name"]}
    inlines = [MembershipInline]


@admin.register(User)
class PeopleAdmin(UserAdmin[User]):
    list_display = ["username", "email", "is_active", "is_superuser", "last_login"]
    list_filter = ["is_active", "is_superuser", "memberships__team"]


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    """Tokens are made on the team page, where their text is shown once; here they can be looked at and revoked."""

    list_display = ["name", "prefix", "user", "team", "last_used_at", "expires_at", "revoked_at"]
    list_filter = ["team"]
    search_fields = ["name", "prefix", "user__username"]
    readonly_fields = ["user", "team", "name", "prefix", "created_at", "last_used_at"]
    exclude = ["sha256"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(AuditEntry)
class AuditEntryAdmin(admin.ModelAdmin[AuditEntry]):
    list_display = ["at", "actor", "team", "action", "target"]
    list_filter = ["action", "team"]
    search_fields = ["target", "actor__username"]
    date_hierarchy = "at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


admin.site.site_header = admin.site.site_title = "Deltaboard admin"
admin.site.index_title = "Raw tables"
