"""S3 buckets; the environment sets AWS_ENDPOINT_URL, AWS_REGION and the access keys."""

from __future__ import annotations

import os
from functools import cache

import pyarrow.fs


@cache
def bucket_files(bucket: str, endpoint: str | None, attempts: int) -> pyarrow.fs.S3FileSystem:
    """Arrow's file system of a bucket; endpoint: the address of a server, None for Amazon's.

    attempts: 3 take a second or two and report an error soon; 8 outlast a short failure of the network.
    """
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region is None:
        region = "us-east-1" if endpoint else pyarrow.fs.resolve_s3_region(bucket)
    return pyarrow.fs.S3FileSystem(
        endpoint_override=endpoint,
        region=region,
        connect_timeout=5,
        request_timeout=30,
        allow_delayed_open=True,  # one put for a small file
        retry_strategy=pyarrow.fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
    )
