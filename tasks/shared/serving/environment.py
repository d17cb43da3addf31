"""The environment of the processes that we start: what they need of ours, and secrets only where a step needs them."""

import os
import re

from tasks.shared.errors import without_logins

_NAMES = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP", "VIRTUAL_ENV"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("CURL_CA_BUNDLE", "DO_NOT_TRACK", "NO_COLOR"),
)
_BEGINNINGS = (
    *("LC_", "XDG_", "PYTHON", "STILLHOUSE_", "PREFECT_", "MLFLOW_", "TOKENIZERS_", "TORCH", "PYTORCH_", "ACCELERATE_"),
    *("OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "KINETO_", "CUDA_", "NVIDIA_", "NCCL_", "GLOO_"),
)
_OF_STEPS = (
    *("HF_", "HUGGING_FACE_", "HUGGINGFACE_", "TRANSFORMERS_", "RAY_"),
    *("AWS_", "S3_", "GOOGLE_", "GCS_", "AZURE_", "FSSPEC_"),
    *("http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
)
_SECRET = re.compile("KEY|TOKEN(?!IZERS)|SECRET|PASSWORD|PASSWD|CREDENTIAL|AUTH|HEADERS", re.IGNORECASE)

PASSED_ON = "STILLHOUSE_PASS_ENV"
"""Names of further variables, with commas between them, that steps which a worker runs need."""


def bare_environment() -> dict[str, str]:
    """What any process needs of this one's environment: where programs are, languages, threads, settings; no secret."""
    needed = {name: value for name, value in os.environ.items() if name in _NAMES or name.startswith(_BEGINNINGS)}
    return {name: value for name, value in needed.items() if not _is_secret(name, value)}


def environment_of_steps() -> dict[str, str]:
    """The same with what steps may read data, models and labels with: tokens of hubs and stores, proxies."""
    asked_for = {name.strip() for name in os.environ.get(PASSED_ON, "").split(",")}
    of_steps = {name: os.environ[name] for name in os.environ if name.startswith(_OF_STEPS) or name in asked_for}
    return bare_environment() | of_steps


def _is_secret(name: str, value: str) -> bool:
    return bool(_SECRET.search(name)) or value != without_logins(value)
