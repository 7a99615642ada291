"""Azure Blob Storage. Its signatures cover no headers, so what an upload must bring is not enforced."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import obstore
from azure.storage.blob import BlobSasPermissions, generate_blob_sas
from obstore.exceptions import BaseError
from obstore.store import AzureStore

from lacewing.adapters.object_store import client_options
from lacewing.adapters.store import StoreSettings
from lacewing.errors import ConfigError, TransientError

_VARIABLES = {
    "account_name": "STORAGE_ACCOUNT_NAME",
    "account_key": "STORAGE_ACCOUNT_KEY",
    "tenant_id": "TENANT_ID",
    "client_id": "CLIENT_ID",
    "client_secret": "CLIENT_SECRET",
}


class Provider:
    """Opens containers and signs URLs of Azure Blob Storage. `abfs://CONTAINER/...`, as flytekit has it."""

    scheme = "abfs"
    metadata_prefix = "x-ms-meta-"
    upload_headers: Mapping[str, str] = {"x-ms-blob-type": "BlockBlob"}

    def __init__(self, settings: StoreSettings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        named = {
            option: environ.get(f"FLYTE_AZURE_{name}") or environ.get(f"AZURE_{name}")
            for option, name in _VARIABLES.items()
        }
        self._options: dict[str, Any] = {option: value for option, value in named.items() if value}
        if "account_name" not in self._options:
            raise ConfigError("abfs:// needs the variable FLYTE_AZURE_STORAGE_ACCOUNT_NAME")

    def open(self, bucket: str) -> AzureStore:
        """The container."""
        return self._open(bucket, self._settings.endpoint)

    async def sign(
        self, method: str, bucket: str, key: str, seconds: float, headers: Mapping[str, str]
    ) -> str:
        """A URL with a shared access signature, by the account's key or else by the identity's."""
        if key_of_account := self._options.get("account_key"):
            return self._sign_by_key(method, bucket, key, seconds, key_of_account)
        verb: Any = method
        public = self._open(bucket, self._settings.public_endpoint or self._settings.endpoint)
        try:
            url: str = await obstore.sign_async(public, verb, key, timedelta(seconds=seconds))
            return url
        except BaseError as error:
            raise TransientError(f"cannot sign a URL of abfs://{bucket}/{key}: {error}") from error

    def _sign_by_key(self, method: str, bucket: str, key: str, seconds: float, account_key: str) -> str:
        # obstore's own signature is wrong for names that have to be quoted in a URL.
        account = self._options["account_name"]
        base = self._settings.public_endpoint or self._settings.endpoint
        base = base.rstrip("/") or f"https://{account}.blob.core.windows.net"
        signature = generate_blob_sas(
            account,
            bucket,
            key,
            account_key=account_key,
            permission=BlobSasPermissions(
                read=method == "GET", create=method == "PUT", write=method == "PUT"
            ),
            expiry=datetime.now(UTC) + timedelta(seconds=seconds),
        )
        return f"{base}/{bucket}/{quote(key, safe='/~')}?{signature}"

    def _open(self, bucket: str, endpoint: str) -> AzureStore:
        own = {"endpoint": endpoint} if endpoint else {}
        return AzureStore(
            bucket,
            client_options=client_options(self._settings, endpoint),
            retry_config={
                "max_retries": self._settings.retries,
                "retry_timeout": timedelta(seconds=self._settings.retry_seconds),
            },
            **{**self._options, **own},
        )
