"""A site of a few lines in a copy of the launcher: real Django, uvicorn and Valkey, nothing of the product.

It notes what it was told, so that `up` can be tested without the rooms it starts.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from launcher.folders import ROOT

_COMMAND = "from django.core.management.base import BaseCommand\nimport os, pathlib, sys, time\n"
_NOTE = (
    "var = pathlib.Path(os.environ['DELTABOARD_VAR'])\n"
    "(var / f'{name}.told').write_text(repr((sys.argv[1:], dict(os.environ))))\n"
)
_FILES = {
    "webapp/__init__.py": "",
    "webapp/settings.py": (
        "import os, pathlib\n"
        "SECRET_KEY = 'of a toy'\n"
        "INSTALLED_APPS = ['webapp', 'django.contrib.contenttypes']\n"
        "DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3',\n"
        "    'NAME': pathlib.Path(os.environ['DELTABOARD_VAR']) / 'toy.sqlite3'}}\n"
    ),
    "webapp/asgi.py": (
        "async def application(scope, receive, send):\n"
        "    well = scope['path'] == '/api/worker/ping'\n"
        "    await send({'type': 'http.response.start', 'status': 200 if well else 404, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b''})\n"
    ),
    "webapp/management/__init__.py": "",
    "webapp/management/commands/__init__.py": "",
    "webapp/management/commands/housekeeping.py": (
        _COMMAND + "class Command(BaseCommand):\n    def handle(self, **_):\n        time.sleep(600)\n"
    ),
    "webapp/management/commands/signinlink.py": (
        _COMMAND + "class Command(BaseCommand):\n"
        "    def add_arguments(self, parser):\n        parser.add_argument('--site')\n"
        "    def handle(self, site, **_):\n        self.stdout.write(site + '/sign-in/once')\n"
    ),
    "webapp/management/commands/workerkey.py": (
        _COMMAND + "class Command(BaseCommand):\n"
        "    def add_arguments(self, parser):\n"
        "        parser.add_argument('--name')\n        parser.add_argument('--embedded', action='store_true')\n"
        "    def handle(self, name, **_):\n        self.stdout.write('key-of-' + name)\n"
    ),
    "webapp/management/commands/starter.py": (
        _COMMAND + "class Command(BaseCommand):\n"
        "    def add_arguments(self, parser):\n        parser.add_argument('--wait', action='store_true')\n"
        "    def handle(self, **_):\n        self.stdout.write('two models installed')\n"
    ),
    "workers/__init__.py": "",
    "workers/__main__.py": (
        "import os, pathlib, sys, time\nname = sys.argv[sys.argv.index('--name') + 1]\n" + _NOTE + "time.sleep(600)\n"
    ),
}


def make_toy_site(folder: Path) -> Path:
    """Lays out the copy; its manage.py is the real one."""
    shutil.copytree(ROOT / "launcher", folder / "launcher", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "manage.py", folder)
    for name, text in _FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder
