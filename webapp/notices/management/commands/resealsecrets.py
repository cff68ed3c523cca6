"""Seals every stored secret with the newest key, so that older keys can be taken out of ENCRYPTION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from webapp.notices.models import NoticeChoice
from webapp.notices.sealing import Unreadable, seal, unseal


class Command(BaseCommand):
    help = "Seal every stored secret with the first of ENCRYPTION_KEYS. Then the others can go."

    def handle(self, *args: Any, **options: Any) -> None:
        done, unreadable = 0, []
        for choice in NoticeChoice.objects.exclude(sealed_secret="").select_related("user"):
            try:
                fresh = seal(unseal(choice.sealed_secret))
            except Unreadable:
                unreadable.append(choice.user.username)
                continue
            # Only if nobody made a new one meanwhile.
            done += NoticeChoice.objects.filter(pk=choice.pk, sealed_secret=choice.sealed_secret).update(
                sealed_secret=fresh
            )
        self.stdout.write(f"Sealed with the newest key: {done}.")
        if unreadable:
            raise CommandError(
                f"No key opens the webhook secrets of: {', '.join(unreadable)}. They must make new ones."
            )
