"""The only access rules: who sees what, and who may change it. Views ask, they never compare teams."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from webapp.accounts.models import Membership, Role, Team, User

RANK = {Role.VIEWER: 0, Role.MEMBER: 1, Role.MAINTAINER: 2}


class NotAllowed(Exception):
    """The person's role in the team is too low for this (403)."""

    def __init__(self, need: str) -> None:
        super().__init__(f"This needs the role {need} in the team. Ask one of its maintainers.")


def in_teams_of(user: User, field: str = "team") -> Q:
    """Rows whose team the person belongs to."""
    if user.is_superuser:
        return Q()
    return Q(**{f"{field}__in": Membership.objects.filter(user=user).values("team")})  # no join, so no row twice


def in_teams_of_or_shared(user: User, field: str = "team") -> Q:
    """Rows of the person's teams, and those given to every team by the site admin."""
    return Q() if user.is_superuser else in_teams_of(user, field) | Q(**{f"{field}__isnull": True})


def people_of(team_id: int) -> QuerySet[User]:
    """Active people who may see what belongs to the team: the other end of `in_teams_of`."""
    members = Membership.objects.filter(team=team_id).values("user")
    return User.objects.filter(Q(is_superuser=True) | Q(pk__in=members), is_active=True)


def sees_team_or_shared(user: User, team_id: int | None) -> bool:
    """The same rule for one row that is already in memory."""
    return user.is_superuser or team_id is None or team_id in user.roles


def may(user: User, team_id: int | None, need: str) -> bool:
    """Whether the person has at least this role in the team; what has no team belongs to the site admin."""
    if team_id is None:
        return user.is_superuser
    role = user.role_in(team_id)
    return role is not None and RANK[Role(role)] >= RANK[Role(need)]


def require(user: User, team_id: int | None, need: str) -> None:
    """Raise NotAllowed unless the person has at least this role."""
    if not may(user, team_id, need):
        raise NotAllowed(need if team_id is not None else "site admin")


def maintains_a_team(user: User) -> bool:
    return user.is_superuser or user.memberships.filter(role=Role.MAINTAINER).exists()


def teams_to_work_in(user: User) -> list[Team]:
    """Teams in which the person may make things, by name."""
    teams = Team.objects.visible_to(user)
    roles = [role for role, rank in RANK.items() if rank >= RANK[Role.MEMBER]]
    return list(teams if user.is_superuser else teams.filter(memberships__user=user, memberships__role__in=roles))
