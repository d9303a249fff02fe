"""Imported by the server that forks commands: what they import late, imported once.

Only imports: what runs code may start threads, and a fork does not take them along.
"""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module

LATE = (
    "torch._dynamo",
    "sympy",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.bert.modeling_bert",
    "transformers.models.bert.configuration_bert",
    "transformers.tokenization_utils_tokenizers",
    "sklearn.linear_model",
    "pandas",
    "pyarrow.parquet",
    "dvc.repo",
    "dvc.stage",
    "mlflow.artifacts",
    "mlflow.pyfunc",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "everloop.commands",
    "everloop.replay",
    "flows.batch_predict",
    "flows.first",
    "flows.labels",
    "flows.stages",
    "pipelines.datasets.expectations",
    "pipelines.labeling.judgements",
)

if os.environ.get("EVERLOOP_TESTS_WARM"):
    from everloop.__main__ import QUIET

    os.environ.update(QUIET)
    from core.tracking import quiet_mlflow

    quiet_mlflow()
    for name in LATE:
        with suppress(ImportError):
            import_module(name)
