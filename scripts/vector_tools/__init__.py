"""How `scripts/vectors` makes the vectors: one module a subject, read from `common` upwards."""
