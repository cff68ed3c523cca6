"""Addresses of the datasets' pages."""

from __future__ import annotations

from django.urls import path

from webapp.datasets import steps, views

app_name = "datasets"
urlpatterns = [
    path("", views.dataset_list, name="list"),
    path("help/", views.help_page, name="help"),
    path("upload/", views.upload_page, name="upload"),
    path("<int:dataset_id>/v<int:number>/", views.version, name="version"),
    path("<int:dataset_id>/v<int:number>/columns/", steps.columns, name="columns"),
    path("<int:dataset_id>/v<int:number>/check/", steps.check, name="check"),
    path("<int:dataset_id>/v<int:number>/save/", steps.save, name="save"),
    path("<int:dataset_id>/v<int:number>/discard/", steps.discard, name="discard"),
    path("<int:dataset_id>/archive/", views.put_away, {"action": "archive"}, name="archive"),
    path("<int:dataset_id>/bring-back/", views.put_away, {"action": "bring-back"}, name="bring_back"),
    path("<int:dataset_id>/delete/", views.put_away, {"action": "delete"}, name="delete"),
    path("<int:dataset_id>/v<int:number>/changes/", views.changes, name="changes"),
    path("<int:dataset_id>/v<int:number>/choices/", views.choose, name="choose"),
    path("<int:dataset_id>/v<int:number>/rows/", views.rows, name="rows"),
    path("<int:dataset_id>/v<int:number>/rows/<int:place>/", views.row, name="row"),
    path("<int:dataset_id>/v<int:number>/download/", views.download_rows, name="download"),
    path("<int:dataset_id>/v<int:number>/problems.csv", views.problems, name="problems"),
]
