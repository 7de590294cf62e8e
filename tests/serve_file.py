"""Runs a Serve config file on a Ray of its own, on another port, until a signal comes: what `serve deploy` does.

python tests/serve_file.py FILE PORT
"""

from __future__ import annotations

import signal
import sys
from importlib import import_module
from pathlib import Path

import ray
import yaml
from ray import serve
from ray.serve.schema import ServeDeploySchema

from services.settings import ServiceSettings

if __name__ == "__main__":
    schema = ServeDeploySchema.model_validate(yaml.safe_load(Path(sys.argv[1]).read_text()))
    [application] = schema.applications
    module, _, name = application.import_path.partition(":")
    ray.init(include_dashboard=False, log_to_driver=False)
    serve.start(http_options={"host": schema.http_options.host, "port": int(sys.argv[2])})
    build = getattr(import_module(module), name)
    serve.run(build(ServiceSettings.model_validate(application.args)), route_prefix=application.route_prefix)
    signal.signal(signal.SIGTERM, lambda *_: None)
    signal.pause()
    serve.shutdown()
    ray.shutdown()
