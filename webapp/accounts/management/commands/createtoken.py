"""Makes an API token for a person in a team, making either where missing, and prints the token alone."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction

from webapp.accounts.models import ApiToken, AuditEntry, Membership, Role, Team, User


class Command(BaseCommand):
    help = "Print a new API token for USERNAME in a team."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--team", required=True, help="slug of the team")
        parser.add_argument("--role", choices=Role.values, default=Role.MAINTAINER)
        parser.add_argument("--name", default="command line")

    @transaction.atomic
    def handle(self, *args: Any, **options: Any) -> None:
        user, made = User.objects.get_or_create(username=options["username"])
        if made:
            user.set_unusable_password()
            user.save()
        team = Team.named(options["team"])
        Membership.objects.update_or_create(user=user, team=team, defaults={"role": options["role"]})
        token, secret = ApiToken.make(user, team, options["name"])
        AuditEntry.note(user, team, "token.make", token.prefix)
        self.stdout.write(secret.text)
