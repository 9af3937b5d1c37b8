"""The running service over HTTP: evaluations against the C limit, buckets against nginx; and each without HTTP."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import Final

import duckdb

from bench_tools.bench import Bench, Figures
from bench_tools.evaluation import rate
from bench_tools.tools import (
    BUCKET_SCRIPT,
    EVALUATE_SCRIPT,
    Comparison,
    LoadFigures,
    Server,
    ToolError,
    find_tool,
    interleaved_loads,
    limit_rate,
    nginx_serving,
    pinned,
    wrk,
)
from bench_tools.worlds import World
from breachcheck.keys import read_evaluator
from breachcheck.protocol import messages, oprf
from breachcheck.protocol.parameters import MAX_BATCH, TESTING_ONLY
from breachcheck.store import reader, schema
from breachcheck.store.reader import Release

CONNECTIONS: Final = 16
BATCHES: Final = (1, MAX_BATCH)
KIND: Final = "phone"
BUCKET: Final = 0

Measure = Callable[[], LoadFigures]
Measures = dict[str, Measure]


def _in_turn(calls_per_second: float) -> LoadFigures:
    """Return what a server would show that does nothing but these calls, for all connections in turn."""
    wait = CONNECTIONS / calls_per_second * 1e3
    return LoadFigures(calls_per_second, calls_per_second, p50_ms=wait, p99_ms=wait, errors=0, answers=0)


def _in_process(bench: Bench, call: Callable[[], object]) -> LoadFigures:
    server, _ = bench.cores
    with pinned(server):
        return _in_turn(rate(call, bench.seconds))


def _limit(bench: Bench, measure: str, page: int = 24_000) -> LoadFigures:
    server, _ = bench.cores
    return _in_turn(limit_rate(bench.limit, measure, bench.seconds, page=page, cores=server))


def _over_http(bench: Bench, server: Server, path: str, body: str | None = None) -> LoadFigures:
    _, load = bench.cores
    script = BUCKET_SCRIPT if body is None else EVALUATE_SCRIPT
    env = {"BENCH_BODY": body or ""}
    return wrk(server, path, script, CONNECTIONS, 1 if bench.quick else 2, env=env, cores=load)


def _evaluations(bench: Bench, service: Server, world: World) -> Measures:
    evaluator = read_evaluator(world.keys)
    measures: dict[str, Measure] = {}
    for size in BATCHES:
        request = messages.encode_request([oprf.blind(bytes([index]))[1] for index in range(size)])

        def answer(request: bytes = request) -> bytes:
            return evaluator.answer(messages.decode_request(request))

        measures[f"evaluate {size}"] = partial(_over_http, bench, service, "/v1/evaluate", request.decode())
        measures[f"evaluate {size}, in process"] = partial(_in_process, bench, answer)
        measures[f"evaluate {size}, limit"] = partial(_limit, bench, f"blind_evaluate_{size}")
    return measures


def _buckets(
    bench: Bench, service: Server, release: Release, database: duckdb.DuckDBPyConnection, static: Server
) -> Measures:
    kinds = [table.kind for table in release.manifest.kinds]
    layout = release.manifest.kinds[kinds.index(KIND)].layout

    def page() -> bytes:
        return release.page(KIND, random.randrange(layout.buckets))

    def row() -> object:
        return database.execute(
            "SELECT entries FROM bucket WHERE kind = ? AND number = ?",
            [kinds.index(KIND), random.randrange(layout.buckets)],
        ).fetchone()

    path = f"/v1/releases/{release.manifest.release}/buckets/{KIND}/{BUCKET:06x}"
    return {
        "bucket": partial(_over_http, bench, service, path),
        "bucket, nginx": partial(_over_http, bench, static, f"/{BUCKET}"),
        "page": partial(_in_process, bench, page),
        "page, limit": partial(_limit, bench, "page", layout.page_length),
        "page, duckdb": partial(_in_process, bench, row),
    }


def _http(what: str, ours: LoadFigures, against: str, theirs: LoadFigures) -> list[Comparison]:
    return [
        Comparison(f"{what}, HTTP", "/s", ours.requests_per_second, against, theirs.requests_per_second),
        Comparison(
            "  a second of the server's processor time",
            "/s",
            ours.requests_per_cpu_second,
            against,
            theirs.requests_per_cpu_second,
        ),
        Comparison("  p50", "ms", ours.p50_ms, against, theirs.p50_ms),
        Comparison("  p99", "ms", ours.p99_ms, against, theirs.p99_ms),
    ]


def _evaluation_rows(best: Mapping[str, LoadFigures]) -> Iterator[Comparison]:
    for size in BATCHES:
        ours, process, limit = (best[f"evaluate {size}{where}"] for where in ("", ", in process", ", limit"))
        what = "evaluations of one element" if size == 1 else f"evaluations of {size} elements"
        yield from _http(what, ours, f"C, {CONNECTIONS} in turn", limit)
        rates = process.requests_per_second, "C over libsodium", limit.requests_per_second
        yield Comparison(f"{what}, in process", "/s", *rates)


def _bucket_rows(best: Mapping[str, LoadFigures], length: int) -> Iterator[Comparison]:
    what, limit = f"lookups of a bucket of {length:,} bytes", best["page, limit"].requests_per_second
    yield from _http(what, best["bucket"], "nginx, a file", best["bucket, nginx"])
    against = "C, pread and SHA-256"
    yield Comparison(f"{what}, in process", "/s", best["page"].requests_per_second, against, limit)
    yield Comparison("  the same from DuckDB", "/s", best["page, duckdb"].requests_per_second, against, limit)


def measure(bench: Bench) -> Figures:
    """Put load on a real service with its load generator on another core, and take turns with the limits."""
    server, _ = bench.cores
    find_tool("wrk", "wrk")
    world = bench.world(500 if bench.quick else 20_000, TESTING_ONLY)
    with ExitStack() as running:
        release = running.enter_context(reader.open_release(world.releases))
        database = running.enter_context(schema.connect(release.folder / reader.DATABASE, read_only=True))
        folder = bench.folder / "static"
        folder.mkdir()
        (folder / str(BUCKET)).write_bytes(page := release.page(KIND, BUCKET))
        static = running.enter_context(nginx_serving(folder, cores=server))
        service = running.enter_context(world.service(server))
        bench.say("putting load on service and nginx")
        measures = _evaluations(bench, service, world) | _buckets(bench, service, release, database, static)
        best = interleaved_loads(measures, 1 if bench.quick else 5)
    errors = {what: seen.errors for what, seen in best.items() if seen.errors}
    if errors:
        raise ToolError(f"answers that were none: {errors}")
    rows = [*_evaluation_rows(best), *_bucket_rows(best, len(page))]
    return Figures(f"Service, one core, {CONNECTIONS} connections on loopback", rows)
