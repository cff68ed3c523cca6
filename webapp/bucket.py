"""Files in an S3 bucket: asked again with growing pauses, fetched whole or by ranges, else one error.

Where browsers reach the bucket, a large file comes in part by part past the site: each part to an address that the site
signs for exactly these bytes, their length and their sha256.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from typing import IO, Any

from boto3.exceptions import Boto3Error
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.exceptions import RetriesExceededError
from storages.backends.s3 import S3Storage

from webapp.ranged import FIRST_BYTES, Ranged
from webapp.storing import PartAddress, PartsRefused, StorageAway, require_space

IN_MEMORY_BYTES = 8 * 1024**2
"""A fetched file that is larger lies on disk while it is read."""
TRIES = 4
CONNECT_SECONDS, ANSWER_SECONDS = 3, 20
NOT_FOUND = 404
UNFIT = ("InvalidPart", "InvalidPartOrder", "EntityTooSmall", "BadDigest", "InvalidDigest")
ADDRESS_SECONDS = 300
"""How long the address of a part may be used."""


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
            signature_version="s3v4",
            s3={"addressing_style": "path"},
        )
        own = {
            "public_url": "",  # where browsers and programs reach the bucket; without it nothing goes past the site
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

    def size(self, name: str) -> int:
        with _asked(name):
            found: int = super().size(name)
        return found

    def open_ranged(self, name: str) -> IO[bytes]:
        """Reads fetch what they need. Raises FileNotFoundError, StorageAway; so do the reads."""
        return io.BufferedReader(Ranged(lambda start, end: self._range(name, start, end), self.size(name)), FIRST_BYTES)

    def _range(self, name: str, start: int, end: int) -> bytes:
        with _asked(name):
            answer = self.bucket.Object(name).get(Range=f"bytes={start}-{end - 1}")
            found: bytes = answer["Body"].read()
        if len(found) != end - start:
            raise StorageAway(f"the bucket gave {len(found)} bytes of {name} where {end - start} were asked for")
        return found

    # ---- Parts that senders put here themselves ---------------------------------------------------

    @property
    def _client(self) -> Any:
        return self.connection.meta.client

    @cached_property
    def _signer(self) -> Any:
        """Signs addresses as browsers see the bucket; asks nobody."""
        return self._create_session().client("s3", endpoint_url=self.public_url, config=self.client_config)

    def begin_parts(self, name: str) -> str:
        """What the bucket calls the file that will come under this name in parts."""
        with _asked(name):
            answer = self._client.create_multipart_upload(Bucket=self.bucket_name, Key=name, ChecksumAlgorithm="SHA256")
        return str(answer["UploadId"])

    def part_address(self, name: str, parts_id: str, number: int, length: int, sha256: str) -> PartAddress:
        """Where to PUT one part, with headers that must be sent as they are: the bucket refuses other bytes."""
        digest = base64.b64encode(bytes.fromhex(sha256)).decode()
        wanted = {"Bucket": self.bucket_name, "Key": name, "UploadId": parts_id, "PartNumber": number}
        wanted |= {"ContentLength": length, "ChecksumSHA256": digest}
        url = self._signer.generate_presigned_url("upload_part", Params=wanted, ExpiresIn=ADDRESS_SECONDS)
        return PartAddress(url, {"x-amz-checksum-sha256": digest}, ADDRESS_SECONDS)

    def parts(self, name: str, parts_id: str) -> dict[int, tuple[int, str]]:
        """Number -> bytes and ETag of every part that is here. Raises FileNotFoundError where no such file comes in."""
        found: dict[int, tuple[int, str]] = {}
        with _asked(name):
            pages = self._client.get_paginator("list_parts")
            for page in pages.paginate(Bucket=self.bucket_name, Key=name, UploadId=parts_id):
                found |= {each["PartNumber"]: (each["Size"], each["ETag"]) for each in page.get("Parts", ())}
        return found

    def join_parts(self, name: str, parts_id: str, parts: Mapping[int, tuple[str, str]]) -> None:
        """Make one file of them. `parts`: number -> ETag, and the sha256 in hex that the bucket must have found, too.

        Raises PartsRefused, FileNotFoundError, StorageAway.
        """
        listed = [
            {
                "PartNumber": number,
                "ETag": tag,
                "ChecksumSHA256": base64.b64encode(bytes.fromhex(sha256)).decode(),
            }
            for number, (tag, sha256) in sorted(parts.items())
        ]
        with _asked(name):
            try:
                self._client.complete_multipart_upload(
                    Bucket=self.bucket_name, Key=name, UploadId=parts_id, MultipartUpload={"Parts": listed}
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in UNFIT:
                    raise PartsRefused(name) from error
                raise

    def drop_parts(self, name: str) -> None:
        """Whatever has come in under this name, in whichever uploads that were begun for it."""
        with _asked(name):
            answer = self._client.list_multipart_uploads(Bucket=self.bucket_name, Prefix=name)
            for each in answer.get("Uploads", ()):
                self._client.abort_multipart_upload(Bucket=self.bucket_name, Key=each["Key"], UploadId=each["UploadId"])

    def coming(self) -> Iterator[tuple[str, datetime]]:
        """Names of which parts have come in without being one file yet, and since when; an upload cut short is one."""
        with _asked("what comes in"):
            for page in self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.bucket_name):
                for each in page.get("Uploads", ()):
                    yield each["Key"], each["Initiated"]
