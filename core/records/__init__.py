"""What passes between rooms: small frozen records, all times UTC, all shares in 0..1.

A request becomes a `Prediction`; some predictions become an `AnnotationTask`, then an
`Annotation`; annotations become reservoir rows, rows a `DatasetVersion`, that a `Candidate`, that a
`TestReport`, that a `Rollout`, and the rollout decides who serves the next request.
"""
