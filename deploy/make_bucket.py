"""Makes a bucket, the argument, if it is not there; AWS_ENDPOINT_URL says on which server."""

from __future__ import annotations

import sys

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError


def make_bucket(name: str) -> str:
    """What was done. Raises ClientError, such as for a bucket of somebody else's."""
    client = boto3.client("s3", config=Config(s3={"addressing_style": "path"}))
    try:
        client.head_bucket(Bucket=name)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        client.create_bucket(Bucket=name)
        return f"{name} made"
    return f"{name} is there"


if __name__ == "__main__":
    sys.stdout.write(make_bucket(sys.argv[1]) + "\n")
