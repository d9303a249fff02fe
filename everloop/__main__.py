"""The command line: `everloop` or `python -m everloop`.

A user's mistake is one clear error on stderr and exit code 2, never a traceback.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
import warnings

QUIET = {
    "OMP_WAIT_POLICY": "PASSIVE",  # waiting threads sleep: three times the speed on busy cores
    "OPENBLAS_THREAD_TIMEOUT": "4",  # those of numpy and scipy, too: a third less processor time
    # every dependency's telemetry off, and its chatter:
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY": "false",
    "TOKENIZERS_PARALLELISM": "false",
}


def main() -> None:
    gc.set_threshold(50_000)  # what is imported is no garbage, and need not be searched for any
    atexit.register(gc.freeze)  # nor need it when the process ends
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", "coroutine 'S3FileSystem.*never awaited", RuntimeWarning)
    from everloop.clash import clash

    if theirs := clash():
        _fail(theirs)
    from core.errors import EverloopError

    try:
        from everloop.commands import app

        app(prog_name="everloop")
    except EverloopError as fault:
        _fail(fault)
    except OSError as fault:  # a full disk, a folder that is a file, no right to write
        reason = fault.strerror or str(fault)
        _fail(EverloopError("the system refuses", where=str(fault.filename or ""), got=reason))
    except Exception as fault:
        from core.imported import of_policy

        if not (told := of_policy(fault)):
            raise
        _fail(told)


def _fail(fault: Exception | str) -> None:
    sys.stderr.write(f"error: {fault}\n")
    sys.exit(2)


if __name__ == "__main__":
    main()
