"""People, teams and the keys they hold; every access rule that others use is in permissions.py."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.text import slugify

from webapp.accounts.tokens import Secret, digest, make_secret, matches, prefix_of


class Role(models.TextChoices):
    VIEWER = "viewer"
    MEMBER = "member"
    MAINTAINER = "maintainer"


class User(AbstractUser):
    """A person. Site admins are superusers; everything else follows from memberships."""

    theme = models.CharField(max_length=8, default="", blank=True)
    """light, dark, or empty for what the system says."""

    @property
    def label(self) -> str:
        return self.get_full_name() or self.username

    def role_in(self, team_id: int) -> str | None:
        """This person's role in a team; site admins count as maintainers."""
        return Role.MAINTAINER if self.is_superuser else self.roles.get(team_id)

    @cached_property
    def roles(self) -> dict[int, str]:
        """Role by team, read once: a person's row lives as long as one request."""
        return dict(self.memberships.values_list("team_id", "role"))


class TeamQuerySet(models.QuerySet["Team"]):
    def visible_to(self, user: User) -> TeamQuerySet:
        return self if user.is_superuser else self.filter(pk__in=user.roles)


class Team(models.Model):
    """Owns datasets, base models and jobs."""

    name = models.CharField(max_length=80)
    slug = models.SlugField(max_length=80, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    gpu_hours_a_month = models.FloatField(null=True, blank=True)
    """What its attempts may use of GPUs in a calendar month (UTC); empty for no limit."""
    queued_jobs_at_most = models.PositiveIntegerField(default=1000)
    queued_jobs_a_person = models.PositiveIntegerField(default=500)
    """So that one person's flood leaves room for the others of the team."""
    jobs_at_once = models.PositiveIntegerField(null=True, blank=True)
    """How many may be at work together; empty for no limit."""
    objects = TeamQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["name"]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def named(cls, slug: str) -> Team:
        """The team with this slug, made where missing."""
        return cls.objects.get_or_create(slug=slugify(slug), defaults={"name": slug})[0]


class Membership(models.Model):
    """One person in one team, with a role."""

    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    team = models.ForeignKey(Team, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role.choices, default=Role.MEMBER)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=["user", "team"], name="one_membership_per_team")]

    def __str__(self) -> str:
        return f"{self.user} in {self.team} as {self.role}"


class ApiTokenQuerySet(models.QuerySet["ApiToken"]):
    def live(self) -> ApiTokenQuerySet:
        now = timezone.now()
        unexpired = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
        return self.filter(unexpired, revoked_at__isnull=True, user__is_active=True)

    def find(self, text: str) -> ApiToken | None:
        """The live token with this text; its user and team come along."""
        prefix = prefix_of(text, "u")
        token = self.live().select_related("user", "team").filter(prefix=prefix).first() if prefix else None
        return token if token and matches(text, token.sha256) else None


class ApiToken(models.Model):
    """A program's key to one team, in the name of one person. Only its hash is stored."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens")
    team = models.ForeignKey(Team, models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=80)
    prefix = models.CharField(max_length=8, unique=True)
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    objects = ApiTokenQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.name} (delta_u_{self.prefix}…)"

    @classmethod
    def make(cls, user: User, team: Team, name: str) -> tuple[ApiToken, Secret]:
        """A new token, and its text to show once."""
        secret = make_secret("u")
        expires_at = timezone.now() + timedelta(days=365)
        token = cls.objects.create(
            user=user, team=team, name=name, prefix=secret.prefix, sha256=secret.sha256, expires_at=expires_at
        )
        return token, secret

    def touch(self) -> None:
        """Note the use, at most once a minute."""
        now = timezone.now()
        if self.last_used_at is None or now - self.last_used_at > timedelta(minutes=1):
            ApiToken.objects.filter(pk=self.pk).update(last_used_at=now)


class SignInLink(models.Model):
    """A link that signs one person in, once."""

    user = models.ForeignKey(User, models.CASCADE)
    sha256 = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"sign-in link for {self.user}"

    @classmethod
    def make(cls, user: User) -> str:
        """The text of a fresh link; older unused ones of this person die."""
        cls.objects.filter(user=user, used_at__isnull=True).delete()
        secret = make_secret("s")
        cls.objects.create(user=user, sha256=secret.sha256, expires_at=timezone.now() + timedelta(hours=24))
        return secret.text

    @classmethod
    def use(cls, text: str) -> User | None:
        """The person behind an unused link; the conditional update lets it work once."""
        now = timezone.now()
        unused = cls.objects.filter(sha256=digest(text), used_at__isnull=True, expires_at__gt=now, user__is_active=True)
        link = unused.select_related("user").first()
        return link.user if link and unused.update(used_at=now) == 1 else None


class AuditEntry(models.Model):
    """Who did what to which object. Rows are only ever added."""

    at = models.DateTimeField(auto_now_add=True)
    actor = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, related_name="+")
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=200)
    detail: models.JSONField[Any, Any] = models.JSONField(default=dict)

    class Meta:
        ordering: ClassVar = ["-id"]
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.action} {self.target}"

    @classmethod
    def note(cls, actor: User | None, team: Team | None, action: str, target: object, **detail: Any) -> None:
        cls.objects.create(actor=actor, team=team, action=action, target=str(target)[:200], detail=detail)
