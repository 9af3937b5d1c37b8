"""Who is one person: rows that share a linking identifier, across all that the ledger holds.

    strong   an identifier of a linking kind, not in a column of the employer's
    row      the set of strong identifiers of a row, as its 128-bit mark: rows with equal marks are one here
    hub      a strong identifier that stands in more than `MAX_SETS` different sets of strong identifiers, a placeholder
             such as 00000000: it links nobody
    person   a connected component of rows and strong identifiers
    crowd    a component of more than `MAX_CROWD` different sets, or one that is not settled: it is no person

Every identifier of one person shows all of the person's fields, dataset by dataset. One that several people share (a
phone, an employer's contact, a hub, an identifier of a crowd) shows only what stands in its own rows. All of it is done
by DuckDB over OPRF outputs, out of core.

An identifier that was erased is in no row. The others of its rows show what those rows hold, as before; what it alone
had joined comes apart: two rows that shared no other strong identifier are two people, and a row in which it was the
only strong one is nobody's, so that what stands in it shows its own rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import duckdb

from breachcheck.exposure import Flag

MAX_SETS: Final = 16  # no person has so many numbers; of so many people each would see the fields of all
MAX_CROWD: Final = 1024
_ROUNDS: Final = 64  # what is not settled by then is no person's

# What stands once joins nothing: it has no number, and a line in which it stands is `alone` in holding it. Of the
# others, which are fewer, are the edges.
_STRONG: Final = """
CREATE OR REPLACE TEMP TABLE strong AS
SELECT row_number() OVER () AS strong, kind, output
FROM (SELECT kind, output FROM exposure WHERE linking GROUP BY kind, output HAVING count(*) > 1)
"""
_LINE: Final = """
CREATE OR REPLACE TEMP TABLE line AS
SELECT row_number() OVER () AS line, * FROM (
    SELECT run, row_high, row_low, bool_or(strong IS NULL) AS alone
    FROM exposure LEFT JOIN strong USING (kind, output) WHERE linking GROUP BY run, row_high, row_low)
"""
_EDGE: Final = """
CREATE OR REPLACE TEMP TABLE edge AS
SELECT DISTINCT line, strong FROM exposure JOIN strong USING (kind, output) JOIN line USING (run, row_high, row_low)
WHERE linking
"""
# Marks are keyed by run. Only of what stands in many rows are the sets compared themselves, over all runs.
_HUB: Final = """
CREATE OR REPLACE TEMP TABLE hub AS
WITH many AS (SELECT strong FROM edge GROUP BY strong HAVING count(*) > $1),
     stands AS (SELECT line, strong FROM edge SEMI JOIN many USING (strong)),
     sets AS (
         SELECT line, list_sort(list(strong)) AS members FROM edge SEMI JOIN stands USING (line) GROUP BY line),
     found AS (
         SELECT strong FROM stands JOIN sets USING (line) JOIN line USING (line) GROUP BY strong
         HAVING count(DISTINCT members) FILTER (NOT alone) + count(*) FILTER (alone) > $1)
SELECT strong, kind, output FROM found JOIN strong USING (strong)
"""
_CUT: Final = "DELETE FROM edge WHERE strong IN (SELECT strong FROM hub)"
_LABEL: Final = "CREATE OR REPLACE TEMP TABLE label AS SELECT line, min(strong) AS label FROM edge GROUP BY line"
_LEAST: Final = """
CREATE OR REPLACE TEMP TABLE least AS
SELECT strong, min(label) AS label FROM edge JOIN label USING (line) GROUP BY strong
"""
_SETTLE: Final = """
CREATE OR REPLACE TEMP TABLE next AS
SELECT line, min(least.label) AS label FROM edge JOIN least USING (strong) GROUP BY line
"""
# All lines of a label go where one of them can, and from there, which is an identifier, to the least label of that: the
# rounds that a chain takes grow with the logarithm of its length, in whatever order it is numbered.
_JUMP: Final = """
CREATE OR REPLACE TEMP TABLE label AS
WITH hop AS (
    SELECT label.label AS here, min(next.label) AS there FROM label JOIN next USING (line) GROUP BY label.label)
SELECT line, least.label FROM label JOIN hop ON label.label = hop.here JOIN least ON hop.there = least.strong
"""
_MOVED: Final = "SELECT next.label FROM next JOIN label USING (line) WHERE next.label <> label.label"
# By the sets, not the lines: the same files, given one by one, have a line for each.
_CROWD: Final = """
CREATE OR REPLACE TEMP TABLE crowd AS
WITH large AS (SELECT label FROM next GROUP BY label HAVING count(*) > $1),
     sets AS (
         SELECT label, line, list_sort(list(strong)) AS members
         FROM edge JOIN next USING (line) SEMI JOIN large USING (label) GROUP BY label, line)
SELECT label FROM sets JOIN line USING (line) GROUP BY label
HAVING count(DISTINCT members) FILTER (NOT alone) + count(*) FILTER (alone) > $1
"""
# What borders on another label is a part of a component that is not settled. Each part of one does.
_UNSETTLED: Final = """
INSERT INTO crowd
WITH border AS (SELECT strong FROM edge JOIN next USING (line) GROUP BY strong HAVING min(label) <> max(label))
SELECT label FROM edge JOIN next USING (line) SEMI JOIN border USING (strong) EXCEPT SELECT label FROM crowd
"""
_PERSON: Final = """
CREATE OR REPLACE TEMP TABLE person AS
SELECT run, row_high, row_low, coalesce(next.label, -line) AS person, crowd.label IS NOT NULL AS crowded
FROM line LEFT JOIN next USING (line) LEFT JOIN crowd USING (label) WHERE alone OR next.label IS NOT NULL
"""
_KNOWN: Final = f"""
CREATE OR REPLACE TEMP VIEW known AS
SELECT kind, output, locator, dataset, fields, flags, coalesce(crowded, false) AS crowded,
       CASE WHEN flags & {int(Flag.EMPLOYER)} = 0 AND NOT crowded THEN person END AS person
FROM exposure LEFT JOIN person USING (run, row_high, row_low)
"""  # noqa: S608
_WHOLE: Final = """
CREATE OR REPLACE TEMP TABLE whole AS
SELECT person, dataset, bit_or(fields) AS fields FROM known WHERE person IS NOT NULL GROUP BY person, dataset
"""
_MEMBER: Final = """
CREATE OR REPLACE TEMP TABLE member AS
WITH one AS (
    SELECT kind, output, any_value(locator) AS locator, min(person) AS person,
           bool_or(crowded) OR coalesce(min(person) <> max(person), false) AS shared,
           bool_and(person IS NOT NULL AND flags = 0) AS inside
    FROM known GROUP BY kind, output)
SELECT one.* REPLACE (shared OR strong IS NOT NULL AS shared) FROM one LEFT JOIN hub USING (kind, output)
"""
_FIELDS: Final = "SELECT dataset, fields, count(*) FROM whole GROUP BY dataset, fields ORDER BY dataset, fields"
# Of whom all rows are one person's nothing shows that is not the person's: their own rows need no look.
_SEALABLE: Final = """
CREATE OR REPLACE TEMP TABLE sealable AS
SELECT kind, output, locator, dataset, fields, 0::UTINYINT AS flags
FROM member JOIN whole USING (person) WHERE inside AND NOT shared
"""
_OWN: Final = "CREATE OR REPLACE TEMP TABLE own AS SELECT * FROM member WHERE shared OR NOT inside"
_SHOWS: Final = """
INSERT INTO sealable
WITH shows AS (
    SELECT kind, output, dataset, fields, flags FROM exposure SEMI JOIN own USING (kind, output)
    UNION ALL
    SELECT kind, output, dataset, fields, 0 FROM own JOIN whole USING (person) WHERE NOT shared)
SELECT kind, output, locator, dataset, bit_or(fields) AS fields,
       (bit_or(flags) | CASE WHEN any_value(shared) THEN ? ELSE 0 END)::UTINYINT AS flags
FROM shows JOIN own USING (kind, output) GROUP BY kind, output, locator, dataset
"""


@dataclass(frozen=True, slots=True)
class People:
    """How many people were told apart; hubs and crowds that were cut; identifiers that several people share.

    `fields` tells for each dataset how many people have which field mask in it.
    """

    people: int
    hubs: int
    crowds: int
    shared: int
    fields: dict[str, dict[int, int]] = field(default_factory=dict)


def gather(database: duckdb.DuckDBPyConnection) -> People:
    """Make the temporary table `sealable` of the ledger's `exposure`: what each identifier shows in each dataset.

    Its columns are kind, output, locator, dataset, fields, flags; one line for each identifier and dataset.
    """
    run = database.execute
    run(_STRONG)
    run(_LINE)
    run(_EDGE)
    run(_HUB, [MAX_SETS])
    run(_CUT)
    _settle(database)
    run(_CROWD, [MAX_CROWD])
    run(_UNSETTLED)
    run(_PERSON)
    run(_KNOWN)
    run(_WHOLE)
    run(_MEMBER)
    run(_SEALABLE)
    run(_OWN)
    run(_SHOWS, [int(Flag.SHARED)])
    [(people, hubs, crowds, shared)] = run(
        "SELECT (SELECT count(DISTINCT person) FROM whole), (SELECT count(*) FROM hub), (SELECT count(*) FROM crowd), "
        "(SELECT count(*) FROM member WHERE shared)"
    ).fetchall()
    fields: dict[str, dict[int, int]] = {}
    for dataset, mask, count in run(_FIELDS).fetchall():
        fields.setdefault(dataset, {})[mask] = count
    run("DROP VIEW known")
    for table in (
        "strong",
        "line",
        "edge",
        "hub",
        "label",
        "least",
        "next",
        "crowd",
        "person",
        "whole",
        "member",
        "own",
    ):
        run(f"DROP TABLE {table}")
    return People(people, hubs, crowds, shared, fields)


def _settle(database: duckdb.DuckDBPyConnection) -> None:
    """Make the tables `label` and `next` of `edge`: equal, if it is settled."""
    run = database.execute
    run(_LABEL)
    for _ in range(_ROUNDS):
        run(_LEAST)
        run(_SETTLE)
        if not run(f"{_MOVED} LIMIT 1").fetchone():
            break
        run(_JUMP)
