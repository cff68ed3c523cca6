"""What a browser shows while the site cannot be reached: one page, and the service worker that keeps it."""

from __future__ import annotations

import hashlib

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from webapp.settings import ROOT

SCRIPT = ROOT / "static/js/offline.js"


def _page() -> str:
    """The same for everybody: rendered without a request, it can hold nothing of a person or a team."""
    return render_to_string("offline.html")


@login_not_required
@require_safe
def offline_page(request: HttpRequest) -> HttpResponse:
    return HttpResponse(_page())


@login_not_required
@require_safe
def offline_worker(request: HttpRequest) -> HttpResponse:
    """From the top of the site, since a service worker sees only what lies below its own address.

    Its last line changes with the page and the hashed names of its style sheets: then browsers keep the page anew.
    """
    mark = hashlib.sha256(_page().encode()).hexdigest()
    script = f"{SCRIPT.read_text()}// The page: {mark}\n"
    return HttpResponse(script, content_type="text/javascript", headers={"Cache-Control": "no-cache"})
