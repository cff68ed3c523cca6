"""The form of a person's notices. What may be chosen is for choosing.py to say."""

from __future__ import annotations

from typing import Any

from django import forms

from webapp.accounts.models import Team, User
from webapp.notices.models import NoticeChoice


class ChoiceForm(forms.Form):
    in_app = forms.BooleanField(required=False)
    email = forms.BooleanField(required=False)
    webhook_url = forms.CharField(
        required=False, max_length=500, error_messages={"max_length": "The webhook's address is over 500 characters."}
    )
    succeeded = forms.BooleanField(required=False)
    failed = forms.BooleanField(required=False)
    cancelled = forms.BooleanField(required=False)
    interrupted = forms.BooleanField(required=False)
    worker_lost = forms.BooleanField(required=False)
    teams = forms.ModelMultipleChoiceField(Team.objects.none(), required=False)

    def __init__(self, user: User, choice: NoticeChoice, data: Any = None) -> None:
        initial = {name: getattr(choice, name) for name in self.base_fields if name != "teams"}
        super().__init__(data, initial=initial)
        teams = self.fields["teams"]
        assert isinstance(teams, forms.ModelMultipleChoiceField)
        teams.queryset = Team.objects.visible_to(user).distinct()
        saved = choice.teams.values_list("pk", flat=True) if choice.pk else []
        self.followed = {str(pk) for pk in (saved if data is None else data.getlist("teams"))}
