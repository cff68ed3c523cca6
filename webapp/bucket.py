"""Files in an S3 bucket: asked again with growing pauses, fetched whole before anybody reads, else one error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.exceptions import RetriesExceededError
from storages.backends.s3 import S3Storage

from webapp.storing import StorageAway, require_space

IN_MEMORY_BYTES = 8 * 1024**2
"""A fetched file that is larger lies on disk while it is read."""
TRIES = 4
CONNECT_SECONDS, ANSWER_SECONDS = 3, 20
NOT_FOUND = 404


@contextmanager
def _asked(name: str) -> Iterator[None]:
    """Raises FileNotFoundError where the bucket says so, StorageAway for whatever else goes wrong."""
    try:
        yield
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == NOT_FOUND:
            raise FileNotFoundError(name) from error
        raise StorageAway(f"the bucket refused {name}: {error}") from error
    except (BotoCoreError, Boto3Error, RetriesExceededError) as error:
        raise StorageAway(f"the bucket did not answer for {name}: {error}") from error


class Bucket(S3Storage):  # type: ignore[misc]
    """django-storages' S3 storage; the credentials are boto3's own variables."""

    def get_default_settings(self) -> dict[str, Any]:
        """Keys are random, so nothing is overwritten and no name is looked for first."""
        retries: Any = {"mode": "standard", "total_max_attempts": TRIES}
        client = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=ANSWER_SECONDS,
            retries=retries,
            s3={"addressing_style": "path"},
        )
        own = {
            "file_overwrite": True,
            "max_memory_size": IN_MEMORY_BYTES,
            "client_config": client,
            "transfer_config": TransferConfig(max_concurrency=2),
        }
        settings: dict[str, Any] = super().get_default_settings()
        return settings | own

    def _open(self, name: str, mode: str = "rb") -> Any:
        """Raises DiskNearlyFull where the fetched file would have no room."""
        with _asked(name):
            file: Any = super()._open(name, mode)
            require_space(file.size)
            return file.open()

    def _save(self, name: str, content: Any) -> str:
        with _asked(name):
            saved: str = super()._save(name, content)
        return saved

    def delete(self, name: str) -> None:
        with _asked(name):
            super().delete(name)

    def listdir(self, name: str) -> tuple[list[str], list[str]]:
        with _asked(name):
            found: tuple[list[str], list[str]] = super().listdir(name)
        return found

    def get_modified_time(self, name: str) -> Any:
        with _asked(name):
            return super().get_modified_time(name)
