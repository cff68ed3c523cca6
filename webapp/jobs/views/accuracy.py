"""How well estimates hold: each finished job of the team with what was said before and what was measured."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from webapp.jobs.accuracy import judge, summed_up
from webapp.jobs.models import JobState
from webapp.jobs.views.home import jobs_here

SHOWN_AT_MOST = 100


def accuracy(request: HttpRequest) -> HttpResponse:
    """Newest first; sums for calibrated and rough estimates apart."""
    jobs = jobs_here(request).filter(state=JobState.SUCCEEDED)[:SHOWN_AT_MOST]
    judged = [found for job in jobs if (found := judge(job))]
    sums = [
        (name, summed_up(each.memory for each in part), summed_up(each.seconds for each in part))
        for name, part in (
            ("From jobs alike", [each for each in judged if not each.rough]),
            ("Rough", [each for each in judged if each.rough]),
        )
    ]
    return render(request, "jobs/accuracy.html", {"judged": judged, "sums": sums})
