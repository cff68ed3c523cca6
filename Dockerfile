# One image per kind of machine: `site` for web and housekeeping, `worker` with the training packages.
FROM python:3.11-slim AS base
WORKDIR /srv/deltaboard
COPY manage.py pyproject.toml constraints.txt ./
COPY launcher launcher
RUN python manage.py install site
ENV PATH=/srv/deltaboard/.venv/bin:$PATH DELTABOARD_NO_BOOTSTRAP=1 PYTHONUNBUFFERED=1 MALLOC_ARENA_MAX=2 DELTABOARD_VAR=/var/lib/deltaboard
RUN useradd --system --create-home --uid 1000 deltaboard && install -d -o deltaboard -m 700 /var/lib/deltaboard

FROM base AS site
RUN python manage.py install production
COPY . .
USER deltaboard

FROM base AS worker
RUN python manage.py install worker
COPY . .
USER deltaboard
