"""Addresses of the datasets' pages."""

from __future__ import annotations

from django.urls import path

from webapp.datasets import views

app_name = "datasets"
urlpatterns = [
    path("", views.dataset_list, name="list"),
    path("upload/", views.upload_page, name="upload"),
    path("<int:dataset_id>/v<int:number>/", views.version, name="version"),
]
