"""Fixtures that all tests share: the S3 servers of tests/servers.py."""

from __future__ import annotations

from tests.servers import ceph, moto, s3, s3_environment

__all__ = ["ceph", "moto", "s3", "s3_environment"]
