"""The list behind the bell, and each person's own settings. Everything here is about the person who asks."""

from __future__ import annotations

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from webapp.accounts.context import signed_in
from webapp.accounts.permissions import maintains_a_team
from webapp.notices import choosing, mailing
from webapp.notices.choosing import ChoiceRefused
from webapp.notices.forms import ChoiceForm
from webapp.notices.models import Delivery, Notice, NoticeChoice

ROWS_A_PAGE = 50
GIVEN_UP_SHOWN = 10


def notice_list(request: HttpRequest) -> HttpResponse:
    """Newest first; unread ones are marked in words."""
    rows = Notice.objects.visible_to(signed_in(request)).select_related("job__team")
    page_of = Paginator(rows, ROWS_A_PAGE).get_page(request.GET.get("page"))
    return render(request, "notices/list.html", {"page_of": page_of})


@require_POST
def read(request: HttpRequest, notice_id: int) -> HttpResponse:
    found = get_object_or_404(Notice.objects.visible_to(signed_in(request)), pk=notice_id)
    Notice.objects.filter(pk=found.pk).unread().update(read_at=timezone.now())
    return redirect("notices:list")


@require_POST
def read_all(request: HttpRequest) -> HttpResponse:
    Notice.objects.visible_to(signed_in(request)).unread().update(read_at=timezone.now())
    return redirect("notices:list")


@never_cache
@sensitive_variables("secret")
def settings_page(request: HttpRequest) -> HttpResponse:
    """GET shows the choice, POST saves it; a new webhook's secret is in that one answer and nowhere else."""
    user = signed_in(request)
    if request.method != "POST":
        return _settings(request)
    form = ChoiceForm(user, NoticeChoice.of(user), request.POST)
    if not form.is_valid():
        return _settings(request, form, status=422)
    try:
        secret = choosing.change(user, form.cleaned_data)
    except ChoiceRefused as error:
        form.add_error(error.field, str(error))
        return _settings(request, form, status=422)
    if secret:
        return _settings(request, secret=secret)
    messages.success(request, "Your notices are saved.")
    return redirect("notices:settings")


def _settings(
    request: HttpRequest, form: ChoiceForm | None = None, secret: str = "", status: int = 200
) -> HttpResponse:
    user = signed_in(request)
    choice = NoticeChoice.of(user)
    given_up = Delivery.objects.given_up().filter(notice__user=user, notice__in=Notice.objects.of_visible_jobs(user))
    context = {
        "form": form or ChoiceForm(user, choice),
        "choice": choice,
        "secret": secret,
        "mail_is_set_up": mailing.is_set_up(),
        "maintains": maintains_a_team(user),
        "given_up": given_up.select_related("notice__job")[:GIVEN_UP_SHOWN],
    }
    return render(request, "notices/settings.html", context, status=status)


@require_POST
@never_cache
@sensitive_variables("secret")
def rotate(request: HttpRequest) -> HttpResponse:
    try:
        secret = choosing.rotate(signed_in(request))
    except ChoiceRefused as error:
        messages.error(request, str(error))
        return redirect("notices:settings")
    return _settings(request, secret=secret)


@require_POST
def try_out(request: HttpRequest) -> HttpResponse:
    """Send a test and show how the endpoint answered: its status, never what it said."""
    try:
        tried = choosing.try_out(signed_in(request))
    except ChoiceRefused as error:
        messages.error(request, str(error))
    else:
        (messages.success if tried.good else messages.error)(request, f"Test: {tried.sentence}")
    return redirect("notices:settings")
