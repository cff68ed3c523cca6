"""The one shape of every API error, and which exception becomes which answer. Nothing ever shows a traceback."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from django.core.exceptions import ObjectDoesNotExist, RequestDataTooBig, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse
from django.http.multipartparser import MultiPartParserError
from ninja import NinjaAPI
from ninja.errors import AuthenticationError, HttpError, ValidationError

from webapp.accounts.permissions import NotAllowed
from webapp.basemodels.registering import RegistrationRefused
from webapp.datasets.uploading import UploadRefused
from webapp.jobs.downloading import Damaged
from webapp.jobs.enrolling import EnrolmentRefused, WorkerRunning
from webapp.jobs.handing_in import CheckpointDamaged
from webapp.jobs.merging import MergeRefused
from webapp.jobs.refusing import LaunchRefused
from webapp.jobs.reported import ArrivedDamaged, BadReport, TooMuch
from webapp.jobs.transitions import NotNow, StaleAttempt
from webapp.notices.choosing import ChoiceRefused
from webapp.outages import AWAY, fault_of
from webapp.storing import DiskNearlyFull
from workers.protocol import ARRIVED_DAMAGED

log = logging.getLogger(__name__)


class Unknown(Exception):
    """Not there, or not for this caller: the answer is the same (404)."""


def body(code: str, message: str, hint: str = "", where: Any = None, ref: str = "") -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "where": where or {}, "hint": hint, "ref": ref}}


def install(api: NinjaAPI) -> None:
    """Answer every exception in our shape."""

    def answers(
        kind: type[Exception], status: int, code: str, message: str | None = None, hint: str = "", **headers: str
    ) -> None:
        def handler(request: HttpRequest, error: Any) -> HttpResponse:
            response = api.create_response(request, body(code, message or str(error), hint), status=status)
            for name, value in headers.items():
                response[name.replace("_", "-")] = value
            return response

        api.add_exception_handler(kind, handler)

    missing = "There is no such thing here, or it belongs to a team you are not in."
    answers(AuthenticationError, 401, "unauthenticated", "This needs a valid token.", "Send Authorization: Bearer …")
    answers(MultiPartParserError, 400, "malformed", "The form is not complete multipart data.")
    answers(RequestDataTooBig, 413, "too_large", "The request's body is too large for this call.")
    answers(SuspiciousOperation, 400, "malformed", "The request is larger or odder than this call takes.")
    answers(NotAllowed, 403, "role")
    answers(EnrolmentRefused, 403, "worker.refused")
    for kind in (Unknown, Http404, ObjectDoesNotExist):
        answers(kind, 404, "not_found", missing)
    answers(NotNow, 409, "job.state")
    answers(Damaged, 409, "artifact.damaged")
    answers(MergeRefused, 422, "artifact.not_merged", hint="Use the delta as its card says.")
    answers(
        StaleAttempt,
        409,
        "stale_attempt",
        "This attempt has ended, or was never acknowledged.",
        "Stop the training now.",
    )
    answers(CheckpointDamaged, 410, "checkpoint_damaged", hint="The next attempt gets the one before it.")
    answers(WorkerRunning, 409, "worker_running")
    answers(DiskNearlyFull, 507, "disk_full", hint="Ask the site's admin to free space.")
    answers(BadReport, 422, "report")
    answers(ArrivedDamaged, 422, ARRIVED_DAMAGED)
    answers(TooMuch, 413, "too_large", hint="Send it in smaller parts.")
    for away in AWAY:
        api.add_exception_handler(away, _database_away(api))
    api.add_exception_handler(ChoiceRefused, _choice_refused(api))
    api.add_exception_handler(UploadRefused, _upload_refused(api))
    api.add_exception_handler(RegistrationRefused, _registration_refused(api))
    api.add_exception_handler(LaunchRefused, _launch_refused(api))
    api.add_exception_handler(ValidationError, _invalid(api))
    api.add_exception_handler(HttpError, _http(api))
    api.add_exception_handler(Exception, _ours(api))


def _choice_refused(api: NinjaAPI) -> Any:
    def handler(request: HttpRequest, error: ChoiceRefused) -> HttpResponse:
        problem = {"field": error.field, "code": f"notices.{error.field}", "message": str(error), "hint": ""}
        answer = body("notices.refused", str(error), where={"field": error.field}) | {"problems": [problem]}
        return api.create_response(request, answer, status=422)

    return handler


def _database_away(api: NinjaAPI) -> Any:
    def handler(request: HttpRequest, error: Exception) -> HttpResponse:
        fault = fault_of(error)
        log.warning("%s at %s %s: %s", fault.code, request.method, request.path, error)
        response = api.create_response(request, body(fault.code, fault.message, fault.hint), status=503)
        response["Retry-After"] = str(fault.retry_after_seconds)
        return response

    return handler


def _upload_refused(api: NinjaAPI) -> Any:
    def handler(request: HttpRequest, error: UploadRefused) -> HttpResponse:
        return api.create_response(request, body(error.code, error.message, error.hint), status=error.status)

    return handler


def _registration_refused(api: NinjaAPI) -> Any:
    def handler(request: HttpRequest, error: RegistrationRefused) -> HttpResponse:
        where = {"field": error.field}
        return api.create_response(request, body(error.code, error.message, error.hint, where), status=422)

    return handler


def _launch_refused(api: NinjaAPI) -> Any:
    def handler(request: HttpRequest, error: LaunchRefused) -> HttpResponse:
        first = error.problems[0]
        problems = [vars(problem) for problem in error.problems]
        answer = body(first.code, first.message, first.hint, {"field": first.field}) | {"problems": problems}
        return api.create_response(request, answer, status=422)

    return handler


def _invalid(api: NinjaAPI) -> Any:
    """Valid JSON with wrong content: 422 naming each field; broken JSON: 400."""

    def handler(request: HttpRequest, error: ValidationError) -> HttpResponse:
        problems = [
            {
                "field": _place(each["loc"]),
                "code": "field",
                "message": each["msg"],
                "hint": "See /api/v1/docs for this call's fields.",
            }
            for each in error.errors
        ]
        first = problems[0] if problems else {"field": "", "message": "The request does not fit.", "hint": ""}
        message = f"`{first['field']}`: {first['message']}" if first["field"] else first["message"]
        answer = body("invalid", message, first["hint"], {"field": first["field"]}) | {"problems": problems}
        return api.create_response(request, answer, status=422)

    return handler


def _place(parts: tuple[str | int, ...]) -> str:
    """The field's own path, without where in the request it travels (and without our parameter's name for a body)."""
    own = parts[2:] if parts[0] == "body" and len(parts) > 2 else parts[1:]
    return ".".join(str(part) for part in own)


def _http(api: NinjaAPI) -> Any:
    def handler(request: HttpRequest, error: HttpError) -> HttpResponse:
        codes = {400: "malformed", 401: "unauthenticated", 403: "forbidden", 429: "too_many_requests"}
        message = str(error)
        code = codes.get(error.status_code, "refused")
        return api.create_response(request, body(code, message), status=error.status_code)

    return handler


def _ours(api: NinjaAPI) -> Any:
    """A fault of ours: logged with a reference; the caller may try again."""

    def handler(request: HttpRequest, error: Exception) -> HttpResponse:
        ref = secrets.token_hex(4)
        log.exception("fault %s at %s %s", ref, request.method, request.path)
        message = "Something went wrong on our side. It was logged."
        response = api.create_response(request, body("fault", message, "Try again.", ref=ref), status=503)
        response["Retry-After"] = "5"
        return response

    return handler
