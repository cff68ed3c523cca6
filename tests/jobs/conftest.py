"""What tests of the queue share."""

from __future__ import annotations

import pytest

from tests.conftest import Cast
from tests.jobs.queue import Queue
from webapp.basemodels.models import BaseModel
from webapp.datasets.models import DatasetVersion


@pytest.fixture
def queue(cast: Cast, base_model: BaseModel, version: DatasetVersion) -> Queue:
    return Queue(cast, base_model, version)
