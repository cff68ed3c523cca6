"""What every page's frame shows: the person, the team they work in, and the places they can go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

from webapp.accounts.models import Team, User

TEAM_KEY = "team_id"


@dataclass(frozen=True)
class Place:
    """One entry of the rail; `pages` are the URL names that light it up."""

    url: str
    label: str
    icon: str
    pages: tuple[str, ...]


PLACES = (
    Place("jobs:home", "Queue", "queue", ("jobs:home", "jobs:starter")),
    Place("jobs:list", "Jobs", "jobs", ("jobs:list", "jobs:new", "jobs:detail")),
    Place("jobs:studies", "Studies", "study", ("jobs:studies", "jobs:new_study", "jobs:study", "jobs:compare")),
    Place(
        "datasets:list",
        "Datasets",
        "dataset",
        (
            "datasets:list",
            "datasets:upload",
            "datasets:columns",
            "datasets:check",
            "datasets:save",
            "datasets:version",
            "datasets:rows",
            "datasets:row",
            "datasets:help",
            "datasets:changes",
            "jobs:tokens",
        ),
    ),
    Place("basemodels:list", "Models", "model", ("basemodels:list", "basemodels:register", "basemodels:detail")),
    Place("jobs:artifacts", "Artifacts", "artifact", ("jobs:artifacts", "jobs:artifact")),
    Place("jobs:workers", "Workers", "worker", ("jobs:workers",)),
    Place("accounts:team", "Team", "team", ("accounts:team",)),
)


def signed_in(request: HttpRequest) -> User:
    """The person behind a page that the login middleware has let through."""
    assert isinstance(request.user, User)
    return request.user


def teams_of(request: HttpRequest) -> list[Team]:
    """The person's teams by name, read once a request."""
    teams: list[Team] | None = getattr(request, "deltaboard_teams", None)
    if teams is None:
        teams = _read_teams(signed_in(request))
        request.deltaboard_teams = teams  # type: ignore[attr-defined]
    return teams


def _read_teams(user: User) -> list[Team]:
    """Teams and the person's roles in them, in one query."""
    if user.is_superuser:
        return list(Team.objects.all())
    memberships = list(user.memberships.select_related("team").order_by("team__name"))
    user.roles = {each.team_id: each.role for each in memberships}
    return [each.team for each in memberships]


def current_team(request: HttpRequest) -> Team | None:
    """The team chosen in the top bar, else the first; None for a person without any."""
    teams = teams_of(request)
    chosen = request.session.get(TEAM_KEY)
    return next((team for team in teams if team.pk == chosen), teams[0] if teams else None)


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor."""
    if not isinstance(getattr(request, "user", None), User):
        return {}
    match = request.resolver_match
    return {
        "team": current_team(request),
        "teams": teams_of(request),
        "nav": PLACES,
        "page": match.view_name if match else "",
    }
