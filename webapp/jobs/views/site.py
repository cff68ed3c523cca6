"""What the site says of itself: its health for admins, its promises for everybody, a team's quotas for the team."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.accounts.context import current_team, signed_in
from webapp.accounts.permissions import NotAllowed
from webapp.errors import shows_refusals
from webapp.jobs import quotas
from webapp.jobs.fair_share import FAIR_SHARE
from webapp.jobs.health import health
from webapp.jobs.promises import PROMISES, Promise, proofs


@shows_refusals
def health_page(request: HttpRequest) -> HttpResponse:
    """Database, broker, disk and sweep, as they are now."""
    if not signed_in(request).is_superuser:
        raise NotAllowed("site admin")
    now = health()
    parts = {"Database": now.database, "Broker": now.broker, "Disk": now.disk, "Reconciler": now.sweep}
    part = request.headers.get("HX-Target") == "health"
    return render(request, "jobs/_health.html" if part else "jobs/health.html", {"health": now, "parts": parts})


@login_not_required
def promises(request: HttpRequest) -> HttpResponse:
    """Each promise with the tests that prove it; open to everybody, it tells nothing of this site's data."""
    listed: list[tuple[Promise, list[str]]] = [(promise, proofs(promise)) for promise in PROMISES]
    return render(request, "jobs/promises.html", {"promises": listed, "fair_share": FAIR_SHARE})


def team_quotas(request: HttpRequest) -> HttpResponse:
    """A fragment of the team page: what is used of what is allowed."""
    team = current_team(request)
    if team is None:
        raise Http404
    return render(request, "jobs/_quotas.html", {"rows": quotas.usage(team, signed_in(request)), "team": team})
