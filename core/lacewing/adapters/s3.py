"""S3 and what speaks like it. Credentials are found by botocore, as by the tasks' own clients of S3."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session
from obstore.store import S3Store

from lacewing.adapters.object_store import client_options
from lacewing.adapters.store import StoreSettings
from lacewing.errors import ConfigError

_FRESH = timedelta(minutes=5)


class Provider:
    """Opens buckets and signs URLs of S3."""

    scheme = "s3"
    metadata_prefix = "x-amz-meta-"
    upload_headers: Mapping[str, str] = {}

    def __init__(self, settings: StoreSettings, environ: Mapping[str, str]) -> None:
        names = ("FLYTE_AWS_ENDPOINT", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
        session = Session()
        self._settings = settings
        self._endpoint = settings.endpoint or next((environ[one] for one in names if environ.get(one)), "")
        self._public = (settings.public_endpoint or self._endpoint).rstrip("/")
        region = session.get_config_variable("region")
        self._region = settings.region or environ.get("AWS_REGION") or region or "us-east-1"
        self._credentials = _credentials(session, environ)

    def open(self, bucket: str) -> S3Store:
        """The bucket."""
        own: Any = {"endpoint": self._endpoint.rstrip("/")} if self._endpoint else {}
        return S3Store(
            bucket,
            region=self._region,
            virtual_hosted_style_request=self._virtual(bucket, self._endpoint),
            client_options=client_options(self._settings, self._endpoint),
            retry_config={
                "max_retries": self._settings.retries,
                "retry_timeout": timedelta(seconds=self._settings.retry_seconds),
            },
            credential_provider=self._current,
            **_at_bucket(own, bucket, self._virtual(bucket, self._endpoint)),
        )

    async def sign(
        self, method: str, bucket: str, key: str, seconds: float, headers: Mapping[str, str]
    ) -> str:
        """A URL signed by botocore; the headers have to come as they are."""
        base = self._public or f"https://s3.{self._region}.amazonaws.com"
        if self._virtual(bucket, self._public):
            parts = urlsplit(base)
            base = f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path}"
        else:
            base = f"{base}/{quote(bucket)}"
        request = AWSRequest(method, f"{base}/{quote(key, safe='/~')}", headers=dict(headers))
        frozen = self._credentials.get_frozen_credentials()
        S3SigV4QueryAuth(frozen, "s3", self._region, expires=max(1, int(seconds))).add_auth(request)
        return str(request.url)

    def _virtual(self, bucket: str, endpoint: str) -> bool:
        # A name with dots fits no wildcard certificate.
        wanted = self._settings.addressing == "virtual" if endpoint else True
        return wanted and "." not in bucket

    def _current(self) -> Any:
        frozen = self._credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + _FRESH,
        }


def _credentials(session: Session, environ: Mapping[str, str]) -> Credentials:
    key, secret = environ.get("FLYTE_AWS_ACCESS_KEY_ID"), environ.get("FLYTE_AWS_SECRET_ACCESS_KEY")
    if key and secret:
        return Credentials(key, secret)
    found: Credentials | None = session.get_credentials()
    if found is None:
        raise ConfigError(
            "there are no credentials for S3; set FLYTE_AWS_ACCESS_KEY_ID and FLYTE_AWS_SECRET_ACCESS_KEY, or"
            " what the tools of AWS read"
        )
    return found


def _at_bucket(own: Any, bucket: str, virtual: bool) -> Any:
    """At an endpoint of one's own obstore wants the host with the bucket's name in it."""
    if not (own and virtual):
        return own
    parts = urlsplit(own["endpoint"])
    return {"endpoint": f"{parts.scheme}://{bucket}.{parts.netloc}{parts.path}"}
