"""Signing in and out, the team page and its API tokens. Who may do what is for permissions.py to say."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from webapp.accounts.context import TEAM_KEY, current_team, signed_in, teams_of
from webapp.accounts.forms import SignInForm, TokenForm
from webapp.accounts.models import ApiToken, AuditEntry, Membership, Role, SignInLink, Team
from webapp.accounts.permissions import may, require
from webapp.errors import shows_refusals

THEMES = ("light", "dark", "")
BACKEND = "django.contrib.auth.backends.ModelBackend"

sign_in = LoginView.as_view(
    template_name="accounts/sign_in.html", authentication_form=SignInForm, redirect_authenticated_user=True
)
sign_out = LogoutView.as_view()


@login_not_required
@never_cache
@sensitive_variables("text")
def sign_in_link(request: HttpRequest, text: str) -> HttpResponse:
    """GET shows one button; only its POST uses the link, so a mail scanner cannot burn it."""
    if request.method != "POST":
        return render(request, "accounts/sign_in_link.html", {"text": text})
    user = SignInLink.use(text)
    if user is None:
        return render(request, "accounts/sign_in_link.html", {"used": True}, status=410)
    login(request, user, backend=BACKEND)
    AuditEntry.note(user, None, "sign_in.link", user.pk)
    return redirect("jobs:home")


def _back(request: HttpRequest) -> HttpResponse:
    """To the page the form stood on, if it is one of ours."""
    came_from = request.META.get("HTTP_REFERER", "")
    ours = url_has_allowed_host_and_scheme(came_from, {request.get_host()}, require_https=request.is_secure())
    return redirect(came_from if ours else "jobs:home")


@require_POST
def theme(request: HttpRequest) -> HttpResponse:
    """Keep the person's choice of light, dark, or what the system says."""
    choice = request.POST.get("theme", "")
    if choice in THEMES:
        user = signed_in(request)
        user.theme = choice
        user.save(update_fields=["theme"])
    return _back(request)


@require_POST
def choose_team(request: HttpRequest) -> HttpResponse:
    chosen = next((team for team in teams_of(request) if str(team.pk) == request.POST.get("team")), None)
    if chosen is None:
        raise Http404
    request.session[TEAM_KEY] = chosen.pk
    return redirect("jobs:home")


def team(request: HttpRequest) -> HttpResponse:
    """Members with their roles, the person's API tokens, and the keys of workers."""
    return _team_page(request, TokenForm())


def _team_page(request: HttpRequest, form: TokenForm, secret: str = "", status: int = 200) -> HttpResponse:
    user, here = signed_in(request), current_team(request)
    if here is None:
        return render(request, "accounts/team.html", {"form": form})
    context = {
        "form": form,
        "secret": secret,
        "members": Membership.objects.filter(team=here).select_related("user").order_by("user__username"),
        "tokens": ApiToken.objects.live().filter(user=user, team=here).order_by("-id"),
        "role": user.role_in(here.pk),
        "may_make": may(user, here.pk, Role.MEMBER),
        "may_enrol": may(user, here.pk, Role.MAINTAINER),
    }
    return render(request, "accounts/team.html", context, status=status)


def _my_team(request: HttpRequest) -> Team:
    here = current_team(request)
    if here is None:
        raise Http404
    return here


@require_POST
@shows_refusals
@never_cache
@sensitive_variables("secret")
def make_token(request: HttpRequest) -> HttpResponse:
    """A new API token; its text is in this one answer and nowhere else."""
    user, here, form = signed_in(request), _my_team(request), TokenForm(request.POST)
    require(user, here.pk, Role.MEMBER)
    if not form.is_valid():
        return _team_page(request, form, status=422)
    token, secret = ApiToken.make(user, here, form.cleaned_data["name"])
    AuditEntry.note(user, here, "token.make", token.pk, name=token.name)
    return _team_page(request, TokenForm(), secret.text)


@require_POST
def revoke_token(request: HttpRequest, token_id: int) -> HttpResponse:
    user = signed_in(request)
    token = get_object_or_404(ApiToken.objects.live().filter(user=user).select_related("team"), pk=token_id)
    token.revoked_at = timezone.now()
    token.save(update_fields=["revoked_at"])
    AuditEntry.note(user, token.team, "token.revoke", token.pk, name=token.name)
    messages.success(request, f"Token {token.name} is revoked. Programs that used it get 401 from now on.")
    return redirect("accounts:team")
