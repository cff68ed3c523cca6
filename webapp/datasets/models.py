"""Datasets and their immutable versions; reading.py and checking.py say what is in a file."""

from __future__ import annotations

import uuid
from functools import reduce
from operator import or_
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.urls import reverse

from webapp.accounts.models import Team, User
from webapp.accounts.permissions import in_teams_of_or_shared
from webapp.datasets.token_problems import token_offers, token_problems
from workers.protocol import DatasetRef


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def visible_to(self, user: User) -> DatasetQuerySet:
        return self.filter(in_teams_of_or_shared(user))

    def for_list(self) -> DatasetQuerySet:
        return self.select_related("team", "created_by").prefetch_related(
            models.Prefetch("versions", DatasetVersion.objects.defer("row_index", "preview"))
        )


class Dataset(models.Model):
    """A name; the rows are in its versions. No team means: given by the site admin, readable by all."""

    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, related_name="datasets")
    name = models.CharField(max_length=120)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    """Set: no list and no form shows it; its jobs, addresses and files stay."""
    licence = models.CharField(max_length=120, blank=True)
    starter = models.CharField(max_length=60, blank=True)
    """Name of the starter entry that it was made from."""
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)
    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["team", "name"], name="dataset_name_once_per_team"),
            models.UniqueConstraint(fields=["name"], condition=models.Q(team=None), name="shared_dataset_name_once"),
            models.UniqueConstraint(fields=["team", "idempotency_key"], name="dataset_asked_for_once"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def newest(self) -> DatasetVersion | None:
        """The newest version, whatever its state; reads the prefetched ones where there are any."""
        return max(self.versions.all(), key=lambda version: version.number, default=None)

    @property
    def shown(self) -> DatasetVersion | None:
        """What a list tells of it: the newest saved version; a draft only where there is no other."""
        saved = [version for version in self.versions.all() if not version.step]
        return max(saved, key=lambda version: version.number, default=None) or self.newest

    @property
    def draft(self) -> DatasetVersion | None:
        """The newest version, where it is still on its way."""
        newest = self.newest
        return newest if newest is not None and newest.step else None


class VersionState(models.TextChoices):
    CHECKING = "checking"
    NEEDS_CHOICE = "needs_choice"
    READY = "ready"
    REFUSED = "refused"


class DatasetVersionQuerySet(models.QuerySet["DatasetVersion"]):
    def visible_to(self, user: User) -> DatasetVersionQuerySet:
        return self.filter(in_teams_of_or_shared(user, "dataset__team"))

    def ready(self) -> DatasetVersionQuerySet:
        """Those that a job may be started on."""
        return self.filter(state=VersionState.READY, dataset__archived_at=None)

    def unneeded(self, keys: set[str]) -> set[str]:
        """Of these stored files, those that no version needs: one may be there for several."""
        places = ("upload_key", "second_key", "file_key", "remarks_key", "problems_key")
        needing = self.filter(reduce(or_, (models.Q(**{f"{place}__in": keys}) for place in places)))
        return keys - {key for each in needing.only(*places, "sample") for key in each.stored_keys}


class DatasetVersion(models.Model):
    """One immutable checked file: canonical JSONL, every row with its split."""

    dataset = models.ForeignKey(Dataset, models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    state = models.CharField(max_length=12, choices=VersionState.choices, default=VersionState.CHECKING)
    check_lease_until = models.DateTimeField(null=True)
    """Held by the process that checks it; past due means another may take over."""
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    upload_name = models.CharField(max_length=255)
    upload_key = models.CharField(max_length=255)
    upload_bytes = models.BigIntegerField()
    upload_proof = models.CharField(max_length=80, blank=True)
    """What the uploaded bytes must add up to, where that is yet to be seen; see proving.py."""
    asked: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """What the person asked for: task, mapping, split, and choices.Choices; missing ones are guessed."""
    step = models.CharField(max_length=10, blank=True)
    """Where a person stands who goes step by step (choices.COLUMNS, CHECK, SAVE); empty: saved, never a
    draft, or a file of which nothing could be made."""
    found: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """Of a look at the beginning: encoding, header, delimiter, the first rows as the file has them, labels."""
    second_key = models.CharField(max_length=255, blank=True)
    """A second uploaded file: its rows are held out for evaluation."""
    second_name = models.CharField(max_length=255, blank=True)
    made_from = models.ForeignKey("self", models.SET_NULL, null=True, related_name="remade")
    """The version whose upload was read again with other choices."""

    format = models.CharField(max_length=60, blank=True)
    task = models.CharField(max_length=30, blank=True)
    mapping: models.JSONField[Any, Any] = models.JSONField(default=dict)
    columns: models.JSONField[Any, Any] = models.JSONField(default=list)
    labels: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """Classification: label -> rows, in the order of label ids."""
    split: models.JSONField[Any, Any] = models.JSONField(default=dict)
    rows: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """read, good, bad, train, eval."""
    reasons: models.JSONField[Any, Any] = models.JSONField(default=list)
    """Sentences: why this task and these columns."""
    problems: models.JSONField[Any, Any] = models.JSONField(default=list)
    problems_total = models.PositiveIntegerField(default=0)
    preview: models.JSONField[Any, Any] = models.JSONField(default=list)
    offers: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """Fix -> what may be chosen, with how the first places would read."""
    file_columns: models.JSONField[Any, Any] = models.JSONField(default=list)
    problems_key = models.CharField(max_length=255, blank=True)
    """The full list of problems as CSV."""
    token_stats: models.JSONField[Any, Any] = models.JSONField(null=True)
    """What the newest token report of these rows found, and for which base model; other rooms fill it."""
    sample: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """Of a draft: key, bytes, sha256, rows, one_in; some of its good rows, for those who read them before saving."""
    row_index: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """Where every so-manieth row of the file starts; see browsing.py."""
    remarks_key = models.CharField(max_length=255, blank=True)
    """Which rows the remarks that `row_index` counts are about; see remarks.py."""
    progress: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """While it is checked: rows read so far, and the first problems; see progress.py."""
    file_key = models.CharField(max_length=255, blank=True)
    bytes = models.BigIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    objects = DatasetVersionQuerySet.as_manager()

    class Meta:
        ordering: ClassVar = ["-id"]
        constraints: ClassVar = [models.UniqueConstraint(fields=["dataset", "number"], name="version_number_once")]

    def __str__(self) -> str:
        return f"{self.dataset.name} v{self.number}"

    def get_absolute_url(self) -> str:
        return reverse("datasets:version", args=[self.dataset_id, self.number])

    @property
    def upload_kept(self) -> bool:
        """Whether the uploaded bytes are still there to be read again."""
        return bool(self.upload_key)

    @property
    def upload_keys(self) -> set[str]:
        """Of the uploaded bytes that are still there."""
        return {key for key in (self.upload_key, self.second_key) if key}

    @property
    def stored_keys(self) -> set[str]:
        """Of everything that is stored for it."""
        others = (self.file_key, self.remarks_key, self.problems_key, self.sample_key)
        return self.upload_keys | {key for key in others if key}

    @property
    def sample_key(self) -> str:
        return str((self.sample or {}).get("key", ""))

    @property
    def all_problems(self) -> list[dict[str, Any]]:
        """The check's, and those of the newest token report; worst first."""
        told = token_problems(self.token_stats, self.upload_name, self.upload_kept)
        severe = ("error", "warning", "notice")
        return sorted([*self.problems, *told], key=lambda problem: severe.index(problem["severity"]))

    @property
    def all_problems_total(self) -> int:
        told = token_problems(self.token_stats, self.upload_name, False)
        return self.problems_total + sum(int(each["count"]) for each in told)

    @property
    def findings(self) -> str:
        """`1 error, 2 warnings`: kinds of problems, or nothing."""
        kinds = {(each["severity"], each["code"]) for each in self.all_problems}
        counts = [(word, sum(severity == word for severity, _ in kinds)) for word in ("error", "warning")]
        return ", ".join(f"{count} {word}{'s' * (count > 1)}" for word, count in counts if count)

    @property
    def all_offers(self) -> dict[str, Any]:
        """Fix -> what may be chosen, with how the first places would read."""
        return {**self.offers, **token_offers(self.token_stats)}

    @property
    def long_rows(self) -> dict[str, Any] | None:
        """What was chosen for rows longer than `max_length` tokens: `fix` truncate_long or drop_long, `base_model`."""
        chosen: dict[str, Any] | None = self.asked.get("long_rows")
        return chosen

    @property
    def rows_sha256(self) -> str:
        """Of the rows that may be read: the stored ones, or of a draft its sample; empty where there are none."""
        return self.sha256 or str((self.sample or {}).get("sha256", ""))

    @property
    def refused(self) -> bool:
        return self.state == VersionState.REFUSED

    def as_reference(self) -> DatasetRef:
        """What a job's spec says of it."""
        return DatasetRef(self.pk, self.dataset.name, self.number, self.bytes, self.sha256, tuple(self.labels))


class Upload(models.Model):
    """A file on its way in, chunk by chunk; a day after its last sign of life it is gone. Nobody but its user sees it.

    Its bytes lie outside the storage until they are whole, or come into a bucket as parts; see announcing.py.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    team = models.ForeignKey(Team, models.CASCADE, null=True, related_name="+")
    dataset = models.ForeignKey(Dataset, models.CASCADE, null=True, related_name="+")
    """The dataset that gets a further version; none for a new dataset."""
    name = models.CharField(max_length=120, blank=True)
    file_name = models.CharField(max_length=255)
    bytes = models.BigIntegerField()
    offset = models.BigIntegerField(default=0)
    """Bytes that are safely here."""
    sha256 = models.CharField(max_length=64, blank=True)
    """Of the whole file, where it was announced."""
    asked: models.JSONField[Any, Any] = models.JSONField(default=dict)
    created_at = models.DateTimeField(auto_now_add=True)
    touched_at = models.DateTimeField()
    version = models.ForeignKey(DatasetVersion, models.CASCADE, null=True, related_name="+")
    """What it became."""
    idempotency_key = models.CharField(max_length=100, null=True, blank=True)
    key = models.CharField(max_length=255, blank=True)
    """Where it will lie, if its parts go into the bucket."""
    parts_id = models.TextField(blank=True)
    """What the bucket calls it until then."""
    part_sums: models.JSONField[Any, Any] = models.JSONField(default=dict)
    """Number of a part -> its sha256, as announced."""

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["user", "idempotency_key"], name="upload_asked_for_once")
        ]

    def __str__(self) -> str:
        return f"{self.file_name}, {self.offset:,} of {self.bytes:,} bytes"
