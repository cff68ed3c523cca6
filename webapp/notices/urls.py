"""Addresses of the notices' pages."""

from __future__ import annotations

from django.urls import path

from webapp.notices import views

app_name = "notices"
urlpatterns = [
    path("", views.notice_list, name="list"),
    path("read/", views.read_all, name="read_all"),
    path("<int:notice_id>/read/", views.read, name="read"),
    path("settings/", views.settings_page, name="settings"),
    path("settings/secret/", views.rotate, name="rotate"),
    path("settings/test/", views.try_out, name="try_out"),
]
