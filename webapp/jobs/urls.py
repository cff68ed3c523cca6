"""Addresses of the queue, jobs, artifacts, workers and the starter catalogue."""

from __future__ import annotations

from django.urls import path

from webapp.jobs.views import (
    accuracy,
    artifacts,
    comparison,
    gallery,
    home,
    job,
    listing,
    methods,
    new_job,
    report,
    site,
    starter,
    studies,
    tokens,
    workers,
)

app_name = "jobs"
urlpatterns = [
    path("", home.home, name="home"),
    path("jobs/", listing.job_list, name="list"),
    path("jobs/new/", new_job.new, name="new"),
    path("jobs/cancel/", home.cancel_chosen, name="cancel_chosen"),
    path("jobs/<int:job_id>/", job.detail, name="detail"),
    path("jobs/<int:job_id>/move/", home.move, name="move"),
    path("jobs/<int:job_id>/name/", listing.rename, name="rename"),
    path("jobs/<int:job_id>/pin/", job.pin, name="pin"),
    path("jobs/<int:job_id>/<str:action>/", job.action, name="action"),
    path("studies/", studies.study_list, name="studies"),
    path("studies/new/", studies.new, name="new_study"),
    path("studies/<int:study_id>/", studies.study, name="study"),
    path("studies/<int:study_id>/report/", report.study_report, name="study_report"),
    path("studies/<int:study_id>/add/", studies.add, name="add_to_study"),
    path("studies/<int:study_id>/<str:action>/", studies.act, name="act_study"),
    path("estimates/", accuracy.accuracy, name="accuracy"),
    path("compare/", comparison.compare, name="compare"),
    path("artifacts/", artifacts.artifact_list, name="artifacts"),
    path("artifacts/<int:artifact_id>/", artifacts.detail, name="artifact"),
    path("artifacts/<int:artifact_id>/merge/", artifacts.merge_into_base, name="merge"),
    path("datasets/<int:dataset_id>/v<int:number>/tokens/", tokens.tokens, name="tokens"),
    path("workers/", workers.worker_list, name="workers"),
    path("workers/keys/", workers.keys, name="worker_keys"),
    path("workers/<int:worker_id>/drain/", workers.drain, name="drain"),
    path("workers/<int:worker_id>/remove/", workers.remove, name="remove_worker"),
    path("health/", site.health_page, name="health"),
    path("gallery/", gallery.gallery, name="gallery"),
    path("promises/", site.promises, name="promises"),
    path("team/quotas/", site.team_quotas, name="quotas"),
    path("methods/", methods.method_list, name="methods"),
    path("methods/<slug:name>/", methods.method_page, name="method"),
    path("starter/", starter.starter, name="starter"),
]
