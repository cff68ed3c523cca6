"""Prints a one-time link that signs the first admin in; prints nothing once that admin has a password."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.urls import reverse

from webapp.accounts.models import Membership, Role, SignInLink, Team, User


class Command(BaseCommand):
    help = "Print a one-time sign-in link for the first admin, or for --user."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--site", default=settings.SITE_URL)
        parser.add_argument("--user", default="")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.get(username=options["user"]) if options["user"] else self._first_admin()
        if options["user"] or not user.has_usable_password():
            path = reverse("accounts:sign_in_link", args=[SignInLink.make(user)])
            self.stdout.write(options["site"].rstrip("/") + path)

    def _first_admin(self) -> User:
        """The oldest site admin; made with a first team where there is none, without any password."""
        admin = User.objects.filter(is_superuser=True).order_by("pk").first()
        if admin:
            return admin
        admin = User(username="admin", is_superuser=True, is_staff=True)
        admin.set_unusable_password()
        admin.save()
        Membership.objects.create(user=admin, team=Team.named("first-team"), role=Role.MAINTAINER)
        return admin
