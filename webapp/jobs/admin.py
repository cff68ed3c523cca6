"""Jobs, attempts and workers in Django's admin. A state is never set by hand: actions go through transitions.py."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest

from webapp.accounts.models import User
from webapp.jobs import transitions
from webapp.jobs.models import Artifact, Attempt, Inspection, Job, StateChange, Worker
from webapp.protected import NamesWhatNeedsIt
from workers.protocol import POOL_RULE, is_pool


class LookOnly:
    """Rows that only the product itself writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AttemptInline(LookOnly, admin.TabularInline[Attempt, Job]):
    model = Attempt
    fields = ["number", "worker", "state", "outcome", "reason_code", "created_at", "ended_at"]
    readonly_fields = ["number", "worker", "state", "outcome", "reason_code", "created_at", "ended_at"]
    ordering = ["number"]


class HistoryInline(LookOnly, admin.TabularInline[StateChange, Job]):
    model = StateChange
    fields = ["at", "before", "after", "actor", "reason_code"]
    readonly_fields = ["at", "before", "after", "actor", "reason_code"]
    ordering = ["id"]


@admin.register(Job)
class JobAdmin(LookOnly, admin.ModelAdmin[Job]):
    list_display = ["id", "name", "team", "created_by", "method", "state", "reason_code", "created_at"]
    list_filter = ["state", "method", "team", "pool", "reason_code"]
    search_fields = ["name", "created_by__username", "base_model__name"]
    list_select_related = ["team", "created_by"]
    date_hierarchy = "created_at"
    inlines = [AttemptInline, HistoryInline]
    actions = ["cancel_jobs", "retry_jobs"]

    @admin.action(description="Cancel the chosen jobs")
    def cancel_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._act(request, queryset, "cancel")

    @admin.action(description="Retry the chosen jobs as new jobs")
    def retry_jobs(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        self._act(request, queryset, "retry")

    def _act(self, request: HttpRequest, queryset: QuerySet[Job], action: str) -> None:
        assert isinstance(request.user, User)
        done = 0
        for job in queryset:
            try:
                transitions.act(job, request.user, action)
                done += 1
            except transitions.NotNow as refusal:
                self.message_user(request, f"{job.name}: {refusal}", messages.WARNING)
        if done:
            self.message_user(request, f"{action.capitalize()}: {done} job{'s' if done > 1 else ''}.")


class WorkerForm(forms.ModelForm):  # type: ignore[type-arg]
    """What an admin may set of a worker."""

    def clean_pool(self) -> str:
        pool = str(self.cleaned_data["pool"])
        if not is_pool(pool):
            raise ValidationError(f"This is not the name of a pool. {POOL_RULE}")
        return pool


@admin.register(Worker)
class WorkerAdmin(NamesWhatNeedsIt, admin.ModelAdmin[Worker]):
    """Workers are enrolled by key; here they are drained, moved to another pool or revoked."""

    list_display = ["name", "pool", "team", "shown_online", "last_hello_at", "drain", "revoked_at"]
    list_filter = ["pool", "drain", "embedded", "team"]
    search_fields = ["name"]
    fields = ["name", "team", "pool", "drain", "revoked_at", "last_hello_at", "report"]
    readonly_fields = ["last_hello_at", "report"]
    form = WorkerForm

    @admin.display(description="online", boolean=True)
    def shown_online(self, worker: Worker) -> bool:
        return worker.online

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False


@admin.register(Artifact)
class ArtifactAdmin(LookOnly, admin.ModelAdmin[Artifact]):
    list_display = ["id", "job", "kind", "bytes", "created_at"]
    list_filter = ["kind", "job__team"]
    search_fields = ["job__name"]
    exclude = ["files"]


@admin.register(Inspection)
class InspectionAdmin(LookOnly, admin.ModelAdmin[Inspection]):
    list_display = ["id", "__str__", "state", "worker", "progress_text", "created_at", "ended_at"]
    list_filter = ["state"]
    exclude = ["token_sha256", "token_prefix"]
