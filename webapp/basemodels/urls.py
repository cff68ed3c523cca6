"""Addresses of the base models' pages."""

from __future__ import annotations

from django.urls import path

from webapp.basemodels import views

app_name = "basemodels"
urlpatterns = [
    path("", views.model_list, name="list"),
    path("register/", views.register, name="register"),
    path("<int:model_id>/", views.detail, name="detail"),
]
