"""LitServe with its batching: python litserve_server.py PORT."""

import os
import sys

import litserve as ls
from model import Classifier


class API(ls.LitAPI):
    def setup(self, device):  # noqa: ARG002  LitServe gives it
        self.classify = Classifier()
        self.classify(["warm"] * 8)

    def decode_request(self, request):
        return request["text"]

    def predict(self, texts):
        # without batching LitServe gives one text, with it a list
        return self.classify(texts) if isinstance(texts, list) else self.classify([texts])[0]

    def encode_response(self, output):
        return output


if __name__ == "__main__":
    api = API(
        max_batch_size=int(os.environ.get("BENCH_BATCH", "32")),
        batch_timeout=float(os.environ.get("BENCH_WAIT_MS", "2")) / 1000,
    )
    server = ls.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=int(os.environ.get("BENCH_WORKERS", "1")),
        fast_queue=os.environ.get("BENCH_FAST_QUEUE") == "1",
    )
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        num_api_servers=int(os.environ.get("BENCH_API_SERVERS", "1")),
        log_level="warning",
        generate_client_file=False,
    )
