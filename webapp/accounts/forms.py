"""Forms of the people's pages."""

from __future__ import annotations

from django import forms
from django.contrib.auth.forms import AuthenticationForm


class SignInForm(AuthenticationForm):
    """Name and password; one sentence for every way to be wrong, so that it tells nothing about who exists."""

    error_messages = {
        "invalid_login": "Name and password do not match an account here. Both are case-sensitive.",
        "inactive": "Name and password do not match an account here. Both are case-sensitive.",
    }


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=80, error_messages={"required": "Give the token a name, such as the program that will use it."}
    )
