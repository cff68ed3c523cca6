"""Delta artifacts: the list, and one with its files, its snippet and where it came from."""

from __future__ import annotations

import re

from django.core.paginator import Paginator
from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render

from webapp.accounts.context import current_team, signed_in
from webapp.jobs.downloading import Damaged, read_text
from webapp.jobs.estimating import why_not_merged
from webapp.jobs.models import Artifact

PAGE_SIZE = 50
CARD = "README.md"
SNIPPET = re.compile(r"```python\n(.*?)```", re.DOTALL)


def artifact_list(request: HttpRequest) -> HttpResponse:
    rows = Artifact.objects.visible_to(signed_in(request)).filter(job__team=current_team(request))
    rows = rows.select_related("job__base_model", "job__dataset_version__dataset").defer("job__spec", "manifest")
    context = {
        "page_of": Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page")),
        "bytes_used": rows.aggregate(total=Sum("bytes"))["total"],
    }
    return render(request, "jobs/artifacts.html", context)


def detail(request: HttpRequest, artifact_id: int) -> HttpResponse:
    rows = Artifact.objects.visible_to(signed_in(request))
    rows = rows.select_related("job__base_model", "job__dataset_version__dataset", "job__created_by", "attempt__worker")
    artifact = get_object_or_404(rows, pk=artifact_id)
    context = {"artifact": artifact, "job": artifact.job, "not_mergeable": why_not_merged(artifact.job)}
    return render(request, "jobs/artifact.html", context | card_of(artifact))


def card_of(artifact: Artifact) -> dict[str, str]:
    """The artifact's card and the first Python block in it, or the sentence why there is none."""
    try:
        card = read_text(artifact, CARD)
    except (Damaged, OSError) as error:
        return {"card": "", "snippet": "", "damaged": str(error)}
    found = SNIPPET.search(card)
    return {"card": card, "snippet": found[1].strip() if found else ""}
