"""The languages the server speaks, each in one file, all on one engine.

own.py        /v1/predict, /v1/feedback, /ready
mlflow.py     the scoring protocol of `mlflow models serve`: /invocations, /ping, /version
inference.py  the Open Inference Protocol v2: /v2/models/..., for tritonclient and KServe clients
"""
