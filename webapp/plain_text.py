"""What may not travel in text: NUL, which the database refuses, and in names whatever shows as something else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse, QueryDict
from django.utils.deprecation import MiddlewareMixin

from webapp.errors import problem

NUL = "\0"
MESSAGE = "`{name}` holds a NUL character, which is not text."
HINT = "Remove it and send the request again."


def clean_name(text: str) -> str:
    """In one line, without control characters and marks that turn the direction of what follows."""
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())


class RefuseNul(MiddlewareMixin):
    """Answers 400 to NUL in a query string or a page's form; an API's own body is for the API to check."""

    def process_view(self, request: HttpRequest, view: Any, args: Any, kwargs: Any) -> HttpResponse | None:
        api = request.path.startswith("/api/")
        name = _with_nul(request.GET) or ("" if api or request.method != "POST" else _with_nul(request.POST))
        if not name:
            return None
        message = MESSAGE.format(name=name)
        if not api:
            return problem(request, 400, "The request could not be read", message, HINT)
        said = {"code": "malformed", "message": message, "where": {"field": name}, "hint": HINT, "ref": ""}
        return JsonResponse({"error": said}, status=400)


def _with_nul(data: QueryDict) -> str:
    """The first field that holds one, by a name that can be shown."""
    fields: Iterable[tuple[str, list[Any]]] = data.lists()
    found = (name for name, values in fields if any(NUL in str(each) for each in (name, *values)))
    return clean_name(next(found, ""))[:60]
