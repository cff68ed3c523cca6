"""Addresses of the people's pages."""

from __future__ import annotations

from django.urls import path

from webapp.accounts import views

app_name = "accounts"
urlpatterns = [
    path("sign-in/", views.sign_in, name="sign_in"),
    path("sign-in/link/<str:text>/", views.sign_in_link, name="sign_in_link"),
    path("sign-out/", views.sign_out, name="sign_out"),
    path("theme/", views.theme, name="theme"),
    path("team/", views.team, name="team"),
    path("team/choose/", views.choose_team, name="choose_team"),
    path("team/tokens/", views.make_token, name="make_token"),
    path("team/tokens/<int:token_id>/revoke/", views.revoke_token, name="revoke_token"),
]
