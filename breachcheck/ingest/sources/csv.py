"""temp"""
from __future__ import annotations
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Iterator
import pyarrow as pa
import pyarrow.csv as pcsv
import csv, io
from breachcheck.ingest.mapping import Mapping, Plan
from breachcheck.ingest.sources.chunk import Rows

@dataclass(frozen=True, repr=False)
class CsvChunk:
    plan: Plan
    count: int
    offset: int
    first: int
    data: list
    def rows(self):
        w = len(self.plan.header)
        good = [(i, r) for i, r in enumerate(self.data, self.first) if len(r) == w]
        bad = [(i, "columns" if any(r) else "empty") for i, r in enumerate(self.data, self.first) if len(r) != w]
        cols = list(zip(*[r for _, r in good])) or [[]] * w
        return Rows(tuple(pa.array([x.encode("utf-8", "replace").decode() for x in c], pa.string()) for c in cols), pa.array([i for i, _ in good], pa.int64()), tuple(bad))

def digest(path):
    with path.open("rb") as f:
        return hashlib.file_digest(f, "sha256").digest()

def chunks(path, mapping, skip=0):
    with path.open("r", encoding="utf-8-sig", errors="surrogateescape", newline="") as f:
        first = f.readline(); f.seek(0)
        d = mapping.delimiter or max(";,\t|", key=first.count)
        r = csv.reader(f, delimiter=d, strict=True)
        plan = mapping.plan(next(r))
        rows=[]; n=1; k=0
        for row in r:
            rows.append(row)
            if len(rows) == 20000:
                k+=1
                if k > skip: yield CsvChunk(plan, len(rows), n*100, n, rows)
                n += len(rows); rows=[]
        if k >= skip: yield CsvChunk(plan, len(rows), path.stat().st_size, n, rows)
