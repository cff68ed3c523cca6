"""Datasets in Django's admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin

from webapp.datasets.models import Dataset, DatasetVersion
from webapp.protected import NamesWhatNeedsIt


class VersionInline(admin.TabularInline[DatasetVersion, Any]):
    model = DatasetVersion
    fields = ["number", "state", "task", "bytes", "sha256", "created_at"]
    readonly_fields = ["number", "state", "task", "bytes", "sha256", "created_at"]
    extra = 0
    can_delete = False


@admin.register(Dataset)
class DatasetAdmin(NamesWhatNeedsIt, admin.ModelAdmin[Dataset]):
    list_display = ["name", "team", "licence", "created_by", "created_at"]
    list_filter = ["team"]
    search_fields = ["name"]
    fields = ["name", "team", "licence"]
    inlines = [VersionInline]
