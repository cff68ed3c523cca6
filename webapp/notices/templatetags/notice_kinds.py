"""How a kind of notice looks: the badge of the state it tells of."""

from __future__ import annotations

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from webapp.accounts.templatetags.icons import icon
from webapp.jobs.models import JobState
from webapp.jobs.templatetags.badges import ENDS, Shown
from webapp.notices.models import Kind

register = template.Library()

KINDS: dict[str, Shown] = {
    Kind.SUCCEEDED: ENDS[JobState.SUCCEEDED],
    Kind.FAILED: ENDS[JobState.FAILED],
    Kind.CANCELLED: ENDS[JobState.CANCELLED],
    Kind.INTERRUPTED: Shown("warn", "warn", "Interrupted"),
    Kind.WORKER_LOST: Shown("warn", "warn", "Lost worker"),
}


@register.simple_tag
def kind_badge(kind: str) -> SafeString:
    shown = KINDS[kind]
    return format_html('<span class="badge {}">{}{}</span>', shown.kind, icon(shown.icon), shown.word)
