"""Hears every line of a job's history, and of people who are removed.

Jobs and accounts know nothing of notices (arrows go one way), so this room listens.
"""

from __future__ import annotations

import logging
from typing import Any

from django.db import DatabaseError, transaction
from django.db.models.signals import post_delete, post_save
from django.dispatch import receiver

from webapp.accounts.models import User
from webapp.jobs.models import StateChange
from webapp.notices.models import Notice
from webapp.notices.noticing import notice

log = logging.getLogger(__name__)


@receiver(post_save, sender=StateChange, dispatch_uid="tell people of a change")
def hear(instance: StateChange, created: bool, **_: Any) -> None:
    """In the change's own transaction: both are kept or neither is. A fault of ours never keeps a job from ending."""
    if not created or not instance.before:  # of a launch nobody is told
        return
    try:
        with transaction.atomic():
            notice(instance)
    except DatabaseError:
        raise  # the whole change is tried again, with its notices
    except Exception:
        log.exception("no notices for state change %s", instance.pk)


@receiver(post_delete, sender=User, dispatch_uid="forget a removed person's last notices")
def forget(instance: User, **_: Any) -> None:
    """Their jobs end while they are being removed, and each end tells them: after the rows to delete were collected."""
    Notice.objects.filter(user=instance.pk).delete()
