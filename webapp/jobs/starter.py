"""The starter catalogue as people see it: what can be had, what is here, what is on its way."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from django.db import transaction

from webapp.accounts.models import AuditEntry, User
from webapp.accounts.permissions import teams_to_work_in
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import Dataset
from webapp.jobs.inspecting import ask
from webapp.jobs.models import Inspection
from webapp.jobs.starter_catalogue import ENTRIES, Entry

KINDS = {"base_model": "starter_base_model", "dataset": "starter_dataset"}


@dataclass(frozen=True)
class StarterEntry:
    """One entry and how far it is."""

    entry: Entry
    installed: Dataset | BaseModel | None
    inspection: Inspection | None
    """The newest one that fetches it."""

    @property
    def on_its_way(self) -> bool:
        return self.installed is None and self.inspection is not None and self.inspection.open

    @property
    def failed(self) -> bool:
        return self.installed is None and self.inspection is not None and not self.inspection.open


def entries() -> list[StarterEntry]:
    """The whole catalogue, in its order."""
    here: dict[str, Dataset | BaseModel] = {}
    here |= {model.starter: model for model in BaseModel.objects.filter(team=None).exclude(starter="")}
    shared = Dataset.objects.filter(team=None).exclude(starter="").prefetch_related("versions")
    here |= {dataset.starter: dataset for dataset in shared}
    asked = {each.starter: each for each in Inspection.objects.exclude(starter="").order_by("id")}
    return [StarterEntry(entry, here.get(name), asked.get(name)) for name, entry in ENTRIES.items()]


def install(user: User | None, names: list[str]) -> list[Inspection]:
    """Ask a worker to fetch these entries; what is here or on its way is left alone. Unknown names are ignored.

    Anyone who may make things in some team may ask: the entries belong to no team and cost only a download.
    """
    if user is not None and not user.is_superuser and not teams_to_work_in(user):
        return []
    made = []
    with transaction.atomic():
        for each in entries():
            if each.entry.name not in names or each.installed or each.on_its_way:
                continue
            question = {"kind": KINDS[each.entry.kind], "entry": asdict(each.entry)}
            made.append(ask(question, starter=each.entry.name, asked_by=user))
            AuditEntry.note(user, None, "starter.install", each.entry.name)
    return made
