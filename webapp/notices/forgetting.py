"""Old news goes after a while, and the deliveries made of it."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from webapp.notices.models import Notice

KEPT = timedelta(days=90)
AT_A_TIME = 500
"""A round stays short, so that it holds up no writer."""


def forget_old() -> int:
    """Delete a share of what is older than `KEPT`; how many notices went."""
    oldest = Notice.objects.order_by("id")[:AT_A_TIME].values_list("pk", "created_at")
    old = [pk for pk, created_at in oldest if created_at < timezone.now() - KEPT]
    if old:
        Notice.objects.filter(pk__in=old).delete()
    return len(old)
