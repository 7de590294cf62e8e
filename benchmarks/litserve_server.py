"""The same labeler behind LitServe, for `measure_serving.py`: batches of up to 16 images, one worker.

python benchmarks/litserve_server.py PORT
"""

from __future__ import annotations

import base64
import sys
from typing import Any

import litserve

from dap_core import PseudoLabeler
from dap_core.types import FailedImage


class LabelerApi(litserve.LitAPI):
    """Base64 images in JSON, boxes out."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - LitServe's signature
        """Loads the model."""
        self.labeler = PseudoLabeler()

    def decode_request(self, request: dict[str, str]) -> tuple[bytes, str]:
        """The image's bytes and its label."""
        return base64.b64decode(request["image"]), request["label"]

    def batch(self, inputs: list[tuple[bytes, str]]) -> list[tuple[bytes, str]]:
        """As they are."""
        return inputs

    def predict(self, batch: list[tuple[bytes, str]]) -> list[Any]:
        """Boxes of each image."""
        return self.labeler.label_each([data for data, _ in batch], [label for _, label in batch])

    def unbatch(self, output: list[Any]) -> list[Any]:
        """As they are."""
        return output

    def encode_response(self, output: Any) -> dict[str, Any]:
        """The boxes as JSON."""
        if isinstance(output, FailedImage):
            return {"error": str(output.error)}
        return {"boxes": [[*box.xyxy.tolist(), box.score, box.threshold] for box in output.boxes]}


if __name__ == "__main__":
    api = LabelerApi(max_batch_size=16, batch_timeout=0.02)
    litserve.LitServer(api, accelerator="cpu", timeout=60).run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
