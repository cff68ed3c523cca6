"""Base models in Django's admin."""

from __future__ import annotations

from django.contrib import admin

from webapp.basemodels.models import BaseModel
from webapp.protected import NamesWhatNeedsIt


@admin.register(BaseModel)
class BaseModelAdmin(NamesWhatNeedsIt, admin.ModelAdmin[BaseModel]):
    list_display = ["name", "source", "state", "architecture", "parameters", "team", "created_at"]
    list_filter = ["state", "source", "team", "model_type"]
    search_fields = ["name", "hub_id"]
    fields = ["name", "team", "licence", "source", "hub_id", "revision", "state", "problem", "sha256s"]
    readonly_fields = ["source", "hub_id", "revision", "state", "problem", "sha256s"]

    @admin.display(description="files")
    def sha256s(self, model: BaseModel) -> str:
        return "\n".join(f"{file['sha256']}  {file['name']}" for file in model.files)

    def has_add_permission(self, request: object) -> bool:
        return False
