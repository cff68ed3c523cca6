"""Asks a worker about each base model that enters the catalogue.

Base models know nothing of inspections (arrows go one way), so this room listens for them.
"""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save
from django.dispatch import receiver

from webapp.basemodels.models import BaseModel, BaseModelState
from webapp.jobs.inspecting import ask_about


@receiver(post_save, sender=BaseModel, dispatch_uid="ask about a base model")
def ask_about_new(instance: BaseModel, created: bool, **_: Any) -> None:
    if created and instance.state == BaseModelState.CHECKING:
        ask_about(instance)
