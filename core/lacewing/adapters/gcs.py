"""Google Cloud Storage. URLs are signed by Google's library: with a key, or by IAM if there is none."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import google.auth
from google.auth.credentials import Credentials, Signing
from google.auth.exceptions import GoogleAuthError
from google.auth.transport.requests import Request
from google.cloud.storage import Client
from obstore.store import GCSStore

from lacewing.adapters.object_store import client_options
from lacewing.adapters.store import StoreSettings
from lacewing.errors import ConfigError, TransientError

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Provider:
    """Opens buckets and signs URLs of Google Cloud Storage."""

    scheme = "gs"
    metadata_prefix = "x-goog-meta-"
    upload_headers: Mapping[str, str] = {}

    def __init__(self, settings: StoreSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._endpoint = (settings.endpoint or environ.get("STORAGE_EMULATOR_HOST", "")).rstrip("/")
        self._public = (settings.public_endpoint or self._endpoint).rstrip("/")
        try:
            self._credentials: Credentials = google.auth.default(scopes=[_SCOPE])[0]
        except GoogleAuthError as error:
            raise ConfigError(f"there are no credentials for gs://: {error}") from error
        self._client = Client(project="lacewing", credentials=self._credentials)

    def open(self, bucket: str) -> GCSStore:
        """The bucket."""
        own: Any = {"base_url": self._endpoint, "skip_signature": True} if self._endpoint else {}
        return GCSStore(
            bucket,
            client_options=client_options(self._settings, self._endpoint),
            retry_config={
                "max_retries": self._settings.retries,
                "retry_timeout": timedelta(seconds=self._settings.retry_seconds),
            },
            **own,
        )

    async def sign(
        self, method: str, bucket: str, key: str, seconds: float, headers: Mapping[str, str]
    ) -> str:
        """A V4 URL; the headers have to come as they are."""
        blob = self._client.bucket(bucket).blob(key)
        try:
            return await asyncio.to_thread(self._sign, blob, method, seconds, dict(headers))
        except GoogleAuthError as error:
            raise TransientError(f"cannot sign a URL of gs://{bucket}/{key}: {error}") from error

    def _sign(self, blob: Any, method: str, seconds: float, headers: dict[str, str]) -> str:
        more: dict[str, Any] = {"api_access_endpoint": self._public} if self._public else {}
        if not isinstance(self._credentials, Signing):
            # Without a key IAM signs, in the name of the service account.
            self._credentials.refresh(Request())  # type: ignore[no-untyped-call]
            account = getattr(self._credentials, "service_account_email", None)
            more |= {"service_account_email": account, "access_token": self._credentials.token}
        url: str = blob.generate_signed_url(
            version="v4",
            expiration=timedelta(seconds=max(1, int(seconds))),
            method=method,
            content_md5=headers.pop("Content-MD5", None),
            headers=headers,
            **more,
        )
        return url
