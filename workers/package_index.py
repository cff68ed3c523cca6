"""Finds a source archive on the package index that pip is configured for, and fetches it as a plain file.

pip itself would run the archive's build to learn its metadata; here nothing of it is ever run.
"""

from __future__ import annotations

import ast
import json
import re
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit
from urllib.request import url2pathname

import httpx

from workers.fetch_problem import FetchProblem
from workers.watching import Progress

DEFAULT_INDEX = "https://pypi.org/simple"
SIMPLE_API = "application/vnd.pypi.simple.v1+json, text/html;q=0.5"
ARCHIVES = (".tar.gz", ".zip")
CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True)
class IndexSettings:
    """Where pip looks for packages."""

    indexes: tuple[str, ...]
    links: tuple[str, ...]
    certificates: str | None
    timeout_seconds: float

    @classmethod
    def of_pip(cls) -> IndexSettings:
        """Files and environment, with pip's own precedence: environment over `[download]` over `[global]`."""
        listing = subprocess.run(
            [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, timeout=60, check=False
        ).stdout
        return cls.from_listing(listing)

    @classmethod
    def from_listing(cls, listing: str) -> IndexSettings:
        """Read what `pip config list` prints: `section.name='value'` lines."""
        sections: dict[str, dict[str, str]] = {"global": {}, "download": {}, ":env:": {}}
        for line in listing.splitlines():
            key, _, value = line.partition("=")
            section, _, name = key.rpartition(".")
            if section in sections and value[:1] in "'\"":
                sections[section][name.replace("_", "-")] = str(ast.literal_eval(value))
        found = {**sections["global"], **sections["download"], **sections[":env:"]}
        first = [] if "no-index" in found else [found.get("index-url", DEFAULT_INDEX)]
        more = [] if "no-index" in found else found.get("extra-index-url", "").split()
        links = tuple(found.get("find-links", "").split())
        return cls(tuple(first + more), links, found.get("cert"), float(found.get("default-timeout", 15)))


class _Links(HTMLParser):
    """The addresses on an HTML page of an index."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.addresses += [value for name, value in attrs if name == "href" and value]


def fetch_source_archive(package: str, version: str, into: Path, progress: Progress) -> Path:
    """Fetch `package` `version` as it lies on the index. Raises FetchProblem."""
    settings = IndexSettings.of_pip()
    verify = ssl.create_default_context(cafile=settings.certificates)
    timeout = min(settings.timeout_seconds, 30.0)
    failures: list[str] = []
    with httpx.Client(verify=verify, timeout=timeout, follow_redirects=True) as client:
        for address in _addresses(client, settings, package, failures):
            name = unquote(urlsplit(address).path.rpartition("/")[2])
            if _is_archive_of(name, package, version):
                return _fetch(client, address, into / name, progress)
    raise _not_found(package, version, failures)


def _addresses(client: httpx.Client, settings: IndexSettings, package: str, failures: list[str]) -> Iterator[str]:
    """Every file address of the package, index by index; what does not answer is noted in `failures`."""
    project = re.sub(r"[-_.]+", "-", package).lower()
    for page in [f"{index.rstrip('/')}/{project}/" for index in settings.indexes] + list(settings.links):
        try:
            yield from _page(client, page)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                failures.append(_host(page))
        except httpx.HTTPError:
            failures.append(_host(page))


def _page(client: httpx.Client, page: str) -> list[str]:
    if not page.startswith(("http://", "https://")):
        return _local_page(page)
    answer = client.get(page, headers={"Accept": SIMPLE_API}).raise_for_status()
    if answer.headers.get("content-type", "").startswith("application/vnd.pypi.simple.v1+json"):
        return [urljoin(str(answer.url), file["url"]) for file in json.loads(answer.text)["files"]]
    return _links(answer.text, str(answer.url))


def _local_page(page: str) -> list[str]:
    """A folder or an HTML page on this machine; one that is missing holds nothing."""
    path = _local_path(page)
    if (path / "index.html").is_file():
        path = path / "index.html"
    if path.is_dir():
        return [each.resolve().as_uri() for each in sorted(path.iterdir())]
    return _links(path.read_text(errors="replace"), path.resolve().as_uri()) if path.is_file() else []


def _links(html: str, base: str) -> list[str]:
    parser = _Links()
    parser.feed(html)
    return [urljoin(base, address) for address in parser.addresses]


def _local_path(address: str) -> Path:
    return Path(url2pathname(urlsplit(address).path)) if address.startswith("file:") else Path(address).expanduser()


def _is_archive_of(name: str, package: str, version: str) -> bool:
    for end in ARCHIVES:
        if name.endswith(f"-{version}{end}"):
            stem = name.removesuffix(f"-{version}{end}")
            return re.sub(r"[-_.]+", "-", stem).lower() == re.sub(r"[-_.]+", "-", package).lower()
    return False


def _fetch(client: httpx.Client, address: str, target: Path, progress: Progress) -> Path:
    address = urldefrag(address).url
    if address.startswith("file:"):
        target.write_bytes(_local_path(address).read_bytes())
        return target
    try:
        with client.stream("GET", address) as answer, target.open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                file.write(chunk)
                progress.look()
    except httpx.HTTPError as error:
        raise unreachable([_host(address)]) from error
    return target


def _host(address: str) -> str:
    """The machine's name alone: an index address may hold a password."""
    return urlsplit(address).hostname or "a folder"


def unreachable(hosts: list[str]) -> FetchProblem:
    """The index does not answer."""
    return FetchProblem(
        "starter.index_unreachable",
        f"The worker cannot reach the package index ({', '.join(dict.fromkeys(hosts))}).",
        "Give the worker's machine a way to a package index (PIP_INDEX_URL or pip.conf), then try again.",
    )


def not_on_index(package: str, version: str) -> FetchProblem:
    """The index answers, but does not have this version."""
    return FetchProblem(
        "starter.not_on_index",
        f"The package index of the worker does not have {package} {version}.",
        "Let the index carry this package (a mirror may need to be told), then try again.",
    )


def _not_found(package: str, version: str, failures: list[str]) -> FetchProblem:
    return unreachable(failures) if failures else not_on_index(package, version)
