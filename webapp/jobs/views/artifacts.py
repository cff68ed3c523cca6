"""Delta artifacts: the list, and one with its files, its snippet and where it came from."""

from __future__ import annotations

import re

from django.core.paginator import Paginator
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from webapp.accounts.context import current_team, signed_in
from webapp.accounts.models import Role
from webapp.accounts.permissions import may
from webapp.errors import problem, shows_refusals
from webapp.jobs.downloading import Damaged, read_text
from webapp.jobs.estimating import why_not_merged
from webapp.jobs.handing_in import CARD
from webapp.jobs.inspecting import has_worker
from webapp.jobs.merging import MergeRefused, merge, merging_of
from webapp.jobs.models import Artifact, delta_of

PAGE_SIZE = 50
SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)


def artifact_list(request: HttpRequest) -> HttpResponse:
    rows = Artifact.objects.visible_to(signed_in(request)).filter(job__team=current_team(request))
    rows = rows.select_related("job__base_model", "job__dataset_version__dataset").defer("job__spec", "manifest")
    deltas = rows.filter(kind=Artifact.Kind.DELTA)
    context = {
        "page_of": Paginator(deltas, PAGE_SIZE).get_page(request.GET.get("page")),
        "bytes_used": rows.aggregate(total=Sum("bytes"))["total"],
    }
    return render(request, "jobs/artifacts.html", context)


def detail(request: HttpRequest, artifact_id: int) -> HttpResponse:
    """GET: the page, or how far its merging is, for polling."""
    artifact = _artifact(request, artifact_id)
    is_delta = artifact.kind == Artifact.Kind.DELTA
    merging = merging_of(artifact) if is_delta else None
    context = {
        "artifact": artifact,
        "job": artifact.job,
        "delta": artifact if is_delta else delta_of(artifact.job),
        "not_mergeable": why_not_merged(artifact.job),
        "merging": merging,
        "has_worker": merging is not None and merging.inspection is not None and has_worker(merging.inspection),
        "may_merge": may(signed_in(request), artifact.job.team_id, Role.MEMBER),
    }
    if request.headers.get("HX-Request") and is_delta:
        return render(request, "jobs/_merging.html", context)
    return render(request, "jobs/artifact.html", context | card_of(artifact))


@require_POST
@shows_refusals
def merge_into_base(request: HttpRequest, artifact_id: int) -> HttpResponse:
    artifact = _artifact(request, artifact_id)
    try:
        merge(signed_in(request), artifact)
    except MergeRefused as error:
        return problem(request, 422, "This delta is not merged", str(error))
    return redirect(artifact)


def _artifact(request: HttpRequest, artifact_id: int) -> Artifact:
    rows = Artifact.objects.visible_to(signed_in(request))
    rows = rows.select_related("job__base_model", "job__dataset_version__dataset", "job__created_by", "attempt__worker")
    return get_object_or_404(rows, pk=artifact_id)


def card_of(artifact: Artifact) -> dict[str, str]:
    """The artifact's card and the first Python block in it, or the sentence why there is none."""
    try:
        card = read_text(artifact, CARD)
    except (Damaged, OSError) as error:
        return {"card": "", "snippet": "", "damaged": str(error)}
    found = SNIPPET.search(card)
    return {"card": card, "snippet": found[1].strip() if found else ""}
