"""Asks a worker about each base model that enters the catalogue, and about rows once they are stored; cancels the jobs
of a person who is removed.

Other rooms know nothing of jobs and inspections (arrows go one way), so this room listens for their rows.
"""

from __future__ import annotations

from typing import Any

from django.db.models.signals import post_save, pre_delete
from django.dispatch import receiver

from webapp.accounts.models import User
from webapp.basemodels.models import BaseModel, BaseModelState
from webapp.datasets.models import DatasetVersion
from webapp.datasets.signals import rows_stored
from webapp.jobs.inspecting import ask_about
from webapp.jobs.models import Job
from webapp.jobs.token_reports import ask_again
from webapp.jobs.transitions import cancel_with_parent


@receiver(post_save, sender=BaseModel, dispatch_uid="ask about a base model")
def ask_about_new(instance: BaseModel, created: bool, **_: Any) -> None:
    if created and instance.state == BaseModelState.CHECKING:
        ask_about(instance)


@receiver(rows_stored, dispatch_uid="ask about the tokens of stored rows")
def ask_about_stored(version_id: int, **_: Any) -> None:
    version = DatasetVersion.objects.select_related("dataset").filter(pk=version_id).first()
    if version is not None:
        ask_again(version)


@receiver(pre_delete, sender=User, dispatch_uid="cancel the jobs of a removed person")
def cancel_jobs_of(instance: User, **_: Any) -> None:
    sentence = f"Cancelled, since the account of {instance.username} was removed."
    cancel_with_parent(Job.objects.filter(created_by=instance), "site admin", sentence)
