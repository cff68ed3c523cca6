"""The pages for what went wrong: each says what happened, why, and what to do next. Never a traceback."""

from __future__ import annotations

import logging
import secrets
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from webapp.accounts.permissions import NotAllowed
from webapp.outages import AWAY, Fault, fault_of
from webapp.storing import DiskNearlyFull

log = logging.getLogger(__name__)
View = Callable[..., HttpResponse]


def problem(request: HttpRequest, status: int, title: str, message: str, hint: str = "") -> HttpResponse:
    """One page for every refusal, inside the shell."""
    context = {"title": title, "message": message, "hint": hint}
    return render(request, "problem.html", context, status=status)


def shows_refusals(view: View) -> View:
    """Answers a role that is too low with 403 and a full disk with 507, each with its own sentence."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return view(request, *args, **kwargs)
        except NotAllowed as error:
            return problem(request, 403, "Your role does not allow this", str(error))
        except ObjectDoesNotExist as error:  # deleted while this was going on
            return not_found(request, error)
        except DiskNearlyFull as error:
            return problem(request, 507, "The site's disk is nearly full", str(error))

    return wrapped


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    hint = "Go back, reload the page and try once more."
    return problem(request, 400, "The request could not be read", "Something in it is not what this page sends.", hint)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    hint = "Ask a maintainer of the team for it."
    return problem(request, 403, "Your role does not allow this", "Nothing was changed.", hint)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    message = "There is nothing at this address, or it belongs to a team you are not in."
    return problem(request, 404, "Not found", message, "Check the address, or start from the queue.")


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    message = "The form was older than your session, or another site sent it. Nothing was changed."
    hint = "Reload the page you came from and send the form again. Cookies must be allowed for this site."
    return problem(request, 403, "The form has expired", message, hint)


def server_error(request: HttpRequest) -> HttpResponse:
    """Stands alone: it needs neither database nor session, since those may be what failed."""
    error = sys.exc_info()[1]
    if isinstance(error, AWAY):
        return _busy(request, fault_of(error))
    reference = secrets.token_hex(4)
    log.error("page fault %s at %s %s", reference, request.method, request.path)
    return HttpResponse(render_to_string("fault.html", {"reference": reference}), status=500)


def _busy(request: HttpRequest, fault: Fault) -> HttpResponse:
    """The database is away, busy or full: nothing is broken, and the same request may work later."""
    response: HttpResponse
    if request.path.startswith("/api/"):
        said = {"code": fault.code, "message": fault.message, "where": {}, "hint": fault.hint, "ref": ""}
        response = JsonResponse({"error": said}, status=503)
    else:
        address = request.get_full_path() if request.method == "GET" else "/"
        page = render_to_string("busy.html", {"fault": fault, "address": address})
        response = HttpResponse(page, status=503)
    response["Retry-After"] = str(fault.retry_after_seconds)
    return response
